import Formats
import HTTPTypes
import Model
import Synchronization
import Testing

@testable import Console

@Suite("Rights")
struct RightsTests {
    private static func path(_ route: Route) -> String {
        route.path.replacing("{name}", with: "x").replacing("{id}", with: "x").replacing("{kind}", with: "x")
            .replacing("{topic}", with: "x").replacing("{filter}", with: "x")
    }

    private static func token(_ role: ConsoleRole) -> [String: String] {
        ["Authorization": "Bearer \(role.rawValue)-token"]
    }

    @Test(
        "every route answers 401 to nobody, and 403 with the missing right's name to a role without it",
        arguments: ConsoleRole.allCases)
    func everyRouteForEveryRole(_ role: ConsoleRole) async throws {
        try await Harness.run { (harness: Harness) async throws in
            var refused = 0
            for route in harness.server.table.routes {
                let name: Comment = "\(route.method.rawValue) \(route.path) as \(role.rawValue)"
                let nobody = try await harness.call(route.method.rawValue, Self.path(route), [:])
                let answer = try await harness.call(route.method.rawValue, Self.path(route), Self.token(role))
                switch route.access {
                case .open, .greeting, .loopback:
                    #expect(nobody.status != 401, name)
                    #expect(answer.code != "access.denied", name)
                case .signedIn:
                    #expect(nobody.status == 401, name)
                    #expect(answer.code != "access.denied", name)
                case .needs(let right):
                    #expect(nobody.status == 401, name)
                    #expect(nobody.code == "request.unauthenticated", name)
                    #expect(nobody.headers["content-type"] == "application/problem+json", name)
                    if role.rights.contains(right) {
                        #expect(answer.status != 401 && answer.code != "access.denied", name)
                    } else {
                        #expect(answer.status == 403, name)
                        #expect(answer.code == "access.denied", name)
                        #expect(answer.json["arguments"]?["right"]?.string == right.rawValue, name)
                        refused += 1
                    }
                }
            }
            #expect((refused > 0) == (role != .administrator))
        }
    }

    @Test("a route that declares nothing is for administrators")
    func defaultDeny() {
        let route = Route(.get, "/x", "x", "x") { _ in .noContent }
        #expect(route.access == .needs(.administer))
    }

    @Test("who may what: a viewer changes nothing, users, tokens and secrets are the administrator's alone")
    func meaning() async throws {
        try await Harness.run { (harness: Harness) async throws in
            for route in harness.server.table.routes {
                guard case .needs(let right) = route.access else { continue }
                let name: Comment = "\(route.method.rawValue) \(route.path)"
                let isGuarded = ["users", "secrets", "tokens"].contains { route.path.contains("/api/v1/\($0)") }
                #expect(isGuarded == (right == .administer), name)
                if right == .read {
                    #expect(route.method == .get || route.path == "/api/v1/query", name)
                } else if right == .operate || right == .configure {
                    #expect(route.method != .get, name)
                }
            }
        }
    }

    @Test("an engineer applies devices, but no document of a user or a secret, changed or not")
    func guardedDocuments() async throws {
        try await Harness.run { (harness: Harness) async throws in
            func apply(_ role: ConsoleRole, _ text: String, _ query: String = "") async throws -> TestResponse {
                let connection = try await harness.connect()
                defer { connection.close() }
                return try await connection.request(
                    "POST", "/api/v1/apply\(query)",
                    Self.token(role).merging(["Content-Type": "application/yaml"]) { $1 }, body: Array(text.utf8))
            }
            #expect(try await apply(.engineer, "kind: Device").status == 200)
            for kind in ["User", "Secret"] {
                for query in ["", "?dryRun=true"] {
                    let refused = try await apply(.engineer, "kind: \(kind)", query)
                    #expect(refused.status == 403)
                    #expect(refused.json["arguments"]?["right"]?.string == "administer")
                }
                #expect(try await apply(.administrator, "kind: \(kind)").status == 200)
            }
        }
    }

    @Test("rights that are taken away are gone with the next request, and the session of a changed user ends")
    func changedUser() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie), "X-Tundish-Request": "1"]
            let session = try await harness.call("GET", "/api/v1/session", cookie).json
            #expect(session["roles"]?.array == ["administrator"])
            #expect(session["rights"]?.array?.count == Right.allCases.count)
            #expect(try await harness.call("GET", "/api/v1/tokens", cookie).status == 200)
            harness.accounts.set("ann", [.viewer])
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 401)
            let again = ["Cookie": try #require(try await harness.logIn().cookie), "X-Tundish-Request": "1"]
            #expect(try await harness.call("GET", "/api/v1/status", again).status == 200)
            #expect(try await harness.call("GET", "/api/v1/tokens", again).status == 403)
            #expect(try await harness.call("GET", "/api/v1/session", again).json["rights"]?.array == ["read"])
        }
    }

    @Test("a user without a role is signed in and may see nothing")
    func noRole() async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.accounts.set("ann", [])
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie)]
            #expect(try await harness.call("GET", "/api/v1/session", cookie).json["authenticated"] == true)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).code == "access.denied")
        }
    }

    @Test("the live socket needs the right to read")
    func liveSocket() async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.accounts.set("robot", [])
            let socket = try await harness.openLive()
            defer { socket.close() }
            #expect(try await socket.closeReason() == "access.denied")
        }
    }

    @Test("accounts that cannot be read are 503 with a code, not \"wrong password\" or \"not signed in\"")
    func brokenStore() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie)]
            harness.accounts.breakDown()
            for (method, path, headers) in [
                ("GET", "/api/v1/status", Harness.token), ("GET", "/api/v1/status", cookie),
                ("GET", "/api/v1/session", cookie), ("GET", "/api/v1/tokens", Harness.token),
            ] {
                let answer = try await harness.call(method, path, headers)
                #expect(answer.status == 503, "\(path)")
                #expect(answer.code == "accounts.unavailable", "\(path)")
            }
            let login = try await harness.logIn()
            #expect(login.status == 503)
            #expect(login.code == "accounts.unavailable")
            #expect(try await harness.call("GET", "/healthz", Harness.token).status == 200)
            harness.accounts.breakDown(false)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 200)
        }
    }

    @Test("an alarm is acknowledged by its topic; who did it is passed on")
    func acknowledge() async throws {
        try await Harness.run { (harness: Harness) async throws in
            func acknowledge(_ id: String, _ role: ConsoleRole) async throws -> TestResponse {
                try await harness.call("POST", "/api/v1/alarms/\(id)/acknowledge", Self.token(role))
            }
            #expect(try await acknowledge("alarms%2Fhot%2Fpress-1", .viewer).status == 403)
            let done = try await acknowledge("alarms%2Fhot%2Fpress-1", .operator)
            #expect(done.status == 200)
            #expect(done.json["acknowledged"] == 1)
            #expect(harness.services.state.withLock { $0.acknowledgements } == ["the operator"])
            #expect(try await acknowledge("alarms%2Fcalm", .operator).status == 409)
            #expect(try await acknowledge("alarms%2Fnone", .operator).status == 404)
        }
    }
}
