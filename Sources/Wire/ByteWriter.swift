/// Gathers bytes. Reuse one (`removeAll`) where many frames are made: its memory stays.
@frozen
package struct ByteWriter: Sendable {
    package var bytes: [UInt8]

    @inlinable
    package init(capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    @inlinable package var count: Int { bytes.count }

    /// Empties the writer and keeps its memory.
    @inlinable package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    @inlinable package mutating func uint8(_ value: UInt8) { bytes.append(value) }

    /// A number of any width.
    @inlinable
    package mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ endianness: Endianness = .big) {
        var raw = endianness == .big ? value.bigEndian : value.littleEndian
        Swift.withUnsafeBytes(of: &raw) { bytes.append(contentsOf: $0) }
    }

    @inlinable
    package mutating func uint16(_ value: UInt16, _ endianness: Endianness = .big) { integer(value, endianness) }

    @inlinable
    package mutating func uint32(_ value: UInt32, _ endianness: Endianness = .big) { integer(value, endianness) }

    @inlinable
    package mutating func uint64(_ value: UInt64, _ endianness: Endianness = .big) { integer(value, endianness) }

    @inlinable
    package mutating func int64(_ value: Int64, _ endianness: Endianness = .big) { integer(value, endianness) }

    @inlinable
    package mutating func float32(_ value: Float, _ endianness: Endianness = .big) {
        integer(value.bitPattern, endianness)
    }

    @inlinable
    package mutating func float64(_ value: Double, _ endianness: Endianness = .big) {
        integer(value.bitPattern, endianness)
    }

    @inlinable package mutating func append(_ buffer: UnsafeRawBufferPointer) { bytes.append(contentsOf: buffer) }
    @inlinable package mutating func append(_ source: some Collection<UInt8>) { bytes.append(contentsOf: source) }
    @inlinable package mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    @inlinable
    package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// An unsigned LEB128 number: seven bits to a byte, least significant first.
    @inlinable
    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Overwrites a number written earlier, such as a length known only now; it must lie in what is written.
    @inlinable
    package mutating func patch<T: FixedWidthInteger & BitwiseCopyable>(
        _ value: T, at position: Int, _ endianness: Endianness = .big
    ) {
        precondition(position >= 0 && position + MemoryLayout<T>.size <= bytes.count)
        let raw = endianness == .big ? value.bigEndian : value.littleEndian
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: raw, toByteOffset: position, as: T.self) }
    }

    @inlinable
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try bytes.withUnsafeBufferPointer { (buffer) throws(E) -> R in try body(UnsafeRawBufferPointer(buffer)) }
    }
}
