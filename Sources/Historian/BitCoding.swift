/// Bytes under construction: grows, is reused for block after block. Confined to its owner's thread.
final class ByteSink {
    private(set) var base: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    var count = 0
    private var bitBuffer: UInt64 = 0
    private var bitCount = 0

    init(capacity: Int = 4096) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    func reserve(_ more: Int) {
        if count + more > capacity { grow(more) }
    }

    @inline(never)
    private func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        memory.update(from: base, count: count)
        base.deallocate()
        base = memory
        capacity = larger
    }

    @inline(__always)
    func put(_ byte: UInt8) {
        reserve(1)
        base[count] = byte
        count += 1
    }

    @inline(__always)
    func put(_ value: UInt64, bytes: Int) {
        reserve(8)
        UnsafeMutableRawPointer(base + count).storeBytes(of: value.littleEndian, as: UInt64.self)
        count += bytes
    }

    func put(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        reserve(source.count)
        UnsafeMutableRawPointer(base + count).copyMemory(from: start, byteCount: source.count)
        count += source.count
    }

    /// Seven bits a byte, least first.
    @inline(__always)
    func putVarint(_ value: UInt64) {
        reserve(10)
        var value = value
        while value >= 0x80 {
            base[count] = UInt8(truncatingIfNeeded: value) | 0x80
            count += 1
            value >>= 7
        }
        base[count] = UInt8(truncatingIfNeeded: value)
        count += 1
    }

    @inline(__always)
    func putSigned(_ value: Int64) { putVarint(zigzag(value)) }

    /// Least significant bit first. `flushBits` ends a run of bits.
    @inline(__always)
    func putBits(_ value: UInt64, _ width: Int) {
        if width == 0 { return }
        bitBuffer |= value << UInt64(bitCount)
        let used = 64 - bitCount
        if width < used {
            bitCount += width
            return
        }
        reserve(8)
        UnsafeMutableRawPointer(base + count).storeBytes(of: bitBuffer.littleEndian, as: UInt64.self)
        count += 8
        bitCount = width - used
        bitBuffer = used == 64 ? 0 : value >> UInt64(used)
    }

    func flushBits() {
        let bytes = (bitCount + 7) / 8
        put(bitBuffer, bytes: bytes)
        bitBuffer = 0
        bitCount = 0
    }
}

@inline(__always)
func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
@inline(__always)
func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
@inline(__always)
func bitWidth(_ value: UInt64) -> Int { 64 - value.leadingZeroBitCount }
func varintBytes(_ value: UInt64) -> Int { max(1, (bitWidth(value) + 6) / 7) }

/// A chunk's bytes that are not what a chunk is.
struct ChunkDamage: Error {}

/// Reads what `ByteSink` wrote; checks every length, so that damaged bytes end in an error and nothing else.
struct ByteSource {
    let bytes: UnsafeRawBufferPointer
    var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset >= bytes.count }

    @inline(__always)
    mutating func byte() throws(ChunkDamage) -> UInt8 {
        guard offset < bytes.count else { throw ChunkDamage() }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func fixed(_ count: Int) throws(ChunkDamage) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(try byte()) << UInt64(8 * index) }
        return value
    }

    @inline(__always)
    mutating func varint() throws(ChunkDamage) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
        throw ChunkDamage()
    }

    mutating func signed() throws(ChunkDamage) -> Int64 { unzigzag(try varint()) }

    mutating func take(_ count: Int) throws(ChunkDamage) -> UnsafeRawBufferPointer {
        guard count >= 0, bytes.count - offset >= count else { throw ChunkDamage() }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// Bits of a run that is known to be `count * width` bits long.
    mutating func packed(_ count: Int, width: Int) throws(ChunkDamage) -> BitSource {
        BitSource(try take((count * width + 7) / 8))
    }
}

/// Reads bits, least significant first.
struct BitSource {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Zero bits follow the end: whoever reads a run of unknown length checks `bytesUsed` afterwards.
    @inline(__always)
    mutating func next(_ width: Int) -> UInt64 {
        if width == 0 { return 0 }
        let byte = position >> 3
        let shift = UInt64(position & 7)
        position += width
        var value: UInt64
        if byte + 9 <= bytes.count {
            value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: byte, as: UInt64.self)) >> shift
            if shift != 0, width > 64 - Int(shift) { value |= UInt64(bytes[byte + 8]) << (64 - shift) }
        } else {
            value = 0
            var index = 0
            while index < 9, byte + index < bytes.count {
                let part = UInt64(bytes[byte + index])
                let at = 8 * index - Int(shift)
                value |= at >= 0 ? (at < 64 ? part << UInt64(at) : 0) : part >> UInt64(-at)
                index += 1
            }
        }
        return width == 64 ? value : value & (1 << UInt64(width) - 1)
    }

    var bytesUsed: Int { (position + 7) / 8 }
    var isBeyondEnd: Bool { position > bytes.count * 8 }
}
