package import Bus
package import Model

/// PUBLISH as a value: for clients and tests. The broker reads it in place with `PublishFrame`. MQTT 5.0, 3.3
package struct PublishPacket: Sendable, Hashable {
    package var topic: String
    package var payload: Bytes
    package var qos: QoS
    package var retain: Bool
    package var isDuplicate: Bool
    /// Only with QoS 1 and 2.
    package var packetID: UInt16
    package var properties: Properties

    package init(
        topic: String, payload: Bytes, qos: QoS = .atMostOnce, retain: Bool = false, isDuplicate: Bool = false,
        packetID: UInt16 = 0, properties: Properties = Properties()
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.isDuplicate = isDuplicate
        self.packetID = packetID
        self.properties = properties
    }

    package init(_ body: UnsafeRawBufferPointer, flags: UInt8, version: ProtocolVersion) throws(CodecError) {
        let frame = try PublishFrame(body, flags: flags, version: version)
        var properties = Properties()
        if version == .v5 {
            var reader = FieldReader(UnsafeRawBufferPointer(rebasing: body[frame.propertiesStart..<frame.payloadStart]))
            properties = try Properties(&reader, in: .publish)
        }
        let topic = UnsafeRawBufferPointer(rebasing: body[frame.topic])
        guard PublishFrame.isTopicName(topic) else { throw .malformed("topic name") }
        self.init(
            topic: String(decoding: topic, as: UTF8.self),
            payload: Bytes(copying: UnsafeRawBufferPointer(rebasing: body[frame.payloadStart...])), qos: frame.qos,
            retain: frame.retain, isDuplicate: flags & 8 != 0, packetID: frame.packetID, properties: properties)
    }

    package func encoded(_ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.string(topic)
        if qos != .atMostOnce { writer.uint16(packetID) }
        if version == .v5 { properties.write(to: &writer) }
        writer.raw(payload)
        return writer.frame(.publish, flags: (isDuplicate ? 8 : 0) | qos.rawValue << 1 | (retain ? 1 : 0))
    }
}

/// Where the parts of a PUBLISH lie in its body (the bytes after the fixed header); nothing is copied, and neither the
/// topic's characters nor the properties are checked yet.
package struct PublishFrame {
    package var topic: Range<Int>
    package var packetID: UInt16
    package var qos: QoS
    package var retain: Bool
    /// Where the property length stands; equal to `payloadStart` in 3.1.1.
    package var propertiesStart: Int
    /// The properties without their length.
    package var properties: Range<Int>
    package var payloadStart: Int

    @inline(__always)
    package init(_ body: UnsafeRawBufferPointer, flags: UInt8, version: ProtocolVersion) throws(CodecError) {
        guard let qos = QoS(rawValue: flags >> 1 & 3) else { throw .malformed("QoS 3") }
        // [MQTT-3.3.1-2]
        if flags & 8 != 0, qos == .atMostOnce { throw .malformed("DUP with QoS 0") }
        self.qos = qos
        retain = flags & 1 != 0
        guard body.count >= 2 else { throw .malformed("packet ends in topic name") }
        let topicEnd = 2 + (Int(body[0]) << 8 | Int(body[1]))
        guard topicEnd <= body.count else { throw .malformed("packet ends in topic name") }
        topic = 2..<topicEnd
        var index = topicEnd
        packetID = 0
        if qos != .atMostOnce {
            guard index + 2 <= body.count else { throw .malformed("packet ends in packet identifier") }
            packetID = UInt16(body[index]) << 8 | UInt16(body[index + 1])
            if packetID == 0 { throw .protocolError("packet identifier 0") }
            index += 2
        }
        propertiesStart = index
        properties = index..<index
        if version == .v5 {
            guard index < body.count else { throw .malformed("packet ends in property length") }
            if body[index] == 0 {
                index += 1
                properties = index..<index
            } else {
                var reader = FieldReader(UnsafeRawBufferPointer(rebasing: body[index...]))
                let count = try reader.variable("property length")
                let range = try reader.range(count, "properties")
                properties = index + range.lowerBound..<index + range.upperBound
                index += range.upperBound
            }
        }
        payloadStart = index
    }

    /// Whether the bytes may name a topic: UTF-8, no wildcard. An empty one is allowed here, for topic aliases.
    /// [MQTT-3.3.2-1] [MQTT-3.3.2-2]
    package static func isTopicName(_ topic: UnsafeRawBufferPointer) -> Bool {
        UTF8Check.isValid(topic, allowsNull: false)
            && !topic.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
    }
}
