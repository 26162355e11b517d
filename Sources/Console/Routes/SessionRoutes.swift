import Formats
import HTTPTypes
import Model

/// Logging in and out, the first administrator, tokens.
extension API {
    private static let usernameMax = 128
    private static let passwordMax = 1024

    func sessionRoutes() -> [Route] {
        let base = API.base
        return [
            Route(.get, "\(base)/session", "access", "Who is logged in", answer: "Session", handler: session)
                .with { $0.access = .greeting },
            Route(
                .post, "\(base)/setup", "access", "Creates the first administrator with the one-time link's token",
                answer: "Session", handler: createAdministrator
            ).with {
                $0.access = .greeting
                $0.requestBody = RouteBody("Setup")
            },
            Route(
                .post, "\(base)/login", "access", "Begins a session, kept in a cookie", answer: "Session",
                handler: login
            )
            .with {
                $0.access = .greeting
                $0.requestBody = RouteBody("Login")
            },
            Route(.post, "\(base)/logout", "access", "Ends the session", handler: logout).with {
                $0.access = .signedIn
                $0.success = .noContent
            },
            Route(.get, "\(base)/tokens", "access", "Tokens of programs", answer: "TokenList", handler: listTokens)
                .needs(.administer),
            Route(
                .post, "\(base)/tokens", "access", "Makes a token; its secret is shown this once", answer: "NewToken",
                handler: createToken
            ).with {
                $0.access = .needs(.administer)
                $0.requestBody = RouteBody("TokenRequest")
                $0.success = .created
            },
            Route(.delete, "\(base)/tokens/{id}", "access", "Revokes a token", handler: deleteToken)
                .with {
                    $0.access = .needs(.administer)
                    $0.success = .noContent
                },
        ]
    }

    private func session(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        .json(try await sessionJSON(request.caller))
    }

    private func sessionJSON(_ caller: Caller?) async throws(Problem) -> JSONValue {
        .object([
            "authenticated": .bool(caller != nil),
            "username": (caller?.username).map(JSONValue.string),
            "roles": caller.map { caller in
                .array(ConsoleRole.allCases.filter(caller.roles.contains).map { .string($0.rawValue) })
            },
            "rights": caller.map { caller in
                .array(Right.allCases.filter(caller.may).map { .string($0.rawValue) })
            },
            "needsSetup": .bool(try await accounts.needsSetup()),
            "version": .string(options.version),
        ])
    }

    /// Before there is a session no cookie proves anything, so these two take nothing but JSON, which a form of a
    /// foreign page cannot send without being asked.
    private func credentials(_ request: ConsoleRequest) throws(Refusal) -> (
        body: JSONValue, username: String, password: String
    ) {
        guard request.contentType == "application/json" else {
            throw Refusal(
                .unsupportedMediaType, "request.media_type", "the body must be application/json",
                ["seen": request.contentType ?? "", "allowed": "application/json"])
        }
        let body = try request.jsonObject()
        let username = try body.requiredText("username", max: Self.usernameMax)
        let password = try body.requiredText("password", max: Self.passwordMax)
        return (body, username, password)
    }

    private func createAdministrator(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let (body, username, password) = try credentials(request)
        let token = try body.requiredText("token", max: 256)
        guard try await accounts.needsSetup() else {
            throw Refusal(.conflict, "setup.done", "the first administrator exists already; log in")
        }
        let isRight = try await throttled(request, username: nil) { setup.take(token) ? token : nil } != nil
        guard isRight else {
            throw Refusal(
                .forbidden, "setup.token",
                "the link is not valid any more; the server printed a new one when it started")
        }
        do {
            try await accounts.createFirstAdministrator(username: username, password: password)
        } catch {
            setup.giveBack(token)
            throw error
        }
        guard let account = try await accounts.account(username) else {
            throw Refusal(.internalServerError, "internal_error", "the administrator was created and is not there")
        }
        return try await begin(account, request)
    }

    private func login(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let (_, username, password) = try credentials(request)
        let verified = try await throttled(request, username: username) { () async throws(Problem) in
            try await accounts.verify(username: username, password: password, peer: request.peer)
        }
        guard let verified else {
            throw Refusal(.unauthorized, "login.failed", "user name or password is wrong")
        }
        return try await begin(verified, request)
    }

    /// Counts failures by address and, for logins, by user name.
    private func throttled<R>(
        _ request: ConsoleRequest, username: String?, _ check: () async throws(Problem) -> R?
    ) async throws(Refusal) -> R? {
        let keys = ["peer \(request.peer)"] + (username.map { ["user \($0.lowercased())"] } ?? [])
        if case .wait(let seconds) = throttle.begin(keys) { throw Self.throttled("\(seconds)") }
        var found: R?
        // Whatever ends the check ends its place in the throttle.
        defer { throttle.finish(keys, succeeded: found != nil) }
        do throws(Problem) { found = try await check() } catch {
            if error.code == "login.wait" { throw Self.throttled(error.arguments["seconds"] ?? "1") }
            throw Refusal(.serviceUnavailable, error)
        }
        return found
    }

    private static func throttled(_ seconds: String) -> Refusal {
        var refusal = Refusal(
            .tooManyRequests, "login.throttled", "too many failed attempts; try again in \(seconds) s",
            ["seconds": seconds])
        refusal.headers[.retryAfter] = seconds
        return refusal
    }

    private func begin(_ account: Account, _ request: ConsoleRequest) async throws(Problem) -> ConsoleResponse {
        // A session that the browser had before is not taken over.
        if case .session(let key)? = request.caller?.means { gatekeeper.sessions.end(key) }
        let secret = gatekeeper.sessions.begin(account.username, revision: account.revision)
        // The means does not show in the answer.
        var response = ConsoleResponse.json(try await sessionJSON(Caller(account, means: .token)))
        response.headers[.setCookie] = Gatekeeper.setCookie(secret)
        return response
    }

    private func logout(_ request: ConsoleRequest) throws -> ConsoleResponse {
        if case .session(let key) = try caller(request).means { gatekeeper.sessions.end(key) }
        var response = ConsoleResponse.noContent
        response.headers[.setCookie] = Gatekeeper.setCookie(nil)
        return response
    }

    private func listTokens(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        .json(.object(["items": .array(try await accounts.tokens().map { $0.json() })]))
    }

    private func createToken(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let name = try request.jsonObject().requiredText("name", max: 128)
        let (info, secret) = try await accounts.createToken(name: name, by: try caller(request).username)
        return .json(info.json(secret: secret), status: .created)
    }

    private func deleteToken(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let id = request.parameter("id")
        guard try await accounts.deleteToken(id: id) else { throw Refusal.notFound("token", id) }
        return .noContent
    }
}

extension TokenInfo {
    fileprivate func json(secret: String? = nil) -> JSONValue {
        .object([
            "id": .string(id), "name": .string(name), "author": .string(author),
            "createdAt": .integer(createdAt.milliseconds), "token": secret.map(JSONValue.string),
        ])
    }
}
