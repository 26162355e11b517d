import Model
import Testing

@testable import Resources

@Suite("Parser under mutation")
struct ParserFuzzTests {
    @Test("seeded mutations of a document crash nothing, and what is valid survives being written", arguments: 0..<8)
    func mutations(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        let pieces = [
            "&a ", "*a", "<<: ", "- ", "? ", "{", "}", "[", "]", ":", "|", ">", "'", "\"", "#", "\n", " ", "~",
            "!!str ", "%", "\\u", "\u{FEFF}", "é", "---\n", "null", "0x", "1e999",
        ]
        let start = Array(ResourceParserProbe.seed.utf8)
        #expect(ResourceParserProbe.run(start, .yaml))
        for _ in 0..<400 {
            var bytes = start
            for _ in 0...random.next(upperBound: 6 as UInt64) {
                let at = Int(random.next(upperBound: UInt64(bytes.count)))
                switch random.next(upperBound: 5 as UInt64) {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                case 2:
                    bytes.insert(contentsOf: pieces[Int(random.next(upperBound: UInt64(pieces.count)))].utf8, at: at)
                case 3: bytes.removeSubrange(at..<min(at + 20, bytes.count))
                default:
                    bytes.insert(
                        contentsOf: bytes[at..<min(at + 30, bytes.count)],
                        at: Int(random.next(upperBound: UInt64(bytes.count))))
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            let isSame = ResourceParserProbe.run(bytes, .yaml) && ResourceParserProbe.run(bytes, .json)
            #expect(isSame, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }
}
