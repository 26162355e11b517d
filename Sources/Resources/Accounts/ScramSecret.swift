import Crypto
import CryptoExtras
import Model

/// What is stored of a password for SCRAM-SHA-256: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` in Base64, as
/// PostgreSQL writes it. RFC 5802, 3
enum ScramSecret {
    static let form = "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY"
    private static let iterations = 15_000

    static func make(password: String) throws(Problem) -> String {
        var generator = SystemRandomNumberGenerator()
        return try make(
            password: password, salt: (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) },
            iterations: iterations)
    }

    private static func make(password: String, salt: [UInt8], iterations: Int) throws(Problem) -> String {
        guard
            let key = try? KDF.Insecure.PBKDF2.deriveKey(
                from: Array(password.utf8), salt: salt, using: .sha256, outputByteCount: 32,
                unsafeUncheckedRounds: iterations)
        else { throw Problem("user.hash_failed", "the password could not be hashed") }
        let client = HMAC<SHA256>.authenticationCode(for: Array("Client Key".utf8), using: key)
        let server = HMAC<SHA256>.authenticationCode(for: Array("Server Key".utf8), using: key)
        let stored = Array(SHA256.hash(data: Array(client)))
        return "SCRAM-SHA-256$\(iterations):\(base64(salt))$\(base64(stored)):\(base64(Array(server)))"
    }

    /// Whether the text is of the form: nothing else is needed to store it.
    static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "SCRAM-SHA-256" else { return false }
        let first = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        return first.count == 2 && keys.count == 2 && keys.allSatisfy { $0.utf8.count == 44 }
            && Int(first[0]).map { (4096...10_000_000).contains($0) } == true
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for at in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - at)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[at + index]) : 0) }
            for index in 0..<4 {
                text.append(index <= count ? alphabet[Int(group >> UInt32(18 - 6 * index) & 63)] : "=")
            }
        }
        return text
    }
}
