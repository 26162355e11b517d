package import Model

/// Reads the data types of MQTT 5.0, 1.5 from one packet; every read is checked against its end.
package struct FieldReader {
    package let bytes: UnsafeRawBufferPointer
    package private(set) var index: Int
    package let end: Int

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        index = 0
        end = bytes.count
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        self.bytes = bytes
        index = range.lowerBound
        end = range.upperBound
    }

    package var left: Int { end - index }
    package var isAtEnd: Bool { index == end }

    package mutating func byte(_ what: StaticString) throws(CodecError) -> UInt8 {
        guard left >= 1 else { throw .malformed("packet ends in \(what)") }
        defer { index += 1 }
        return bytes[index]
    }

    package mutating func uint16(_ what: StaticString) throws(CodecError) -> UInt16 {
        guard left >= 2 else { throw .malformed("packet ends in \(what)") }
        defer { index += 2 }
        return UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])
    }

    package mutating func uint32(_ what: StaticString) throws(CodecError) -> UInt32 {
        let high = try uint16(what)
        return UInt32(high) << 16 | UInt32(try uint16(what))
    }

    /// A Variable Byte Integer; the encoding must be the shortest. [MQTT-1.5.5-1]
    package mutating func variable(_ what: StaticString) throws(CodecError) -> Int {
        var value = 0
        var shift = 0
        while true {
            let next = try byte(what)
            value |= Int(next & 0x7F) << shift
            if next & 0x80 == 0 {
                if next == 0, shift > 0 { throw .malformed("\(what) is not in its shortest form") }
                return value
            }
            shift += 7
            if shift > 21 { throw .malformed("\(what) is longer than four bytes") }
        }
    }

    package mutating func range(_ count: Int, _ what: StaticString) throws(CodecError) -> Range<Int> {
        guard count <= left else { throw .malformed("packet ends in \(what)") }
        defer { index += count }
        return index..<index + count
    }

    /// The bytes of a string or of binary data, not copied.
    package mutating func slice(_ what: StaticString) throws(CodecError) -> UnsafeRawBufferPointer {
        let count = try uint16(what)
        return UnsafeRawBufferPointer(rebasing: bytes[try range(Int(count), what)])
    }

    package mutating func utf8(_ what: StaticString) throws(CodecError) -> UnsafeRawBufferPointer {
        let text = try slice(what)
        guard UTF8Check.isValid(text, allowsNull: false) else {
            throw .malformed("\(what) is not UTF-8 without U+0000")
        }
        return text
    }

    package mutating func string(_ what: StaticString) throws(CodecError) -> String {
        String(decoding: try utf8(what), as: UTF8.self)
    }

    package mutating func binary(_ what: StaticString) throws(CodecError) -> Bytes {
        Bytes(copying: try slice(what))
    }

    package mutating func text(_ what: StaticString) throws(CodecError) -> Bytes {
        Bytes(copying: try utf8(what))
    }

    /// A reader of the next `count` bytes alone.
    package mutating func part(_ count: Int, _ what: StaticString) throws(CodecError) -> FieldReader {
        FieldReader(bytes, try range(count, what))
    }

    package mutating func rest() -> UnsafeRawBufferPointer {
        defer { index = end }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<end])
    }

    package mutating func packetID() throws(CodecError) -> UInt16 {
        let id = try uint16("packet identifier")
        if id == 0 { throw .protocolError("packet identifier 0") }  // [MQTT-2.2.1-3]
        return id
    }

    package func expectEnd() throws(CodecError) {
        if left > 0 { throw .malformed("\(left) bytes too many") }
    }
}
