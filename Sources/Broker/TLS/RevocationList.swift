import Crypto
import CryptoExtras
import SwiftASN1

/// A certificate revocation list. RFC 5280, 5. Lists that cover only a part of what their issuer has signed, or whose
/// meaning depends on extensions not known here, are refused when they are read.
struct RevocationList: Sendable, Hashable {
    enum Failure: Error, Hashable {
        case malformed
        /// A critical extension, dotted.
        case unknownExtension(String)
        case unknownAlgorithm(String)
    }

    /// DER of the issuer's name.
    let issuer: [UInt8]
    let issuerText: String
    /// Seconds since 1970.
    let thisUpdate: Int64
    /// Nil: the issuer does not say.
    let nextUpdate: Int64?
    /// Big-endian without leading zeros.
    let revoked: Set<[UInt8]>
    private let signed: [UInt8]
    private let signature: [UInt8]
    private let algorithm: SignatureKind

    private enum SignatureKind: Hashable, Sendable {
        case ecdsa256
        case ecdsa384
        case ecdsa512
        case rsa256
        case rsa384
        case rsa512
        case ed25519

        init?(_ identifier: [UInt]) {
            switch identifier {
            case [1, 2, 840, 10_045, 4, 3, 2]: self = .ecdsa256
            case [1, 2, 840, 10_045, 4, 3, 3]: self = .ecdsa384
            case [1, 2, 840, 10_045, 4, 3, 4]: self = .ecdsa512
            case [1, 2, 840, 113_549, 1, 1, 11]: self = .rsa256
            case [1, 2, 840, 113_549, 1, 1, 12]: self = .rsa384
            case [1, 2, 840, 113_549, 1, 1, 13]: self = .rsa512
            case [1, 3, 101, 112]: self = .ed25519
            default: return nil
            }
        }
    }

    init(der: [UInt8]) throws(Failure) {
        do {
            let parts = try ASN1Reader(DER.parse(der)).elements
            guard parts.count == 3 else { throw Failure.malformed }
            signed = Array(parts[0].node.encodedBytes)
            signature = try parts[2].bitString
            let identifier = try parts[1].children[0].objectIdentifier
            guard let kind = SignatureKind(identifier) else {
                throw Failure.unknownAlgorithm(identifier.map(String.init).joined(separator: "."))
            }
            algorithm = kind
            var body = try parts[0].elements[...]
            if body.first?.node.identifier == .integer { body.removeFirst() }
            guard body.count >= 3 else { throw Failure.malformed }
            guard body.removeFirst().node.encodedBytes == parts[1].node.encodedBytes else { throw Failure.malformed }
            let name = body.removeFirst()
            issuer = Array(name.node.encodedBytes)
            issuerText = try DistinguishedName.text(name)
            thisUpdate = try body.removeFirst().time
            if let next = body.first, next.isTime {
                nextUpdate = try next.time
                body.removeFirst()
            } else {
                nextUpdate = nil
            }
            var serials: Set<[UInt8]> = []
            if let entries = body.first, entries.node.identifier == .sequence {
                for entry in try entries.elements {
                    let fields = try entry.elements
                    guard fields.count >= 2 else { throw Failure.malformed }
                    serials.insert(try fields[0].integer)
                    if fields.count > 2 { try Self.checkExtensions(fields[2], entry: true) }
                }
                body.removeFirst()
            }
            revoked = serials
            if let extensions = body.first { try Self.checkExtensions(extensions.children[0], entry: false) }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw .malformed
        }
    }

    private static func checkExtensions(_ list: ASN1Reader, entry: Bool) throws {
        for item in try list.elements {
            let parts = try item.elements
            guard parts.count == 3, try parts[1].bytes.first != 0 else { continue }
            throw Failure.unknownExtension(try parts[0].objectIdentifier.map(String.init).joined(separator: "."))
        }
    }

    /// Whether the key of `certificate` made the list's signature.
    func isSigned(by certificate: CertificateFields) -> Bool {
        guard certificate.maySignLists, certificate.subject == issuer else { return false }
        do {
            switch algorithm {
            case .ecdsa256, .ecdsa384, .ecdsa512: return try isSignedByCurve(certificate.publicKey)
            case .rsa256, .rsa384, .rsa512: return try isSignedByRSA(certificate.publicKey)
            case .ed25519:
                let parts = try ASN1Reader(DER.parse(certificate.publicKey)).elements
                guard parts.count == 2 else { return false }
                return try Curve25519.Signing.PublicKey(rawRepresentation: parts[1].bitString)
                    .isValidSignature(signature, for: signed)
            }
        } catch {
            // A key of another kind cannot have made the signature.
            return false
        }
    }

    private func isSignedByRSA(_ key: [UInt8]) throws -> Bool {
        let key = try _RSA.Signing.PublicKey(derRepresentation: key)
        let made = _RSA.Signing.RSASignature(rawRepresentation: signature)
        return switch algorithm {
        case .rsa384: key.isValidSignature(made, for: SHA384.hash(data: signed), padding: .insecurePKCS1v1_5)
        case .rsa512: key.isValidSignature(made, for: SHA512.hash(data: signed), padding: .insecurePKCS1v1_5)
        default: key.isValidSignature(made, for: SHA256.hash(data: signed), padding: .insecurePKCS1v1_5)
        }
    }

    private func isSignedByCurve(_ key: [UInt8]) throws -> Bool {
        switch algorithm {
        case .ecdsa384: try isSignedByCurve(key, SHA384.hash(data: signed))
        case .ecdsa512: try isSignedByCurve(key, SHA512.hash(data: signed))
        default: try isSignedByCurve(key, SHA256.hash(data: signed))
        }
    }

    private func isSignedByCurve(_ key: [UInt8], _ digest: some Crypto.Digest) throws -> Bool {
        if let key = try? P256.Signing.PublicKey(derRepresentation: key) {
            return key.isValidSignature(try P256.Signing.ECDSASignature(derRepresentation: signature), for: digest)
        }
        if let key = try? P384.Signing.PublicKey(derRepresentation: key) {
            return key.isValidSignature(try P384.Signing.ECDSASignature(derRepresentation: signature), for: digest)
        }
        let key = try P521.Signing.PublicKey(derRepresentation: key)
        return key.isValidSignature(try P521.Signing.ECDSASignature(derRepresentation: signature), for: digest)
    }
}
