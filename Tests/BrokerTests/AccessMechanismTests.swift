import BrokerCore
import Crypto
import CryptoExtras
import Formats
import Journal
import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import Broker

@Suite("SCRAM-SHA-256")
struct ScramTests {
    private static let salt = Base64Text.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8) ?? []

    private func server(
        _ nonce: String = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", password: String = "pencil"
    ) throws -> ScramServer {
        let keys = try ScramKeys(password: password, salt: Self.salt, iterations: 4096)
        return ScramServer(
            nonce: nonce, keys: { $0 == "user" ? keys : nil },
            decoy: { _ in
                ScramKeys(
                    iterations: 4096, salt: [UInt8](repeating: 9, count: 16),
                    storedKey: [UInt8](repeating: 1, count: 32), serverKey: [UInt8](repeating: 2, count: 32))
            })
    }

    private static let first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    private static let final =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

    @Test("the exchange of RFC 7677, section 3")
    func vector() throws {
        var server = try server()
        #expect(
            server.receive(Array(Self.first.utf8))
                == .challenge(
                    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
        #expect(
            server.receive(Array(Self.final.utf8))
                == .success(username: "user", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
        #expect(
            server.receive(Array(Self.final.utf8)) == .failure(.malformed, username: nil, "a message after the end"))
    }

    @Test("a wrong password fails at the end, and so does a user that does not exist")
    func wrong() throws {
        var other = try server(password: "pen")
        _ = other.receive(Array(Self.first.utf8))
        #expect(other.receive(Array(Self.final.utf8)) == .failure(.badProof, username: "user", ""))
        var server = try server()
        guard case .challenge(let text) = server.receive(Array("n,,n=eve,r=abc".utf8)) else {
            Issue.record("a name that nobody has must be challenged like others")
            return
        }
        #expect(text.hasPrefix("r=abc%hvY") && text.hasSuffix(",i=4096"))
        let last = "c=biws,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        #expect(server.receive(Array(last.utf8)) == .failure(.unknownUser, username: "eve", ""))
    }

    @Test(
        "messages that are not of the form end it",
        arguments: [
            "", "n", "n,,", "n,,n=user", "n,,r=a,n=user", "p=tls-unique,,n=user,r=a", "n,a=other,n=user,r=a",
            "n,,n=us=er,r=a", "n,,n=,r=a", "n,,n=user,r=", "n,,n=user,r=ä", "n,,m=x,n=user,r=a", "x,,n=user,r=a",
        ])
    func malformed(_ first: String) throws {
        var server = try server()
        guard case .failure(.malformed, _, _) = server.receive(Array(first.utf8)) else {
            Issue.record("\(first) was taken")
            return
        }
        guard case .failure = server.receive(Array(Self.final.utf8)) else {
            Issue.record("it went on after a failure")
            return
        }
    }

    @Test(
        "last messages that are not of the form, or of another exchange, end it",
        arguments: [
            "", "c=biws", "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=", "c=eSws,r=x,p=AA==",
            "c=biws,r=other,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ])
    func malformedFinal(_ final: String) throws {
        var server = try server()
        _ = server.receive(Array(Self.first.utf8))
        guard case .failure(.malformed, "user", _) = server.receive(Array(final.utf8)) else {
            Issue.record("\(final) was taken")
            return
        }
    }

    @Test("keys are read and written in PostgreSQL's form; weak and odd ones are not")
    func keys() throws {
        let keys = try ScramKeys(password: "pencil", salt: Self.salt, iterations: 4096)
        #expect(ScramKeys(text: keys.text) == keys)
        #expect(keys.text.hasPrefix("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"))
        for text in [
            "", "SCRAM-SHA-1$4096:a$b:c", keys.text.replacing("4096", with: "1"), keys.text + "=",
            "SCRAM-SHA-256$4096:$:",
        ] {
            #expect(ScramKeys(text: text) == nil, "\(text)")
        }
    }

    @Test("any bytes end in an outcome")
    func fuzz() throws {
        var random = SplitMix64(seed: 5802)
        let seeds = [Self.first, Self.final].map { Array($0.utf8) }
        for _ in 0..<3000 {
            var server = try server()
            for _ in 0..<2 {
                var bytes = seeds[Int.random(in: 0..<2, using: &random)]
                for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                    let at = Int.random(in: 0..<bytes.count, using: &random)
                    switch random.next() % 3 {
                    case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes.remove(at: at)
                    default: bytes.insert(UInt8(ascii: ","), at: at)
                    }
                }
                if case .success(let name, _) = server.receive(bytes) { #expect(name == "user") }
            }
        }
    }
}

@Suite("Password file", .timeLimit(.minutes(1)))
struct PasswordFileTests {
    static let text = """
        # made by mosquitto_passwd
        new:$7$101$AAECAwQFBgcICQoL$FsHbTjI9UgsExCWHGff9GMsTHHk9M+EC6qsirlagvy93GIgF7/+AcjP2I49qIg2i5oPT0UYtGkxBx+R4UidCPA==

        old:$6$AAECAwQFBgcICQoL$eJsYNDdenUZasMn7/x49XhFHsHz0M0vljo6vq4PCih1J1P6XZ6fgFa4GtIxCizf45iNVQRP5MQKmxJiwDwlMYg==
        """

    @Test("both forms of hashes are checked")
    func forms() throws {
        let file = try PasswordFile(Array(Self.text.utf8), path: "p")
        #expect(file.count == 2)
        for name in ["new", "old"] {
            #expect(file.entries[name]?.matches(Array("secret-1".utf8)) == true)
            #expect(file.entries[name]?.matches(Array("secret-2".utf8)) == false)
        }
    }

    @Test(
        "a line that is not of the form is named",
        arguments: [
            "ali", "ali:", ":$6$AAECAwQFBgcICQoL$AA==", "ali:plain", "ali:$5$a$b", "ali:$7$0$AAEC$AAEC",
            "ali:$7$99999999999$AAEC$AAEC", "ali:$6$AAEC$AAEC", "ali:$6$$",
        ])
    func malformed(_ line: String) {
        #expect {
            try PasswordFile(Array(("# comment\n" + line).utf8), path: "/etc/p")
        } throws: { error in
            (error as? Problem)?.arguments["line"] == "2"
        }
    }

    @Test("any bytes are a file or a problem")
    func fuzz() {
        var random = SplitMix64(seed: 7)
        for _ in 0..<2000 {
            var bytes = Array(Self.text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? PasswordFile(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))), path: "p")
        }
    }

    @Test("a changed file is read again; one that is broken leaves the former in force")
    func reload() async throws {
        let time = ManualTime()
        let files = FaultyFiles()
        let pool = HashPool()
        func write(_ text: String) throws {
            let file = try files.open("/p", .create)
            try file.truncate(to: 0)
            try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
            file.close()
        }
        #expect(throws: Problem.self) { try PasswordFileMethod(path: "/p", files: files, pool: pool, time: time) }
        try write(Self.text)
        let method = try PasswordFileMethod(path: "/p", files: files, pool: pool, time: time)
        #expect(await method.check(credentials("new", "secret-1")).accepted?.username == "new")
        #expect(await method.check(credentials("new", "x")).text == "refuse wrong_password")
        #expect(await method.check(credentials("eve", "x")).text == "next unknown_user")
        try write(Self.text.replacing("new:", with: "eve:"))
        time.advance(nanoseconds: PasswordFileMethod.lookEvery)
        #expect(await method.check(credentials("new", "secret-1")).text == "next unknown_user")
        #expect(await method.check(credentials("eve", "secret-1")).text == "accept")
        try write("broken")
        time.advance(nanoseconds: PasswordFileMethod.lookEvery)
        #expect(await method.check(credentials("eve", "secret-1")).text == "accept")
        #expect(method.problem != nil)
        await pool.shutdown()
    }
}

