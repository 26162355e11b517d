package import BrokerCore
package import Model

/// One line of who may do what. Of its conditions all must hold; of a condition's values one.
package struct AccessRule: Sendable, Hashable {
    package enum Action: String, Sendable, Hashable, CaseIterable {
        case publish
        case subscribe
        case all
    }

    package enum Permission: String, Sendable, Hashable, CaseIterable {
        case allow
        case deny
    }

    package var permission: Permission
    package var action: Action
    /// Absent: any.
    package var qos: Set<UInt8>?
    /// About publications only. Absent: either.
    package var retain: Bool?
    /// Absent: every topic, those that begin with `$` included.
    package var topics: [TopicPattern]?
    package var usernames: [TextPattern]?
    package var clientIDs: [TextPattern]?
    package var roles: Set<String>?
    package var addresses: [AddressRange]?
    package var listeners: Set<String>?
    /// True: only clients without a user; false: only those with one.
    package var isAnonymous: Bool?
    package var certificate: [CertificateField: [TextPattern]]?
    /// For people: `policy "plant", rule 3`.
    package var label: String

    package enum CertificateField: String, Sendable, Hashable, CaseIterable {
        case commonName
        case subject
        case issuer
        case fingerprint
        case dns
        case uri
        case email
    }

    package init(
        _ permission: Permission, _ action: Action = .all, topics: [TopicPattern]? = nil, label: String = ""
    ) {
        self.permission = permission
        self.action = action
        self.topics = topics
        self.label = label
    }

    private var isDeny: Bool { permission == .deny }

    func matchesPublish(_ topic: [UInt8], qos: UInt8, retain: Bool, _ client: RuleClient) -> Bool {
        guard action != .subscribe, self.qos?.contains(qos) != false, self.retain.map({ $0 == retain }) != false,
            concerns(client)
        else { return false }
        guard let topics else { return true }
        return topics.contains { $0.matches(topic: topic, client.identity, isDeny: isDeny) }
    }

    /// A rule about retained or unretained messages says nothing about subscribing.
    func matchesSubscribe(_ filter: [UInt8], qos: UInt8, _ client: RuleClient) -> Bool {
        guard action != .publish, retain == nil, self.qos?.contains(qos) != false, concerns(client) else {
            return false
        }
        guard let topics else { return true }
        return topics.contains { $0.matches(filter: filter, client.identity, isDeny: isDeny) }
    }

    func concerns(_ client: RuleClient) -> Bool {
        let identity = client.identity
        if let isAnonymous, isAnonymous != (identity.username == nil) { return false }
        if let usernames {
            guard let name = identity.username, usernames.contains(where: { $0.matches(name) }) else { return false }
        }
        if let clientIDs, !clientIDs.contains(where: { $0.matches(identity.clientID) }) { return false }
        if let roles, !identity.roles.contains(where: roles.contains) { return false }
        if let listeners, !listeners.contains(identity.listener) { return false }
        if let addresses {
            guard let address = client.address, addresses.contains(where: { $0.contains(address) }) else {
                return false
            }
        }
        return certificate.map { has($0, identity.certificate) } ?? true
    }

    private func has(_ wanted: [CertificateField: [TextPattern]], _ certificate: ClientCertificate?) -> Bool {
        guard let certificate else { return false }
        return wanted.allSatisfy { field, patterns in
            let values: [String] =
                switch field {
                case .commonName: certificate.commonName.map { [$0] } ?? []
                case .subject: [certificate.subject]
                case .issuer: [certificate.issuer]
                case .fingerprint: [certificate.fingerprintSHA256]
                case .dns: certificate.dnsNames
                case .uri: certificate.uris
                case .email: certificate.emails
                }
            return values.contains { value in patterns.contains { $0.matches(value) } }
        }
    }
}

/// A client as rules look at it.
struct RuleClient {
    let identity: ClientIdentity
    let address: IPAddress?

    init(_ identity: ClientIdentity) {
        self.identity = identity
        address = IPAddress(identity.address)
    }
}
