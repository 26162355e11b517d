import Model
import Testing
import Wire

@Suite("Byte reader and writer")
struct ByteReaderTests {
    @Test("numbers of every width come back in both orders")
    func roundTrip() throws {
        for endianness in [Endianness.big, .little] {
            var writer = ByteWriter()
            writer.uint8(0xAB)
            writer.uint16(0x1234, endianness)
            writer.uint32(0x89AB_CDEF, endianness)
            writer.uint64(0x0123_4567_89AB_CDEF, endianness)
            writer.int64(-2, endianness)
            writer.float32(-1.5, endianness)
            writer.float64(.pi, endianness)
            writer.append("é")
            try writer.bytes.read { (reader: inout ByteReader) throws(any Error) -> Void in
                #expect(try reader.uint8() == 0xAB)
                #expect(try reader.uint16(endianness) == 0x1234)
                #expect(try reader.uint32(endianness) == 0x89AB_CDEF)
                #expect(try reader.uint64(endianness) == 0x0123_4567_89AB_CDEF)
                #expect(try reader.int64(endianness) == -2)
                #expect(try reader.float32(endianness) == -1.5)
                #expect(try reader.float64(endianness) == .pi)
                #expect(try reader.string(2) == "é")
                #expect(reader.isAtEnd)
                #expect(reader.peek() == nil)
            }
        }
    }

    @Test("big-endian bytes stand most significant first")
    func order() {
        var writer = ByteWriter()
        writer.uint32(0x0102_0304)
        writer.uint32(0x0102_0304, .little)
        #expect(writer.bytes == [1, 2, 3, 4, 4, 3, 2, 1])
        writer.patch(UInt16(0xFFFE), at: 1)
        #expect(writer.bytes == [1, 0xFF, 0xFE, 4, 4, 3, 2, 1])
    }

    @Test("a read past the end says how much was missing and leaves the position")
    func truncated() throws {
        try [UInt8]([1, 2, 3]).read { (reader: inout ByteReader) throws(any Error) -> Void in
            _ = try reader.uint8()
            #expect(throws: WireError.truncated(position: 1, needed: 4, available: 2)) { try reader.uint32() }
            #expect(throws: WireError.truncated(position: 1, needed: 3, available: 2)) { try reader.bytes(3) }
            #expect(throws: WireError.self) { try reader.skip(-1) }
            #expect(throws: WireError.self) { try reader.seek(to: 4) }
            #expect(try reader.uint16() == 0x0203)
            try reader.seek(to: 0)
            #expect(reader.rest().count == 3)
        }
        [UInt8]().read { reader in
            #expect(throws: WireError.self) { try reader.uint8() }
            #expect(reader.rest().isEmpty)
        }
    }

    @Test("every variable-length number survives, and every truncation of it is refused")
    func varint() throws {
        for value in [UInt64(0), 1, 127, 128, 300, 1 << 32, .max] {
            var writer = ByteWriter()
            writer.varint(value)
            try writer.bytes.read { (reader: inout ByteReader) throws(any Error) -> Void in
                #expect(try reader.varint() == value)
                #expect(reader.isAtEnd)
            }
            for length in 0..<writer.count {
                Array(writer.bytes.prefix(length)).read { reader in
                    #expect(throws: WireError.self) { _ = try reader.varint() }
                    #expect(reader.position == 0)
                }
            }
        }
        [UInt8](repeating: 0xFF, count: 11).read { (reader: inout ByteReader) -> Void in
            #expect(throws: WireError.invalid(position: 0, reason: "a variable-length number over 64 bits")) {
                _ = try reader.varint()
            }
        }
    }
}