@Suite("Tokens", .timeLimit(.minutes(1)))
struct TokenTests {
    private let time = ManualTime(Timestamp(milliseconds: 1_700_000_000_000))
    private let secret = Array("0123456789abcdef0123456789abcdef".utf8)

    private func token(
        _ claims: String, algorithm: String = "HS256", header: String = "", sign: ([UInt8]) throws -> [UInt8]
    ) rethrows -> String {
        let head = Base64Text.encode(Array("{\"alg\":\"\(algorithm)\"\(header)}".utf8), isURL: true)
        let signed = head + "." + Base64Text.encode(Array(claims.utf8), isURL: true)
        return signed + "." + Base64Text.encode(try sign(Array(signed.utf8)), isURL: true)
    }

    private func hs256(_ claims: String, header: String = "") -> String {
        token(claims, header: header) {
            Array(HMAC<SHA256>.authenticationCode(for: $0, using: SymmetricKey(data: secret)))
        }
    }

    private func method() -> TokenMethod { method { _ in } }

    private func method(_ change: (inout TokenSettings) throws -> Void) rethrows -> TokenMethod {
        var settings = TokenSettings()
        try change(&settings)
        return TokenMethod(settings: settings, keys: FixedKeys(keys: [TokenKey(secret: secret)]), time: time)
    }

