import Crypto
import CryptoExtras
import Formats
package import Model

/// A signed token in its compact form. RFC 7515 and RFC 7519.
struct JSONWebToken: Sendable {
    static let bytesMax = 32 << 10

    enum Algorithm: String, Sendable, Hashable, CaseIterable {
        case hs256 = "HS256"
        case hs384 = "HS384"
        case hs512 = "HS512"
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"
        case edDSA = "EdDSA"
    }

    let algorithm: Algorithm
    let keyID: String?
    let claims: JSONValue
    private let signed: [UInt8]
    private let signature: [UInt8]

    enum Failure: Error, Equatable {
        /// Not a token at all: perhaps a password.
        case notAToken
        case malformed(String)
    }

    init(_ bytes: Bytes) throws(Failure) {
        guard bytes.count <= Self.bytesMax else { throw .notAToken }
        let text = bytes.array
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64Text.decode(parts[0], isURL: true),
            let body = Base64Text.decode(parts[1], isURL: true),
            let signature = Base64Text.decode(parts[2], isURL: true)
        else { throw .notAToken }
        let limits = JSONLimits(depthMax: 16, bytesMax: Self.bytesMax)
        guard let head = try? JSONValue(parsing: Bytes(header), limits: limits), head.members != nil else {
            throw .notAToken
        }
        guard let claims = try? JSONValue(parsing: Bytes(body), limits: limits), claims.members != nil else {
            throw .malformed("the claims are no JSON object")
        }
        // RFC 7515, 4.1.11: what must be understood and is not, ends it.
        if head["crit"] != nil { throw .malformed("extensions that must be understood") }
        guard let name = head["alg"]?.string, let algorithm = Algorithm(rawValue: name) else {
            throw .malformed("algorithm \(head["alg"]?.string ?? "none given")")
        }
        self.algorithm = algorithm
        keyID = head["kid"]?.string
        self.claims = claims
        self.signature = signature
        signed = Array(text[..<(parts[0].count + 1 + parts[1].count)])
    }

    func isSigned(by key: TokenKey) -> Bool { key.verifies(signature, of: signed, by: algorithm) }
}

/// A key that verifies tokens. It serves the algorithms of its own kind only: a public key is never taken for a secret.
struct TokenKey: Sendable {
    enum Material: Sendable {
        case secret(SymmetricKey)
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    var keyID: String?
    /// The only algorithm that it is for; nil: all of its kind.
    var algorithm: JSONWebToken.Algorithm?
    let material: Material

    init(secret: [UInt8]) { material = .secret(SymmetricKey(data: secret)) }

    /// A public key in PEM form: RSA, P-256, P-384 or P-521. Fails with `access.public_key`.
    init(pem: String) throws(Problem) {
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) {
            material = .p256(key)
        } else if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) {
            material = .p384(key)
        } else if let key = try? P521.Signing.PublicKey(pemRepresentation: pem) {
            material = .p521(key)
        } else if let key = try? _RSA.Signing.PublicKey(pemRepresentation: pem) {
            material = .rsa(key)
        } else {
            throw Problem(
                "access.public_key",
                "the public key is not PEM of an RSA (2048 bits or more), P-256, P-384 or P-521 key")
        }
    }

    /// One key of a set. RFC 7517; nil for kinds that are not served, which a set may have.
    init?(jwk: JSONValue) {
        if let use = jwk["use"]?.string, use != "sig" { return nil }
        func field(_ name: String) -> [UInt8]? {
            jwk[name]?.string.flatMap { Base64Text.decode($0.utf8, isURL: true) }
        }
        switch (jwk["kty"]?.string, jwk["crv"]?.string) {
        case ("RSA", _):
            guard let n = field("n"), let e = field("e"), n.count >= 256,
                let key = try? _RSA.Signing.PublicKey(n: n, e: e)
            else { return nil }
            material = .rsa(key)
        case ("EC", let curve):
            guard let x = field("x"), let y = field("y") else { return nil }
            let point = [4] + x + y
            if curve == "P-256", let key = try? P256.Signing.PublicKey(x963Representation: point) {
                material = .p256(key)
            } else if curve == "P-384", let key = try? P384.Signing.PublicKey(x963Representation: point) {
                material = .p384(key)
            } else if curve == "P-521", let key = try? P521.Signing.PublicKey(x963Representation: point) {
                material = .p521(key)
            } else {
                return nil
            }
        case ("OKP", "Ed25519"):
            guard let x = field("x"), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else {
                return nil
            }
            material = .ed25519(key)
        default: return nil
        }
        keyID = jwk["kid"]?.string
        if let name = jwk["alg"]?.string {
            guard let known = JSONWebToken.Algorithm(rawValue: name) else { return nil }
            algorithm = known
        }
    }

    func verifies(_ signature: [UInt8], of data: [UInt8], by algorithm: JSONWebToken.Algorithm) -> Bool {
        if let only = self.algorithm, only != algorithm { return false }
        switch material {
        case .secret(let key): return Self.hmac(signature, data, key, algorithm)
        case .rsa(let key): return Self.rsa(signature, data, key, algorithm)
        case .p256(let key):
            guard algorithm == .es256, let made = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(made, for: SHA256.hash(data: data))
        case .p384(let key):
            guard algorithm == .es384, let made = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(made, for: SHA384.hash(data: data))
        case .p521(let key):
            guard algorithm == .es512, let made = try? P521.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(made, for: SHA512.hash(data: data))
        case .ed25519(let key): return algorithm == .edDSA && key.isValidSignature(signature, for: data)
        }
    }

    private static func hmac(
        _ signature: [UInt8], _ data: [UInt8], _ key: SymmetricKey, _ algorithm: JSONWebToken.Algorithm
    ) -> Bool {
        switch algorithm {
        case .hs256: HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: data, using: key)
        case .hs384: HMAC<SHA384>.isValidAuthenticationCode(signature, authenticating: data, using: key)
        case .hs512: HMAC<SHA512>.isValidAuthenticationCode(signature, authenticating: data, using: key)
        default: false
        }
    }

    private static func rsa(
        _ signature: [UInt8], _ data: [UInt8], _ key: _RSA.Signing.PublicKey, _ algorithm: JSONWebToken.Algorithm
    ) -> Bool {
        let made = _RSA.Signing.RSASignature(rawRepresentation: signature)
        return switch algorithm {
        case .rs256: key.isValidSignature(made, for: SHA256.hash(data: data), padding: .insecurePKCS1v1_5)
        case .rs384: key.isValidSignature(made, for: SHA384.hash(data: data), padding: .insecurePKCS1v1_5)
        case .rs512: key.isValidSignature(made, for: SHA512.hash(data: data), padding: .insecurePKCS1v1_5)
        case .ps256: key.isValidSignature(made, for: SHA256.hash(data: data), padding: .PSS)
        case .ps384: key.isValidSignature(made, for: SHA384.hash(data: data), padding: .PSS)
        case .ps512: key.isValidSignature(made, for: SHA512.hash(data: data), padding: .PSS)
        default: false
        }
    }

    /// The usable keys of a set. RFC 7517, 5. Nil: not a key set.
    static func keySet(_ bytes: [UInt8]) -> [TokenKey]? {
        let limits = JSONLimits(depthMax: 16, bytesMax: 256 << 10)
        guard let value = try? JSONValue(parsing: Bytes(bytes), limits: limits), let list = value["keys"]?.array,
            list.count <= 1000
        else { return nil }
        return list.compactMap { TokenKey(jwk: $0) }
    }
}
