import Foundation
import Journal
import Model
import Testing

@testable import Resources

@Suite("Secrets and users")
struct SecretTests {
    private static let secret = "kind: Secret\nname: db\nspec: { value: geheim-1234 }\n"

    /// Everything that lies in the data directory.
    private func bytes(_ fixture: StoreFixture) throws -> Data {
        var all = Data()
        for file in try FileManager.default.contentsOfDirectory(atPath: fixture.folder) {
            all += try Data(contentsOf: URL(filePath: fixture.folder + "/" + file))
        }
        return all
    }

    @Test("a secret lies nowhere in the clear and is shown nowhere, but is found by reference")
    func writeOnly() async throws {
        let fixture = try StoreFixture()
        let created = try await fixture.apply(
            Self.secret + "---\n" + sink("inline", password: "geheim-5678") + "---\n"
                + sink("ref", password: "{ secret: db }"))
        #expect(created.changes[0].differences.map(\.after) == ["{\"spec\":{\"value\":\"(secret)\"}}"])
        let changed = try await fixture.apply(Self.secret.replacing("1234", with: "9999"))
        #expect(
            changed.changes[0].differences == [
                SpecDifference(path: "spec.value", before: "\"(secret)\"", after: "\"(secret)\"")
            ])
        let all = try bytes(fixture)
        for text in ["geheim-1234", "geheim-5678", "geheim-9999"] { #expect(all.range(of: Data(text.utf8)) == nil) }
        #expect(all.range(of: Data("postgres://u@h/d".utf8)) != nil)
        let shown = try await fixture.store.list().items.map { SourceWriter.json($0.shown) }
        #expect(
            shown == [
                "{\"value\":{\"redacted\":true}}",
                "{\"type\":\"postgres\",\"connection\":{\"url\":\"postgres://u@h/d\",\"password\":{\"redacted\":true}}}",
                "{\"type\":\"postgres\",\"connection\":{\"url\":\"postgres://u@h/d\",\"password\":{\"secret\":\"db\"}}}",
            ])
        for entry in try await fixture.store.history(ResourceKey(kind: "Secret", name: "db")) {
            #expect(entry.shown.map { SourceWriter.json($0) } == "{\"value\":{\"redacted\":true}}")
        }
        let resolver = SecretResolver(store: fixture.store, files: SystemFiles())
        #expect(try await resolver.resolve(.secret("db")) == "geheim-9999")
        #expect(try await resolver.resolve(.inline("x")) == "x")
        await #expect(throws: Problem("secret.not_found", "there is no Secret \"nil\"", ["name": "nil"])) {
            try await resolver.resolve(.secret("nil"))
        }
        await #expect(throws: Problem.self) { try await resolver.resolve(.environment("TUNDISH_TEST_NOT_SET")) }
        let file = fixture.folder + "/given"
        try "from-file\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await resolver.resolve(.file(file)) == "from-file")
        await #expect(throws: Problem.self) { try await resolver.resolve(.file(file + "x")) }
    }

    @Test("what was shown can be applied again: redacted secrets stay what they were")
    func keepsRedacted() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(sink("s", password: "geheim-5678"))
        let shown = try #require(try await fixture.store.get(.sink("s"))).shown
        var spec = shown
        spec.set("table", .text("rows"))
        let document = SourceNode.map([
            SourceEntry("kind", .text("Sink")), SourceEntry("name", .text("s")), SourceEntry("spec", spec),
        ])
        let result = try await fixture.apply(SourceWriter.yaml(document))
        #expect(result.changes[0].differences.map(\.path) == ["spec.table"])
        let now = try #require(try await fixture.store.get(.sink("s")))
        #expect(now.spec["connection"]?["password"] == .secret(.inline("geheim-5678")))
        let fresh = await fixture.rejection {
            try await fixture.apply("kind: Secret\nname: new\nspec: { value: { redacted: true } }\n")
        }
        #expect(
            fresh?.problem.message
                == "plant.yaml:3:16: value: its value was taken out of this document and none is stored that could stay; give it again"
        )
    }

    @Test("another key opens nothing and says so")
    func wrongKey() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(Self.secret)
        fixture.close()
        try String(repeating: "ab", count: 32).write(
            toFile: fixture.folder + "/secret.key", atomically: true, encoding: .utf8)
        let again = try StoreFixture(folder: fixture.folder)
        let rejection = await again.rejection { _ = try await again.store.get(ResourceKey(kind: "Secret", name: "db")) }
        #expect(rejection?.problem.code == "data.key")
    }

    @Test("a password becomes a hash; the same password again changes nothing")
    func password() async throws {
        let fixture = try StoreFixture()
        let user = "kind: User\nname: ann\nspec: { password: correct-horse, roles: [ operator ] }\n"
        try await fixture.apply(user)
        #expect(try await fixture.apply(user).changes.map(\.action) == [.unchanged])
        let stored = try #require(try await fixture.store.get(ResourceKey(kind: "User", name: "ann")))
        #expect(stored.spec["password"] == nil)
        #expect(stored.spec["passwordHash"]?.string?.hasPrefix("scrypt$32768$8$1$") == true)
        #expect(SourceWriter.json(stored.shown) == "{\"roles\":[\"operator\"],\"passwordHash\":{\"redacted\":true}}")
        let changed = try await fixture.apply(user.replacing("correct", with: "another"))
        #expect(
            changed.changes[0].differences == [
                SpecDifference(path: "spec.passwordHash", before: "\"(secret)\"", after: "\"(secret)\"")
            ])
        let all = try bytes(fixture)
        #expect(all.range(of: Data("correct-horse".utf8)) == nil && all.range(of: Data("scrypt$".utf8)) == nil)
        let short = await fixture.rejection {
            try await fixture.apply("kind: User\nname: bob\nspec: { password: short }\n")
        }
        #expect(short?.problem.message == "plant.yaml:3:19: password has 5 characters; at least 8 are wanted")
        let none = await fixture.rejection {
            try await fixture.apply("kind: User\nname: bob\nspec: { roles: [ admin ] }\n")
        }
        #expect(
            none?.issues.first?.message
                == "unknown roles[0] \"admin\". Known: administrator, engineer, operator, viewer")
    }

    @Test("scrypt agrees with RFC 7914")
    func scrypt() throws {
        let hash = try #require(
            PasswordHash(text: "scrypt$1024$8$16$4e61436c$" + String(repeating: "00", count: 64)) == nil
                ? Optional(0) : nil)
        #expect(hash == 0)
        // N 16384, r 8, p 1, password "pleaseletmein", salt "SodiumChloride".
        let known =
            "scrypt$16384$8$1$536f6469756d43686c6f72696465$"
            + "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        #expect(try #require(PasswordHash(text: known)).matches("pleaseletmein"))
        #expect(!(try #require(PasswordHash(text: known)).matches("pleaseletmeout")))
        for bad in [
            "", "scrypt$1$8$1$00$00",
            "scrypt$1000000$8$1$\(String(repeating: "0", count: 32))$\(String(repeating: "0", count: 64))",
            "x$16384$8$1$aa$bb",
        ] {
            #expect(PasswordHash(text: bad) == nil)
        }
    }
}

