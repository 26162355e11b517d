/// DISCONNECT and AUTH: a reason code and properties, both of which may be left out. MQTT 5.0, 3.14 and 3.15
package struct ReasonPacket: Sendable, Hashable {
    package var reason: ReasonCode
    package var properties: Properties

    package init(reason: ReasonCode = .success, properties: Properties = Properties()) {
        self.reason = reason
        self.properties = properties
    }

    package init(_ reader: inout FieldReader, version: ProtocolVersion, type: PacketType) throws(CodecError) {
        self.init()
        if version != .v5 {
            if type == .auth { throw .protocolError("AUTH in \(version.name)") }
            try reader.expectEnd()
            return
        }
        if reader.isAtEnd { return }
        reason = ReasonCode(rawValue: try reader.byte("reason code"))
        if type == .auth {
            guard reason == .success || reason == .continueAuthentication || reason == .reauthenticate else {
                throw .protocolError("AUTH with reason code \(reason.rawValue)")  // [MQTT-3.15.2-1]
            }
        } else if !reason.isError, reason != .success, reason != .disconnectWithWill {
            throw .protocolError("DISCONNECT with reason code \(reason.rawValue)")
        }
        if !reader.isAtEnd { properties = try Properties(&reader, in: type == .auth ? .auth : .disconnect) }
        try reader.expectEnd()
    }

    package func encoded(_ type: PacketType, _ version: ProtocolVersion) -> [UInt8] {
        var writer = FieldWriter()
        if version == .v5, reason != .success || properties != Properties() {
            writer.byte(reason.rawValue)
            if properties != Properties() { properties.write(to: &writer) }
        }
        return writer.frame(type)
    }
}
