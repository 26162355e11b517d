package import BrokerCore
package import Model
import Synchronization

/// A user of Tundish as the broker needs it.
package struct UserRecord: Sendable {
    package enum PasswordCheck: Sendable {
        /// Takes a tenth of a second; called on the hash pool.
        case hash(@Sendable (String) -> Bool)
        /// The password itself, where it is kept elsewhere.
        case reference(@Sendable () async throws(Problem) -> String)
    }

    package var name: String
    package var isDisabled: Bool
    package var roles: [String]
    package var mayWriteDevices: Bool
    package var check: PasswordCheck
    package var scram: ScramKeys?
    /// Differs when the password does: its hash, or where it is kept.
    package var passwordMark: String

    package init(
        name: String, isDisabled: Bool = false, roles: [String], mayWriteDevices: Bool, check: PasswordCheck,
        scram: ScramKeys? = nil, passwordMark: String = ""
    ) {
        self.name = name
        self.isDisabled = isDisabled
        self.roles = roles
        self.mayWriteDevices = mayWriteDevices
        self.check = check
        self.scram = scram
        self.passwordMark = passwordMark
    }

    var identified: Identified {
        var found = Identified(username: name)
        found.roles = roles
        found.mayWriteDevices = mayWriteDevices
        return found
    }
}

/// The users as they are now, in memory.
package final class UserTable: Sendable {
    private struct State {
        var users: [String: UserRecord] = [:]
        var generation: UInt64 = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func set(_ user: UserRecord) {
        state.withLock { state in
            state.users[user.name] = user
            state.generation += 1
        }
    }

    package func remove(_ name: String) {
        state.withLock { state in
            state.users[name] = nil
            state.generation += 1
        }
    }

    package func find(_ name: String) -> UserRecord? { state.withLock { $0.users[name] } }

    /// Grows with every change: what was found out before is not believed afterwards.
    var generation: UInt64 { state.withLock { $0.generation } }
}

/// User name and password of the `User` resources.
package final class UsersMethod: AccessMethod {
    package static let cacheDefault = Duration.seconds(3600)

    private let users: UserTable
    private let pool: HashPool
    private let cache: VerifiedCache
    private let lifetime: Duration
    /// Fails, and takes as long as a user's.
    private let decoy: @Sendable (String) -> Bool

    package init(
        users: UserTable, pool: HashPool, time: any TimeSource, cacheFor lifetime: Duration = cacheDefault,
        cacheMax: Int = 100_000, decoy: @escaping @Sendable (String) -> Bool
    ) {
        self.users = users
        self.pool = pool
        self.lifetime = lifetime
        self.decoy = decoy
        cache = VerifiedCache(entriesMax: cacheMax, time: time)
    }

    private func key(_ name: String, _ password: String) -> VerifiedCache.Key {
        let generation = withUnsafeBytes(of: users.generation) { Array($0) }
        return cache.key([generation, Array(name.utf8), Array(password.utf8)])
    }

    package func checkNow(_ credentials: Credentials) -> MethodAnswer? {
        guard let name = credentials.username else { return .next(.noCredentials, "no user name") }
        guard let user = users.find(name) else { return .next(.unknownUser, "") }
        guard !user.isDisabled, let password = credentials.password?.string else { return nil }
        return cache.find(key(name, password))
    }

    package func check(_ credentials: Credentials) async -> MethodAnswer {
        guard let name = credentials.username else { return .next(.noCredentials, "no user name") }
        guard let user = users.find(name) else { return .next(.unknownUser, "") }
        let password = credentials.password?.string ?? ""
        if user.isDisabled {
            _ = await spendTime()
            return .refuse(.disabledUser, "")
        }
        // Passwords longer than anybody has are not hashed.
        guard password.utf8.count <= 1024 else { return .refuse(.wrongPassword, "longer than any password") }
        let lifetime = lifetime
        return await cache.answer(key(name, password)) { answer in
            // A wrong password is not remembered: guesses would push out what is right.
            if case .accept = answer { lifetime } else { .zero }
        } _: { [self] in
            await verify(user, password)
        }
    }

    private func verify(_ user: UserRecord, _ password: String) async -> MethodAnswer {
        let isRight: Bool?
        switch user.check {
        case .hash(let matches): isRight = await pool.run { matches(password) }
        case .reference(let read):
            do throws(Problem) {
                let wanted = try await read()
                _ = await spendTime()
                isRight = !wanted.isEmpty && areEqualInConstantTime(Array(wanted.utf8), Array(password.utf8))
            } catch {
                return .unavailable(.unavailable, error.message)
            }
        }
        guard let isRight else { return .unavailable(.overloaded, "too many passwords wait to be checked") }
        return isRight ? .accept(user.identified) : .refuse(.wrongPassword, "")
    }

    package func spendTime() async -> Bool {
        let decoy = decoy
        _ = await pool.run { decoy("a password that nobody has") }
        return true
    }

    package func metrics() -> [MetricSample] { cache.metrics() }
}

extension VerifiedCache {
    func metrics() -> [MetricSample] {
        [
            MetricSample(
                "tundish_access_cache_hits_total", .counter, "Credentials answered from memory.", Double(hits.count)),
            MetricSample(
                "tundish_access_cache_misses_total", .counter, "Credentials that had to be found out about.",
                Double(misses.count)),
            MetricSample("tundish_access_cache_entries", .gauge, "Credentials remembered.", Double(count)),
        ]
    }
}

extension HashPool: MetricSource {
    package func collect() async -> [MetricSample] {
        [
            MetricSample("tundish_access_hashes_total", .counter, "Password hashes computed.", Double(done.count)),
            MetricSample(
                "tundish_access_hashes_refused_total", .counter, "Password checks refused: too many waited.",
                Double(refused.count)),
            MetricSample("tundish_access_hashes_waiting", .gauge, "Password checks waiting.", Double(waitingCount)),
        ]
    }
}
