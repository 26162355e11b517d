import BrokerCore
import Model
import NIOCore
import NIOEmbedded
import Testing

@testable import Broker

/// Frames as clients send them: masked.
enum ClientFrame {
    static func make(
        _ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
    ) -> [UInt8] {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode]
        switch payload.count {
        case ..<126: bytes.append(0x80 | UInt8(payload.count))
        case ..<65_536: bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    static func binary(_ payload: [UInt8]) -> [UInt8] { make(2, payload) }
}

@Suite("MQTT over WebSocket")
struct WebSocketTests {
    static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    static func request(
        _ line: String = "GET /mqtt HTTP/1.1", without: String = "", adding: [String] = [], subprotocol: String = "mqtt"
    ) -> [UInt8] {
        let fields =
            [
                "Host: example.com", "Upgrade: WebSocket", "Connection: keep-alive, Upgrade",
                "Sec-WebSocket-Key: \(key)",
                "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: \(subprotocol)",
            ].filter { without.isEmpty || !$0.hasPrefix(without) } + adding
        return Array(([line] + fields).joined(separator: "\r\n").utf8) + Array("\r\n\r\n".utf8)
    }

    private func open(
        _ configuration: ListenerConfiguration = ListenerConfiguration(.ws, allowAnonymous: true)
    ) throws -> (channel: EmbeddedChannel, door: TestDoor) {
        let door = TestDoor(configuration)
        let channel = try door.connect { [WebSocketHandler($0, configuration.webSocket)] }.channel
        return (channel, door)
    }

