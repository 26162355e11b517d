import Model
import NIOCore
import NIOEmbedded
import Testing

@testable import Broker

@Suite("PROXY protocol")
struct ProxyTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    static let v4Body: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 1, 0xC3, 0x50, 0x07, 0x5B]
    static let v6Body: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [9] + [UInt8](repeating: 0, count: 15) + [1]
        + [0x30, 0x39, 0x07, 0x5B]
    static let unixBody: [UInt8] =
        Array("/run/app.sock".utf8) + [UInt8](repeating: 0, count: 95) + [UInt8](repeating: 0, count: 108)

    /// A header and who it says the client is; nil: the connection speaks for itself.
    static let good: [([UInt8], String?)] = [
        (Array("PROXY TCP4 192.0.2.7 10.0.0.1 50000 1883\r\n".utf8), "192.0.2.7:50000"),
        (Array("PROXY TCP6 2001:db8::9 ::1 12345 1883\r\n".utf8), "[2001:db8::9]:12345"),
        (Array("PROXY UNKNOWN\r\n".utf8), nil),
        (Array("PROXY UNKNOWN ff:ff::1 whatever 1 2\r\n".utf8), nil),
        (binary(0x21, 0x11, v4Body), "192.0.2.7:50000"),
        (binary(0x21, 0x11, v4Body + [4, 0, 3, 1, 2, 3]), "192.0.2.7:50000"),
        (binary(0x21, 0x21, v6Body), "[2001:db8::9]:12345"),
        (binary(0x21, 0x31, unixBody), "unix:/run/app.sock"),
        (binary(0x20, 0x11, v4Body), nil),
        (binary(0x20, 0x00, []), nil),
        (binary(0x21, 0x00, [1, 2, 3]), nil),
    ]

    static let bad: [[UInt8]] = [
        Array("PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n".utf8),
        Array("PROXY TCP4 192.0.2.7 10.0.0.1 50000 99999\r\n".utf8),
        Array("PROXY TCP4 2001:db8::9 ::1 1 2\r\n".utf8), Array("PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n".utf8),
        Array("PROXY TCP4 192.0.2.7 10.0.0.1 +5 2\r\n".utf8), Array("PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n".utf8),
        Array("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n".utf8), Array(("PROXY " + String(repeating: "x", count: 120)).utf8),
        Array("PROXX".utf8), Array("GET / HTTP/1.1\r\n".utf8), Sent.connect("c"),
        binary(0x31, 0x11, v4Body), binary(0x22, 0x11, v4Body), binary(0x21, 0x41, v4Body), binary(0x21, 0x13, v4Body),
        binary(0x21, 0x11, [1, 2, 3]), binary(0x21, 0x21, v4Body), signature + [0x21, 0x11, 0xFF, 0xFF],
    ]

    private func configuration() -> ListenerConfiguration {
        var configuration = ListenerConfiguration(allowAnonymous: true)
        configuration.proxyProtocol = true
        configuration.proxyTrusted = [NetworkRange("10.0.0.0/8")].compactMap { $0 }
        return configuration
    }

    private func connect(_ door: TestDoor) throws -> (channel: EmbeddedChannel, arrival: Arrival) {
        try door.connect { [ProxyHandler($0, nextStage: .connect)] }
    }

    @Test(
        "the client is who the header says, whether it comes whole or byte by byte, and what follows is kept",
        arguments: good.indices)
    func accepts(index: Int) throws {
        let (header, expected) = Self.good[index]
        for isWhole in [true, false] {
            let door = TestDoor(configuration())
            let (channel, arrival) = try connect(door)
            let bytes = header + Sent.connect("c")
            if isWhole { try channel.receive(bytes) } else { for byte in bytes { try channel.receive([byte]) } }
            #expect(try channel.sent() == Sent.connack)
            #expect(arrival.peer.text == expected ?? "10.0.0.1:5000")
            #expect(!arrival.peer.isLocal)
            _ = try channel.finish(acceptAlreadyClosed: true)
        }
    }

    @Test("a header that is cut off anywhere asks for more and is never wrong", arguments: good.indices)
    func truncated(index: Int) {
        let header = Self.good[index].0
        for count in 0..<header.count {
            let outcome = Array(header[..<count]).withUnsafeBytes(ProxyHeader.parse)
            #expect(outcome == .needsMore, "after \(count) bytes")
        }
    }

    @Test("what is not a header closes the connection, counted as such", arguments: bad.indices)
    func malformed(index: Int) throws {
        let door = TestDoor(configuration())
        let (channel, _) = try connect(door)
        for byte in Self.bad[index] where channel.isActive { try channel.receive([byte]) }
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(door.closed == [.proxyHeader: 1])
        #expect(door.state.connectionCount == 0)
    }

    @Test("a header that does not come ends with the time for CONNECT")
    func timeout() throws {
        let door = TestDoor(configuration())
        let (channel, _) = try connect(door)
        try channel.receive(Array("PROXY TCP4".utf8))
        door.advance(seconds: 11)
        #expect(!channel.isActive)
        #expect(door.closed == [.proxyTimeout: 1])
    }

    @Test("only load balancers may speak for others")
    func untrusted() throws {
        let door = TestDoor(configuration())
        #expect(throws: Problem.self) { try door.connect(from: "192.0.2.1") }
        #expect(throws: Problem.self) { try door.connect(from: "2001:db8::1") }
        #expect(door.closed == [.untrustedProxy: 2])
    }

    @Test("connections are limited by the client's address, not the proxy's")
    func perAddress() throws {
        var configuration = configuration()
        configuration.bounds.connectionsPerAddress = 1
        let door = TestDoor(configuration)
        let first = try connect(door)
        let second = try connect(door)
        try first.channel.receive(Self.good[0].0 + Sent.connect("a"))
        try second.channel.receive(Self.good[0].0 + Sent.connect("b"))
        #expect(try first.channel.sent() == Sent.connack)
        #expect(!second.channel.isActive)
        #expect(door.closed == [.addressConnectionsMax: 1])
        let third = try connect(door)
        try third.channel.receive(Self.good[1].0 + Sent.connect("c"))
        #expect(try third.channel.sent() == Sent.connack)
    }

    @Test("a local client of a remote proxy is not local here")
    func locality() throws {
        let door = TestDoor(configuration())
        let (channel, arrival) = try connect(door)
        try channel.receive(Array("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".utf8))
        #expect(arrival.peer.text == "127.0.0.1:1")
        #expect(!arrival.peer.isLocal)
    }

    @Test("random bytes never crash the parser")
    func fuzz() {
        var random = SplitMix64(seed: 42)
        for _ in 0..<20_000 {
            var bytes = Self.good[Int(random.next() % UInt64(Self.good.count))].0
            for _ in 0..<Int(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.next() & 1 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
            if case .complete(_, let count) = bytes.withUnsafeBytes(ProxyHeader.parse) { #expect(count <= bytes.count) }
        }
    }
}

@Suite("Network addresses")
struct NetworkAddressTests {
    @Test("ranges contain what they say, across both families' forms")
    func ranges() throws {
        func contains(_ range: String, _ address: String) throws -> Bool {
            try #require(NetworkRange(range)).contains(#require(NetworkAddress(address)))
        }
        #expect(try contains("10.0.0.0/8", "10.255.1.2"))
        #expect(try !contains("10.0.0.0/8", "11.0.0.1"))
        #expect(try contains("10.0.0.0/8", "::ffff:10.1.1.1"))
        #expect(try contains("192.0.2.7", "192.0.2.7"))
        #expect(try !contains("192.0.2.7", "192.0.2.6"))
        #expect(try contains("2001:db8::/32", "2001:db8:1::5"))
        #expect(try !contains("2001:db8::/32", "2001:db9::5"))
        #expect(try contains("2001:db8::/65", "2001:db8::7fff:0:0:1"))
        #expect(try !contains("2001:db8::/65", "2001:db8::8000:0:0:1"))
        #expect(try contains("0.0.0.0/0", "8.8.8.8"))
        #expect(try contains("::/0", "8.8.8.8"))
        for text in ["10.0.0.0/33", "x", "10.0.0.0/", "::/129", "10.0.0.0/-1", ""] {
            #expect(NetworkRange(text) == nil, "\(text)")
        }
    }
}
