/// The PROXY protocol, versions 1 and 2: what a load balancer says about the client it speaks for, ahead of all else.
/// https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
package enum ProxyHeader: Hashable, Sendable {
    /// The proxy speaks for itself, a health check, or does not know: the connection's own address counts.
    case local
    case client(PeerAddress)

    /// Longest version 1 line. 2.1
    static let textBytesMax = 107
    /// Longest version 2 header that is accepted: addresses and a reasonable set of TLVs.
    static let binaryBytesMax = 4096

    enum Outcome: Hashable {
        case needsMore
        /// `count`: the header's length; what follows is the client's.
        case complete(ProxyHeader, count: Int)
        case malformed
    }

    private static let textSignature = Array("PROXY ".utf8)
    private static let binarySignature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// `bytes`: what has come so far, from the connection's first byte.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard let first = bytes.first else { return .needsMore }
        let signature = first == textSignature[0] ? textSignature : binarySignature
        guard zip(bytes, signature).allSatisfy({ $0 == $1 }) else { return .malformed }
        if bytes.count < signature.count { return .needsMore }
        return signature.count == textSignature.count ? parseText(bytes) : parseBinary(bytes)
    }

    private static func parseText(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        let window = bytes.prefix(textBytesMax)
        guard let end = window.firstIndex(of: 0x0A) else {
            return window.count == textBytesMax ? .malformed : .needsMore
        }
        guard end > 0, bytes[end - 1] == 0x0D else { return .malformed }
        let line = String(decoding: bytes[..<(end - 1)], as: UTF8.self)
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count >= 2 else { return .malformed }
        // The rest of an UNKNOWN line is to be ignored. 2.1
        if words[1] == "UNKNOWN" { return .complete(.local, count: end + 1) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6", let source = NetworkAddress(words[2]),
            NetworkAddress(words[3]) != nil, let port = port(words[4]), self.port(words[5]) != nil,
            words[2].contains(":") == (words[1] == "TCP6")
        else { return .malformed }
        return .complete(.client(PeerAddress(ip: source, port: port)), count: end + 1)
    }

    private static func port(_ text: String) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), number <= 65_535
        else { return nil }
        return number
    }

    private static func parseBinary(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard bytes.count >= 16 else { return .needsMore }
        let command = bytes[12]
        guard command >> 4 == 2, command & 0x0F <= 1 else { return .malformed }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        let count = 16 + length
        guard count <= binaryBytesMax else { return .malformed }
        let family = bytes[13]
        let addressCount: Int
        switch family >> 4 {
        case 0: addressCount = 0
        case 1: addressCount = 12
        case 2: addressCount = 36
        case 3: addressCount = 216
        default: return .malformed
        }
        let isLocal = command & 0x0F == 0
        if !isLocal, family & 0x0F > 2 || length < addressCount { return .malformed }
        guard bytes.count >= count else { return .needsMore }
        if isLocal { return .complete(.local, count: count) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[16..<count])
        func uint16(_ offset: Int) -> Int { Int(body[offset]) << 8 | Int(body[offset + 1]) }
        switch family >> 4 {
        case 1:
            let address = body[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return .complete(.client(PeerAddress(ip: NetworkAddress(v4: address), port: uint16(8))), count: count)
        case 2:
            return .complete(.client(PeerAddress(ip: NetworkAddress(v6: body[..<16]), port: uint16(32))), count: count)
        case 3:
            let path = String(decoding: body[..<108].prefix { $0 != 0 }, as: UTF8.self)
            return .complete(.client(PeerAddress(text: "unix:" + path, ip: nil, isLocal: true)), count: count)
        default: return .complete(.local, count: count)
        }
    }
}
