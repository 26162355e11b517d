import Model
import Testing

@testable import Resources

@Suite("Documents")
struct DocumentTests {
    private let reader = SampleKinds.registry.reader

    @Test("the contract's example passes, typed and with defaults")
    func contractExample() throws {
        let (documents, issues) = SampleKinds.checked(SampleKinds.contractExample)
        #expect(issues.isEmpty, "\(issues)")
        #expect(
            documents.map(\.key.description) == [
                "Listener \"plant-floor\"", "Device \"press-1\"", "Rule \"overheating\"", "Sink \"plant-db\"",
            ])
        let listener = try #require(documents.first?.spec)
        #expect(listener["limits"]?["packetBytesMax"] == .size(1_048_576))
        let device = documents[1].spec
        #expect(device["connection"]?["timeout"] == .duration(1_000_000_000))
        #expect(device["groups"]?.list?[0]["record"] == .bool(true))
        #expect(device["groups"]?.list?[0]["tags"]?.list?[0]["scale"] == .number(0.1))
        #expect(device["groups"]?.list?[0]["tags"]?.list?[0]["unit"] == .string("°C"))
        #expect(
            documents[2].references == [
                ResourceReference(kind: "Sink", name: "plant-db", path: ConfigPath()["outputs"][1]["sink"])
            ])
        #expect(documents[3].spec["buffer"]?["bytesMax"] == .size(1 << 30))
    }

    @Test("each document keeps its own text as written")
    func ownText() {
        let (documents, _) = reader.read("# first\n---\nkind: Rule # a\nname: a\n---\nkind: Rule\nname: b\n", file: "f")
        #expect(documents.map(\.text) == ["---\nkind: Rule # a\nname: a\n", "---\nkind: Rule\nname: b\n"])
    }

    @Test("JSON gives the same as YAML, one value after another or in a list")
    func json() throws {
        let yaml = reader.read("kind: Sink\nname: \"ü\\u00e9\"\nspec: { type: a }\n", file: "a.yaml").documents
        let text = #"{"kind":"Sink","name":"ü\u00e9","spec":{"type":"a"}}"#
        for json in [text, text + "\n" + text, "[\(text)]"] {
            let (documents, issues) = reader.read(json, file: "a.json")
            #expect(issues.issues.isEmpty)
            let document = try #require(documents.first)
            #expect(SourceWriter.json(document.root) == SourceWriter.json(try #require(yaml.first).root))
        }
    }

    @Test("JSON positions count lines and Unicode scalars")
    func jsonPositions() {
        let text = "{ \"kind\": \"Sink\", \"name\": \"é\", \"specs\": 1,\n  \"kind\": 2 }"
        #expect(
            SampleKinds.issues(text, file: "a.json") == [
                "a.json:2:3: key \"kind\" is given twice; the first is in line 1"
            ])
        #expect(
            SampleKinds.issues("{\"kind\": \"Sink\", \"näme\": \"é\", \"spec\": {\n \"a\": 01}}", file: "a.json") == [
                "a.json:2:7: JSON: a number does not begin with 0"
            ])
    }

    @Test(
        "strict JSON: what is not JSON is refused with its place",
        arguments: [
            ("{\"a\": 'x'}", 7), ("{\"a\": 1,}", 9), ("{a: 1}", 2), ("[1 2]", 4), ("{\"a\": tru}", 7), ("\"\\x\"", 2),
            ("\"\\ud800\"", 2), ("\"abc", 5), ("-", 1), ("1.", 1), ("1e", 1), ("nul", 1), ("{\"a\" 1}", 6),
        ])
    func strictJSON(text: String, column: Int) {
        #expect {
            try JSONReader.read(Array(text.utf8), file: "f", limits: SourceLimits())
        } throws: { error in
            (error as? Resources.Issue)?.column == column
        }
    }

    @Test("surrogate pairs are one character")
    func surrogates() throws {
        let value = try JSONReader.read(Array(#""\ud83d\ude00""#.utf8), file: "f", limits: SourceLimits())
        #expect(value[0].root.scalar == "😀")
    }

    @Test("truncated at every length, JSON and YAML give documents or issues, never a crash")
    func truncated() throws {
        let yaml = Array(SampleKinds.contractExample.utf8)
        for length in stride(from: 0, through: yaml.count, by: 7) {
            _ = SampleKinds.issues(String(decoding: yaml[..<length], as: UTF8.self))
        }
        let node = reader.read(yaml, file: "f").documents[1].root
        let json = Array(SourceWriter.json(node).utf8)
        for length in 1..<json.count {
            #expect(throws: Resources.Issue.self) {
                let values = try JSONReader.read(Array(json[..<length]), file: "f", limits: SourceLimits())
                if values.isEmpty { throw Resources.Issue(Problem("", ""), file: "f") }
            }
        }
    }

    @Test("what the writers write reads back as the same tree")
    func roundTrip() throws {
        let (documents, _) = reader.read(SampleKinds.contractExample, file: "f")
        for document in documents {
            let tree = SpecTree.normalized(document.spec, try #require(SampleKinds.registry[document.key.kind]).schema)
            let json = SourceWriter.json(tree)
            let fromJSON = try JSONReader.read(
                Array(SourceWriter.json(tree, indented: true).utf8), file: "f", limits: SourceLimits())
            #expect(SourceWriter.json(fromJSON[0].root) == json)
            let yaml = SourceWriter.yaml(tree)
            let fromYAML = try YAMLReader.read(Array(yaml.utf8), file: "f", limits: SourceLimits())
            let kind = try #require(SampleKinds.registry[document.key.kind])
            #expect(SourceWriter.json(SpecTree.normalized(fromYAML[0].root, kind.schema)) == json, "\(yaml)")
        }
    }

    @Test("odd texts survive being written as YAML")
    func oddTexts() throws {
        for text in [
            "no", "0x10", "1e3", "", " x", "a: b", "- a", "#x", "a\nb", "a\n", "\na", "a\n\n", "{}", "'", "\"", "~",
            "null", "a\tb", "\u{7}", "é", "*a", "&a", "%", "a #b", "\u{85}", "x\r\ny",
        ] {
            let tree = SourceNode.map([
                SourceEntry("k", .text(text)), SourceEntry("l", SourceNode(.list([.text(text)]))),
            ])
            let yaml = SourceWriter.yaml(tree)
            let back = try YAMLReader.read(Array(yaml.utf8), file: "f", limits: SourceLimits())
            #expect(back.first?.root["k"]?.scalar == text, "\(yaml)")
            #expect(back.first?.root["l"]?.items?.first?.scalar == text, "\(yaml)")
        }
    }

    @Test("anchors, aliases and merge keys work")
    func anchors() {
        let text = """
            kind: Device
            name: a
            spec:
              driver: modbus_tcp
              connection: { host: h }
              groups:
                - &slow { name: a, interval: 1s, tags: [] }
                - { <<: *slow, name: b }
            """
        let (documents, issues) = SampleKinds.checked(text)
        #expect(issues.isEmpty, "\(issues)")
        #expect(documents.first?.spec["groups"]?.list?[1]["interval"] == .duration(1_000_000_000))
        #expect(documents.first?.spec["groups"]?.list?[1]["name"] == .string("b"))
    }

    @Test("aliases of aliases are refused before they grow")
    func aliasBomb() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...20 {
            text += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]\n"
        }
        let (_, issues) = reader.read(text, file: "bomb.yaml")
        #expect(issues.issues.map(\.code) == ["resource.limit"])
        #expect(issues.issues.first?.message == "more than 2000000 values; split the file")
    }

    @Test("depth, bytes and documents have limits")
    func limits() {
        let deep = reader.read(String(repeating: "[", count: 5000), file: "f.yaml").issues.issues
        #expect(deep.first?.message == "more than 64 levels of nesting; split the file")
        let deepJSON = reader.read(String(repeating: "[", count: 100_000), file: "f.json").issues.issues
        #expect(deepJSON.first?.message == "more than 64 levels of nesting; split the file")
        let small = DocumentReader(kinds: ["Rule"], limits: SourceLimits(bytesMax: 10))
        #expect(
            small.read("kind: Rule\nname: a\n", file: "f").issues.issues.map(\.description) == [
                "f: 19 bytes; at most 10 are read: split the file"
            ])
        let few = DocumentReader(kinds: ["Rule"], limits: SourceLimits(documentsMax: 2))
        #expect(few.read("---\na: 1\n---\nb: 1\n---\nc: 1\n", file: "f").issues.issues.last?.code == "resource.limit")
    }

    @Test("bytes that are not UTF-8 are refused")
    func encoding() {
        let (_, issues) = reader.read([0x61, 0xFF, 0xFE], file: "f.yaml")
        #expect(issues.issues.map(\.description) == ["f.yaml: not UTF-8 text; save the file as UTF-8"])
    }

    @Test("names of any script, up to 128 characters; nothing else")
    func names() {
        for good in ["press-1", "Presse_ä.1", "压力机", "a", String(repeating: "x", count: 128)] {
            #expect(DocumentReader.nameFault(good) == nil)
        }
        #expect(DocumentReader.nameFault("a b") == "has the character \" \"; allowed are letters, digits, - _ and .")
        #expect(DocumentReader.nameFault("a/b") != nil)
        #expect(DocumentReader.nameFault("..") != nil)
        #expect(DocumentReader.nameFault("") == "is empty")
        #expect(
            DocumentReader.nameFault(String(repeating: "x", count: 129))
                == "has 129 characters; at most 128 are allowed")
    }
}
