/// A cursor over bytes that somebody else keeps alive.
///
/// Every read is checked against the end, so that a decoder built on it can be fed anything; a read that fails
/// leaves the position where it was. The reader must not outlive the buffer it was made from: make it inside the
/// `withUnsafeBytes` that lends the buffer. This file, `RawNumbers.swift` and `ByteWriter.swift` are all of Wire that
/// touches memory without a further check.
@frozen
package struct ByteReader {
    @usableFromInline let base: UnsafeRawPointer
    /// Bytes in all.
    package let count: Int
    /// Of the next byte.
    @usableFromInline var cursor: Int

    @inlinable
    package init(_ buffer: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; nothing is ever read through this stand-in.
        base = buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = buffer.count
        cursor = 0
    }

    @inlinable package var position: Int { cursor }
    @inlinable package var remaining: Int { count &- cursor }
    @inlinable package var isAtEnd: Bool { cursor == count }

    @inlinable
    package func require(_ needed: Int) throws(WireError) {
        guard needed >= 0, needed <= remaining else {
            throw .truncated(position: cursor, needed: needed, available: remaining)
        }
    }

    /// Goes to a position in 0...count.
    @inlinable
    package mutating func seek(to position: Int) throws(WireError) {
        guard position >= 0, position <= count else {
            throw .truncated(position: cursor, needed: position - cursor, available: remaining)
        }
        cursor = position
    }

    @inlinable
    package mutating func skip(_ length: Int) throws(WireError) {
        try require(length)
        cursor &+= length
    }

    /// The next byte, without going past it; nil at the end.
    @inlinable
    package func peek() -> UInt8? {
        isAtEnd ? nil : base.load(fromByteOffset: cursor, as: UInt8.self)
    }

    @inlinable
    package mutating func uint8() throws(WireError) -> UInt8 {
        try require(1)
        defer { cursor &+= 1 }
        return base.load(fromByteOffset: cursor, as: UInt8.self)
    }

    /// A number of any width.
    @inlinable
    package mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self, _ endianness: Endianness = .big
    ) throws(WireError) -> T {
        let width = MemoryLayout<T>.size
        try require(width)
        defer { cursor &+= width }
        let raw = base.loadUnaligned(fromByteOffset: cursor, as: T.self)
        return endianness == .big ? T(bigEndian: raw) : T(littleEndian: raw)
    }

    @inlinable
    package mutating func uint16(_ endianness: Endianness = .big) throws(WireError) -> UInt16 {
        try integer(UInt16.self, endianness)
    }

    @inlinable
    package mutating func uint32(_ endianness: Endianness = .big) throws(WireError) -> UInt32 {
        try integer(UInt32.self, endianness)
    }

    @inlinable
    package mutating func uint64(_ endianness: Endianness = .big) throws(WireError) -> UInt64 {
        try integer(UInt64.self, endianness)
    }

    @inlinable
    package mutating func int64(_ endianness: Endianness = .big) throws(WireError) -> Int64 {
        try integer(Int64.self, endianness)
    }

    @inlinable
    package mutating func float32(_ endianness: Endianness = .big) throws(WireError) -> Float {
        Float(bitPattern: try integer(UInt32.self, endianness))
    }

    @inlinable
    package mutating func float64(_ endianness: Endianness = .big) throws(WireError) -> Double {
        Double(bitPattern: try integer(UInt64.self, endianness))
    }

    /// The next `length` bytes in place; valid as long as the buffer is.
    @inlinable
    package mutating func bytes(_ length: Int) throws(WireError) -> UnsafeRawBufferPointer {
        try require(length)
        defer { cursor &+= length }
        return UnsafeRawBufferPointer(start: base + cursor, count: length)
    }

    /// All that is left, in place.
    @inlinable
    package mutating func rest() -> UnsafeRawBufferPointer {
        defer { cursor = count }
        return UnsafeRawBufferPointer(start: base + cursor, count: remaining)
    }

    /// A reader over the next `length` bytes, which this one goes past.
    @inlinable
    package mutating func reader(_ length: Int) throws(WireError) -> ByteReader {
        ByteReader(try bytes(length))
    }

    /// A copy of the next `length` bytes.
    @inlinable
    package mutating func array(_ length: Int) throws(WireError) -> [UInt8] { Array(try bytes(length)) }

    /// The next `length` bytes as UTF-8, with U+FFFD for what is not.
    package mutating func string(_ length: Int) throws(WireError) -> String {
        String(decoding: try bytes(length), as: UTF8.self)
    }

    /// An unsigned LEB128 number (seven bits to a byte, least significant first) of at most ten bytes.
    @inlinable
    package mutating func varint() throws(WireError) -> UInt64 {
        let start = cursor
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard !isAtEnd else {
                defer { cursor = start }
                throw .truncated(position: cursor, needed: 1, available: 0)
            }
            let byte = base.load(fromByteOffset: cursor, as: UInt8.self)
            cursor &+= 1
            if shift == 63, byte > 1 {
                cursor = start
                throw .invalid(position: start, reason: "a variable-length number over 64 bits")
            }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
            shift &+= 7
        }
    }
}

extension Array where Element == UInt8 {
    /// Reads the array from its start.
    package func read<R, E: Error>(_ body: (inout ByteReader) throws(E) -> R) throws(E) -> R {
        // `withUnsafeBytes` rethrows untyped; this one keeps the error's type.
        try withUnsafeBufferPointer { (buffer) throws(E) -> R in
            var reader = ByteReader(UnsafeRawBufferPointer(buffer))
            return try body(&reader)
        }
    }
}