    @Test("the examples of RFC 7515, A.1 and A.3")
    func examples() throws {
        let hs =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        let key = try #require(
            Base64Text.decode(
                "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow".utf8,
                isURL: true))
        let token = try JSONWebToken(Bytes(hs))
        #expect(token.isSigned(by: TokenKey(secret: key)))
        #expect(!token.isSigned(by: TokenKey(secret: secret)))
        #expect(token.claims["iss"]?.string == "joe")
        let es =
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        let set = TokenKey.keySet(
            Array(
                #"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"oct","k":"AAAA"}]}"#
                    .utf8))
        let ec = try #require(set?.first)
        #expect(set?.count == 1)
        #expect(try JSONWebToken(Bytes(es)).isSigned(by: ec))
        #expect(try !JSONWebToken(Bytes(es)).isSigned(by: TokenKey(secret: key)))
    }

    @Test("keys of every kind verify their algorithms and no others")
    func kinds() throws {
        let claims = #"{"sub":"ali"}"#
        let p384 = P384.Signing.PrivateKey()
        let ed = Curve25519.Signing.PrivateKey()
        let rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let tokens: [(String, TokenKey)] = [
            (
                try token(claims, algorithm: "ES384") { Array(try p384.signature(for: $0).rawRepresentation) },
                try TokenKey(pem: p384.publicKey.pemRepresentation)
            ),
            (
                try token(claims, algorithm: "RS256") {
                    Array(try rsa.signature(for: SHA256.hash(data: $0), padding: .insecurePKCS1v1_5).rawRepresentation)
                }, try TokenKey(pem: rsa.publicKey.pemRepresentation)
            ),
            (
                try token(claims, algorithm: "PS512") {
                    Array(try rsa.signature(for: SHA512.hash(data: $0), padding: .PSS).rawRepresentation)
                }, try TokenKey(pem: rsa.publicKey.pemRepresentation)
            ),
            (
                try token(claims, algorithm: "EdDSA") { Array(try ed.signature(for: $0)) },
                try #require(
                    TokenKey(
                        jwk: try JSONValue(
                            parsing:
                                "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\(Base64Text.encode(Array(ed.publicKey.rawRepresentation), isURL: true))\"}"
                        )))
            ),
        ]
        for (index, (text, key)) in tokens.enumerated() {
            let token = try JSONWebToken(Bytes(text))
            #expect(token.isSigned(by: key), "\(index)")
            #expect(!token.isSigned(by: TokenKey(secret: secret)))
            for (other, (_, wrong)) in tokens.enumerated() where other != index && !(1...2).contains(other) {
                #expect(!token.isSigned(by: wrong))
            }
        }
        // A public key is no secret: the well-known way to forge a token.
        let pem = rsa.publicKey.pemRepresentation
        let forged = token(claims) {
            Array(HMAC<SHA256>.authenticationCode(for: $0, using: SymmetricKey(data: Array(pem.utf8))))
        }
        #expect(try !JSONWebToken(Bytes(forged)).isSigned(by: try TokenKey(pem: pem)))
        #expect(throws: Problem.self) {
            try TokenKey(pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
        }
    }

    @Test("claims decide: expiry, start, and what the operator wants")
    func claims() async throws {
        let method = try method {
            $0.claims = [("username", try Template("${username}")), ("aud", try Template("tundish"))]
            $0.mustExpire = true
        }
        func answer(_ claims: String, user: String = "ali") -> String {
            method.checkNow(credentials(user, hs256(claims)))?.text ?? "later"
        }
        let good = #"{"username":"ali","aud":["x","tundish"],"exp":1700000100}"#
        #expect(answer(good) == "accept")
        #expect(answer(good, user: "bob") == "refuse rejected")
        #expect(answer(#"{"username":"ali","aud":"tundish","exp":1699999999}"#) == "refuse expired")
        #expect(answer(#"{"username":"ali","aud":"tundish","exp":"1700000100"}"#) == "refuse bad_token")
        #expect(answer(#"{"username":"ali","aud":"tundish"}"#) == "refuse rejected")
        #expect(answer(#"{"username":"ali","aud":"other","exp":1700000100}"#) == "refuse rejected")
        #expect(answer(#"{"username":"ali","aud":"tundish","exp":1700000100,"nbf":1700000050}"#) == "refuse rejected")
        let found = method.checkNow(credentials("ali", hs256(good)))?.accepted
        #expect(found?.username == "ali")
        #expect(found?.expiresAt == Timestamp(milliseconds: 1_700_000_100_000))
    }

    @Test("a name that no claim confirms is not believed")
    func username() {
        let method = method()
        func name(_ claims: String) -> String? {
            method.checkNow(credentials("boss", hs256(claims)))?.accepted.map { $0.username ?? "nobody" }
        }
        #expect(name(#"{"sub":"ali"}"#) == "ali")
        #expect(name(#"{"username":"bob","sub":"ali"}"#) == "bob")
        #expect(name("{}") == "nobody")
        let claimed = self.method { $0.usernameClaim = "who.name" }
        #expect(
            claimed.checkNow(credentials(nil, hs256(#"{"who":{"name":"ali"}}"#)))?.accepted?.username == "ali")
        #expect(claimed.checkNow(credentials("boss", hs256(#"{"who":{"name":"ali"}}"#)))?.text == "refuse rejected")
    }

    @Test("roles, superuser and rules come with the token; rules that are not understood refuse it")
    func rights() {
        let method = method()
        let found = method.checkNow(
            credentials(
                "x", hs256(#"{"sub":"ali","roles":["press"],"is_superuser":true,"acl":{"pub":["a/#"]}}"#)))?.accepted
        #expect(found?.roles == ["press"] && found?.isSuperuser == true && found?.rules.count == 2)
        #expect(method.checkNow(credentials("x", hs256(#"{"sub":"ali","acl":"all"}"#)))?.text == "refuse bad_token")
    }

    @Test(
        "what is no token goes to the next; other algorithms, none at all and changed claims are not signed",
        arguments: [
            ("password", "next bad_token"), ("a.b.c", "next bad_token"), ("", "next bad_token"),
        ])
    func noToken(_ text: String, _ expected: String) {
        #expect(method().checkNow(credentials("ali", text))?.text == expected)
    }

    @Test("unsigned tokens and extensions are refused")
    func unsigned() {
        let none = token(#"{"sub":"ali"}"#, algorithm: "none") { _ in [] }
        #expect(method().checkNow(credentials("ali", none))?.text == "next bad_token")
        let critical = hs256(#"{"sub":"ali"}"#, header: #","crit":["b64"]"#)
        #expect(method().checkNow(credentials("ali", critical))?.text == "next bad_token")
        #expect(method().checkNow(credentials("ali", nil))?.text == "next no_credentials")
    }

    @Test("any change of a token leaves it unsigned")
    func fuzz() throws {
        let good = Array(hs256(#"{"sub":"ali","exp":1700000100}"#).utf8)
        let method = method()
        var random = SplitMix64(seed: 7519)
        for _ in 0..<3000 {
            var bytes = good
            let at = Int.random(in: 0..<bytes.count, using: &random)
            bytes[at] = UInt8.random(in: 0...255, using: &random)
            guard bytes != good else { continue }
            var credentials = credentials("ali")
            credentials.password = Bytes(bytes)
            #expect(method.checkNow(credentials)?.accepted == nil)
        }
        for count in 0..<good.count {
            var credentials = credentials("ali")
            credentials.password = Bytes(Array(good[..<count]))
            #expect(method.checkNow(credentials)?.accepted == nil)
        }
    }

    @Test("a key set is fetched once, again when a key is missing or it is old, and outlives its server")
    func keySet() async throws {
        let key = Curve25519.Signing.PrivateKey()
        let jwk =
            "{\"kid\":\"k1\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\(Base64Text.encode(Array(key.publicKey.rawRepresentation), isURL: true))\"}"
        let asked = Counter()
        let shared = Shared()
        let keys = RemoteKeys(refresh: .seconds(300), time: time) {
            asked.add()
            return shared.answer.withLock { $0 }
        }
        let method = TokenMethod(settings: TokenSettings(), keys: keys, time: time)
        let good = try token(#"{"sub":"ali"}"#, algorithm: "EdDSA", header: #","kid":"k1""#) {
            Array(try key.signature(for: $0))
        }
        #expect(method.checkNow(credentials("x", good)) == nil)
        #expect(await method.check(credentials("x", good)).text == "unavailable unavailable")
        shared.answer.withLock { $0 = .success(Array("{\"keys\":[\(jwk)]}".utf8)) }
        // Not asked again at once.
        #expect(await method.check(credentials("x", good)).text == "unavailable unavailable")
        #expect(asked.count == 1)
        time.advance(nanoseconds: RemoteKeys.askEvery)
        #expect(await method.check(credentials("x", good)).text == "accept")
        #expect(method.checkNow(credentials("x", good))?.text == "accept")
        shared.answer.withLock { $0 = .failure(Problem("x", "away")) }
        time.advance(nanoseconds: 301_000_000_000)
        #expect(method.checkNow(credentials("x", good)) == nil)
        #expect(await method.check(credentials("x", good)).text == "accept")
        #expect(asked.count == 3)
    }

    private final class Shared: Sendable {
        let answer = Mutex<Result<[UInt8], Problem>>(.failure(Problem("x", "away")))
    }
}

@Suite("HTTP authentication", .timeLimit(.minutes(1)))
struct HTTPAccessTests {
    private func ask(
        _ answer: @escaping @Sendable (TestHTTPServer.Request) -> (Int, String)?, timeout: Duration = .seconds(5),
        inFlightMax: Int = 8, change: (inout HTTPQuestion) throws -> Void = { _ in },
        _ body: (HTTPAccessMethod, TestHTTPServer, ManualTime) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await TestHTTPServer.start(group, answer)
        let time = ManualTime()
        var question = try HTTPQuestion(url: Template("http://127.0.0.1:\(server.port)/auth?c=${clientid}"))
        try change(&question)
        let fetcher = try HTTPFetcher(
            group: group, usesTLS: false, authorities: nil, timeout: timeout, inFlightMax: inFlightMax)
        let method = HTTPAccessMethod(question: question, fetcher: fetcher, time: time)
        do { try await body(method, server, time) } catch {
            try await group.shutdownGracefully()
            throw error
        }
        await method.close()
        try await group.shutdownGracefully()
    }

    @Test(
        "the server's answers, as EMQX has them",
        arguments: [
            (200, #"{"result":"allow"}"#, "accept"), (200, #"{"result":"deny"}"#, "refuse rejected"),
            (200, #"{"result":"ignore"}"#, "next unknown_user"), (204, "", "accept"), (403, "", "next rejected"),
            (500, "", "unavailable unavailable"), (200, "{}", "unavailable unavailable"),
            (200, "allow", "unavailable unavailable"), (302, "", "unavailable unavailable"),
            (200, #"{"result":"allow","acl":"all"}"#, "unavailable unavailable"),
        ])
    func answers(_ status: Int, _ body: String, _ expected: String) async throws {
        try await ask({ _ in (status, body) }) { method, _, _ in
            #expect(await method.check(credentials("ali", "x")).text == expected)
        }
    }

    @Test("what is known of the client is sent, escaped; rights come back")
    func question() async throws {
        try await ask(
            { _ in
                (
                    200,
                    #"{"result":"allow","is_superuser":true,"roles":["r"],"expire_at":1700000000,"acl":[{"permission":"allow","action":"all","topic":"a"}]}"#
                )
            },
            change: { $0.setHeaders([("X-Peer", try Template("${peerhost}\r\nX-Evil: ${username}"))]) }
        ) { method, server, _ in
            let found = await method.check(credentials("a\"li\r\n&=", "p%")).accepted
            #expect(found?.isSuperuser == true && found?.roles == ["r"] && found?.rules.count == 1)
            #expect(found?.expiresAt == Timestamp(milliseconds: 1_700_000_000_000))
            let seen = try #require(server.seen.first)
            #expect(seen.head.method == .POST && seen.head.uri == "/auth?c=c1")
            #expect(seen.body == #"{"clientid":"c1","username":"a\"li\r\n&=","password":"p%"}"#)
            #expect(seen.head.headers["X-Peer"] == ["10.0.0.9X-Evil: a\"li&="])
        }
        try await ask({ _ in (204, "") }, change: { $0.isPost = false }) { method, server, _ in
            _ = await method.check(credentials("a&b", "p d"))
            #expect(server.seen.first?.head.uri == "/auth?c=c1&clientid=c1&username=a%26b&password=p%20d")
        }
        #expect(throws: Problem.self) { try HTTPQuestion(url: Template("http://${username}.example/")) }
    }

    @Test("answers are remembered for their time, each by its own; failures are not")
    func cache() async throws {
        let box = Box()
        try await ask({ request in
            if box.flag.load(ordering: .relaxed) { return (503, "") }
            return request.body.contains("right") ? (204, "") : (200, #"{"result":"deny"}"#)
        }) { method, server, time in
            #expect(await method.check(credentials("ali", "right")).text == "unavailable unavailable")
            #expect(method.checkNow(credentials("ali", "right")) == nil)
            box.flag.store(false, ordering: .relaxed)
            for _ in 0..<3 {
                #expect(await method.check(credentials("ali", "right")).text == "accept")
                #expect(await method.check(credentials("ali", "wrong")).text == "refuse rejected")
            }
            #expect(server.seen.count == 3)
            time.advance(nanoseconds: 6_000_000_000)
            #expect(method.checkNow(credentials("ali", "wrong")) == nil)
            #expect(method.checkNow(credentials("ali", "right"))?.text == "accept")
            time.advance(nanoseconds: 60_000_000_000)
            #expect(method.checkNow(credentials("ali", "right")) == nil)
        }
    }

    private final class Box: Sendable {
        let flag = Atomic<Bool>(true)
    }

    @Test("a server that hangs is given up on, and does not gather requests without bound")
    func hanging() async throws {
        try await ask({ _ in nil }, timeout: .milliseconds(300), inFlightMax: 2) { method, server, _ in
            let answers = await withTaskGroup(of: String.self) { tasks in
                for index in 0..<10 { tasks.addTask { await method.check(credentials("u\(index)", "x")).text } }
                return await tasks.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(answers["unavailable overloaded"] == 8)
            #expect(answers["unavailable unavailable"] == 2)
            #expect(server.seen.count == 2)
        }
    }

    @Test("a server that is not there is a reason to pass on, not to wait")
    func away() async throws {
        try await ask({ _ in (204, "") }) { method, server, _ in
            #expect(await method.check(credentials("ali", "x")).text == "accept")
            try await server.stop()
            // Kept connections may still answer; a new one cannot be made.
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let fetcher = try HTTPFetcher(
                group: group, usesTLS: false, authorities: nil, timeout: .seconds(5), inFlightMax: 1)
            let address = try HTTPAddress("http://127.0.0.1:\(server.port)/")
            if case .success = await fetcher.send(address, method: .GET, headers: [], body: []) {
                Issue.record("nobody listens there")
            }
            try await group.shutdownGracefully()
        }
    }

    @Test(
        "URLs",
        arguments: [
            ("http://a", "a", 80, "/"), ("https://a.b/c?d=e", "a.b", 443, "/c?d=e"),
            ("http://[::1]:8080/x", "::1", 8080, "/x"),
            ("http://a:1?x", "a", 1, "/?x"),
        ])
    func addresses(_ text: String, _ host: String, _ port: Int, _ target: String) throws {
        let address = try HTTPAddress(text)
        #expect((address.host, address.port, address.target) == (host, port, target))
    }

    @Test(
        "what is no URL",
        arguments: ["a", "ftp://a", "http://", "http://u:p@a", "http://a:0", "http://a/b c", "http://a:x"])
    func noAddress(_ text: String) { #expect(throws: Problem.self) { try HTTPAddress(text) } }
}
