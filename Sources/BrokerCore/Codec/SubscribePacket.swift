package import Bus

/// How a subscription wants its messages. MQTT 5.0, 3.8.3.1
package struct SubscriptionOptions: RawRepresentable, Sendable, Hashable {
    package var rawValue: UInt8

    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(
        qos: QoS, noLocal: Bool = false, retainAsPublished: Bool = false, retainHandling: UInt8 = 0
    ) {
        rawValue = qos.rawValue | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling & 3) << 4
    }

    @inlinable package var qosValue: UInt8 { rawValue & 3 }
    package var qos: QoS { QoS(rawValue: rawValue & 3) ?? .exactlyOnce }
    @inlinable package var noLocal: Bool { rawValue & 4 != 0 }
    @inlinable package var retainAsPublished: Bool { rawValue & 8 != 0 }
    /// 0: send retained messages; 1: only for a new subscription; 2: never.
    @inlinable package var retainHandling: UInt8 { rawValue >> 4 & 3 }
}

/// SUBSCRIBE. MQTT 5.0, 3.8
package struct SubscribePacket: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var filter: String
        package var options: SubscriptionOptions

        package init(_ filter: String, _ options: SubscriptionOptions) {
            self.filter = filter
            self.options = options
        }
    }

    package var packetID: UInt16
    package var entries: [Entry]
    package var properties: Properties

    package init(packetID: UInt16, entries: [Entry], properties: Properties = Properties()) {
        self.packetID = packetID
        self.entries = entries
        self.properties = properties
    }

    package init(_ reader: inout FieldReader, version: ProtocolVersion) throws(CodecError) {
        self.init(packetID: try reader.packetID(), entries: [])
        if version == .v5 { properties = try Properties(&reader, in: .subscribe) }
        while !reader.isAtEnd {
            let filter = try reader.string("topic filter")
            let byte = try reader.byte("subscription options")
            let options = SubscriptionOptions(rawValue: byte)
            // [MQTT-3.8.3-5], in 3.1.1 [MQTT-3-8.3-4]
            if byte & (version == .v5 ? 0xC0 : 0xFC) != 0 { throw .malformed("reserved subscription options") }
            if options.qosValue == 3 { throw .malformed("subscription QoS 3") }
            if options.retainHandling == 3 { throw .protocolError("retain handling 3") }
            entries.append(Entry(filter, options))
        }
        if entries.isEmpty { throw .protocolError("SUBSCRIBE without a filter") }  // [MQTT-3.8.3-2]
    }

    package func encoded(_ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.uint16(packetID)
        if version == .v5 { properties.write(to: &writer) }
        for entry in entries {
            writer.string(entry.filter)
            writer.byte(version == .v5 ? entry.options.rawValue : entry.options.qosValue)
        }
        return writer.frame(.subscribe)
    }
}

/// SUBACK and UNSUBACK. MQTT 5.0, 3.9 and 3.11. An UNSUBACK of 3.1.1 carries no codes.
package struct SubscribeAcknowledgePacket: Sendable, Hashable {
    package var packetID: UInt16
    package var reasons: [ReasonCode]
    package var properties: Properties

    package init(packetID: UInt16, reasons: [ReasonCode], properties: Properties = Properties()) {
        self.packetID = packetID
        self.reasons = reasons
        self.properties = properties
    }

    package init(_ reader: inout FieldReader, version: ProtocolVersion, type: PacketType) throws(CodecError) {
        self.init(packetID: try reader.packetID(), reasons: [])
        if version == .v5 { properties = try Properties(&reader, in: type == .suback ? .suback : .unsuback) }
        if version != .v5, type == .unsuback {
            try reader.expectEnd()
            return
        }
        for byte in reader.rest() {
            // [MQTT-3.9.3-2] of 3.1.1
            if version != .v5, byte > 2, byte != 0x80 { throw .malformed("return code \(byte)") }
            reasons.append(ReasonCode(rawValue: byte))
        }
        if reasons.isEmpty { throw .malformed("an acknowledgement without reason codes") }
    }

    package func encoded(_ type: PacketType, _ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.uint16(packetID)
        if version == .v5 { properties.write(to: &writer) }
        if version == .v5 || type == .suback {
            // 3.1.1 knows one failure. MQTT 3.1.1, 3.9.3
            for reason in reasons { writer.byte(version != .v5 && reason.isError ? 0x80 : reason.rawValue) }
        }
        return writer.frame(type)
    }
}

/// UNSUBSCRIBE. MQTT 5.0, 3.10
package struct UnsubscribePacket: Sendable, Hashable {
    package var packetID: UInt16
    package var filters: [String]
    package var properties: Properties

    package init(packetID: UInt16, filters: [String], properties: Properties = Properties()) {
        self.packetID = packetID
        self.filters = filters
        self.properties = properties
    }

    package init(_ reader: inout FieldReader, version: ProtocolVersion) throws(CodecError) {
        self.init(packetID: try reader.packetID(), filters: [])
        if version == .v5 { properties = try Properties(&reader, in: .unsubscribe) }
        while !reader.isAtEnd { filters.append(try reader.string("topic filter")) }
        if filters.isEmpty { throw .protocolError("UNSUBSCRIBE without a filter") }  // [MQTT-3.10.3-2]
    }

    package func encoded(_ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.uint16(packetID)
        if version == .v5 { properties.write(to: &writer) }
        for filter in filters { writer.string(filter) }
        return writer.frame(.unsubscribe)
    }
}
