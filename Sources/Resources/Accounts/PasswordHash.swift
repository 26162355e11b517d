import Crypto
import CryptoExtras
package import Model

/// A password's hash: scrypt (RFC 7914), N 32768, r 8, p 1, 16 bytes of salt, 32 bytes of key. About 32 MiB of memory
/// and a tenth of a second for each guess.
package struct PasswordHash: Sendable, Equatable {
    package static let lengthMin = 8
    package static let lengthMax = 256
    package static let form = "scrypt$N$r$p$SALT$KEY"

    private static let rounds = 32_768
    private static let blockSize = 8
    private static let parallelism = 1
    private static let saltBytes = 16
    private static let keyBytes = 32

    private var rounds: Int
    private var blockSize: Int
    private var parallelism: Int
    private var salt: [UInt8]
    private var key: [UInt8]

    /// Makes a salt and a hash. Takes its time; call it away from event loops.
    package init(password: String) throws(Problem) {
        var generator = SystemRandomNumberGenerator()
        salt = (0..<Self.saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        rounds = Self.rounds
        blockSize = Self.blockSize
        parallelism = Self.parallelism
        key = []
        guard let derived = derive(password, Self.keyBytes) else {
            throw Problem("user.hash_failed", "the password could not be hashed: not enough memory")
        }
        key = derived
    }

    /// Reads `form`, salt and key in hexadecimal. Refuses costs that would serve to exhaust the machine.
    package init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "scrypt", let rounds = Int(parts[1]), let blockSize = Int(parts[2]),
            let parallelism = Int(parts[3]), let salt = Hexadecimal.bytes(parts[4]),
            let key = Hexadecimal.bytes(parts[5]), (1024...262_144).contains(rounds), rounds & (rounds - 1) == 0,
            (1...16).contains(blockSize), (1...4).contains(parallelism), (8...64).contains(salt.count),
            (16...64).contains(key.count)
        else { return nil }
        self.rounds = rounds
        self.blockSize = blockSize
        self.parallelism = parallelism
        self.salt = salt
        self.key = key
    }

    package var text: String {
        "scrypt$\(rounds)$\(blockSize)$\(parallelism)$\(Hexadecimal.text(salt))$\(Hexadecimal.text(key))"
    }

    /// Compares in a time that does not depend on where they differ.
    package func matches(_ password: String) -> Bool {
        guard let derived = derive(password, key.count) else { return false }
        return constantTimeEqual(derived, key)
    }

    private func derive(_ password: String, _ count: Int) -> [UInt8]? {
        let secret = try? KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: count, rounds: rounds, blockSize: blockSize,
            parallelism: parallelism, maxMemory: 256 << 20)
        return secret?.withUnsafeBytes { Array($0) }
    }

    /// What is wrong with a new password, as the end of a sentence.
    package static func fault(_ password: String) -> String? {
        if password.count < lengthMin { return "has \(password.count) characters; at least \(lengthMin) are wanted" }
        if password.count > lengthMax { return "has \(password.count) characters; at most \(lengthMax) are allowed" }
        return nil
    }
}

/// Whether the bytes are equal, without telling by its time where they differ.
package func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
}

enum Hexadecimal {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef")
        var text = ""
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }

    static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
