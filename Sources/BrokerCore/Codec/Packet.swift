/// Any packet as a value. MQTT 5.0, 3
package enum Packet: Sendable, Hashable {
    case connect(ConnectPacket)
    case connack(ConnackPacket)
    case publish(PublishPacket)
    case puback(AcknowledgePacket)
    case pubrec(AcknowledgePacket)
    case pubrel(AcknowledgePacket)
    case pubcomp(AcknowledgePacket)
    case subscribe(SubscribePacket)
    case suback(SubscribeAcknowledgePacket)
    case unsubscribe(UnsubscribePacket)
    case unsuback(SubscribeAcknowledgePacket)
    case pingreq
    case pingresp
    case disconnect(ReasonPacket)
    case auth(ReasonPacket)
}

extension Packet {
    /// Reads the body of one packet. `version` is the connection's; a CONNECT brings its own.
    package init(_ header: FixedHeader, body: UnsafeRawBufferPointer, version: ProtocolVersion) throws(CodecError) {
        var reader = FieldReader(body)
        switch header.type {
        case .connect: self = .connect(try ConnectPacket(&reader))
        case .connack: self = .connack(try ConnackPacket(&reader, version: version))
        case .publish: self = .publish(try PublishPacket(body, flags: header.flags, version: version))
        case .puback: self = .puback(try AcknowledgePacket(&reader, version: version, context: .puback))
        case .pubrec: self = .pubrec(try AcknowledgePacket(&reader, version: version, context: .pubrec))
        case .pubrel: self = .pubrel(try AcknowledgePacket(&reader, version: version, context: .pubrel))
        case .pubcomp: self = .pubcomp(try AcknowledgePacket(&reader, version: version, context: .pubcomp))
        case .subscribe: self = .subscribe(try SubscribePacket(&reader, version: version))
        case .suback: self = .suback(try SubscribeAcknowledgePacket(&reader, version: version, type: .suback))
        case .unsubscribe: self = .unsubscribe(try UnsubscribePacket(&reader, version: version))
        case .unsuback: self = .unsuback(try SubscribeAcknowledgePacket(&reader, version: version, type: .unsuback))
        case .pingreq:
            try reader.expectEnd()
            self = .pingreq
        case .pingresp:
            try reader.expectEnd()
            self = .pingresp
        case .disconnect: self = .disconnect(try ReasonPacket(&reader, version: version, type: .disconnect))
        case .auth: self = .auth(try ReasonPacket(&reader, version: version, type: .auth))
        }
    }

    /// Reads the first packet of `bytes` and says how many bytes it took; nil if it is not complete yet.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, version: ProtocolVersion, packetBytesMax: Int = FixedHeader.remainingCountMax
    ) throws(CodecError) -> (packet: Packet, count: Int)? {
        guard let header = try FixedHeader.parse(bytes, packetBytesMax: packetBytesMax),
            bytes.count >= header.frameCount
        else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: bytes[header.headerCount..<header.frameCount])
        return (try Packet(header, body: body, version: version), header.frameCount)
    }

    package func encoded(_ version: ProtocolVersion) -> [UInt8] {
        switch self {
        case .connect(let packet): packet.encoded()
        case .connack(let packet): packet.encoded(version)
        case .publish(let packet): packet.encoded(version)
        case .puback(let packet): packet.encoded(.puback, version)
        case .pubrec(let packet): packet.encoded(.pubrec, version)
        case .pubrel(let packet): packet.encoded(.pubrel, version)
        case .pubcomp(let packet): packet.encoded(.pubcomp, version)
        case .subscribe(let packet): packet.encoded(version)
        case .suback(let packet): packet.encoded(.suback, version)
        case .unsubscribe(let packet): packet.encoded(version)
        case .unsuback(let packet): packet.encoded(.unsuback, version)
        case .pingreq: FieldWriter().frame(.pingreq)
        case .pingresp: FieldWriter().frame(.pingresp)
        case .disconnect(let packet): packet.encoded(.disconnect, version)
        case .auth(let packet): packet.encoded(.auth, version)
        }
    }
}
