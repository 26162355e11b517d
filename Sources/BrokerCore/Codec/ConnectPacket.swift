package import Bus
package import Model

/// What the server publishes when the client is lost. MQTT 5.0, 3.1.2.5
package struct WillPacket: Sendable, Hashable {
    package var topic: String
    package var payload: Bytes
    package var qos: QoS
    package var retain: Bool
    package var properties: Properties

    package init(
        topic: String, payload: Bytes, qos: QoS = .atMostOnce, retain: Bool = false,
        properties: Properties = Properties()
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
    }
}

/// CONNECT. MQTT 5.0, 3.1
package struct ConnectPacket: Sendable, Hashable {
    package var version: ProtocolVersion = .v5
    /// The highest bit of the level, by which Mosquitto's bridges of MQTT 3.1 and 3.1.1 show themselves.
    package var isBridge = false
    package var cleanStart = true
    package var keepAliveSeconds: UInt16 = 0
    package var clientID = ""
    package var will: WillPacket?
    package var username: String?
    package var password: Bytes?
    package var properties = Properties()

    package init() {}
}

extension ConnectPacket {
    package init(_ reader: inout FieldReader) throws(CodecError) {
        let name = try reader.string("protocol name")
        let level = try reader.byte("protocol version")
        isBridge = level & 0x80 != 0
        switch (name, level & 0x7F) {
        case ("MQTT", 4): version = .v311
        case ("MQTT", 5) where !isBridge: version = .v5
        case ("MQIsdp", 3): version = .v31
        case ("MQTT", _), ("MQIsdp", _):
            throw CodecError(.unsupportedProtocolVersion, "protocol version \(level)")  // [MQTT-3.1.2-2]
        default: throw .protocolError("protocol name \"\(name)\"")  // [MQTT-3.1.2-1]
        }
        let flags = try reader.byte("connect flags")
        if flags & 1 != 0 { throw .malformed("reserved connect flag") }  // [MQTT-3.1.2-3]
        cleanStart = flags & 2 != 0
        let hasWill = flags & 4 != 0
        guard let willQoS = QoS(rawValue: flags >> 3 & 3) else { throw .malformed("will QoS 3") }  // [MQTT-3.1.2-12]
        let willRetain = flags & 0x20 != 0
        if !hasWill, willQoS != .atMostOnce || willRetain { throw .malformed("will flags without a will") }
        let hasPassword = flags & 0x40 != 0
        let hasUsername = flags & 0x80 != 0
        if version != .v5, hasPassword, !hasUsername { throw .malformed("password without user name") }
        keepAliveSeconds = try reader.uint16("keep alive")
        if version == .v5 { properties = try Properties(&reader, in: .connect) }
        clientID = try reader.string("client identifier")
        if hasWill {
            var willProperties = Properties()
            if version == .v5 { willProperties = try Properties(&reader, in: .will) }
            let topic = try reader.string("will topic")
            if topic.isEmpty || topic.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
                throw CodecError(.topicNameInvalid, "will topic \"\(topic)\"")
            }
            will = WillPacket(
                topic: topic, payload: try reader.binary("will payload"), qos: willQoS, retain: willRetain,
                properties: willProperties)
        }
        if hasUsername { username = try reader.string("user name") }
        if hasPassword { password = try reader.binary("password") }
        try reader.expectEnd()
    }

    package func encoded() -> [UInt8] {
        var writer = FieldWriter()
        writer.string(version == .v31 ? "MQIsdp" : "MQTT")
        writer.byte(version.rawValue | (isBridge ? 0x80 : 0))
        var flags: UInt8 = cleanStart ? 2 : 0
        if let will {
            flags |= 4 | will.qos.rawValue << 3
            if will.retain { flags |= 0x20 }
        }
        if password != nil { flags |= 0x40 }
        if username != nil { flags |= 0x80 }
        writer.byte(flags)
        writer.uint16(keepAliveSeconds)
        if version == .v5 { properties.write(to: &writer) }
        writer.string(clientID)
        if let will {
            if version == .v5 { will.properties.write(to: &writer) }
            writer.string(will.topic)
            writer.binary(will.payload)
        }
        if let username { writer.string(username) }
        if let password { writer.binary(password) }
        return writer.frame(.connect)
    }
}

/// CONNACK. MQTT 5.0, 3.2
package struct ConnackPacket: Sendable, Hashable {
    package var sessionPresent: Bool
    package var reason: ReasonCode
    package var properties: Properties

    package init(sessionPresent: Bool = false, reason: ReasonCode = .success, properties: Properties = Properties()) {
        self.sessionPresent = sessionPresent
        self.reason = reason
        self.properties = properties
    }

    package init(_ reader: inout FieldReader, version: ProtocolVersion) throws(CodecError) {
        let flags = try reader.byte("acknowledge flags")
        if flags & 0xFE != 0 { throw .malformed("reserved acknowledge flags") }  // [MQTT-3.2.2-1]
        let code = try reader.byte("reason code")
        // The other codes are reserved. MQTT 3.1.1, 3.2.2.3
        if version != .v5, code > 5 { throw .malformed("return code \(code)") }
        self.init(
            sessionPresent: flags & 1 != 0,
            reason: version == .v5 ? ReasonCode(rawValue: code) : ReasonCode(connectReturnCode: code))
        if version == .v5, !reader.isAtEnd { properties = try Properties(&reader, in: .connack) }
        try reader.expectEnd()
    }

    package func encoded(_ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.byte(sessionPresent ? 1 : 0)
        writer.byte(version == .v5 ? reason.rawValue : reason.connectReturnCode)
        if version == .v5 { properties.write(to: &writer) }
        return writer.frame(.connack)
    }
}
