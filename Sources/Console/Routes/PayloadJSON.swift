import Formats
import Model

/// A payload for people: text where it is text.
enum PayloadJSON {
    /// What is longer is cut: a page shows it, nobody computes with it.
    static let shownBytesMax = 64 << 10

    static func members(_ payload: Bytes) -> [JSONMember] {
        let isCut = payload.count > shownBytesMax
        let shown = isCut ? payload.slice(0..<shownBytesMax) : payload
        var members: [JSONMember]
        if let text = text(shown, isCut) {
            members = [JSONMember("payload", .string(text))]
        } else {
            members = [JSONMember("payload", .string(Base64.encode(shown))), JSONMember("encoding", "base64")]
        }
        if isCut { members.append(JSONMember("bytes", .count(payload.count))) }
        return members
    }

    /// Nil when it is not UTF-8; a character that the cut split does not count.
    private static func text(_ bytes: Bytes, _ isCut: Bool) -> String? {
        for dropped in 0...(isCut ? 3 : 0) where dropped <= bytes.count {
            let text = bytes.slice(0..<bytes.count - dropped).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
            if let text { return text }
        }
        return nil
    }
}

/// RFC 4648, 4
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: Bytes) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let part = (0..<3).map { start + $0 < bytes.count ? UInt32(bytes[start + $0]) : 0 }
                let word = part[0] << 16 | part[1] << 8 | part[2]
                for index in 0..<4 {
                    let isPadding = start + index > bytes.count
                    text.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> (18 - 6 * UInt32(index)) & 63)])
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil for anything that is not canonical Base64 with padding.
    static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 4 == 0 else { return nil }
        let padding = digits.suffix(2).count { $0 == UInt8(ascii: "=") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3)
        var word: UInt32 = 0
        for (index, digit) in digits.enumerated() {
            var value: UInt8 = 0
            if index < digits.count - padding {
                guard let decoded = Self.value(digit) else { return nil }
                value = decoded
            } else if digit != UInt8(ascii: "=") {
                return nil
            }
            word = word << 6 | UInt32(value)
            if index % 4 == 3 {
                bytes.append(UInt8(truncatingIfNeeded: word >> 16))
                bytes.append(UInt8(truncatingIfNeeded: word >> 8))
                bytes.append(UInt8(truncatingIfNeeded: word))
            }
        }
        bytes.removeLast(min(padding, bytes.count))
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x41...0x5A: digit - 0x41
        case 0x61...0x7A: digit - 0x61 + 26
        case 0x30...0x39: digit - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
