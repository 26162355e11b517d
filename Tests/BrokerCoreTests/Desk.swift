import Bus
import Model
import NIOCore
import NIOEmbedded
import Synchronization

@testable import BrokerCore

/// Shards on loops that move only when told, with a clock that does too.
final class Desk {
    let loops: [EmbeddedEventLoop]
    let time: ManualTime
    let exchange: Exchange

    init(
        shards: Int = 1, limits: ExchangeLimits = ExchangeLimits(), durable store: (any DurabilityStore)? = nil,
        time: ManualTime = ManualTime(), seed: UInt64 = 1
    ) {
        self.time = time
        loops = (0..<shards).map { _ in EmbeddedEventLoop() }
        exchange = Exchange(loops: loops, limits: limits, time: time, random: SeededRandom(seed: seed), store: store)
    }

    /// Lets every shard run until all is quiet.
    func settle() {
        for _ in 0..<40 { for loop in loops { loop.run() } }
    }

    func advance(seconds: Double) {
        time.advance(nanoseconds: Int64(seconds * 1e9))
        for shard in exchange.shards { shard.tick() }
        settle()
    }

    func client(
        shard: Int = 0, isLoopback: Bool = true, limits: ConnectionLimits = ConnectionLimits(),
        authenticator: any Authenticator = AllowAnonymous()
    ) -> TestClient {
        TestClient(
            self, shard: exchange.shards[shard],
            ConnectionContext(
                peer: "127.0.0.1:9", isLoopback: isLoopback, listener: "test", limits: limits,
                authenticator: authenticator))
    }

    /// A client that has connected.
    func connected(
        _ id: String, shard: Int = 0, version: ProtocolVersion = .v5, clean: Bool = true, expiry: UInt32? = nil,
        isLoopback: Bool = true, limits: ConnectionLimits = ConnectionLimits(),
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> TestClient {
        let client = client(shard: shard, isLoopback: isLoopback, limits: limits)
        var packet = ConnectPacket()
        packet.version = version
        packet.clientID = id
        packet.cleanStart = clean
        packet.properties.sessionExpiryInterval = version == .v5 ? expiry : nil
        change(&packet)
        client.version = version
        client.send(.connect(packet))
        settle()
        return client
    }
}

/// The far end of a connection: sends packets, collects what comes.
final class TestClient: Transport {
    let desk: Desk
    private var connection: Connection?
    var version = ProtocolVersion.v5
    private(set) var isClosed = false
    private(set) var sends = 0
    private var bytes: [UInt8] = []
    private var unread: [UInt8] = []
    private var isReceiving = false
    /// Packets received and not yet taken.
    private(set) var packets: [Packet] = []
    /// All bytes received.
    private(set) var received: [UInt8] = []

    init(_ desk: Desk, shard: Shard, _ context: ConnectionContext) {
        self.desk = desk
        connection = shard.accept(self, context)
    }

    func send(_ packet: Packet) { send(packet.encoded(version)) }

    func send(_ raw: [UInt8]) {
        unread += raw
        resume()
        desk.settle()
    }

    /// Without letting the shards run.
    func push(_ raw: [UInt8]) {
        unread += raw
        resume()
    }

    func take() -> [Packet] {
        defer { packets = [] }
        return packets
    }

    /// Payloads of the messages received, in order.
    func payloads() -> [String] {
        take().compactMap { packet in
            if case .publish(let message) = packet { return message.payload.string }
            return nil
        }
    }

    func messages() -> [PublishPacket] {
        take().compactMap { packet in
            if case .publish(let message) = packet { return message }
            return nil
        }
    }

    func subscribe(_ filter: String, _ options: SubscriptionOptions = SubscriptionOptions(qos: .exactlyOnce)) {
        send(.subscribe(SubscribePacket(packetID: 1, entries: [.init(filter, options)])))
    }

    func publish(
        _ topic: String, _ payload: String, qos: QoS = .atMostOnce, retain: Bool = false, id: UInt16 = 1,
        properties: Properties = Properties()
    ) {
        send(
            .publish(
                PublishPacket(
                    topic: topic, payload: Bytes(payload), qos: qos, retain: retain,
                    packetID: qos == .atMostOnce ? 0 : id, properties: properties)))
    }

    /// The network is gone.
    func vanish() {
        isClosed = true
        connection?.transportClosed()
        connection = nil
        desk.settle()
    }

    func setWritable(_ isWritable: Bool) {
        connection?.transportWritable(isWritable)
        desk.settle()
    }

    // MARK: Transport

    func send(_ buffer: ByteBuffer) {
        sends += 1
        bytes += buffer.readableBytesView
        received += buffer.readableBytesView
        while let (packet, count) = try? decode(bytes, version, max: .max) {
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
        // Asked from within a call, the bytes in that call's hands must not be given again.
        guard !isReceiving else { return }
        isReceiving = true
        defer { isReceiving = false }
        while let connection, !unread.isEmpty {
            let taken = unread.withUnsafeBytes { connection.receive($0) }
            if taken == 0 { break }
            unread.removeFirst(min(taken, unread.count))
        }
    }
}
