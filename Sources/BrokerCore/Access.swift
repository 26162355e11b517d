package import Model

/// What a client's verified TLS certificate says about it. Names are as the certificate has them.
package struct ClientCertificate: Sendable, Hashable {
    /// The subject's last CN; nil if it has none.
    package var commonName: String?
    /// Distinguished names as RFC 4514 writes them: `CN=press-7,O=Works`.
    package var subject: String
    package var issuer: String
    /// Lower-case hexadecimal without leading zeros.
    package var serialNumber: String
    /// SHA-256 of the certificate's DER form, 64 lower-case hexadecimal digits.
    package var fingerprintSHA256: String
    /// Subject alternative names.
    package var dnsNames: [String]
    package var uris: [String]
    package var emails: [String]

    package init(
        commonName: String? = nil, subject: String = "", issuer: String = "", serialNumber: String = "",
        fingerprintSHA256: String = "", dnsNames: [String] = [], uris: [String] = [], emails: [String] = []
    ) {
        self.commonName = commonName
        self.subject = subject
        self.issuer = issuer
        self.serialNumber = serialNumber
        self.fingerprintSHA256 = fingerprintSHA256
        self.dnsNames = dnsNames
        self.uris = uris
        self.emails = emails
    }
}

/// Who a network client is, as its authentication found.
package struct ClientIdentity: Sendable, Hashable {
    package var clientID: String
    package var username: String?
    /// `address:port`
    package var peer: String
    package var isLoopback: Bool
    /// The listener's name.
    package var listener: String
    /// The verified certificate that it came with over TLS; nil: it came without.
    package var certificate: ClientCertificate?

    package init(
        clientID: String, username: String? = nil, peer: String = "", isLoopback: Bool = true, listener: String = "",
        certificate: ClientCertificate? = nil
    ) {
        self.clientID = clientID
        self.username = username
        self.peer = peer
        self.isLoopback = isLoopback
        self.listener = listener
        self.certificate = certificate
    }
}

/// Decides what a client may publish and subscribe. Asked on the event loop: an answer must come from memory. A
/// connection remembers answers per topic, so that a change applies to connections made afterwards; `kick` the others.
package protocol Authoriser: Sendable {
    func mayPublish(_ topic: Topic, retain: Bool, client: ClientIdentity) -> Bool
    func maySubscribe(_ filter: TopicFilter, client: ClientIdentity) -> Bool
}

/// What a client sent to prove who it is.
package struct Credentials: Sendable {
    package var client: ClientIdentity
    package var username: String?
    package var password: Bytes?

    package init(client: ClientIdentity, username: String?, password: Bytes?) {
        self.client = client
        self.username = username
        self.password = password
    }
}

/// What authentication decided.
package enum AuthenticationDecision: Sendable {
    /// `username`: the authenticated user, nil for anonymous clients. `authoriser`: nil allows everything except
    /// what `mayWriteDevices` guards.
    case accept(username: String?, mayWriteDevices: Bool, authoriser: (any Authoriser)?)
    case refuse(ReasonCode)
}

/// Decides who may connect. May take its time: the connection waits.
package protocol Authenticator: Sendable {
    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision
    /// The answer if it can be given at once; nil: ask `authenticate`.
    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision?
}

extension Authenticator {
    package func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? { nil }
}

/// Lets everyone in; only clients of this machine may write to devices.
package struct AllowAnonymous: Authenticator {
    package init() {}
    package func authenticate(_ credentials: Credentials) async -> AuthenticationDecision { decide(credentials) }
    package func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? { decide(credentials) }

    private func decide(_ credentials: Credentials) -> AuthenticationDecision {
        .accept(username: nil, mayWriteDevices: credentials.client.isLoopback, authoriser: nil)
    }
}

/// Asks a closure.
package struct ClosureAuthenticator: Authenticator {
    private let body: @Sendable (Credentials) async -> AuthenticationDecision
    package init(_ body: @escaping @Sendable (Credentials) async -> AuthenticationDecision) { self.body = body }
    package func authenticate(_ credentials: Credentials) async -> AuthenticationDecision { await body(credentials) }
}
