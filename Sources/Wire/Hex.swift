/// Bytes as people read them.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    /// `0a ff`; with an empty separator `0aff`. Of more than `limit` bytes the first `limit` and the number left out.
    package static func text(_ bytes: some Collection<UInt8>, separator: String = " ", limit: Int = .max) -> String {
        var text = ""
        for (index, byte) in bytes.prefix(limit).enumerated() {
            if index > 0 { text += separator }
            text.unicodeScalars.append(UnicodeScalar(digits[Int(byte >> 4)]))
            text.unicodeScalars.append(UnicodeScalar(digits[Int(byte & 15)]))
        }
        if bytes.count > limit { text += " ... \(bytes.count - limit) more" }
        return text
    }

    /// Pairs of hex digits, with or without white space between them; nil for anything else.
    package static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for scalar in text.unicodeScalars {
            if scalar == " " || scalar == "\t" {
                if high != nil { return nil }
                continue
            }
            guard let digit = Character(scalar).hexDigitValue, scalar.isASCII else { return nil }
            if let upper = high {
                bytes.append(upper << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        return high == nil ? bytes : nil
    }

    /// Lines of sixteen bytes with their offset and, where printable, their characters.
    package static func dump(_ bytes: some Collection<UInt8>) -> String {
        let bytes = Array(bytes)
        var lines: [String] = []
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let row = bytes[start..<min(start + 16, bytes.count)]
            let offset = String(start, radix: 16)
            let hex = text(row)
            let characters = row.map { $0 >= 0x20 && $0 < 0x7F ? Character(UnicodeScalar($0)) : "." }
            lines.append(
                String(repeating: "0", count: max(0, 6 - offset.count)) + offset + "  " + hex
                    + String(repeating: " ", count: max(0, 48 - hex.count)) + " |" + String(characters) + "|")
        }
        return lines.joined(separator: "\n")
    }
}
