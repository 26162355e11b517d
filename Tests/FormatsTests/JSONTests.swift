import Model
import Testing

@testable import Formats

@Suite("JSON")
struct JSONTests {
    static let valid = [
        "{}", "[]", " [ 1 , 2 ] ", "{\"a\":{\"b\":[1,{\"c\":null}]}}", "\"\\u00e9\\n\\\"\"", "-0", "1.5e-7", "true",
        "\"äöü€😀\"", "[[[[]]]]",
        "{\"a\":1,\"a\":2}", "123456789012345678901234567890", "\"12345678\\\\\"", "\"exactly8\"",
    ]
    static let invalid: [(String, String)] = [
        ("", "byte 1: expected a value"), ("{", "byte 2: expected a key in double quotes"),
        ("[1,]", "byte 4: expected a value"),
        ("{\"a\" 1}", "byte 6: expected \":\""), ("{\"a\":1,}", "byte 8: expected a key in double quotes"),
        ("[1 2]", "byte 4: expected \",\" or \"]\""), ("{\"a\":1 \"b\"}", "byte 8: expected \",\" or \"}\""),
        ("01", "byte 2: expected nothing behind the value"),
        ("1.", "byte 1: not a number"), ("-", "byte 1: not a number"), ("nul", "byte 1: expected a value"),
        ("\"abc", "byte 5: the string is not closed"),
        ("\"a\nb\"", "byte 3: a control character in a string must be escaped"), ("\"\\x\"", "byte 2: unknown escape"),
        ("1 1", "byte 3: expected nothing behind the value"),
        ("\"\\u12g4\"", "byte 2: unknown escape"),
        ("\"0123456\u{1}\"", "byte 9: a control character in a string must be escaped"),
    ]

    @Test("accepts what RFC 8259 allows", arguments: valid)
    func accepts(_ text: String) throws { _ = try JSONValue(parsing: text) }

    @Test("refuses the rest and says where", arguments: invalid)
    func refuses(_ pair: (String, String)) {
        #expect { try JSONValue(parsing: pair.0) } throws: { "\($0)" == pair.1 }
    }

