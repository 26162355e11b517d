package import HTTPTypes
import Model

/// Decides who may call: bearer token or session cookie, the header that proves a page of ours, the names under
/// which a console on loopback may be asked, and the origin of WebSockets.
package struct Gatekeeper: Sendable {
    package static let cookieName = "tundish_session"
    package static let requestHeader = HTTPField.Name("X-Tundish-Request")

    package let accounts: any ConsoleAccounts
    package let sessions: SessionStore
    private let isLoopback: Bool
    private let allowedHosts: Set<String>

    package init(accounts: any ConsoleAccounts, sessions: SessionStore, options: ConsoleOptions) {
        self.accounts = accounts
        self.sessions = sessions
        isLoopback = options.isLoopback
        allowedHosts = Set((options.allowedHosts + [options.host]).map { $0.lowercased() })
    }

    /// Refuses a request that a foreign page makes the browser send to a loopback console under a name of its own
    /// (DNS rebinding).
    package func checkHost(_ authority: String?) throws(Refusal) {
        guard isLoopback else { return }
        if let authority, let host = HostName.host(ofAuthority: authority),
            HostName.isLoopback(host) || allowedHosts.contains(host)
        {
            return
        }
        throw Refusal(
            .misdirectedRequest, "request.host",
            "this console answers on this machine only, not as \"\(authority ?? "")\"; name the host in the console's settings if a proxy is in front",
            ["host": authority ?? ""])
    }

    /// Who sends the request; nil: nobody known.
    package func identify(_ headers: HTTPFields, queryToken: String? = nil) async -> Caller? {
        if let token = Self.bearerToken(headers) ?? queryToken {
            return await accounts.verify(token: token).map { Caller(username: $0, means: .token) }
        }
        guard let secret = Self.cookie(headers), let session = sessions.find(secret) else { return nil }
        return Caller(username: session.username, means: .session(session.key))
    }

    /// Throws what the route's access asks for and the request lacks.
    package func admit(_ request: ConsoleRequest, to route: Route) async throws(Refusal) -> Caller? {
        let caller = await identify(request.headers)
        switch route.access {
        case .open: break
        case .loopbackOrToken: if caller == nil, !HostName.isLoopback(request.peer) { throw Self.unauthenticated }
        case .authenticated: if caller == nil { throw Self.unauthenticated }
        }
        if route.isMutation, let caller, case .session = caller.means { try Self.checkRequestHeader(request.headers) }
        return caller
    }

    /// A page of another site can send a cookie along but not this field.
    private static func checkRequestHeader(_ headers: HTTPFields) throws(Refusal) {
        guard let name = requestHeader, headers[name] != nil else {
            throw Refusal(
                .forbidden, "request.csrf", "a change with a session cookie needs the field X-Tundish-Request: 1")
        }
    }

    /// A browser names the page's origin; it must be the console's own. Programs name none, and must bring a token.
    package func checkOrigin(_ origin: String?, host: String?, caller: Caller) throws(Refusal) {
        guard let origin else {
            if case .token = caller.means { return }
            throw Refusal(.forbidden, "request.origin", "a WebSocket with a session cookie must name its origin")
        }
        let authority = origin.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first.map(String.init)
        guard let authority, let host, authority.lowercased() == host.lowercased() else {
            throw Refusal(
                .forbidden, "request.origin", "pages of \"\(origin)\" may not use this console", ["origin": origin])
        }
    }

    package static var unauthenticated: Refusal {
        var refusal = Refusal(
            .unauthorized, "request.unauthenticated", "log in, or send a token as \"Authorization: Bearer ...\"")
        refusal.headers[.wwwAuthenticate] = "Bearer realm=\"tundish\""
        return refusal
    }

    package static func bearerToken(_ headers: HTTPFields) -> String? {
        guard let field = headers[.authorization] else { return nil }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        return token.isEmpty ? nil : String(token)
    }

    package static func cookie(_ headers: HTTPFields) -> String? {
        for field in headers[values: .cookie] {
            for pair in field.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == cookieName else { continue }
                return String(parts[1])
            }
        }
        return nil
    }

    /// The field that sets the cookie, or with nil removes it.
    package static func setCookie(_ secret: String?) -> String {
        let base = "\(cookieName)=\(secret ?? ""); Path=/; HttpOnly; SameSite=Strict"
        return secret == nil ? base + "; Max-Age=0" : base
    }
}
