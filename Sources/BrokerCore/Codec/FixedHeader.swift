/// The packet types. MQTT 5.0, 2.1.2
package enum PacketType: UInt8, Sendable, CaseIterable {
    case connect = 1
    case connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback
    case pingreq, pingresp, disconnect, auth

    /// The flags that the standard fixes; nil for PUBLISH, whose flags carry information. [MQTT-2.1.3-1]
    package var requiredFlags: UInt8? {
        switch self {
        case .publish: nil
        case .pubrel, .subscribe, .unsubscribe: 0b0010
        default: 0
        }
    }
}

/// Which of the two versions a connection speaks.
package enum ProtocolVersion: UInt8, Sendable {
    /// MQTT 3.1, which differs from 3.1.1 only in its name and a shorter client id.
    case v31 = 3
    case v311 = 4
    case v5 = 5

    package var name: String {
        switch self {
        case .v31: "MQTT 3.1"
        case .v311: "MQTT 3.1.1"
        case .v5: "MQTT 5.0"
        }
    }
}

/// The first bytes of a packet: type, flags and how long the rest is. MQTT 5.0, 2.1
package struct FixedHeader: Sendable, Equatable {
    package var type: PacketType
    package var flags: UInt8
    /// Bytes of the fixed header itself, 2 to 5.
    package var headerCount: Int
    /// Bytes that follow it.
    package var remainingCount: Int

    package var frameCount: Int { headerCount + remainingCount }

    package static let remainingCountMax = 268_435_455

    /// Reads the header at the start of `bytes`; nil if more bytes are needed to tell. Throws malformed for a bad
    /// type, bad flags or a length of more than four bytes, and packet too large beyond `packetBytesMax`.
    @inlinable
    package static func parse(_ bytes: UnsafeRawBufferPointer, packetBytesMax: Int) throws(CodecError) -> FixedHeader? {
        guard bytes.count > 0 else { return nil }
        let first = bytes[0]
        guard let type = PacketType(rawValue: first >> 4) else { throw .malformed("packet type 0") }
        let flags = first & 0x0F
        if let required = type.requiredFlags {
            if flags != required { throw .malformed("flags \(flags) on packet type \(type.rawValue)") }
        } else if flags & 0b0110 == 0b0110 {
            throw .malformed("QoS 3")  // [MQTT-3.3.1-4]
        }
        var length = 0
        var shift = 0
        var index = 1
        while true {
            guard index < bytes.count else {
                return nil
            }
            let byte = bytes[index]
            length |= Int(byte & 0x7F) << shift
            index += 1
            if byte & 0x80 == 0 { break }
            shift += 7
            if shift > 21 { throw .malformed("remaining length of more than four bytes") }
        }
        if length + index > packetBytesMax { throw CodecError(.packetTooLarge, "packet of \(length + index) bytes") }
        return FixedHeader(type: type, flags: flags, headerCount: index, remainingCount: length)
    }

    @inlinable
    package init(type: PacketType, flags: UInt8, headerCount: Int, remainingCount: Int) {
        self.type = type
        self.flags = flags
        self.headerCount = headerCount
        self.remainingCount = remainingCount
    }

    /// Bytes that `length` takes as a Variable Byte Integer. 1.5.5
    @inlinable
    package static func lengthCount(_ length: Int) -> Int {
        length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4
    }
}
