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

    /// Who sends the request; nil: nobody known. Throws when the accounts cannot be asked.
    package func identify(_ headers: HTTPFields, queryToken: String? = nil) async throws(Refusal) -> Caller? {
        if let token = Self.bearerToken(headers) ?? queryToken {
            return try await asking { () async throws(Problem) in try await accounts.verify(token: token) }
                .map { Caller($0, means: .token) }
        }
        guard let secret = Self.cookie(headers), let session = sessions.find(secret) else { return nil }
        return try await account(of: session).map { Caller($0, means: .session(session.key)) }
    }

    /// The user of a session as he is now: rights that were taken away are gone at once, and a user who was changed
    /// has to log in again.
    private func account(of session: SessionStore.Found) async throws(Refusal) -> Account? {
        let account = try await asking { () async throws(Problem) in try await accounts.account(session.username) }
        guard let account, account.revision == session.revision else {
            sessions.end(session.key)
            return nil
        }
        return account
    }

    private func asking<R>(_ body: () async throws(Problem) -> R) async throws(Refusal) -> R {
        do throws(Problem) { return try await body() } catch { throw Refusal(.serviceUnavailable, error) }
    }

    /// Whether who opened something that stays open may still have it. Not knowing is no reason to close.
    package func isStillAdmitted(_ caller: Caller, token: String?, _ right: Right) async -> Bool {
        do throws(Refusal) {
            let account: Account?
            switch caller.means {
            case .token:
                account = try await asking { () async throws(Problem) in try await accounts.verify(token: token ?? "") }
            case .session(let key):
                guard let session = sessions.touch(key) else { return false }
                account = try await self.account(of: session)
            }
            return account?.rights.contains(right) ?? false
        } catch {
            return true
        }
    }

    /// Throws what the route's access asks for and the request lacks.
    package func admit(_ request: ConsoleRequest, to route: Route) async throws(Refusal) -> Caller? {
        if route.access == .open { return nil }
        let caller = try await identify(request.headers)
        switch route.access {
        case .open, .greeting: break
        case .loopback(let right):
            if !HostName.isLoopback(request.peer) { try Self.check(caller, right) }
        case .signedIn: if caller == nil { throw Self.unauthenticated }
        case .needs(let right): try Self.check(caller, right)
        }
        if route.isMutation, let caller, case .session = caller.means { try Self.checkRequestHeader(request.headers) }
        return caller
    }

    package static func check(_ caller: Caller?, _ right: Right) throws(Refusal) {
        guard let caller else { throw unauthenticated }
        guard caller.may(right) else { throw Refusal.missing(right, caller) }
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
