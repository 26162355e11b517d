import Formats
import Logging
import Model

@testable import Console

/// A console on a port of its own, with everything behind it faked.
struct Harness {
    let services = FakeServices()
    let resources = FakeResources()
    let bus = FakeBus()
    let accounts: FakeAccounts
    let server: ConsoleServer
    let port: Int

    static let token = ["Authorization": "Bearer secret-token"]

    private init(accounts: FakeAccounts, options: ConsoleOptions, needsSetup: Bool) async throws {
        self.accounts = accounts
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        server = ConsoleServer(
            options: options, services: services, resources: resources, accounts: accounts, bus: bus,
            needsSetup: needsSetup, logger: logger)
        port = try await server.start()
    }

    /// Runs `body` with a server, and stops it whatever happens.
    static func run(
        users: [String: String] = ["ann": "correct horse"], _ change: (inout ConsoleOptions) -> Void = { _ in },
        _ body: (Harness) async throws -> Void
    ) async throws {
        var options = ConsoleOptions()
        options.port = 0
        options.version = "1.2.3"
        options.liveTick = .milliseconds(10)
        options.reportTick = .milliseconds(50)
        change(&options)
        let harness = try await Harness(
            accounts: FakeAccounts(users: users), options: options, needsSetup: users.isEmpty)
        do {
            try await body(harness)
        } catch {
            await harness.server.stop()
            throw error
        }
        await harness.server.stop()
    }

    func connect() async throws -> TestConnection { try await TestConnection.open(port) }

    /// One request on a connection of its own.
    func call(
        _ method: String, _ path: String, _ headers: [String: String] = Harness.token, _ body: JSONValue? = nil
    ) async throws -> TestResponse {
        let connection = try await connect()
        defer { connection.close() }
        var fields = headers
        if body != nil { fields["Content-Type"] = fields["Content-Type"] ?? "application/json" }
        return try await connection.request(method, path, fields, body: Array((body?.text ?? "").utf8))
    }

    func logIn(_ username: String = "ann", _ password: String = "correct horse") async throws -> TestResponse {
        try await call(
            "POST", "/api/v1/login", [:], .object(["username": .string(username), "password": .string(password)]))
    }

    func openLive(_ headers: [String: String] = Harness.token) async throws -> TestConnection {
        let connection = try await connect()
        let answer = try await connection.upgrade("/api/v1/live", headers)
        guard answer.status == 101 else { throw TestFailure("no upgrade: \(answer.status)") }
        return connection
    }
}
