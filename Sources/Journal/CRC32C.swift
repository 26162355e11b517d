/// CRC-32C (Castagnoli), reflected, as in iSCSI (RFC 3720, B.4). Eight bytes at a time by tables.
package struct CRC32C: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    package init() {}

    package var value: UInt32 { ~state }

    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var sum = CRC32C()
        sum.add(bytes)
        return sum.value
    }

    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        let table = Self.tables
        var crc = state
        var offset = 0
        while offset + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ UInt64(crc)
            crc =
                table[Int(7 * 256 + (word & 0xFF))] ^ table[Int(6 * 256 + (word >> 8 & 0xFF))]
                ^ table[Int(5 * 256 + (word >> 16 & 0xFF))] ^ table[Int(4 * 256 + (word >> 24 & 0xFF))]
                ^ table[Int(3 * 256 + (word >> 32 & 0xFF))] ^ table[Int(2 * 256 + (word >> 40 & 0xFF))]
                ^ table[Int(1 * 256 + (word >> 48 & 0xFF))] ^ table[Int(word >> 56)]
            offset += 8
        }
        while offset < bytes.count {
            crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[offset])) & 0xFF)]
            offset += 1
        }
        state = crc
    }

    /// The little-endian bytes of an integer.
    package mutating func add(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { add($0) }
    }

    // Written once, before anyone reads it.
    nonisolated(unsafe) private static let tables: UnsafePointer<UInt32> = {
        let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
        for index in 0..<256 {
            var crc = UInt32(index)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            table[index] = crc
        }
        for index in 256..<8 * 256 { table[index] = table[index - 256] >> 8 ^ table[Int(table[index - 256] & 0xFF)] }
        return UnsafePointer(table)
    }()
}
