import Bus
import Model

@testable import BrokerCore

/// The versions that most statements of both standards are checked with.
let bothVersions: [ProtocolVersion] = [.v311, .v5]
let allVersions: [ProtocolVersion] = [.v31, .v311, .v5]

extension TestClient {
    /// What came so far, without taking it.
    var connack: ConnackPacket? {
        for packet in packets { if case .connack(let answer) = packet { return answer } }
        return nil
    }

    var suback: SubscribeAcknowledgePacket? {
        for packet in packets { if case .suback(let answer) = packet { return answer } }
        return nil
    }

    var unsuback: SubscribeAcknowledgePacket? {
        for packet in packets { if case .unsuback(let answer) = packet { return answer } }
        return nil
    }

    var disconnect: ReasonPacket? {
        for packet in packets { if case .disconnect(let answer) = packet { return answer } }
        return nil
    }

    /// Acknowledges what came as its QoS asks, and what comes because of that, until nothing does. Returns the
    /// messages.
    func acknowledgeAll() -> [PublishPacket] {
        var messages: [PublishPacket] = []
        while true {
            let arrived = take()
            if arrived.isEmpty { return messages }
            for packet in arrived {
                switch packet {
                case .publish(let message):
                    messages.append(message)
                    if message.qos == .atLeastOnce { send(.puback(AcknowledgePacket(packetID: message.packetID))) }
                    if message.qos == .exactlyOnce { send(.pubrec(AcknowledgePacket(packetID: message.packetID))) }
                case .pubrel(let release): send(.pubcomp(AcknowledgePacket(packetID: release.packetID)))
                default: break
                }
            }
        }
    }

    /// Whether the connection was closed; in 5.0 with DISCONNECT and `reason`, before with nothing at all.
    func wasClosed(with reason: ReasonCode) -> Bool {
        guard isClosed else { return false }
        return version == .v5 ? disconnect?.reason == reason : packets.isEmpty
    }

    func subscribe(
        _ filters: [String], qos: QoS = .exactlyOnce, id: UInt16 = 1, properties: Properties = Properties()
    ) {
        send(
            .subscribe(
                SubscribePacket(
                    packetID: id, entries: filters.map { .init($0, SubscriptionOptions(qos: qos)) },
                    properties: properties)))
    }

    func unsubscribe(_ filters: [String], id: UInt16 = 1) {
        send(.unsubscribe(UnsubscribePacket(packetID: id, filters: filters)))
    }

    func ack(_ type: PacketType, _ id: UInt16, _ reason: ReasonCode = .success) {
        send(AcknowledgePacket(packetID: id, reason: reason).encoded(type, version))
    }
}

extension Desk {
    /// A client that has connected and whose CONNACK was taken.
    func ready(
        _ id: String, shard: Int = 0, version: ProtocolVersion = .v5, clean: Bool = true, expiry: UInt32? = nil,
        limits: ConnectionLimits = ConnectionLimits(), change: (inout ConnectPacket) -> Void = { _ in }
    ) -> TestClient {
        let client = connected(
            id, shard: shard, version: version, clean: clean, expiry: expiry, limits: limits, change: change)
        _ = client.take()
        return client
    }

    /// A client of a session that outlives its connections.
    func sleeper(_ id: String, shard: Int = 0, version: ProtocolVersion = .v5) -> TestClient {
        connected(id, shard: shard, version: version, clean: false, expiry: 1000)
    }

    /// A subscriber that saw nothing yet but its SUBACK, which was taken.
    func subscriber(_ filter: String, qos: QoS = .exactlyOnce, version: ProtocolVersion = .v5) -> TestClient {
        let client = ready("subscriber", version: version)
        client.subscribe(filter, SubscriptionOptions(qos: qos))
        _ = client.take()
        return client
    }

    /// What a connection that has not sent CONNECT does with these bytes.
    func raw(_ bytes: [UInt8], version: ProtocolVersion = .v5) -> TestClient {
        let client = client()
        client.version = version
        client.send(bytes)
        return client
    }
}

/// Bytes of packets that no client writes.
enum Raw {
    static func frame(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(first)
        writer.variable(body.count)
        writer.raw(body)
        return writer.bytes
    }

    static func string(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count)] + bytes
    }

    static func string(_ text: String) -> [UInt8] { string(Array(text.utf8)) }

    /// The property length that 5.0 has and the others have not.
    static func properties(_ version: ProtocolVersion, _ bytes: [UInt8] = []) -> [UInt8] {
        version == .v5 ? [UInt8(bytes.count)] + bytes : []
    }

    static func connect(
        _ version: ProtocolVersion = .v5, name: String? = nil, level: UInt8? = nil, flags: UInt8 = 2,
        properties list: [UInt8] = [], payload: [UInt8] = Raw.string("raw")
    ) -> [UInt8] {
        let name = name ?? (version == .v31 ? "MQIsdp" : "MQTT")
        return frame(
            0x10, string(name) + [level ?? version.rawValue, flags, 0, 0] + properties(version, list) + payload)
    }

    static func publish(
        _ version: ProtocolVersion, topic: [UInt8], first: UInt8 = 0x30, properties list: [UInt8] = [],
        payload: [UInt8] = []
    ) -> [UInt8] {
        let id: [UInt8] = first & 6 == 0 ? [] : [0, 9]
        return frame(first, string(topic) + id + properties(version, list) + payload)
    }

    static func subscribe(_ version: ProtocolVersion, filter: [UInt8], options: UInt8 = 0) -> [UInt8] {
        frame(0x82, [0, 1] + properties(version) + string(filter) + [options])
    }

    static func unsubscribe(_ version: ProtocolVersion, filter: [UInt8]) -> [UInt8] {
        frame(0xA2, [0, 1] + properties(version) + string(filter))
    }

    /// Strings that no packet may hold: a stray continuation, an overlong form, a surrogate, beyond Unicode, cut off,
    /// U+0000.
    static let badStrings: [[UInt8]] = [
        [0x61, 0x80], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x61, 0xE2, 0x82],
        [0x61, 0x00, 0x62],
    ]
}
