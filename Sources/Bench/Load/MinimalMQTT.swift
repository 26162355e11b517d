/// The few packets of MQTT 3.1.1 that a load generator needs.
enum MinimalMQTT {
    static func connect(clientID: String, isClean: Bool = true) -> [UInt8] {
        packet(0x10, string("MQTT") + [4, isClean ? 0x02 : 0, 0, 0] + string(clientID))
    }

    static let disconnect: [UInt8] = [0xE0, 0]

    static func subscribe(_ filter: String, qos: Int = 0) -> [UInt8] {
        packet(0x82, [0, 1] + string(filter) + [UInt8(qos)])
    }

    /// With QoS 1 and 2 the packet identifier is zero, to be filled in at `identifierOffset`.
    static func publish(_ topic: String, _ payload: [UInt8], qos: Int = 0) -> [UInt8] {
        packet(0x30 | UInt8(qos) << 1, string(topic) + (qos > 0 ? [0, 0] : []) + payload)
    }

    /// Where the packet identifier of a PUBLISH with such a payload stands.
    static func identifierOffset(_ packet: [UInt8], payloadBytes: Int) -> Int { packet.count - payloadBytes - 2 }

    private static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var length = body.count
        repeat {
            bytes.append(UInt8(length & 0x7F) | (length > 0x7F ? 0x80 : 0))
            length >>= 7
        } while length > 0
        return bytes + body
    }

    private static func string(_ text: String) -> [UInt8] {
        let utf8 = Array(text.utf8)
        return [UInt8(utf8.count >> 8), UInt8(utf8.count & 0xFF)] + utf8
    }
}
