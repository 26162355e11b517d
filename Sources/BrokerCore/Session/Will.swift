import Bus
import Model

/// A will, ready to be published. MQTT 5.0, 3.1.2.5
struct Will: Sendable {
    var message: Message
    var delaySeconds: UInt32

    /// Nil if its topic is not one.
    init?(_ packet: WillPacket, origin: Origin) {
        guard let topic = try? Topic(packet.topic) else { return nil }
        let found = packet.properties
        var properties: MessageProperties?
        if found.payloadFormatIndicator != nil || found.messageExpiryInterval != nil || found.contentType != nil
            || found.responseTopic != nil || found.correlationData != nil || !found.userProperties.isEmpty
        {
            properties = MessageProperties(found, expirySeconds: found.messageExpiryInterval)
        }
        message = Message(
            topic: topic, payload: .bytes(packet.payload), qos: packet.qos, retain: packet.retain,
            receivedAt: Timestamp(nanoseconds: 0), origin: origin, properties: properties)
        delaySeconds = found.willDelayInterval ?? 0
    }
}

extension Will {
    init(message: Message, delaySeconds: UInt32) {
        self.message = message
        self.delaySeconds = delaySeconds
    }
}
