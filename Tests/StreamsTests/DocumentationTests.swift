import Foundation
import Testing

@testable import Streams

@Suite("docs/rules.md")
struct DocumentationTests {
    private func page() throws -> String {
        let here = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("docs/rules.md"), encoding: .utf8)
    }

    @Test("its statements are right")
    func statements() throws {
        let blocks = try page().components(separatedBy: "```sql\n").dropFirst()
        #expect(!blocks.isEmpty)
        for block in blocks { try RuleTrial.check(sql: block.components(separatedBy: "```")[0]) }
    }

    @Test("names every function, and every metadata column")
    func names() throws {
        let words = Set(try page().split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init))
        for function in SQLFunctions.all { #expect(words.contains(function.name), "\(function.name)") }
        for name in Meta.tundish.keys { #expect(words.contains(name), "\(name)") }
    }

    @Test("says the limits as they are")
    func limits() throws {
        let text = try page()
        #expect(RuleConfiguration.sqlBytesMax == 65_536 && text.contains("65,536 bytes a statement"))
        #expect(Parser.depthMax == 64 && Parser.operatorsMax == 500 && Parser.columnsMax == 1024)
        #expect(Arena.bytesMax == 4 << 20 && StreamOptions().alarmKeysMax == 100_000 && StreamOptions().hopsMax == 16)
    }
}
