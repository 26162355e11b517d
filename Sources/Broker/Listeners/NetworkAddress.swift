#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import NIOCore

/// An IPv4 or IPv6 address as 128 bits; IPv4 as `::ffff:a.b.c.d`, so that the two forms of one address are equal.
package struct NetworkAddress: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// In host byte order.
    package init(v4 address: UInt32) { self.init(high: 0, low: 0xFFFF << 32 | UInt64(address)) }

    /// 16 bytes in network order.
    package init(v6 bytes: some Sequence<UInt8>) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for byte in bytes {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(byte)
        }
        self.init(high: high, low: low)
    }

    /// `192.0.2.1`, `2001:db8::1`; nil if the text is neither.
    package init?(_ text: String) {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(v6: withUnsafeBytes(of: &v6) { Array($0) })
    }

    package init?(_ address: SocketAddress) {
        // The address follows family and port, in IPv6 also the flow label.
        let place: Range<Int>
        switch address {
        case .v4: place = 4..<8
        case .v6: place = 8..<24
        case .unixDomainSocket: return nil
        }
        let bytes = address.withSockAddr { pointer, size in
            UnsafeRawBufferPointer(start: pointer, count: size).dropFirst(place.lowerBound).prefix(place.count)
                .map { $0 }
        }
        if bytes.count == 4 {
            self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        } else {
            self.init(v6: bytes)
        }
    }

    package var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

    package var isLoopback: Bool { isV4 ? UInt8(truncatingIfNeeded: low >> 24) == 127 : high == 0 && low == 1 }

    /// What limits per address count: an IPv4 address, or the /64 network that one IPv6 customer has to himself.
    package var customer: NetworkAddress { isV4 ? self : NetworkAddress(high: high, low: 0) }

    package var text: String {
        if isV4 {
            return (0..<4).map { String(UInt8(truncatingIfNeeded: low >> (24 - 8 * UInt64($0)))) }
                .joined(separator: ".")
        }
        var address = in6_addr()
        withUnsafeMutableBytes(of: &address) { bytes in
            bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        var buffer = [CChar](repeating: 0, count: 64)
        guard inet_ntop(AF_INET6, &address, &buffer, socklen_t(buffer.count)) != nil else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
package struct NetworkRange: Hashable, Sendable {
    package var base: NetworkAddress
    /// Leading bits that must agree, of 128.
    package var bits: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = NetworkAddress(String(parts[0])) else { return nil }
        self.base = base
        bits = 128
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...(base.isV4 ? 32 : 128)).contains(given) else { return nil }
            bits = base.isV4 ? given + 96 : given
        }
    }

    package func contains(_ address: NetworkAddress) -> Bool {
        func same(_ a: UInt64, _ b: UInt64, _ count: Int) -> Bool { count <= 0 || (a ^ b) >> UInt64(64 - count) == 0 }
        return same(base.high, address.high, min(bits, 64)) && same(base.low, address.low, bits - 64)
    }
}

/// Who is at the other end of a connection.
package struct PeerAddress: Hashable, Sendable {
    /// `address:port`, `[address]:port`, or `unix:` and a path.
    package var text: String
    package var ip: NetworkAddress?
    /// Whether it is a process of this machine.
    package var isLocal: Bool

    package init(text: String, ip: NetworkAddress?, isLocal: Bool) {
        self.text = text
        self.ip = ip
        self.isLocal = isLocal
    }

    package init(ip: NetworkAddress, port: Int) {
        let host = ip.text
        self.init(text: ip.isV4 ? "\(host):\(port)" : "[\(host)]:\(port)", ip: ip, isLocal: ip.isLoopback)
    }

    /// Of an accepted socket; nil where it was gone before anybody asked.
    package init(_ address: SocketAddress?) {
        guard let address else {
            self.init(text: "", ip: nil, isLocal: false)
            return
        }
        if let ip = NetworkAddress(address) {
            self.init(ip: ip, port: address.port ?? 0)
        } else {
            self.init(text: "unix:" + (address.pathname ?? ""), ip: nil, isLocal: true)
        }
    }
}
