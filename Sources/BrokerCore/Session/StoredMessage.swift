package import Bus
package import Model

/// A message that somebody must keep: it is in flight, queued, retained, or on its way to another shard. Made at most
/// once per publish and shared by all who keep it.
package final class StoredMessage: Sendable {
    package let topic: Bytes
    package let payload: Payload
    /// The properties that are forwarded as they stand on the wire, without length, expiry, alias and subscription
    /// identifiers. Empty for most.
    package let wireProperties: Bytes
    package let qos: QoS
    package let retain: Bool
    package let receivedAt: Timestamp
    /// Monotonic nanoseconds; `Int64.max`: never.
    package let expiresAt: Int64
    package let origin: Origin

    package init(
        topic: Bytes, payload: Payload, wireProperties: Bytes, qos: QoS, retain: Bool, receivedAt: Timestamp,
        expiresAt: Int64, origin: Origin
    ) {
        self.topic = topic
        self.payload = payload
        self.wireProperties = wireProperties
        self.qos = qos
        self.retain = retain
        self.receivedAt = receivedAt
        self.expiresAt = expiresAt
        self.origin = origin
    }

    /// A message from inside the process; `now` is the monotonic clock's.
    package convenience init(_ message: Message, now: Int64) {
        var expiresAt = Int64.max
        var wire = Bytes()
        if let properties = message.properties {
            if let seconds = properties.expirySeconds { expiresAt = now &+ Int64(seconds) * 1_000_000_000 }
            wire = properties.wire
        }
        self.init(
            topic: message.topic.utf8, payload: message.payload, wireProperties: wire, qos: message.qos,
            retain: message.retain, receivedAt: message.receivedAt, expiresAt: expiresAt, origin: message.origin)
    }

    /// As the components inside the process see it.
    package func message(retain: Bool, now: Int64) -> Message {
        var properties: MessageProperties?
        if !wireProperties.isEmpty || expiresAt != .max {
            let left = expiresAt == .max ? nil : UInt32(clamping: max(0, expiresAt - now) / 1_000_000_000)
            properties = MessageProperties(wire: wireProperties, expirySeconds: left)
        }
        return Message(
            topic: Topic(unchecked: topic), payload: payload, qos: qos, retain: retain, receivedAt: receivedAt,
            origin: origin, properties: properties)
    }
}

extension MessageProperties {
    /// As they stand in a PUBLISH, without length and expiry.
    var wire: Bytes {
        var writer = FieldWriter()
        if isUTF8Payload {
            writer.byte(PropertyID.payloadFormatIndicator.rawValue)
            writer.byte(1)
        }
        if let contentType {
            writer.byte(PropertyID.contentType.rawValue)
            writer.binary(contentType)
        }
        if let responseTopic {
            writer.byte(PropertyID.responseTopic.rawValue)
            writer.binary(responseTopic)
        }
        if let correlationData {
            writer.byte(PropertyID.correlationData.rawValue)
            writer.binary(correlationData)
        }
        for (name, value) in user {
            writer.byte(PropertyID.userProperty.rawValue)
            writer.binary(name)
            writer.binary(value)
        }
        return writer.bytes.isEmpty ? Bytes() : Bytes(writer.bytes)
    }

    /// From bytes that were checked when they were received.
    convenience init(wire: Bytes, expirySeconds: UInt32?) {
        var found = Properties()
        var writer = FieldWriter()
        writer.variable(wire.count)
        writer.raw(wire)
        writer.bytes.withUnsafeBytes { bytes in
            var reader = FieldReader(bytes)
            if let properties = try? Properties(&reader, in: .publish) { found = properties }
        }
        self.init(found, expirySeconds: expirySeconds)
    }

    convenience init(_ found: Properties, expirySeconds: UInt32?) {
        self.init(
            isUTF8Payload: found.payloadFormatIndicator == 1, expirySeconds: expirySeconds,
            contentType: found.contentType.map { Bytes($0) }, responseTopic: found.responseTopic.map { Bytes($0) },
            correlationData: found.correlationData,
            user: found.userProperties.map { (Bytes($0.name), Bytes($0.value)) })
    }
}
