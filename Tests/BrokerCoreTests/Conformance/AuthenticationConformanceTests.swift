import Bus
import Model
import NIOCore
import NIOEmbedded
import Testing

@testable import BrokerCore

/// Asks for one word, and lets in who says it.
private struct Password: Authenticator, AuthenticationExchange {
    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision { .refuse(.notAuthorized) }

    func exchange(_ method: String, _ credentials: Credentials) -> (any AuthenticationExchange)? {
        method == "WORD" ? self : nil
    }

    func next(_ data: Bytes?) async -> AuthenticationStep {
        guard let data else { return .challenge("word?") }
        return data == "open"
            ? .accept(Acceptance(username: "ali", mayWriteDevices: false), "welcome") : .refuse(.notAuthorized)
    }
}

/// A client whose server answers from other threads. Everything in it is touched on the loop only.
private final class LoopClient: Transport, @unchecked Sendable {
    let loop = NIOAsyncTestingEventLoop()
    private let exchange: Exchange
    private var connection: Connection?
    private var bytes: [UInt8] = []
    private var unread: [UInt8] = []
    private var packets: [Packet] = []
    private var isClosed = false

    init() async throws {
        exchange = Exchange(loops: [loop], limits: ExchangeLimits(), time: ManualTime(), random: SeededRandom(seed: 1))
        try await loop.executeInContext { [self] in
            connection = exchange.shards[0].accept(
                self,
                ConnectionContext(
                    peer: "127.0.0.1:9", isLoopback: true, listener: "test", limits: ConnectionLimits(),
                    authenticator: Password()))
        }
    }

    /// Sends, and waits for the next packets: until the connection closes or something has come.
    func ask(_ packet: Packet) async throws -> (packets: [Packet], isClosed: Bool) {
        try await loop.executeInContext { [self] in
            unread += packet.encoded(.v5)
            resume()
        }
        for _ in 0..<100_000 {
            await loop.run()
            let answer = try await loop.executeInContext { [self] in
                defer { packets = [] }
                return (packets, isClosed)
            }
            if !answer.0.isEmpty || answer.1 { return answer }
            await Task.yield()
        }
        return ([], false)
    }

    func send(_ buffer: ByteBuffer) {
        bytes += buffer.readableBytesView
        while let (packet, count) = try? decode(bytes, .v5, max: .max) {
            packets.append(packet)
            bytes.removeFirst(count)
        }
    }

    func close() {
        isClosed = true
        connection?.transportClosed()
        connection = nil
    }

    func setReading(_ isReading: Bool) {}

    func resume() {
        while let connection, !unread.isEmpty {
            let taken = unread.withUnsafeBytes { connection.receive($0) }
            if taken == 0 { break }
            unread.removeFirst(min(taken, unread.count))
        }
    }
}

@Suite("MQTT 4.12: enhanced authentication")
struct AuthenticationConformanceTests {
    private func connect(_ method: String = "WORD") -> Packet {
        var packet = ConnectPacket()
        packet.clientID = "c"
        packet.properties.authenticationMethod = method
        packet.properties.maximumPacketSize = 60
        return .connect(packet)
    }

    private func auth(_ reason: ReasonCode, _ data: Bytes?, method: String = "WORD") -> Packet {
        var packet = ReasonPacket(reason: reason)
        packet.properties.authenticationMethod = method
        packet.properties.authenticationData = data
        return .auth(packet)
    }

    @Test(
        "AUTH asks with 0x18 and the method, CONNACK names it too; AUTH has neither reason string nor user property [MQTT-3.15.2-1] [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-4.12.0-2] [MQTT-4.12.0-5]"
    )
    func accepted() async throws {
        let client = try await LoopClient()
        #expect(try await client.ask(connect()).packets == [auth(.continueAuthentication, "word?")])
        let answer = try await client.ask(auth(.continueAuthentication, "open"))
        guard case .connack(let connack)? = answer.packets.first else {
            Issue.record("no CONNACK")
            return
        }
        #expect(connack.reason == .success && !answer.isClosed)
        #expect(connack.properties.authenticationMethod == "WORD")
        #expect(connack.properties.authenticationData == "welcome")
        // Again, by the same method, while connected.
        #expect(try await client.ask(auth(.reauthenticate, nil)).packets == [auth(.continueAuthentication, "word?")])
        #expect(try await client.ask(auth(.continueAuthentication, "open")).packets == [auth(.success, "welcome")])
        #expect(try await client.ask(.pingreq).packets == [.pingresp])
    }

    @Test(
        "a wrong answer is refused and closes; so does another method [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.12.0-5]")
    func refused() async throws {
        let wrong = try await LoopClient()
        _ = try await wrong.ask(connect())
        let answer = try await wrong.ask(auth(.continueAuthentication, "shut"))
        #expect(answer.packets == [.connack(ConnackPacket(reason: .notAuthorized))])
        #expect(answer.isClosed)
        let unknown = try await LoopClient()
        #expect(
            try await unknown.ask(connect("OTHER")).packets == [
                .connack(ConnackPacket(reason: .badAuthenticationMethod))
            ])
        let changed = try await LoopClient()
        _ = try await changed.ask(connect())
        let closed = try await changed.ask(auth(.continueAuthentication, "open", method: "OTHER"))
        #expect(closed.isClosed && closed.packets.isEmpty)
    }

    @Test(
        "a failed re-authentication closes the connection [MQTT-4.12.1-1] [MQTT-4.12.1-2]",
        arguments: ["WORD", "OTHER"])
    func reauthentication(method: String) async throws {
        let client = try await LoopClient()
        _ = try await client.ask(connect())
        _ = try await client.ask(auth(.continueAuthentication, "open"))
        var answer = try await client.ask(auth(.reauthenticate, nil, method: method))
        if method == "WORD" { answer = try await client.ask(auth(.continueAuthentication, "shut")) }
        #expect(answer.isClosed)
        guard case .disconnect(let packet)? = answer.packets.last else {
            Issue.record("no DISCONNECT")
            return
        }
        #expect(packet.reason == (method == "WORD" ? .notAuthorized : .protocolError))
    }

    @Test("between CONNECT and CONNACK nothing but AUTH and DISCONNECT may come [MQTT-3.1.2-30]")
    func nothingElse() async throws {
        let client = try await LoopClient()
        _ = try await client.ask(connect())
        let answer = try await client.ask(.pingreq)
        #expect(answer.isClosed && answer.packets.isEmpty)
    }
}
