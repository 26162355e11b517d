import Broker
import BrokerCore
import Journal
import Model
import NIOCore
import Resources

/// Everything about who may come and what they may do: the chain of authenticators, the rules, the journal.
final class AccessControl: Sendable {
    let journal: AccessJournal
    let rules: AccessRules
    let users = UserTable()
    let pool: HashPool
    let chain: AuthenticationChain
    let environment: AccessEnvironment

    /// The one authenticator while no other is configured.
    static let usersName = "users"

    init(
        resolver: SecretResolver, time: any TimeSource, random: any RandomSource, files: any FileSystem,
        group: any EventLoopGroup
    ) throws(Problem) {
        let clock = AccessClock(time)
        let decoy = try PasswordHash(password: "\(random.next())\(random.next())")
        journal = AccessJournal(time: time)
        rules = AccessRules(journal: journal)
        pool = HashPool(threads: min(2, max(1, ProcessFigures.processors())))
        environment = AccessEnvironment(
            clock: clock, random: random, files: files, group: group, pool: pool, users: users,
            decoy: { decoy.matches($0) },
            resolve: { (reference) throws(Problem) in try await resolver.resolve(reference) })
        let method = UsersMethod(users: users, pool: pool, time: time, decoy: { decoy.matches($0) })
        let fallback = ChainLink(
            name: Self.usersName, brake: GuessingBrake(GuessingBrake.Settings(), time: time), method: method)
        chain = AuthenticationChain(clock: clock, rules: rules, journal: journal, fallback: fallback)
    }

    var metricSources: [any MetricSource] { [journal, chain, pool] }

    func close() async {
        await chain.close()
        await pool.shutdown()
    }
}

/// Keeps the broker's users as the `User` resources are; who is removed or disabled, or has another password now, is
/// disconnected, whose rights change keeps the connection with the new ones.
final class UserController: Controller {
    var kind: String { "User" }

    private let access: AccessControl
    private let exchange: Exchange
    private let resolver: SecretResolver
    private let names = NamesByUID()

    init(access: AccessControl, exchange: Exchange, resolver: SecretResolver) {
        self.access = access
        self.exchange = exchange
        self.resolver = resolver
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let record = try record(snapshot)
            if let former = names.set(record.name, uid: snapshot.uid), former != record.name {
                access.users.remove(former)
                await disconnect(former)
            }
            let old = access.users.find(record.name)
            access.users.set(record)
            guard let old else { return .running }
            if record.isDisabled || old.passwordMark != record.passwordMark {
                await disconnect(record.name)
            } else if old.roles != record.roles || old.mayWriteDevices != record.mayWriteDevices {
                await review(record)
            }
            return .running
        case .delete(let key, let uid):
            let name = names.remove(uid: uid) ?? key.name
            access.users.remove(name)
            await disconnect(name)
            return .stopped
        }
    }

    private func record(_ snapshot: ResourceSnapshot) throws(Problem) -> UserRecord {
        let spec = snapshot.spec
        let roles = (spec["roles"]?.list ?? []).compactMap(\.string)
        let principal = Principal(username: snapshot.name, roles: Set(roles.compactMap { Role(rawValue: $0) }))
        let check: UserRecord.PasswordCheck
        let mark: String
        if let text = spec["passwordHash"]?.string, let hash = PasswordHash(text: text) {
            mark = text
            check = .hash { hash.matches($0) }
        } else if let reference = spec["password"]?.secret {
            let resolver = resolver
            mark = "\(reference)"
            check = .reference { () async throws(Problem) in try await resolver.resolve(reference) }
        } else {
            throw Problem("user.no_password", "user \"\(snapshot.name)\" has no password", ["user": snapshot.name])
        }
        return UserRecord(
            name: snapshot.name, isDisabled: spec["disabled"]?.bool ?? false, roles: roles,
            mayWriteDevices: principal.mayWriteDevices, check: check,
            scram: spec["scramKeys"]?.string.flatMap { ScramKeys(text: $0) }, passwordMark: mark)
    }

    /// Whether a client is this user: others may have let in somebody of the same name.
    private static func isUser(_ name: String, _ identity: ClientIdentity, _ authenticators: Set<String>) -> Bool {
        identity.username == name && authenticators.contains(identity.authenticator)
    }

    private func disconnect(_ name: String) async {
        let ours = access.chain.userLinks
        await exchange.reviewClients { Self.isUser(name, $0, ours) ? .disconnect(.notAuthorized) : .keep }
    }

    private func review(_ user: UserRecord) async {
        let ours = access.chain.userLinks
        await exchange.reviewClients { identity in
            guard Self.isUser(user.name, identity, ours) else { return .keep }
            return .change(
                roles: user.roles, isSuperuser: identity.isSuperuser, mayWriteDevices: user.mayWriteDevices)
        }
    }
}

/// Makes the chain agree with the `Authentication` resources.
final class AuthenticationController: Controller {
    var kind: String { AccessKinds.authenticationName }

    private let access: AccessControl
    private let names = NamesByUID()

    init(access: AccessControl) { self.access = access }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let configuration = try AuthenticationConfiguration(name: snapshot.name, snapshot.spec)
            let link = try await configuration.link(access.environment)
            if let old = names.set(snapshot.name, uid: snapshot.uid), old != snapshot.name {
                await access.chain.remove(old)?.close()
            }
            await access.chain.set(link)?.close()
            return .running
        case .delete(let key, let uid):
            await access.chain.remove(names.remove(uid: uid) ?? key.name)?.close()
            return .stopped
        }
    }
}

/// Makes the rules agree with the `AccessPolicy` resources. Connected clients are looked at again: they lose the
/// subscriptions that they may not have any more.
final class AccessPolicyController: Controller {
    var kind: String { AccessKinds.policyName }

    private let access: AccessControl
    private let exchange: Exchange
    private let names = NamesByUID()

    init(access: AccessControl, exchange: Exchange) {
        self.access = access
        self.exchange = exchange
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        let result: Condition
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let policy = try AccessPolicy(name: snapshot.name, snapshot.spec)
            let old = names.set(snapshot.name, uid: snapshot.uid)
            access.rules.set(policy)
            if let old, old != snapshot.name { access.rules.remove(old) }
            result = .running
        case .delete(let key, let uid):
            access.rules.remove(names.remove(uid: uid) ?? key.name)
            result = .stopped
        }
        await exchange.reviewClients()
        return result
    }
}
