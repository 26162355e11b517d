import Bus
import Formats
import Model

extension EvaluationContext {
    /// A column of the message itself.
    func metadata(_ meta: Meta, _ message: Message, _ counter: UInt64) -> Cell {
        switch meta {
        case .topic: return .text(message.topic.utf8.withUnsafeBytes { $0 })
        case .clientid: return text(message.origin.clientID)
        case .username: return message.origin.username.map { text($0) } ?? .null
        case .qos: return .integer(Int64(message.qos.rawValue))
        case .retain: return .bool(message.retain)
        case .receivedAt: return .integer(message.receivedAt.milliseconds)
        case .node: return text(nodeName)
        case .peerhost:
            guard let peer = message.origin.peer else { return .null }
            guard let colon = peer.lastIndex(of: ":") else { return text(peer) }
            return text(String(peer[..<colon]))
        case .origin: return text(message.origin.kind.rawValue)
        case .contentType: return message.properties?.contentType.map { copied($0) } ?? .null
        case .responseTopic: return message.properties?.responseTopic.map { copied($0) } ?? .null
        case .correlationData: return message.properties?.correlationData.map { copied($0) } ?? .null
        case .expiry: return message.properties?.expirySeconds.map { .integer(Int64($0)) } ?? .null
        case .userProperties: return userProperties(message)
        case .payloadText: return copied(message.payload.bytes)
        case .payloadBytes: return .integer(Int64(message.payload.bytes.count))
        case .messageID:
            // Unique within the process and ordered by arrival.
            let stamp = UInt64(bitPattern: message.receivedAt.milliseconds) << 20 | counter & 0xF_FFFF
            return text(String(stamp, radix: 16, uppercase: true))
        case .event: return text("message.publish")
        case .flags:
            return json(.object) {
                $0.raw("{\"retain\":")
                $0.bool(message.retain)
                $0.raw(",\"dup\":false}")
            }
        case .ruleName: return text(ruleName)
        }
    }

    private func copied(_ bytes: Bytes) -> Cell { bytes.withUnsafeBytes { text($0) } }

    private func userProperties(_ message: Message) -> Cell {
        json(.object) { writer in
            writer.byte(UInt8(ascii: "{"))
            for (index, property) in (message.properties?.user ?? []).enumerated() {
                if index > 0 { writer.byte(UInt8(ascii: ",")) }
                writer.string(property.name)
                writer.byte(UInt8(ascii: ":"))
                writer.string(property.value)
            }
            writer.byte(UInt8(ascii: "}"))
        }
    }
}
