import Model

/// A chunk is a byte for the scalar type, for an array's element type with bit 7 set and the element count as a
/// varint behind it, and then blocks of up to 128 points. All integers are little-endian; varints carry seven bits a
/// byte; signed ones are zigzag-coded. A block:
///
/// - byte 0: number of points less one; bit 7: rows of bad quality have slot 0 (or empty), left out of the values;
/// - byte 1: bits 0-1 time mode, bits 2-3 time unit (ns, us, ms, s), bit 4 qualities follow, bits 5-7 value coding;
/// - times: see `TimeMode`; - qualities: runs of (status, length less one); - values: see `ValueCoding`.
///
/// What a block codes is relative to where the block before left off (`BlockState`), so that a steady signal at a
/// steady rate costs two bytes a block.
enum BlockFormat {
    static let pointsMax = 128
    static let units: (Int64, Int64, Int64, Int64) = (1, 1000, 1_000_000, 1_000_000_000)

    @inline(__always)
    static func unit(_ code: Int) -> Int64 {
        switch code {
        case 0: 1
        case 1: 1000
        case 2: 1_000_000
        default: 1_000_000_000
        }
    }

    static func putType(_ type: ValueType, into sink: ByteSink) {
        sink.put(type.scalar.rawValue | (type.isArray ? 0x80 : 0))
        if type.isArray { sink.putVarint(UInt64(type.arrayCount)) }
    }

    static func type(_ source: inout ByteSource) throws(ChunkDamage) -> ValueType {
        let first = try source.byte()
        guard let scalar = ScalarType(rawValue: first & 0x7F) else { throw ChunkDamage() }
        if first & 0x80 == 0 { return ValueType(scalar) }
        let count = try source.varint()
        guard count >= 1, count <= UInt64(ValueType.arrayCountMax) else { throw ChunkDamage() }
        return ValueType(scalar, arrayCount: Int(count))
    }
}

enum TimeMode {
    /// Every interval, also that to the block before, is the interval at the end of the block before.
    static let steady: UInt8 = 0
    /// Distance to the block before, then one interval for all.
    static let regular: UInt8 = 1
    /// Distance to the block before, least interval, width, then each interval less the least.
    static let packed: UInt8 = 2
    /// Distance to the block before, then runs of (interval, length less one).
    static let runs: UInt8 = 3
}

enum ValueCoding {
    /// Every value is the last one of the block before (0 in the first block).
    static let same: UInt8 = 0
    /// `IntegerCoding` of the slots.
    static let integers: UInt8 = 1
    /// Floats that are decimals: exponent e (bit 7: exceptions follow: count, then index and bits of each), then
    /// `IntegerCoding` of value * 10^e.
    static let decimals: UInt8 = 2
    /// Floats, each XORed with the one before. Bits: 0 equal; 10 in the window of the one before; 11 a new window of
    /// (leading zeros, length less one).
    static let xor: UInt8 = 3
    /// Floats as they are, 4 or 8 bytes.
    static let raw: UInt8 = 4
    /// Strings, bytes, arrays: number of new entries of the chunk's dictionary, these with their lengths, then
    /// `IntegerCoding` of the entry numbers.
    static let dictionary: UInt8 = 5
}

/// One byte says how a row of integers is coded: 0...64: differences less the least, of that many bits; 65...129:
/// values less the least, of (byte - 65) bits; 130: runs of (difference, length less one).
enum IntegerCoding {
    static let values: UInt8 = 65
    static let runs: UInt8 = 130
}

/// Where the block before left off: the same in writer and reader.
struct BlockState {
    var time: Int64 = 0
    var interval: Int64 = 0
    var slot: UInt64 = 0
    /// The last integer of a row of decimals, and their exponent.
    var decimal: Int64 = 0
    var exponent: Int8 = 0
    /// The writer's: the last block of floats were no decimals.
    var isNoisy = false
    /// Entries in the chunk's dictionary, and the last one used.
    var entries: Int32 = 0
    var entry: Int64 = 0
}

let powersOf10: [Double] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]
