import BrokerCore
import Model
import NIOCore
import NIOEmbedded

@testable import Broker

/// A listener without a socket: what its handlers do is seen on embedded channels, turned by hand.
final class TestDoor {
    let loop = EmbeddedEventLoop()
    let time = ManualTime()
    let exchange: Exchange
    let state: ListenerState
    let lane: ListenerLane

    init(_ configuration: ListenerConfiguration = ListenerConfiguration(allowAnonymous: true)) {
        exchange = Exchange(loops: [loop], time: time, random: SeededRandom(seed: 1))
        state = ListenerState(name: "door", configuration, authenticator: nil, time: time)
        lane = ListenerLane(state, exchange.shards[0], time: time)
    }

    /// A connection that was let in, with `handlers` ahead of what speaks MQTT.
    func connect(
        from address: String = "10.0.0.1", _ handlers: (Arrival) -> [any ChannelHandler] = { _ in [] }
    ) throws -> (channel: EmbeddedChannel, arrival: Arrival) {
        let peer = PeerAddress(ip: NetworkAddress(address) ?? NetworkAddress(v4: 0), port: 5000)
        let refusal = state.admit(peer, state.configuration)
        if let refusal { throw Problem("test.refused", refusal.rawValue) }
        let arrival = Arrival(lane, peer: peer, state.configuration)
        let handler = ConnectionHandler(arrival)
        let channel = EmbeddedChannel(handlers: handlers(arrival) + [handler], loop: loop)
        arrival.client = handler
        try channel.connect(to: SocketAddress(ipAddress: "10.0.0.2", port: 1883)).wait()
        lane.add(arrival)
        return (channel, arrival)
    }

    func advance(seconds: Int64) {
        time.advance(nanoseconds: seconds * 1_000_000_000)
        loop.advanceTime(by: .seconds(seconds))
    }

    /// How many connections ended by each cause.
    var closed: [CloseCause: UInt64] { state.closed.counts }
}

extension EmbeddedChannel {
    func receive(_ bytes: [UInt8]) throws { try writeInbound(ByteBuffer(bytes: bytes)) }

    /// Everything that was sent since the last call.
    func sent() throws -> [UInt8] {
        embeddedEventLoop.run()
        var bytes: [UInt8] = []
        while let part = try readOutbound(as: ByteBuffer.self) { bytes += Array(part.readableBytesView) }
        return bytes
    }
}

/// Packets as clients send them.
enum Sent {
    static func connect(_ id: String, version: ProtocolVersion = .v311) -> [UInt8] {
        var packet = ConnectPacket()
        packet.clientID = id
        packet.version = version
        return packet.encoded()
    }

    /// QoS 0.
    static func publish(_ topic: String, _ payload: String) -> [UInt8] {
        let body =
            [UInt8(topic.utf8.count >> 8), UInt8(topic.utf8.count & 255)] + Array(topic.utf8) + Array(payload.utf8)
        return [0x30, UInt8(body.count)] + body
    }

    static let ping: [UInt8] = [0xC0, 0]
    static let connack: [UInt8] = [0x20, 2, 0, 0]
    static let pong: [UInt8] = [0xD0, 0]
}
