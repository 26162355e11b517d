import Crypto
import CryptoExtras
package import Model

/// What a server stores of a password for SCRAM-SHA-256: enough to check a client, not enough to be one. RFC 5802, 3.
package struct ScramKeys: Sendable, Hashable {
    package static let iterationsMin = 4096
    package static let iterationsMax = 10_000_000
    /// What is used where nobody says.
    package static let iterationsDefault = 15_000

    package var iterations: Int
    package var salt: [UInt8]
    package var storedKey: [UInt8]
    package var serverKey: [UInt8]

    package init(iterations: Int, salt: [UInt8], storedKey: [UInt8], serverKey: [UInt8]) {
        self.iterations = iterations
        self.salt = salt
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// Takes `iterations` rounds of PBKDF2; call it away from event loops.
    package init(password: String, salt: [UInt8], iterations: Int) throws(Problem) {
        guard
            let key = try? KDF.Insecure.PBKDF2.deriveKey(
                from: Array(password.utf8), salt: salt, using: .sha256, outputByteCount: 32,
                unsafeUncheckedRounds: iterations)
        else { throw Problem("scram.derive", "the password could not be salted") }
        let clientKey = HMAC<SHA256>.authenticationCode(for: Array("Client Key".utf8), using: key)
        let serverKey = HMAC<SHA256>.authenticationCode(for: Array("Server Key".utf8), using: key)
        self.init(
            iterations: iterations, salt: salt, storedKey: Array(SHA256.hash(data: Array(clientKey))),
            serverKey: Array(serverKey))
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, all in Base64, as PostgreSQL writes it.
    package init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "SCRAM-SHA-256" else { return nil }
        let first = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        guard first.count == 2, keys.count == 2, let iterations = Int(first[0]),
            (Self.iterationsMin...Self.iterationsMax).contains(iterations),
            let salt = Base64Text.decode(first[1].utf8), (8...64).contains(salt.count),
            let stored = Base64Text.decode(keys[0].utf8), stored.count == 32,
            let server = Base64Text.decode(keys[1].utf8), server.count == 32
        else { return nil }
        self.init(iterations: iterations, salt: salt, storedKey: stored, serverKey: server)
    }

    package var text: String {
        "SCRAM-SHA-256$\(iterations):\(Base64Text.encode(salt))$\(Base64Text.encode(storedKey)):\(Base64Text.encode(serverKey))"
    }
}

/// The server's side of one SCRAM-SHA-256 exchange, without input and output. RFC 5802 and RFC 7677; no channel
/// binding, which MQTT does not define.
struct ScramServer {
    static let method = "SCRAM-SHA-256"
    /// The longest message that is looked at, in bytes.
    static let messageMax = 4096

    enum Outcome: Equatable {
        case challenge(String)
        /// The user, and the server's proof that it knows him.
        case success(username: String, String)
        /// What is wrong is for the journal; the client hears that it failed.
        case failure(RefusalCause, username: String?, String)
    }

    private enum State {
        case awaitingFirst
        case awaitingFinal(username: String, ScramKeys?, clientFirst: String, serverFirst: String, nonce: String)
        case done
    }

    private var state = State.awaitingFirst
    private let serverNonce: String
    /// The user's keys; nil if there is no such user.
    private let keys: (String) -> ScramKeys?
    /// What a user that does not exist is told: always the same for the same name.
    private let decoy: (String) -> ScramKeys

    init(
        nonce: String, keys: @escaping (String) -> ScramKeys?, decoy: @escaping (String) -> ScramKeys
    ) {
        serverNonce = nonce
        self.keys = keys
        self.decoy = decoy
    }

    mutating func receive(_ message: [UInt8]) -> Outcome {
        let before = state
        state = .done
        guard message.count <= Self.messageMax else { return malformed("a message of \(message.count) bytes") }
        guard let text = String(validating: message, as: UTF8.self) else { return malformed("not UTF-8") }
        switch before {
        case .awaitingFirst: return first(text)
        case .awaitingFinal(let username, let keys, let clientFirst, let serverFirst, let nonce):
            return final(text, username, keys, clientFirst + "," + serverFirst, nonce)
        case .done: return malformed("a message after the end")
        }
    }

    private func malformed(_ detail: String, _ username: String? = nil) -> Outcome {
        .failure(.malformed, username: username, detail)
    }

    /// `n,,n=user,r=nonce`
    private mutating func first(_ text: String) -> Outcome {
        let parts = text.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "n" || parts[0] == "y" else {
            return malformed("channel binding is not supported")
        }
        let fields = parts[2].split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count >= 2, fields[0].hasPrefix("n="), fields[1].hasPrefix("r=") else {
            return malformed("the first message is not n=...,r=...")
        }
        guard let username = Self.name(fields[0].dropFirst(2)) else { return malformed("the user name") }
        if !parts[1].isEmpty {
            // Acting for somebody else is not offered.
            guard parts[1].hasPrefix("a="), Self.name(parts[1].dropFirst(2)) == username else {
                return malformed("another authorisation identity", username)
            }
        }
        let nonce = fields[1].dropFirst(2)
        guard !nonce.isEmpty, nonce.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return malformed("the nonce", username)
        }
        let known = keys(username)
        let shown = known ?? decoy(username)
        let serverFirst = "r=\(nonce)\(serverNonce),s=\(Base64Text.encode(shown.salt)),i=\(shown.iterations)"
        state = .awaitingFinal(
            username: username, known, clientFirst: String(parts[2]), serverFirst: serverFirst,
            nonce: nonce + serverNonce)
        gs2Header = "\(parts[0]),\(parts[1]),"
        return .challenge(serverFirst)
    }

    private var gs2Header = ""

    /// `c=biws,r=nonce,p=proof`
    private func final(
        _ text: String, _ username: String, _ keys: ScramKeys?, _ exchanged: String, _ nonce: String
    ) -> Outcome {
        guard let end = text.range(ofLast: ",p=") else { return malformed("no proof", username) }
        let fields = text[..<end.lowerBound].split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count >= 2, fields[0].hasPrefix("c="), fields[1].hasPrefix("r="),
            Base64Text.decode(fields[0].dropFirst(2).utf8) == Array(gs2Header.utf8)
        else { return malformed("the last message is not c=...,r=...,p=...", username) }
        guard fields[1].dropFirst(2) == nonce else { return malformed("another nonce", username) }
        guard let proof = Base64Text.decode(text[end.upperBound...].utf8), proof.count == 32 else {
            return malformed("the proof", username)
        }
        let message = Array((exchanged + "," + text[..<end.lowerBound]).utf8)
        let checked = keys ?? decoy(username)
        let signature = HMAC<SHA256>.authenticationCode(
            for: message, using: SymmetricKey(data: checked.storedKey))
        let clientKey = zip(proof, signature).map { $0 ^ $1 }
        let isRight = areEqualInConstantTime(Array(SHA256.hash(data: clientKey)), checked.storedKey)
        guard keys != nil else { return .failure(.unknownUser, username: username, "") }
        guard isRight else { return .failure(.badProof, username: username, "") }
        let server = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: checked.serverKey))
        return .success(username: username, "v=" + Base64Text.encode(Array(server)))
    }

    /// `=2C` and `=3D` stand for a comma and an equals sign; nothing else may follow `=`.
    private static func name(_ text: Substring) -> String? {
        var name = ""
        var rest = text
        while let first = rest.first {
            if first == "=" {
                if rest.hasPrefix("=2C") {
                    name += ","
                } else if rest.hasPrefix("=3D") {
                    name += "="
                } else {
                    return nil
                }
                rest = rest.dropFirst(3)
            } else {
                guard first.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else { return nil }
                name.append(first)
                rest = rest.dropFirst()
            }
        }
        return name.isEmpty ? nil : name
    }
}

extension String {
    /// The last place where `part` stands.
    fileprivate func range(ofLast part: String) -> Range<Index>? {
        var start = endIndex
        while start > startIndex {
            start = index(before: start)
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
        }
        return nil
    }
}