    private func upgraded(
        _ configuration: ListenerConfiguration = ListenerConfiguration(.ws, allowAnonymous: true)
    ) throws -> (channel: EmbeddedChannel, door: TestDoor) {
        let (channel, door) = try open(configuration)
        try channel.receive(Self.request())
        _ = try channel.sent()
        return (channel, door)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test(
        "the answer to the request accepts its key and selects the subprotocol [MQTT-6.0.0-3] [MQTT-6.0.0-4] [MQTT-6.0.0-3 of 3.1.1] [MQTT-6.0.0-4 of 3.1.1]"
    )
    func upgrade() throws {
        for (offered, chosen) in [("mqtt", "mqtt"), ("chat, mqttv3.1", "mqttv3.1"), ("mqttv3.1, mqtt", "mqttv3.1")] {
            let (channel, _) = try open()
            for byte in Self.request(subprotocol: offered) { try channel.receive([byte]) }
            let answer = text(try channel.sent())
            #expect(answer.hasPrefix("HTTP/1.1 101 "))
            #expect(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
            #expect(answer.contains("\r\nSec-WebSocket-Protocol: \(chosen)\r\n"))
            try channel.receive(ClientFrame.binary(Sent.connect("c")))
            #expect(try channel.sent() == [0x82, 4] + Sent.connack)
        }
    }

    @Test(
        "what is not such a request gets an answer that says so, and the connection ends",
        arguments: [
            ("404", request("GET /other HTTP/1.1")), ("405", request("POST /mqtt HTTP/1.1")),
            ("426", Array("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".utf8)), ("426", request(without: "Upgrade")),
            ("426", request(without: "Sec-WebSocket-Version")), ("400", request(without: "Sec-WebSocket-Key")),
            ("400", request(without: "Host")), ("400", request(without: "Sec-WebSocket-Protocol")),
            ("400", request(subprotocol: "chat")), ("400", Array("GET /mqtt\r\n\r\n".utf8)), ("400", Sent.connect("c")),
            ("400", request(adding: ["no colon"])), ("400", Array("GET /mqtt HTTP/1.1\r\nX: \u{01}\r\n\r\n".utf8)),
            ("431", Array("GET /mqtt HTTP/1.1\r\nX: ".utf8) + [UInt8](repeating: 0x61, count: 9000)),
        ])
    func refusals(status: String, request: [UInt8]) throws {
        let (channel, door) = try open()
        try channel.receive(request)
        let answer = text(try channel.sent())
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
        #expect(answer.contains("\r\nContent-Length: "))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(door.closed == [.webSocketRequest: 1])
    }

    @Test("pages of other origins are refused where origins are listed")
    func origins() throws {
        var configuration = ListenerConfiguration(.ws, allowAnonymous: true)
        configuration.webSocket.origins = ["https://good.example"]
        let (bad, _) = try open(configuration)
        try bad.receive(Self.request(adding: ["Origin: https://evil.example"]))
        #expect(text(try bad.sent()).hasPrefix("HTTP/1.1 403 "))
        let (good, _) = try open(configuration)
        try good.receive(Self.request(adding: ["Origin: https://good.example"]))
        #expect(text(try good.sent()).hasPrefix("HTTP/1.1 101 "))
    }

    @Test(
        "packets may share frames and be cut by them, and by reads, anywhere [MQTT-6.0.0-2] [MQTT-6.0.0-2 of 3.1.1]",
        arguments: [1, 2, 3, 7, 100])
    func packetsAndFrames(size: Int) throws {
        let (channel, door) = try upgraded()
        let packets = Sent.connect("c") + Sent.ping + Sent.ping + Sent.publish("t", "x") + Sent.ping
        var frames: [UInt8] = []
        for start in stride(from: 0, to: packets.count, by: size) {
            frames += ClientFrame.binary(Array(packets[start..<min(start + size, packets.count)]))
        }
        for byte in frames { try channel.receive([byte]) }
        var decoder = ServerFrames()
        #expect(try decoder.payload(channel.sent()) == Sent.connack + Sent.pong + Sent.pong + Sent.pong)
        #expect(door.exchange.shards[0].counters.publishReceived == 1)
    }

    @Test("fragmented messages, with pings between the fragments, are one stream")
    func fragments() throws {
        let (channel, _) = try upgraded()
        let packet = Sent.connect("client")
        try channel.receive(ClientFrame.make(2, Array(packet[..<5]), isFinal: false))
        try channel.receive(ClientFrame.make(9, Array("hello".utf8)))
        #expect(try channel.sent() == [0x8A, 5] + Array("hello".utf8))
        try channel.receive(ClientFrame.make(0, Array(packet[5..<9]), isFinal: false))
        try channel.receive(ClientFrame.make(10, []))
        try channel.receive(ClientFrame.make(0, Array(packet[9...])))
        #expect(try channel.sent() == [0x82, 4] + Sent.connack)
    }

    @Test(
        "frames against the standard close with its code [MQTT-6.0.0-1] [MQTT-6.0.0-1 of 3.1.1]",
        arguments: [
            (UInt16(1003), CloseCause.webSocketText, ClientFrame.make(1, [0x61])),
            (1002, .webSocketFrame, [0x82, 0x01, 0x00]), (1002, .webSocketFrame, [0xC2, 0x80, 0, 0, 0, 0]),
            (1002, .webSocketFrame, ClientFrame.make(3, [])), (1002, .webSocketFrame, ClientFrame.make(0, [1])),
            (1002, .webSocketFrame, ClientFrame.make(2, [1], isFinal: false) + ClientFrame.make(2, [1])),
            (1002, .webSocketFrame, ClientFrame.make(9, [1], isFinal: false)),
            (1002, .webSocketFrame, ClientFrame.make(9, [UInt8](repeating: 0, count: 126))),
            (1002, .webSocketFrame, [0x82, 0xFE, 0, 5, 1, 2, 3, 4]),
            (1002, .webSocketFrame, [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4]),
            (1002, .webSocketFrame, [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4]),
            (1002, .webSocketFrame, ClientFrame.make(8, [3])), (1002, .webSocketFrame, ClientFrame.make(8, [3, 0xED])),
            (1002, .webSocketFrame, ClientFrame.make(8, [3, 0xE8, 0xFF])),
            (1009, .webSocketFrame, [0x82, 0xFF, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 4]),
        ])
    func violations(code: UInt16, cause: CloseCause, frames: [UInt8]) throws {
        let (channel, door) = try upgraded()
        for byte in frames where channel.isActive { try channel.receive([byte]) }
        #expect(try channel.sent() == [0x88, 2, UInt8(code >> 8), UInt8(code & 255)])
        #expect(!channel.isActive)
        #expect(door.closed == [cause: 1])
    }

    @Test("a farewell is returned with its code and the connection ends as the client's doing")
    func farewell() throws {
        let (channel, door) = try upgraded()
        try channel.receive(ClientFrame.binary(Sent.connect("c")))
        _ = try channel.sent()
        try channel.receive(ClientFrame.make(8, [0x03, 0xE9] + Array("bye".utf8)))
        #expect(try channel.sent() == [0x88, 2, 0x03, 0xE9])
        #expect(!channel.isActive)
        #expect(door.closed == [.client: 1])
    }

    @Test("when the server goes it says so in MQTT and in WebSocket")
    func dismissal() throws {
        let (channel, door) = try upgraded()
        try channel.receive(ClientFrame.binary(Sent.connect("c", version: .v5)))
        _ = try channel.sent()
        door.lane.dismissAll(.serverShuttingDown)
        let sent = try channel.sent()
        #expect(
            sent == [0x82, 4, 0xE0, 2, 0x8B, 0, 0x88, 2, 0x03, 0xE8]
                || sent == [0x82, 3, 0xE0, 1, 0x8B, 0x88, 2, 0x03, 0xE8])
        #expect(!channel.isActive)
        #expect(door.closed == [.serverStopping: 1])
    }

