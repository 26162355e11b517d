#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Model

/// An IPv4 or IPv6 address as 16 bytes, IPv4 mapped into IPv6 as RFC 4291, 2.5.5.2 says.
struct IPAddress: Sendable, Hashable {
    let bytes: [UInt8]
    let isV4: Bool

    init?(_ text: String) {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            bytes = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + withUnsafeBytes(of: &v4) { Array($0) }
            isV4 = true
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        bytes = withUnsafeBytes(of: &v6) { Array($0) }
        isV4 = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
package struct AddressRange: Sendable, Hashable {
    private let prefix: [UInt8]
    /// Bits that count, of 128.
    private let bits: Int

    package init(_ text: String) throws(Problem) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let problem = Problem(
            "access.address", "address \"\(text)\": expected an address or a range such as 10.0.0.0/8 or fd00::/8",
            ["address": text])
        guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { throw problem }
        let width = address.isV4 ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let number = Int(parts[1]), (0...width).contains(number) else { throw problem }
            length = number
        }
        prefix = address.bytes
        bits = 128 - width + length
    }

    func contains(_ address: IPAddress) -> Bool {
        var left = bits
        for index in 0..<16 where left > 0 {
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
            if (address.bytes[index] ^ prefix[index]) & mask != 0 { return false }
            left -= 8
        }
        return true
    }
}

/// A text in which `*` stands for any characters and everything else for itself.
package struct TextPattern: Sendable, Hashable {
    private let pieces: [[UInt8]]

    package init(_ text: String) {
        pieces = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
    }

    func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        guard let first = pieces.first, let last = pieces.last else { return text.isEmpty }
        if pieces.count == 1 { return text == first }
        guard text.count >= first.count + last.count, text.starts(with: first),
            text.suffix(last.count).elementsEqual(last)
        else { return false }
        var at = first.count
        let end = text.count - last.count
        for piece in pieces[1..<pieces.count - 1] where !piece.isEmpty {
            guard let found = Self.find(piece, in: text, from: at, to: end) else { return false }
            at = found + piece.count
        }
        return true
    }

    private static func find(_ piece: [UInt8], in text: [UInt8], from start: Int, to end: Int) -> Int? {
        var at = start
        while at + piece.count <= end {
            if text[at..<at + piece.count].elementsEqual(piece) { return at }
            at += 1
        }
        return nil
    }
}
