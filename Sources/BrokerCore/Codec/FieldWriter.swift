package import Model

/// Writes the data types of MQTT 5.0, 1.5. For control packets; published messages are written in place.
package struct FieldWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    package mutating func uint16(_ value: UInt16) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    package mutating func uint32(_ value: UInt32) {
        uint16(UInt16(value >> 16))
        uint16(UInt16(truncatingIfNeeded: value))
    }

    package mutating func variable(_ value: Int) {
        var rest = value
        repeat {
            let low = UInt8(rest & 0x7F)
            rest >>= 7
            bytes.append(rest > 0 ? low | 0x80 : low)
        } while rest > 0
    }

    /// At most 65,535 bytes; longer strings are cut off at that length by their owners' checks.
    package mutating func string(_ value: String) {
        let text = value.utf8.prefix(65_535)
        uint16(UInt16(text.count))
        bytes.append(contentsOf: text)
    }

    package mutating func binary(_ value: Bytes) {
        let part = value.count > 65_535 ? value.slice(0..<65_535) : value
        uint16(UInt16(part.count))
        raw(part)
    }

    package mutating func raw(_ value: Bytes) { value.withUnsafeBytes { bytes.append(contentsOf: $0) } }
    package mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    /// The finished packet: the fixed header before what was written.
    package consuming func frame(_ type: PacketType, flags: UInt8? = nil) -> [UInt8] {
        var head = FieldWriter()
        head.byte(type.rawValue << 4 | (flags ?? type.requiredFlags ?? 0))
        head.variable(bytes.count)
        head.raw(bytes)
        return head.bytes
    }
}