    @Test("long payloads are unmasked right however reads cut them", arguments: [1, 3, 8, 13, 4096])
    func unmasking(step: Int) throws {
        var random = SplitMix64(seed: UInt64(step))
        for size in [0, 1, 7, 8, 9, 125, 126, 65_535, 65_536, 70_001] where size / step < 40_000 {
            let payload = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let mask = (0..<4).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let frame = ClientFrame.make(2, payload, mask: mask)
            var decoder = WebSocketDecoder(frameBytesMax: 1 << 20)
            var got: [UInt8] = []
            for start in stride(from: 0, to: frame.count, by: step) {
                var bytes = ByteBuffer(bytes: frame[start..<min(start + step, frame.count)])
                try decoder.decode(&bytes) { if case .data(let part) = $0 { got += Array(part.readableBytesView) } }
            }
            #expect(got == payload, "\(size) bytes in steps of \(step)")
        }
    }

    @Test("random bytes never crash the frame reader or the request reader")
    func fuzz() {
        var random = SplitMix64(seed: 7)
        for _ in 0..<5000 {
            var decoder = WebSocketDecoder(frameBytesMax: 4096)
            var bytes = ClientFrame.binary(Sent.connect("c")) + ClientFrame.make(9, [1, 2]) + ClientFrame.make(8, [])
            for _ in 0..<Int(random.next() % 5) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            var buffer = ByteBuffer(bytes: bytes)
            try? decoder.decode(&buffer) { _ in }
            var request = Self.request()
            for _ in 0..<Int(random.next() % 5) {
                request[Int(random.next() % UInt64(request.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            _ = request.withUnsafeBytes { WebSocketRequest.parse($0, WebSocketSettings()) }
        }
    }
}

/// Reads the server's frames: whole, unmasked, binary.
struct ServerFrames {
    mutating func payload(_ bytes: [UInt8]) -> [UInt8] {
        var rest = bytes[...]
        var payload: [UInt8] = []
        while rest.count >= 2, rest.removeFirst() == 0x82 {
            var count = Int(rest.removeFirst())
            if count == 126 { count = Int(rest.removeFirst()) << 8 | Int(rest.removeFirst()) }
            payload += rest.prefix(count)
            rest = rest.dropFirst(count)
        }
        return payload
    }
}
