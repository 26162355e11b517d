import Formats
import HTTPTypes
import Model
import Synchronization
import Testing

@testable import Console

@Suite("Access")
struct AccessTests {
    @Test("the open routes are exactly those that are needed before a login, and the health checks")
    func openRoutes() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let open = harness.server.table.routes.filter {
                switch $0.access {
                case .open, .greeting, .loopback: true
                case .signedIn, .needs: false
                }
            }
            #expect(
                Set(open.map { "\($0.method.rawValue) \($0.path)" }) == [
                    "GET /api/v1/session", "POST /api/v1/setup", "POST /api/v1/login", "GET /metrics", "GET /healthz",
                    "GET /readyz", "GET /api/openapi.json",
                ])
        }
    }

    @Test("a wrong token is nobody's")
    func wrongToken() async throws {
        try await Harness.run { (harness: Harness) async throws in
            #expect(try await harness.call("GET", "/api/v1/status", ["Authorization": "Bearer wrong"]).status == 401)
            #expect(try await harness.call("GET", "/api/v1/status", ["Authorization": "Basic YTpi"]).status == 401)
            #expect(try await harness.call("GET", "/api/v1/status").status == 200)
        }
    }

    @Test("a login gives a session cookie that scripts cannot read; logging out ends the session")
    func loginAndLogout() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let login = try await harness.logIn()
            #expect(login.status == 200)
            #expect(login.json["username"]?.string == "ann")
            let field = try #require(login.headers["set-cookie"])
            #expect(field.contains("HttpOnly") && field.contains("SameSite=Strict") && field.contains("Path=/"))
            let cookie = ["Cookie": try #require(login.cookie)]
            #expect(try await harness.call("GET", "/api/v1/session", cookie).json["authenticated"] == true)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 200)
            let change = cookie.merging(["X-Tundish-Request": "1"]) { $1 }
            #expect(try await harness.call("POST", "/api/v1/logout", change).status == 204)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 401)
        }
    }

    @Test("a change with a cookie needs the header that a foreign page cannot send; a token does not")
    func requestHeader() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie)]
            let body: JSONValue = .object(["topic": "a", "payload": "x"])
            let refused = try await harness.call("POST", "/api/v1/publish", cookie, body)
            #expect(refused.status == 403)
            #expect(refused.code == "request.csrf")
            #expect(harness.bus.published.withLock { $0.isEmpty })
            let with = cookie.merging(["X-Tundish-Request": "1"]) { $1 }
            #expect(try await harness.call("POST", "/api/v1/publish", with, body).status == 200)
            #expect(try await harness.call("POST", "/api/v1/publish", Harness.token, body).status == 200)
        }
    }

    @Test("credentials are taken as JSON only, which a foreign form cannot send")
    func loginNeedsJSON() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let body: JSONValue = .object(["username": "ann", "password": "correct horse"])
            let answer = try await harness.call("POST", "/api/v1/login", ["Content-Type": "text/plain"], body)
            #expect(answer.status == 415)
        }
    }

    @Test("guessing is slowed down for the address and the name, and the answer says how long")
    func throttling() async throws {
        let time = ManualTime()
        try await Harness.run({ $0.time = time }) { (harness: Harness) async throws in
            for _ in 0..<LoginThrottle.freeFailures {
                let answer = try await harness.logIn("ann", "wrong")
                #expect(answer.status == 401)
                #expect(answer.code == "login.failed")
            }
            let blocked = try await harness.logIn()
            #expect(blocked.status == 429)
            #expect(blocked.headers["retry-after"] == "1")
            time.advance(nanoseconds: 1_000_000_001)
            #expect(try await harness.logIn().status == 200)
        }
    }

    @Test("waits double up to their limit, and a success forgets the failures")
    func throttleDoubles() {
        let time = ManualTime()
        let throttle = LoginThrottle(time: time)
        var waits: [Int64] = []
        for _ in 0..<20 {
            #expect(throttle.begin(["a"]) == .go)
            throttle.finish(["a"], succeeded: false)
            if case .wait(let seconds) = throttle.begin(["a"]) {
                waits.append(seconds)
                time.advance(nanoseconds: seconds * 1_000_000_000)
            } else {
                // Only a refusal leaves nothing to finish.
                throttle.finish(["a"], succeeded: false)
            }
        }
        #expect(waits.prefix(4) == [2, 4, 8, 16] || waits.prefix(4) == [1, 2, 4, 8])
        #expect(waits.last == LoginThrottle.waitMaxSeconds)
        #expect(throttle.begin(["b"]) == .go)
        throttle.finish(["b", "a"], succeeded: true)
        #expect(throttle.begin(["a"]) == .go)
    }

    @Test("the one-time link creates the first administrator, once")
    func setup() async throws {
        try await Harness.run(users: [:]) { (harness: Harness) async throws in
            let link = try #require(await harness.server.setupLink)
            let token = String(try #require(link.split(separator: "=").last))
            #expect(link.hasPrefix("http://127.0.0.1:\(harness.port)/#/setup?token="))
            #expect(try await harness.call("GET", "/api/v1/session", [:]).json["needsSetup"] == true)
            func body(_ token: String, _ password: String) -> JSONValue {
                .object(["token": .string(token), "username": "bob", "password": .string(password)])
            }
            let wrong = try await harness.call("POST", "/api/v1/setup", [:], body("guess", "long enough"))
            #expect(wrong.status == 403)
            let short = try await harness.call("POST", "/api/v1/setup", [:], body(token, "short"))
            #expect(short.status == 422)
            #expect(short.code == "account.password_short")
            let made = try await harness.call("POST", "/api/v1/setup", [:], body(token, "long enough"))
            #expect(made.status == 200)
            #expect(made.cookie != nil)
            #expect(await harness.server.setupLink == nil)
            #expect(try await harness.call("POST", "/api/v1/setup", [:], body(token, "long enough")).status == 409)
        }
    }

    @Test("a session ends when it is idle, when it is old, and when its user changes")
    func sessionLifetime() throws {
        let time = ManualTime()
        let store = SessionStore(idle: .seconds(10), lifetime: .seconds(25), time: time, random: SeededRandom(seed: 1))
        let idle = store.begin("ann")
        time.advance(nanoseconds: 11_000_000_000)
        #expect(store.find(idle) == nil)
        let busy = store.begin("ann")
        for _ in 0..<3 {
            time.advance(nanoseconds: 8_000_000_000)
            #expect(store.find(busy)?.username == "ann")
        }
        time.advance(nanoseconds: 2_000_000_000)
        #expect(store.find(busy) == nil)
        let third = store.begin("ann")
        store.endAll(of: "ann")
        #expect(store.find(third) == nil)
        #expect(store.find("made up") == nil)
    }

    @Test("the number of sessions is bounded; the one unused longest goes")
    func sessionsAreBounded() {
        let time = ManualTime()
        let store = SessionStore(
            idle: .seconds(1000), lifetime: .seconds(1000), time: time, random: SeededRandom(seed: 1))
        let first = store.begin("ann")
        time.advance(nanoseconds: 1)
        for _ in 0..<SessionStore.sessionsMax { _ = store.begin("bob") }
        #expect(store.count == SessionStore.sessionsMax)
        #expect(store.find(first) == nil)
    }

    @Test("tokens are made, listed without their secret, used, and revoked")
    func tokens() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let made = try await harness.call("POST", "/api/v1/tokens", Harness.token, .object(["name": "ci"]))
            #expect(made.status == 201)
            #expect(made.json["token"]?.string == "new-secret")
            let list = try await harness.call("GET", "/api/v1/tokens")
            #expect(list.json["items"]?[0]?["name"]?.string == "ci")
            #expect(!list.text.contains("new-secret"))
            let mine = ["Authorization": "Bearer new-secret"]
            #expect(try await harness.call("GET", "/api/v1/status", mine).status == 200)
            #expect(try await harness.call("DELETE", "/api/v1/tokens/t1").status == 204)
            #expect(try await harness.call("DELETE", "/api/v1/tokens/t1").status == 404)
            #expect(try await harness.call("GET", "/api/v1/status", mine).status == 401)
        }
    }

    @Test("a console on loopback is not reached under another name (DNS rebinding)")
    func hostCheck() async throws {
        try await Harness.run({ $0.allowedHosts = ["plant.example"] }) { (harness: Harness) async throws in
            func status(_ host: String) async throws -> Int {
                try await harness.call("GET", "/api/v1/status", Harness.token.merging(["Host": host]) { $1 }).status
            }
            for host in ["localhost", "127.0.0.1:\(harness.port)", "[::1]:80", "x.localhost", "plant.example"] {
                #expect(try await status(host) == 200, "\(host)")
            }
            for host in [
                "evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::1", "localhost:x", "128.0.0.1",
            ] {
                #expect(try await status(host) == 421, "\(host)")
            }
        }
    }

    @Test("security headers are on every answer, good or bad")
    func securityHeaders() async throws {
        try await Harness.run { (harness: Harness) async throws in
            for path in ["/", "/api/v1/status", "/api/v1/nothing", "/healthz"] {
                let headers = try await harness.call("GET", path, [:]).headers
                #expect(headers["content-security-policy"]?.hasPrefix("default-src 'self'") == true, "\(path)")
                #expect(headers["content-security-policy"]?.contains("frame-ancestors 'none'") == true)
                #expect(headers["x-content-type-options"] == "nosniff")
                #expect(headers["referrer-policy"] == "no-referrer")
            }
        }
    }
}
