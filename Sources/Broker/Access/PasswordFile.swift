import Crypto
import CryptoExtras
package import Model

/// A file of users as `mosquitto_passwd` writes it: `name:$7$iterations$salt$hash` (PBKDF2 with SHA-512) or
/// `name:$6$salt$hash` (salted SHA-512), salt and hash in Base64.
package struct PasswordFile: Sendable {
    package static let bytesMax = 64 << 20
    package static let iterationsMax = 10_000_000

    struct Entry: Sendable, Hashable {
        /// Nil: one round of SHA-512 over password and salt.
        var iterations: Int?
        var salt: [UInt8]
        var hash: [UInt8]
    }

    private(set) var entries: [String: Entry] = [:]

    /// Fails with `access.password_file`, naming the first line that is wrong. Empty lines and lines that begin with
    /// `#` are skipped; of two lines for one name the last counts.
    package init(_ bytes: [UInt8], path: String) throws(Problem) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem("access.password_file", "\(path) is not UTF-8 text", ["path": path])
        }
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            var line = line
            if line.last == "\r" { line = line.dropLast() }
            while line.last == " " { line = line.dropLast() }
            if line.isEmpty || line.first == "#" { continue }
            guard let colon = line.lastIndex(of: ":"), colon > line.startIndex,
                let entry = Self.entry(line[line.index(after: colon)...])
            else {
                throw Problem(
                    "access.password_file",
                    "\(path), line \(index + 1): expected name:$7$iterations$salt$hash or name:$6$salt$hash, as mosquitto_passwd writes it",
                    ["path": path, "line": String(index + 1)])
            }
            entries[String(line[..<colon])] = entry
        }
    }

    private static func entry(_ text: Substring) -> Entry? {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].isEmpty else { return nil }
        var entry = Entry(salt: [], hash: [])
        var rest = parts[2...]
        switch parts[1] {
        case "7":
            guard let iterations = Int(parts[2]), (1...iterationsMax).contains(iterations) else { return nil }
            entry.iterations = iterations
            rest = rest.dropFirst()
        case "6": break
        default: return nil
        }
        guard rest.count == 2, let first = rest.first, let last = rest.last,
            let salt = Base64Text.decode(first.utf8), let hash = Base64Text.decode(last.utf8), hash.count == 64,
            (1...256).contains(salt.count)
        else { return nil }
        entry.salt = salt
        entry.hash = hash
        return entry
    }

    package var count: Int { entries.count }
}

extension PasswordFile.Entry {
    /// Takes its time; call it away from event loops.
    func matches(_ password: [UInt8]) -> Bool {
        guard let iterations else {
            return areEqualInConstantTime(Array(SHA512.hash(data: password + salt)), hash)
        }
        let key = try? KDF.Insecure.PBKDF2.deriveKey(
            from: password, salt: salt, using: .sha512, outputByteCount: 64, unsafeUncheckedRounds: iterations)
        return key.map { areEqualInConstantTime($0.withUnsafeBytes { Array($0) }, hash) } ?? false
    }

    /// As much work as the mosquitto tools' default makes.
    static let decoy = PasswordFile.Entry(
        iterations: 1000, salt: [UInt8](repeating: 7, count: 64), hash: [UInt8](repeating: 0, count: 64))
}
