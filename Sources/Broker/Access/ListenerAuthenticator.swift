import BrokerCore

/// What a listener adds to the node's authentication: whether clients may come without a user at all.
struct ListenerAuthenticator: Authenticator {
    var allowAnonymous: Bool
    /// Nil: there are no users.
    var base: (any Authenticator)?

    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? {
        if let base, base.decidesAboutAnonymous { return base.authenticateNow(told(credentials)) }
        if credentials.username == nil || (base == nil && allowAnonymous) {
            guard allowAnonymous else { return .refuse(.notAuthorized) }
            return AllowAnonymous().authenticateNow(credentials)
        }
        guard let base else { return .refuse(.notAuthorized) }
        return base.authenticateNow(credentials)
    }

    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision {
        if let decision = authenticateNow(credentials) { return decision }
        guard let base else { return .refuse(.notAuthorized) }
        return await base.authenticate(told(credentials))
    }

    func exchange(_ method: String, _ credentials: Credentials) -> (any AuthenticationExchange)? {
        base?.exchange(method, told(credentials))
    }

    private func told(_ credentials: Credentials) -> Credentials {
        var credentials = credentials
        credentials.allowsAnonymous = allowAnonymous
        return credentials
    }
}
