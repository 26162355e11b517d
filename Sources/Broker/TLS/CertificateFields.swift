import BrokerCore
import Crypto
import SwiftASN1

/// What is needed of an X.509 certificate. RFC 5280, 4.1
struct CertificateFields: Sendable, Hashable {
    /// DER of the names, for comparison.
    var subject: [UInt8]
    var issuer: [UInt8]
    /// Big-endian, without leading zeros.
    var serial: [UInt8]
    /// DER of SubjectPublicKeyInfo.
    var publicKey: [UInt8]
    /// Seconds since 1970.
    var notBefore: Int64
    var notAfter: Int64
    /// Whether its key may sign revocation lists: so it says, or it says nothing.
    var maySignLists = true
    var view: ClientCertificate

    init(der: [UInt8]) throws {
        let tree = try ASN1Reader(DER.parse(der))
        var body = try tree.children[0].elements
        if body.first?.node.identifier == ASN1Identifier(tagWithNumber: 0, tagClass: .contextSpecific) {
            body.removeFirst()
        }
        guard body.count >= 6 else { throw CertificateError.incomplete }
        serial = try body[0].integer
        issuer = Array(body[2].node.encodedBytes)
        let validity = try body[3].elements
        guard validity.count == 2 else { throw CertificateError.incomplete }
        notBefore = try validity[0].time
        notAfter = try validity[1].time
        subject = Array(body[4].node.encodedBytes)
        publicKey = Array(body[5].node.encodedBytes)
        view = ClientCertificate(
            commonName: try DistinguishedName.commonName(body[4]), subject: try DistinguishedName.text(body[4]),
            issuer: try DistinguishedName.text(body[2]), serialNumber: Hexadecimal.number(serial),
            fingerprintSHA256: Hexadecimal.text(Digest.sha256(der)))
        for field in body[6...]
        where field.node.identifier == ASN1Identifier(tagWithNumber: 3, tagClass: .contextSpecific) {
            for item in try field.children[0].elements { try readExtension(item) }
        }
    }

    private mutating func readExtension(_ item: ASN1Reader) throws {
        let parts = try item.elements
        guard let last = parts.last, parts.count >= 2 else { throw CertificateError.incomplete }
        switch try parts[0].objectIdentifier {
        case [2, 5, 29, 17]:
            for name in try ASN1Reader(DER.parse(last.bytes)).elements
            where name.node.identifier.tagClass == .contextSpecific {
                guard case .primitive(let content) = name.node.content else { continue }
                let text = String(decoding: content, as: UTF8.self)
                switch name.node.identifier.tagNumber {
                case 1: view.emails.append(text)
                case 2: view.dnsNames.append(text)
                case 6: view.uris.append(text)
                default: break
                }
            }
        case [2, 5, 29, 15]:
            // Bit 6, cRLSign, in a bit string whose first octet counts unused bits.
            let bits = try ASN1Reader(DER.parse(last.bytes)).bytes
            maySignLists = bits.count >= 2 && bits[bits.startIndex + 1] & 0x02 != 0
        default: break
        }
    }
}

enum CertificateError: Error {
    case incomplete
    case unexpected
}

/// Names as people read them. RFC 4514
enum DistinguishedName {
    private static let shortNames: [[UInt]: String] = [
        [2, 5, 4, 3]: "CN", [2, 5, 4, 6]: "C", [2, 5, 4, 7]: "L", [2, 5, 4, 8]: "ST", [2, 5, 4, 9]: "STREET",
        [2, 5, 4, 10]: "O", [2, 5, 4, 11]: "OU", [0, 9, 2342, 19_200_300, 100, 1, 25]: "DC",
        [0, 9, 2342, 19_200_300, 100, 1, 1]: "UID", [2, 5, 4, 5]: "serialNumber",
        [1, 2, 840, 113_549, 1, 9, 1]: "emailAddress",
    ]

    private static func attributes(_ name: ASN1Reader) throws -> [[(type: [UInt], value: String)]] {
        try name.elements.map { set in
            try set.elements.map { pair in
                let parts = try pair.elements
                guard parts.count == 2 else { throw CertificateError.incomplete }
                return (try parts[0].objectIdentifier, parts[1].text)
            }
        }
    }

    static func commonName(_ name: ASN1Reader) throws -> String? {
        try attributes(name).joined().last { $0.type == [2, 5, 4, 3] }?.value
    }

    static func text(_ name: ASN1Reader) throws -> String {
        try attributes(name).reversed().map { set in
            set.map { attribute in
                let type = shortNames[attribute.type] ?? attribute.type.map(String.init).joined(separator: ".")
                return "\(type)=\(escaped(attribute.value))"
            }.joined(separator: "+")
        }.joined(separator: ",")
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for (offset, character) in value.unicodeScalars.enumerated() {
            let isLast = offset == value.unicodeScalars.count - 1
            switch character {
            case ",", "+", "\"", "\\", "<", ">", ";", "=": text += "\\\(character)"
            case "#" where offset == 0, " " where offset == 0 || isLast: text += "\\\(character)"
            case "\0": text += "\\00"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }
}

enum Hexadecimal {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    /// Without leading zeros.
    static func number(_ bytes: [UInt8]) -> String {
        let digits = text(bytes).drop { $0 == "0" }
        return digits.isEmpty ? "0" : String(digits)
    }
}

enum Digest {
    static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}
