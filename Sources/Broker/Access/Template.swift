import BrokerCore
package import Model

/// A text with places for what is known of a client: `${username}`, `${clientid}`, `${cert_common_name}` ..., the names
/// that EMQX uses, and the short forms `%u`, `%c`, `%cn`.
package struct Template: Sendable, Hashable {
    package enum Place: String, Sendable, Hashable, CaseIterable {
        case username
        case clientid
        case password
        case peerhost
        case peerport
        case listener
        case commonName = "cert_common_name"
        case subject = "cert_subject"
        case fingerprint = "cert_fingerprint"
        case dnsName = "cert_dns"
        case uri = "cert_uri"
        case email = "cert_email"
    }

    enum Part: Sendable, Hashable {
        case text(String)
        case place(Place)
    }

    let parts: [Part]
    package let text: String

    /// Fails with `access.placeholder` for an unknown `${...}`.
    package init(_ text: String) throws(Problem) {
        self.text = text
        var parts: [Part] = []
        var literal = ""
        var rest = text[...]
        func flush() {
            if !literal.isEmpty { parts.append(.text(literal)) }
            literal = ""
        }
        while let first = rest.first {
            if rest.hasPrefix("${"), let end = rest.firstIndex(of: "}") {
                let name = String(rest[rest.index(rest.startIndex, offsetBy: 2)..<end])
                guard let place = Place(rawValue: name) else {
                    let known = Place.allCases.map { "${\($0.rawValue)}" }.joined(separator: ", ")
                    throw Problem(
                        "access.placeholder", "placeholder \"${\(name)}\" is not known; known: \(known)",
                        ["name": name])
                }
                flush()
                parts.append(.place(place))
                rest = rest[rest.index(after: end)...]
            } else if let (place, count) = Self.short(rest) {
                flush()
                parts.append(.place(place))
                rest = rest.dropFirst(count)
            } else {
                literal.append(first)
                rest = rest.dropFirst()
            }
        }
        flush()
        self.parts = parts
    }

    private static func short(_ text: Substring) -> (Place, Int)? {
        if text.hasPrefix("%cn") { return (.commonName, 3) }
        if text.hasPrefix("%c") { return (.clientid, 2) }
        if text.hasPrefix("%u") { return (.username, 2) }
        return nil
    }

    var hasPlaces: Bool {
        parts.contains { part in
            if case .place = part { return true }
            return false
        }
    }

    func uses(_ place: Place) -> Bool { parts.contains(.place(place)) }

    /// The text with what `value` gives; nil if it gives nothing for a place and `missing` is nil.
    func filled(missing: String? = nil, _ value: (Place) -> String?) -> String? {
        var result = ""
        for part in parts {
            switch part {
            case .text(let text): result += text
            case .place(let place):
                guard let text = value(place) ?? missing else { return nil }
                result += text
            }
        }
        return result
    }
}

extension ClientIdentity {
    /// What stands at a place; nil where the client has nothing of the kind.
    func value(of place: Template.Place) -> String? {
        let found: String? =
            switch place {
            case .username: username
            case .clientid: clientID
            case .password: nil
            case .peerhost: address
            case .peerport: peer.split(separator: ":").last.map(String.init)
            case .listener: listener
            case .commonName: certificate?.commonName
            case .subject: certificate?.subject
            case .fingerprint: certificate?.fingerprintSHA256
            case .dnsName: certificate?.dnsNames.first
            case .uri: certificate?.uris.first
            case .email: certificate?.emails.first
            }
        return found?.isEmpty == false ? found : nil
    }
}

extension Credentials {
    /// What the client sent, before anyone has believed it.
    func value(of place: Template.Place) -> String? {
        switch place {
        case .username: username
        case .password: password?.string
        default: client.value(of: place)
        }
    }
}
