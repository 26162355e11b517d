/// A constant table that is read without a bounds check; it lives as long as the process.
@usableFromInline
struct ConstantTable<Element: BitwiseCopyable>: @unchecked Sendable {
    // Written once in `init`, only read afterwards.
    @usableFromInline let base: UnsafePointer<Element>

    init(count: Int, _ element: (_ index: Int, _ earlier: UnsafeMutablePointer<Element>) -> Element) {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: count)
        for index in 0..<count { (memory + index).initialize(to: element(index, memory)) }
        base = UnsafePointer(memory)
    }
}

/// CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF. Modbus over Serial Line V1.02, 6.2.2.
/// It travels low byte first.
package enum CRC16 {
    private static let table = ConstantTable<UInt16>(count: 256) { index, _ in
        (0..<8).reduce(UInt16(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
    }

    package static func modbus(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        let table = table.base
        var crc: UInt16 = 0xFFFF
        for byte in bytes { crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
        return crc
    }

    package static func modbus(_ bytes: [UInt8]) -> UInt16 { bytes.withUnsafeBytes { modbus($0) } }
}

/// CRC-32C (Castagnoli), polynomial 0x1EDC6F41 reflected, eight bytes a step. RFC 3720, B.4.
package enum CRC32C {
    /// Eight tables of 256: table k is the effect of a byte k places before the end of a step.
    private static let tables = ConstantTable<UInt32>(count: 8 * 256) { index, earlier in
        if index < 256 {
            return (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        let previous = earlier[index - 256]
        return previous >> 8 ^ earlier[Int(previous & 0xFF)]
    }

    /// The checksum of `bytes`; with `crc`, of what that was the checksum of and `bytes` after it.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress else { return crc }
        let tables = tables.base
        var crc = ~crc
        var offset = 0
        while offset &+ 8 <= bytes.count {
            let chunk = base.little(offset, UInt64.self) ^ UInt64(crc)
            crc = tables[7 &* 256 &+ Int(chunk & 0xFF)]
            crc ^= tables[6 &* 256 &+ Int(chunk >> 8 & 0xFF)]
            crc ^= tables[5 &* 256 &+ Int(chunk >> 16 & 0xFF)]
            crc ^= tables[4 &* 256 &+ Int(chunk >> 24 & 0xFF)]
            crc ^= tables[3 &* 256 &+ Int(chunk >> 32 & 0xFF)]
            crc ^= tables[2 &* 256 &+ Int(chunk >> 40 & 0xFF)]
            crc ^= tables[1 &* 256 &+ Int(chunk >> 48 & 0xFF)]
            crc ^= tables[Int(chunk >> 56)]
            offset &+= 8
        }
        while offset < bytes.count {
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            crc = crc >> 8 ^ tables[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
            offset &+= 1
        }
        return ~crc
    }

    package static func checksum(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, continuing: crc) }
    }
}
