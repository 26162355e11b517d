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
    /// What the authenticator knows the client as: roles, groups.
    package var roles: [String] = []
    /// Access rules do not apply to it.
    package var isSuperuser = false
    /// The authenticator that let it in; empty: nobody asked.
    package var authenticator = ""

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

    /// The peer's address without its port and brackets.
    package var address: String {
        guard let colon = peer.utf8.lastIndex(of: UInt8(ascii: ":")) else { return peer }
        var host = peer[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return String(host)
    }
}

/// Decides what a client may publish and subscribe. Asked on the event loop: an answer must come from memory. A
/// connection remembers answers per topic until `Exchange.reviewClients` tells it that they may have changed.
package protocol Authoriser: Sendable {
    func mayPublish(_ topic: Topic, qos: UInt8, retain: Bool, client: ClientIdentity) -> Bool
    /// `qos` is the one asked for.
    func maySubscribe(_ filter: TopicFilter, qos: UInt8, client: ClientIdentity) -> Bool
    /// Whether the client may do everything as things are: then it is not asked until they change.
    func allowsEverything(_ client: ClientIdentity) -> Bool
    /// A topic that no rule can open was refused: the server's own, or a command to a device.
    func noteRefused(_ topic: Topic, client: ClientIdentity)
}

extension Authoriser {
    package func allowsEverything(_ client: ClientIdentity) -> Bool { false }
    package func noteRefused(_ topic: Topic, client: ClientIdentity) {}
}

/// What a client sent to prove who it is.
package struct Credentials: Sendable {
    package var client: ClientIdentity
    package var username: String?
    package var password: Bytes?
    /// Whether the listener lets in clients that say nothing about themselves.
    package var allowsAnonymous = false

    package init(client: ClientIdentity, username: String?, password: Bytes?) {
        self.client = client
        self.username = username
        self.password = password
    }

    /// Whether the client says who it is at all.
    package var areGiven: Bool { username != nil || password != nil }
}

/// A client that was let in.
package struct Acceptance: Sendable {
    /// The authenticated user, nil for anonymous clients.
    package var username: String?
    package var mayWriteDevices: Bool
    /// Nil allows everything except what `mayWriteDevices` guards.
    package var authoriser: (any Authoriser)?
    package var roles: [String] = []
    package var isSuperuser = false
    package var authenticator = ""
    /// When its proof ends, and with it the connection; nil: never.
    package var expiresAt: Timestamp?

    package init(username: String?, mayWriteDevices: Bool, authoriser: (any Authoriser)? = nil) {
        self.username = username
        self.mayWriteDevices = mayWriteDevices
        self.authoriser = authoriser
    }
}

/// What authentication decided.
package enum AuthenticationDecision: Sendable {
    case accept(Acceptance)
    case refuse(ReasonCode)

    package static func accept(
        username: String?, mayWriteDevices: Bool, authoriser: (any Authoriser)?
    ) -> AuthenticationDecision {
        .accept(Acceptance(username: username, mayWriteDevices: mayWriteDevices, authoriser: authoriser))
    }
}

/// Decides who may connect. May take its time: the connection waits.
package protocol Authenticator: Sendable {
    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision
    /// The answer if it can be given at once; nil: ask `authenticate`.
    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision?
    /// Begins enhanced authentication by `method`; nil: the method is not known. MQTT 5.0, 4.12
    func exchange(_ method: String, _ credentials: Credentials) -> (any AuthenticationExchange)?
    /// Whether it is asked about clients that give no credentials, too; otherwise their listener decides.
    var decidesAboutAnonymous: Bool { get }
}

extension Authenticator {
    package var decidesAboutAnonymous: Bool { false }
    package func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? { nil }
    package func exchange(_ method: String, _ credentials: Credentials) -> (any AuthenticationExchange)? { nil }
}

/// One client's enhanced authentication. Asked one step at a time.
package protocol AuthenticationExchange: Sendable {
    /// `data`: the client's Authentication Data, nil where it sent none.
    func next(_ data: Bytes?) async -> AuthenticationStep
}

package enum AuthenticationStep: Sendable {
    /// The client must answer this.
    case challenge(Bytes)
    /// With the last word of the mechanism, if it has one.
    case accept(Acceptance, Bytes?)
    case refuse(ReasonCode)
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
