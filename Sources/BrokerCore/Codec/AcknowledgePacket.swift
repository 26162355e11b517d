/// PUBACK, PUBREC, PUBREL, PUBCOMP. MQTT 5.0, 3.4 to 3.7
package struct AcknowledgePacket: Sendable, Hashable {
    package var packetID: UInt16
    package var reason: ReasonCode
    package var properties: Properties

    package init(packetID: UInt16, reason: ReasonCode = .success, properties: Properties = Properties()) {
        self.packetID = packetID
        self.reason = reason
        self.properties = properties
    }

    package init(
        _ reader: inout FieldReader, version: ProtocolVersion, context: PropertyContext
    ) throws(CodecError) {
        self.init(packetID: try reader.packetID())
        // A reason code of success without properties may be left out. 3.4.2.1
        if version == .v5, !reader.isAtEnd {
            reason = ReasonCode(rawValue: try reader.byte("reason code"))
            if !Self.isAllowed(reason, context) { throw .protocolError("reason code \(reason.rawValue)") }
            if !reader.isAtEnd { properties = try Properties(&reader, in: context) }
        }
        try reader.expectEnd()
    }

    private static func isAllowed(_ reason: ReasonCode, _ context: PropertyContext) -> Bool {
        if context == .pubrel || context == .pubcomp {
            return reason == .success || reason == .packetIdentifierNotFound
        }
        switch reason {
        case .success, .noMatchingSubscribers, .unspecifiedError, .implementationSpecific, .notAuthorized,
            .topicNameInvalid, .packetIdentifierInUse, .quotaExceeded, .payloadFormatInvalid:
            return true
        default: return false
        }
    }

    package func encoded(_ type: PacketType, _ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        writer.uint16(packetID)
        if version == .v5, reason != .success || properties != Properties() {
            writer.byte(reason.rawValue)
            if properties != Properties() { properties.write(to: &writer) }
        }
        return writer.frame(type)
    }
}