@Suite("Accounts")
struct AccountTests {
    private func accounts(_ fixture: StoreFixture) async throws -> Accounts {
        try await Accounts(
            store: fixture.store, resolver: SecretResolver(store: fixture.store, files: SystemFiles()),
            directory: fixture.directory, time: fixture.time)
    }

    private func code(_ body: () async throws -> Void) async -> String? {
        do { try await body() } catch let error as Problem { return error.code } catch {
            return (error as? Rejection)?.problem.code
        }
        return nil
    }

    @Test("the one-time link makes the first administrator, once")
    func setup() async throws {
        let fixture = try StoreFixture()
        let accounts = try await accounts(fixture)
        #expect(try await accounts.needsSetup())
        let token = try #require(accounts.oneTimeToken)
        #expect(token.count == 64)
        #expect(
            await code {
                _ = try await accounts.createFirstAdministrator(token: "x", username: "ann", password: "correct-horse")
            } == "setup.token")
        #expect(
            await code {
                _ = try await accounts.createFirstAdministrator(
                    token: token, username: "a b", password: "correct-horse")
            } == "resource.invalid")
        #expect(
            await code {
                _ = try await accounts.createFirstAdministrator(token: token, username: "ann", password: "short")
            } == "resource.invalid")
        let ann = try await accounts.createFirstAdministrator(token: token, username: "ann", password: "correct-horse")
        #expect(ann.mayConfigure)
        #expect(try await accounts.needsSetup() == false)
        #expect(
            await code {
                _ = try await accounts.createFirstAdministrator(
                    token: token, username: "bob", password: "correct-horse")
            } == "setup.done")
        #expect(try await accounts.verify(username: "ann", password: "correct-horse") == ann)
    }

    @Test("wrong name and wrong password give the same answer; guessing is slowed down by name and place")
    func guessing() async throws {
        let fixture = try StoreFixture()
        let accounts = try await accounts(fixture)
        try await fixture.apply(
            "kind: User\nname: ann\nspec: { password: correct-horse }\n---\nkind: User\nname: bob\nspec: { password: correct-horse, disabled: true }\n"
        )
        func attempt(_ name: String, _ password: String, _ peer: String = "10.0.0.1") async -> String? {
            await code { _ = try await accounts.verify(username: name, password: password, peer: peer) }
        }
        #expect(await attempt("nobody", "correct-horse") == "login.failed")
        #expect(await attempt("bob", "correct-horse") == "login.failed")
        for _ in 0..<GuessingGuard.freeAttempts { #expect(await attempt("ann", "wrong") == "login.failed") }
        #expect(await attempt("ann", "correct-horse") == "login.wait")
        #expect(await attempt("ann", "correct-horse", "10.0.0.2") == nil)
        fixture.time.advance(nanoseconds: GuessingGuard.waitMin)
        #expect(await attempt("ann", "wrong") == "login.failed")
        fixture.time.advance(nanoseconds: GuessingGuard.waitMin)
        #expect(await attempt("ann", "correct-horse") == "login.wait")
        fixture.time.advance(nanoseconds: GuessingGuard.waitMin)
        #expect(await attempt("ann", "correct-horse") == nil)
    }

    @Test("tokens: shown once, stored hashed, listed, revoked, expired, gone with their user")
    func tokens() async throws {
        let fixture = try StoreFixture()
        let accounts = try await accounts(fixture)
        try await fixture.apply("kind: User\nname: ann\nspec: { password: correct-horse, roles: [ operator ] }\n")
        let ann = try await accounts.verify(username: "ann", password: "correct-horse")
        let (info, token) = try await accounts.createToken(name: "line-1", for: ann)
        let principal = try #require(try await accounts.authenticate(token: token))
        #expect(principal.username == "ann" && principal.roles == [.operator] && principal.tokenID == info.id)
        #expect(principal.mayWriteDevices && !principal.mayConfigure)
        #expect(try await accounts.authenticate(token: token + "0") == nil)
        let wal = try Data(contentsOf: URL(filePath: fixture.folder + "/resources.sqlite-wal"))
        #expect(wal.range(of: Data(token.utf8)) == nil)
        let expiring = try await accounts.createToken(
            name: "short", for: ann, expiresAt: fixture.time.now().advanced(nanoseconds: 10))
        #expect(try await accounts.authenticate(token: expiring.token) != nil)
        fixture.time.advance(nanoseconds: 10)
        #expect(try await accounts.authenticate(token: expiring.token) == nil)
        #expect(try await accounts.tokens(of: ann).map(\.name) == ["line-1", "short"])
        let other = Principal(username: "bob", roles: [.viewer])
        #expect(try await accounts.tokens(of: other).isEmpty)
        #expect(await code { try await accounts.revokeToken(id: info.id, by: other) } == "token.not_found")
        try await accounts.revokeToken(id: info.id, by: ann)
        #expect(try await accounts.authenticate(token: token) == nil)
        let second = try await accounts.createToken(name: "again", for: ann)
        _ = try await fixture.store.delete(ResourceKey(kind: "User", name: "ann"), StoreFixture.console)
        #expect(try await accounts.authenticate(token: second.token) == nil)
        fixture.time.advance(nanoseconds: 10)
        try await fixture.apply("kind: User\nname: ann\nspec: { password: correct-horse, roles: [ administrator ] }\n")
        #expect(try await accounts.authenticate(token: second.token) == nil)
    }

    @Test("admin.token is made once, for the owner alone, and signs in")
    func adminToken() async throws {
        let fixture = try StoreFixture()
        let accounts = try await accounts(fixture)
        let path = fixture.folder + "/admin.token"
        let token = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(
            (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        #expect(try await accounts.authenticate(token: token)?.mayConfigure == true)
        let again = try await self.accounts(fixture)
        #expect(try await again.authenticate(token: token) != nil)
    }
}
