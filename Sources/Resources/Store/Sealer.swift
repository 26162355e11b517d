import Crypto
package import Model

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Encrypts what must not lie readable on the disk: AES-256-GCM with the key of the data directory, bound to the uid
/// of the resource it belongs to.
package struct Sealer: Sendable {
    package static let keyFile = "secret.key"
    private let key: SymmetricKey

    /// Reads the key, or makes it on first use (mode 0600).
    package init(_ directory: DataDirectory) throws(Problem) {
        if let text = try directory.read(Self.keyFile, bytesMax: 256) {
            let trimmed = String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }
            guard let bytes = Hexadecimal.bytes(trimmed), bytes.count == 32 else {
                throw Problem(
                    "data.key", "\(directory.file(Self.keyFile)) does not hold a key; restore it from a backup",
                    ["path": directory.file(Self.keyFile)])
            }
            key = SymmetricKey(data: bytes)
            return
        }
        key = SymmetricKey(size: .bits256)
        let text = key.withUnsafeBytes { Hexadecimal.text($0) } + "\n"
        try directory.writePrivate(Self.keyFile, Array(text.utf8))
    }

    func seal(_ bytes: [UInt8], uid: String) throws(Problem) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(bytes, using: key, authenticating: Array(uid.utf8))
            // A nonce of 12 bytes, which is the default, always has the combined form.
            guard let combined = box.combined else { throw Problem("store.seal", "encryption failed") }
            return Array(combined)
        } catch {
            throw Problem("store.seal", "encryption failed: \(error)")
        }
    }

    func open(_ bytes: [UInt8], uid: String) throws(Problem) -> [UInt8] {
        do {
            return Array(
                try AES.GCM.open(AES.GCM.SealedBox(combined: bytes), using: key, authenticating: Array(uid.utf8)))
        } catch {
            throw Problem(
                "data.key",
                "an encrypted resource cannot be opened: \(Self.keyFile) is not the key it was written with",
                ["uid": uid])
        }
    }
}