    @Test("a text cut anywhere is refused, and never read beyond its end", arguments: valid)
    func truncated(_ text: String) throws {
        let bytes = Array(text.utf8)
        let whole = try JSONValue(parsing: text)
        for count in 0..<bytes.count {
            let part = try? JSONValue(parsing: Bytes(Array(bytes[..<count])))
            if case .object = whole { #expect(part == nil) }
            if case .string = whole { #expect(part == nil) }
        }
    }

    @Test("bytes that are not UTF-8 are refused")
    func utf8() {
        for bad: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
            [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
        ] {
            #expect(throws: JSONFailure.self) { try JSONValue(parsing: Bytes(bad)) }
        }
    }

    @Test("depth and size are bounded")
    func limits() {
        let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
        #expect(throws: JSONFailure(.tooDeep, 64)) { try JSONValue(parsing: deep) }
        #expect(throws: JSONFailure(.tooLarge, 4)) {
            try JSONValue(parsing: "[1,2,3]", limits: JSONLimits(bytesMax: 4))
        }
    }

    @Test("integers of 64 bits are exact, escapes and surrogates are read")
    func values() throws {
        let json = try JSONValue(
            parsing:
                "{\"a\":9223372036854775807,\"b\":18446744073709551615,\"c\":-9223372036854775808,\"d\":\"\\ud83d\\ude00\\ud800x\",\"e\":0.1,\"a\":5}"
        )
        #expect(json["a"] == .integer(5))
        #expect(json["b"] == .unsigned(.max))
        #expect(json["c"] == .integer(.min))
        #expect(json["d"] == .string("😀\u{FFFD}x"))
        #expect(json["e"] == .number(0.1))
        #expect(try JSONValue(parsing: json.text) == json)
    }

    @Test("a field set finds its fields in one pass, whatever stands around them")
    func fieldSet() {
        var paths: [[JSONStep]] = [
            [], [.key("a")], [.key("a"), .key("long key beyond eight"), .element(1)], [.key("missing")], [.key("é")],
        ]
        for index in 0..<40 { paths.append([.key("many"), .key("k\(index)")]) }
        let set = JSONFieldSet(paths)
        let many = (0..<40).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let text =
            "{\"x\":[{\"a\":9}],\"a\":{\"long key beyond eight\":[7,\"v\"],\"long key beyond eighu\":1},\"\\u00e9\":true,\"many\":{\(many)}}"
        let slots = UnsafeMutablePointer<JSONSlot>.allocate(capacity: paths.count)
        defer { slots.deallocate() }
        let bytes = Array(text.utf8)
        let failure = bytes.withUnsafeBytes { set.scan($0, into: slots) }
        #expect(failure == nil)
        func found(_ index: Int) -> String {
            String(
                decoding: bytes[Int(slots[index].offset)..<Int(slots[index].offset + slots[index].count)], as: UTF8.self
            )
        }
        #expect(slots[0].kind == .object && found(0) == text)
        #expect(slots[1].kind == .object)
        #expect(slots[2].kind == .string && found(2) == "v")
        #expect(slots[3].kind == .absent)
        #expect(slots[4].kind == .true)
        for index in 0..<40 { #expect(found(5 + index) == String(index)) }
    }

    @Test("random text never breaks the scanner, and what it accepts survives a round trip")
    func random() throws {
        var random = SplitMix64(seed: 7)
        let alphabet = Array("{}[]\",:\\ue0123456789.-+tfnrla \n".utf8) + [0xC3, 0xA9, 0x01]
        for _ in 0..<20_000 {
            let count = Int(random.next() % 24)
            let bytes = (0..<count).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
            guard let json = try? JSONValue(parsing: Bytes(bytes)) else { continue }
            #expect(try JSONValue(parsing: json.text) == json)
        }
    }

    @Test("numbers are written in the shortest form that reads back exactly")
    func numbers() {
        func text(_ value: Double) -> String {
            var writer = JSONWriter()
            writer.number(value)
            return writer.bytes().string
        }
        func text(_ value: Float) -> String {
            var writer = JSONWriter()
            writer.number(value)
            return writer.bytes().string
        }
        #expect(
            [0.1, 71.5, 1, -0.0, 100, 1e17, 1e300, 5e-324, 0.0001, 123456.789].map { text($0 as Double) }
                == ["0.1", "71.5", "1.0", "-0.0", "100.0", "1e+17", "1e+300", "5e-324", "0.0001", "123456.789"])
        #expect(
            [71.3, 0.1, 16777216, 3.4e38, 1.0 / 3].map { text($0 as Float) } == [
                "71.3", "0.1", "16777216.0", "3.4e+38", "0.33333334",
            ])
        #expect(text(Double.nan) == "null" && text(Float.infinity) == "null")
        var random = SplitMix64(seed: 3)
        for index in 0..<50_000 {
            let bits = random.next()
            let double = index % 2 == 0 ? Double(bitPattern: bits) : (Double(Int64(bits % 2_000_000_000)) - 1e9) / 1000
            if double.isFinite { #expect(Double(text(double)) == double) }
            let float = index % 2 == 0 ? Float(bitPattern: UInt32(truncatingIfNeeded: bits)) : Float(double)
            if float.isFinite {
                #expect(Float(text(float)) == float)
                #expect(text(float).utf8.count <= "\(float)".utf8.count + 6)
                #expect(Double(text(float)) == NumberText.decimalDouble(float))
            }
        }
        for value: UInt64 in [
            0, 9, 10, 99, 100, 999, 12_345, 99_999_999, UInt64(UInt32.max), 9_999_999_999_999_999_999,
            10_000_000_000_000_000_000, .max,
        ] {
            var writer = JSONWriter()
            writer.integer(value)
            #expect(writer.bytes().string == String(value))
        }
        var writer = JSONWriter()
        writer.integer(Int64.min)
        #expect(writer.bytes().string == String(Int64.min))
    }
}
