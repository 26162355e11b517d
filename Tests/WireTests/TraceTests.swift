import Testing
import Wire

@Suite("Hex and traces")
struct TraceTests {
    @Test("hex text comes back, and what is not hex is refused")
    func hex() {
        #expect(Hex.text([0x0A, 0xFF]) == "0a ff")
        #expect(Hex.text([0x0A, 0xFF, 1, 2], separator: "", limit: 2) == "0aff ... 2 more")
        #expect(Hex.bytes("0a ff 0102") == [0x0A, 0xFF, 1, 2])
        #expect(Hex.bytes("0a f") == nil)
        #expect(Hex.bytes("zz") == nil)
        #expect(Hex.bytes("0 a") == nil)
        #expect(
            Hex.dump(Array("Tundish, 17 bytes".utf8))
                == """
                000000  54 75 6e 64 69 73 68 2c 20 31 37 20 62 79 74 65  |Tundish, 17 byte|
                000010  73                                               |s|
                """)
    }

    @Test("a trace is read with its comments, notes and continued lines")
    func trace() throws {
        let trace = try Trace(
            parsing: """
                # A comment.
                unit 1   # and another
                > 00 01
                + 0203
                < ff     # an answer
                = 10.0
                """)
        #expect(
            trace.entries.map(\.entry) == [
                .note(key: "unit", text: "1"), .toServer([0, 1, 2, 3]), .toClient([0xFF]), .expectation("10.0"),
            ])
        #expect(trace.entries.map(\.line) == [2, 3, 5, 6])
        #expect(throws: WireError.invalid(position: 2, reason: "expected pairs of hex digits")) {
            try Trace(parsing: "\n> 0")
        }
        #expect(throws: WireError.self) { try Trace(parsing: "+ 00") }
        #expect(throws: WireError.self) { try Trace(parsing: "= x\n+ 00") }
    }
}
