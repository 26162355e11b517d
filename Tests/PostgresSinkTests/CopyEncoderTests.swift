import Model
import Testing

@testable import PostgresSink

@Suite("Binary COPY")
struct CopyEncoderTests {
    private func bytes(_ values: [Value?], _ types: [PostgresType]) -> [UInt8]? {
        var encoder = CopyEncoder()
        return encoder.row(values, types) == nil ? encoder.bytes : nil
    }

    private func refusal(_ value: Value, _ type: PostgresType) -> String? {
        var encoder = CopyEncoder()
        let found = encoder.row([value], [type])?.1
        if found != nil { #expect(encoder.bytes.isEmpty) }
        return found
    }

    @Test("a row is the count of its fields, then each with its length; NULL has the length -1")
    func row() {
        #expect(
            bytes([.int(7), nil, .string("é")], [.int4, .text, .text])
                == [0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 0xC3, 0xA9])
    }

    @Test("times count microseconds from 2000-01-01, from milliseconds and from text")
    func times() {
        #expect(bytes([.int(946_684_800_000)], [.timestamptz]) == [0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(
            bytes([.string("1999-12-31T23:59:59.999999Z")], [.timestamptz])
                == [0, 1, 0, 0, 0, 8] + [UInt8](repeating: 0xFF, count: 8))
        #expect(bytes([.string("1999-12-31T23:00:00Z")], [.date]) == [0, 1, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF])
    }

    @Test(
        "decimal numbers are groups of four digits around the point",
        arguments: [
            ("0", [], 0, 0), ("1", [1], 0, 0), ("-12345.678", [1, 2345, 6780], 1, 3), ("0.00012", [1, 2000], -1, 5),
            ("1e5", [10], 1, 0), ("12e-1", [1, 2000], 0, 1), ("100000000", [1], 2, 0),
        ] as [(String, [Int], Int, Int)])
    func numeric(_ text: String, _ digits: [Int], _ weight: Int, _ scale: Int) {
        let found = CopyEncoder.decimal(text)
        #expect(found?.digits == digits)
        #expect(found?.weight == weight)
        #expect(found?.scale == scale)
        #expect(found?.isNegative == text.hasPrefix("-"))
    }

    @Test("what is no decimal number is none", arguments: ["", "-", ".", "1.2.3", "0x1", "1e", "1e9999", "NaN"])
    func notNumeric(_ text: String) { #expect(CopyEncoder.decimal(text) == nil) }

    @Test("what does not fit is said, and nothing of the row remains")
    func refusals() {
        #expect(refusal(.string("abc"), .float8) == "\"abc\" is not a number")
        #expect(refusal(.int(40_000), .int2) == "40000 is out of range for smallint")
        #expect(refusal(.float64(1.5), .int4) == "1.5 is not a whole number")
        #expect(refusal(.uint(.max), .int8) == "18446744073709551615 is out of range for bigint")
        #expect(refusal(.string("yesterday"), .timestamptz) == "\"yesterday\" is not a time")
        #expect(refusal(.string("a\u{0}b"), .text) == "text with a zero byte cannot be stored")
        #expect(refusal(.int(3), .bool) == "3 is neither true nor false")
        #expect(refusal(.string("x"), .uuid) == "\"x\" is not a UUID")
    }

    @Test("lists are arrays of one dimension")
    func arrays() {
        #expect(
            bytes([.array([.int(1), .int(2)])], [.int2Array])
                == [0, 1, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 2, 0, 0, 0, 1]
                + [0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 0, 2])
        #expect(refusal(.array([.string("x")]), .float8Array) == "\"x\" is not a number")
    }

    @Test("what goes into json is JSON, lists of text as well")
    func json() {
        func text(_ value: Value) -> String? {
            bytes([value], [.json]).map { String(decoding: $0.dropFirst(6), as: UTF8.self) }
        }
        #expect(text(.array([.string("a\"b"), .int(1), .bool(true)])) == #"["a\"b",1,true]"#)
        #expect(text(.string("plain")) == "\"plain\"")
        #expect(text(.string(#"{"a":1}"#)) == #"{"a":1}"#)
        #expect(text(.float64(.infinity)) == "null")
        #expect(text(.float64(1.5)) == "1.5")
    }

    @Test("the row that an error names is found")
    func context() {
        #expect(PostgresSession.row("COPY readings, line 123, column ts") == 122)
        #expect(PostgresSession.row("SQL statement") == nil)
    }
}
