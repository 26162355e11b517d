import Crypto
import GRDB
import Synchronization
package import Model

/// Who has signed in, with what rights.
package struct Principal: Sendable, Hashable {
    package var username: String
    package var roles: Set<Role>
    /// Of the token that was used; nil for a password.
    package var tokenID: String?
    /// Of the user's resource; 0 for those who have none.
    package var revision: Int64

    package init(username: String, roles: Set<Role>, tokenID: String? = nil, revision: Int64 = 0) {
        self.username = username
        self.roles = roles
        self.tokenID = tokenID
        self.revision = revision
    }

    package var mayConfigure: Bool { roles.contains(.administrator) }
    package var mayWriteDevices: Bool {
        !roles.isDisjoint(with: [.administrator, .engineer, .operator])
    }
}

/// A token without its text, which nobody has but its owner.
package struct TokenInfo: Sendable, Hashable {
    package var id: String
    package var name: String
    package var username: String
    package var createdAt: Timestamp
    package var expiresAt: Timestamp?
}

/// Users and their tokens. Users are resources of the kind `User`; tokens lie beside them as SHA-256 hashes.
package final class Accounts: Sendable {
    /// The command line on the same machine signs in with what is in this file of the data directory (mode 0600).
    package static let tokenFile = "admin.token"
    /// Whose name stands in the history for changes made with `admin.token`.
    package static let localAdministrator = "local-administrator"
    package static let tokensMax = 1000

    private let store: ResourceStore
    private let resolver: SecretResolver
    private let time: any TimeSource
    private let guessing: GuessingGuard
    private let adminTokenHash: [UInt8]
    private let setupToken: Mutex<String?>
    /// Hashing takes a tenth of a second and 32 MiB: one at a time.
    private let hashing = HashingQueue()
    /// For names that do not exist, so that they take as long as those that do.
    private let decoy: PasswordHash

    /// Writes a new `admin.token` and, while there is no administrator, makes a token for the one-time link.
    package init(
        store: ResourceStore, resolver: SecretResolver, directory: DataDirectory, time: any TimeSource
    ) async throws(Problem) {
        self.store = store
        self.resolver = resolver
        self.time = time
        guessing = GuessingGuard(time: time)
        decoy = try PasswordHash(password: Self.newToken())
        let token: String
        if let bytes = try directory.read(Self.tokenFile, bytesMax: 256), bytes.count >= 40 {
            token = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        } else {
            token = Self.newToken()
            try directory.writePrivate(Self.tokenFile, Array((token + "\n").utf8))
        }
        adminTokenHash = Self.hash(token)
        setupToken = Mutex(nil)
        if try await needsSetup() { setupToken.withLock { $0 = Self.newToken() } }
    }

    // MARK: Setting up

    /// Whether nobody can sign in who may configure.
    package func needsSetup() async throws(Problem) -> Bool {
        let users: [ResourceSnapshot]
        do throws(Rejection) { users = try await store.list(kind: ResourceKind.userName).items } catch {
            throw error.problem
        }
        return !users.contains { Self.isAdministrator($0.spec) }
    }

    /// For the link that the first start prints: `/#/setup?token=...`. Nil once it is used, or not needed.
    package var oneTimeToken: String? { setupToken.withLock { $0 } }

    /// Fails with `setup.done`, `setup.token`, or `resource.invalid` for a name or password that will not do.
    package func createFirstAdministrator(
        token: String, username: String, password: String, peer: String = ""
    ) async throws(Rejection) -> Principal {
        do throws(Problem) {
            try guessing.check("setup", peer)
            guard let wanted = oneTimeToken, try await needsSetup() else {
                throw Problem("setup.done", "there is an administrator already: sign in")
            }
            guard constantTimeEqual(Self.hash(token), Self.hash(wanted)) else {
                guessing.failed("setup", peer)
                throw Problem("setup.token", "this link is not the one that the server printed at its start")
            }
        } catch {
            throw Rejection(error)
        }
        let spec = SourceNode.map([
            SourceEntry("password", .text(password)),
            SourceEntry("roles", SourceNode(.list([.text(Role.administrator.rawValue)]))),
        ])
        let key = ResourceKey(kind: ResourceKind.userName, name: username)
        let root = SourceNode.map([
            SourceEntry("kind", .text(key.kind)), SourceEntry("name", .text(username)), SourceEntry("spec", spec),
        ])
        let applied = try await store.apply(
            Array(SourceWriter.json(root).utf8), file: "setup", format: .json,
            ChangeContext(author: username, source: ChangeSource(.console), expected: [key: 0]))
        setupToken.withLock { $0 = nil }
        let revision = applied.changes.first { $0.key == key }?.revision ?? applied.revision
        return Principal(username: username, roles: [.administrator], revision: revision)
    }

    // MARK: Signing in

    /// Fails with `login.failed`, whichever of name and password is wrong and in the same time, or `login.wait`
    /// after too many failures. `peer` is the address that the attempt comes from.
    package func verify(username: String, password: String, peer: String = "") async throws(Problem) -> Principal {
        try guessing.check(username, peer)
        let user = try await user(username)
        let isRight = try await matches(user, password)
        guard let user, isRight, user.spec["disabled"]?.bool != true else {
            guessing.failed(username, peer)
            throw Problem("login.failed", "name or password is wrong")
        }
        guessing.succeeded(username, peer)
        return Principal(username: username, roles: Self.roles(user), revision: user.revision)
    }

    /// The user as he is now, without proof that it is he; nil: gone or disabled.
    package func principal(username: String) async throws(Problem) -> Principal? {
        guard let user = try await user(username), user.spec["disabled"]?.bool != true else { return nil }
        return Principal(username: username, roles: Self.roles(user), revision: user.revision)
    }

    private func matches(_ user: ResourceSnapshot?, _ password: String) async throws(Problem) -> Bool {
        guard password.count <= PasswordHash.lengthMax else { return false }
        if let hash = user?.spec["passwordHash"]?.string.flatMap({ PasswordHash(text: $0) }) {
            return await hashing.matches(hash, password)
        }
        let isDecoyRight = await hashing.matches(decoy, password)
        guard let reference = user?.spec["password"]?.secret else { return isDecoyRight && user != nil }
        let wanted = try await resolver.resolve(reference)
        return constantTimeEqual(Self.hash(wanted), Self.hash(password)) && !wanted.isEmpty
    }

    /// Who the token belongs to; nil if it is unknown, expired, or its user is gone or disabled.
    package func authenticate(token: String) async throws(Problem) -> Principal? {
        let hash = Self.hash(token)
        if constantTimeEqual(hash, adminTokenHash) {
            return Principal(username: Self.localAdministrator, roles: [.administrator], tokenID: "local")
        }
        let found = try await read { db in
            try Row.fetchOne(
                db, sql: "SELECT id, user, expires, created FROM token WHERE hash = ?", arguments: [blob(hash)]
            ).map {
                (id: $0[0] as String, user: $0[1] as String, expires: $0[2] as Int64?, created: $0[3] as Int64)
            }
        }
        guard let found, (found.expires ?? .max) > time.now().nanoseconds else { return nil }
        if found.user == Self.localAdministrator {
            return Principal(username: found.user, roles: [.administrator], tokenID: found.id)
        }
        // A token does not pass on to a later user of the same name.
        guard let user = try await user(found.user), user.spec["disabled"]?.bool != true,
            user.createdAt.nanoseconds <= found.created
        else { return nil }
        return Principal(
            username: found.user, roles: Self.roles(user), tokenID: found.id, revision: user.revision)
    }

    // MARK: Tokens

    /// The text is in the answer and nowhere else. Fails with `token.name`, `token.count`.
    package func createToken(
        name: String, for principal: Principal, expiresAt: Timestamp? = nil
    ) async throws(Problem) -> (info: TokenInfo, token: String) {
        if let fault = DocumentReader.nameFault(name) { throw Problem("token.name", "the token's name \(fault)") }
        let token = Self.newToken()
        let info = TokenInfo(
            id: Hexadecimal.text(Self.randomBytes(8)), name: name, username: principal.username, createdAt: time.now(),
            expiresAt: expiresAt)
        try await write { db in
            guard try (Int.fetchOne(db, sql: "SELECT count(*) FROM token") ?? 0) < Self.tokensMax else {
                throw Problem("token.count", "there are \(Self.tokensMax) tokens; revoke some")
            }
            try db.execute(
                sql: "INSERT INTO token (id, name, user, hash, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    info.id, info.name, info.username, blob(Self.hash(token)), info.createdAt.nanoseconds,
                    info.expiresAt?.nanoseconds,
                ])
        }
        return (info, token)
    }

    /// An administrator's list holds everyone's tokens.
    package func tokens(of principal: Principal) async throws(Problem) -> [TokenInfo] {
        let all = try await read { db in
            try Row.fetchAll(db, sql: "SELECT id, name, user, created, expires FROM token ORDER BY created, name, id")
                .map {
                    TokenInfo(
                        id: $0[0], name: $0[1], username: $0[2], createdAt: Timestamp(nanoseconds: $0[3]),
                        expiresAt: ($0[4] as Int64?).map { Timestamp(nanoseconds: $0) })
                }
        }
        return principal.mayConfigure ? all : all.filter { $0.username == principal.username }
    }

    /// Fails with `token.not_found`, also for a token of someone else that the principal may not revoke.
    package func revokeToken(id: String, by principal: Principal) async throws(Problem) {
        let count = try await write { db in
            try db.execute(
                sql: "DELETE FROM token WHERE id = ? AND (? OR user = ?)",
                arguments: [id, principal.mayConfigure, principal.username])
            return db.changesCount
        }
        if count == 0 { throw Problem("token.not_found", "there is no token \"\(shortened(id))\"", ["id": id]) }
    }

    // MARK: Inside

    private func user(_ name: String) async throws(Problem) -> ResourceSnapshot? {
        do throws(Rejection) { return try await store.get(ResourceKey(kind: ResourceKind.userName, name: name)) } catch
        {
            throw error.problem
        }
    }

    private static func roles(_ user: ResourceSnapshot) -> Set<Role> { roles(user.spec) }

    private static func roles(_ spec: ConfigValue) -> Set<Role> {
        Set((spec["roles"]?.list ?? []).compactMap { $0.string.flatMap { Role(rawValue: $0) } })
    }

    /// Whether the user of that spec can sign in and may do everything.
    static func isAdministrator(_ spec: ConfigValue) -> Bool {
        roles(spec).contains(.administrator) && spec["disabled"]?.bool != true
    }

    private func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws(Problem) -> T {
        do throws(Rejection) { return try await store.read(body) } catch { throw error.problem }
    }

    private func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws(Problem) -> T {
        do throws(Rejection) { return try await store.write(body) } catch { throw error.problem }
    }

    /// 256 random bits from the operating system.
    private static func newToken() -> String { Hexadecimal.text(randomBytes(32)) }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    private static func hash(_ text: String) -> [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}

/// Checks passwords one after the other.
private actor HashingQueue {
    func matches(_ hash: PasswordHash, _ password: String) -> Bool { hash.matches(password) }
}
