import Model

/// What the fuzzer and the seeded run in the tests do with arbitrary bytes: everything between a file and a checked
/// resource, and back to text.
package enum ResourceParserProbe {
    private static let registry = KindRegistry([
        ResourceKind(
            name: "Any", plural: "anys", help: "One field of each type.",
            schema: Schema([
                Field("bool", .bool, help: ""), Field("integer", .integer(-10...10), help: ""),
                Field("number", .number(-1...1), help: ""), Field("text", .string, help: ""),
                Field("topic", .string(.topicFilter), help: ""), Field("bind", .string(.hostPort), help: ""),
                Field("type", .string(.valueType), help: ""),
                Field("duration", .duration(.zero ... .seconds(9)), help: ""),
                Field("size", .size(0...1 << 40), help: ""), Field("choice", .choice(["a", "b"]), help: ""),
                Field("secret", .secret, help: ""), Field("any", .any, help: ""),
                Field(
                    "list",
                    .list(.object(Schema([Field("name", .string(.name), required: true, help: "")])), countMax: 9),
                    help: ""),
                Field("map", .map(.string, countMax: 9), help: ""),
                Field(
                    "chosen", .chosen(by: "choice", ["a": Schema([]), "b": Schema([Field("x", .any, help: "")])]),
                    help: ""),
                Field(
                    "one",
                    .oneOf([Field("p", .any, help: ""), Field("q", .duration(.zero ... .seconds(1)), help: "")]),
                    help: ""),
            ]))
    ])

    /// False if a valid document, written as JSON or YAML and read again, is not the same.
    package static func run(_ bytes: [UInt8], _ format: DocumentFormat) -> Bool {
        var reader = registry.reader
        reader.limits = SourceLimits(bytesMax: 1 << 20, depthMax: 32, nodesMax: 20_000, documentsMax: 100)
        var (documents, issues) = reader.read(bytes, file: "f", format: format)
        let checked = registry.check(documents, &issues)
        documents = []
        for issue in issues.issues { _ = issue.description }
        for item in checked {
            guard let kind = registry[item.key.kind] else { return false }
            let json = SourceWriter.json(SpecTree.writable(item.document.root, kind.schema))
            let (again, found) = reader.read(json, file: "f", format: .json)
            guard found.isValid, let copy = again.first, copy.key == item.key else { return false }
            if !SpecTree.differences(
                SpecTree.normalized(item.document.spec, kind.schema), SpecTree.normalized(copy.spec, kind.schema)
            ).isEmpty {
                return false
            }
            let yaml = SourceWriter.yaml(SpecTree.writable(item.document.root, kind.schema))
            let (third, faults) = reader.read(yaml, file: "f", format: .yaml)
            guard faults.isValid, let other = third.first, other.key == item.key else { return false }
            if !SpecTree.differences(
                SpecTree.normalized(item.document.spec, kind.schema), SpecTree.normalized(other.spec, kind.schema)
            ).isEmpty {
                return false
            }
        }
        return true
    }

    /// A document from which mutations start.
    package static let seed = """
        # comment
        kind: Any
        name: a-1
        labels: { x: y }
        spec:
          bool: true
          integer: -0x3
          number: 1e-3
          text: |
            a: b
             - c
          topic: a/+/#
          bind: "[::1]:80"
          type: float32[8]
          duration: 1.5s
          size: 64KiB
          choice: b
          chosen: { x: [1, 2.5, "3", ~, no] }
          secret: { env: HOME }
          any: &a { k: 'it''s', l: "\\u00e9\\n" }
          list: [ { name: n }, { name: "m" } ]
          map: { a: no, "b c": 0x10 }
          one: { q: 1s }
        ---
        { "kind": "Any", "name": "b", "spec": { "any": [true, null, "x"], "one": { "p": 1 } } }
        """
}
