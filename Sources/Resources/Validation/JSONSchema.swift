package import Model

/// JSON Schema (draft 2020-12) of whole documents, for editors.
package enum JSONSchema {
    /// One schema for any document of the kinds.
    package static func documents(_ registry: KindRegistry) -> SourceNode {
        .map([
            SourceEntry("$schema", .text("https://json-schema.org/draft/2020-12/schema")),
            SourceEntry("title", .text("Tundish resources")),
            SourceEntry("oneOf", SourceNode(.list(registry.kinds.map(document)))),
        ])
    }

    package static func document(_ kind: ResourceKind) -> SourceNode {
        let name = typed("string", [SourceEntry("maxLength", ConfigText.word(DocumentReader.nameLengthMax))])
        let properties = [
            SourceEntry("apiVersion", .map([SourceEntry("const", .text(DocumentReader.apiVersion))])),
            SourceEntry("kind", .map([SourceEntry("const", .text(kind.name))])), SourceEntry("name", name),
            SourceEntry("space", name), SourceEntry("description", typed("string")),
            SourceEntry("labels", typed("object", [SourceEntry("additionalProperties", typed("string"))])),
            SourceEntry("spec", spec(kind.schema)),
        ]
        let needsSpec = kind.schema.fields.contains { $0.isRequired }
        return typed(
            "object",
            [
                SourceEntry("title", .text(kind.name)), SourceEntry("description", .text(kind.help)),
                SourceEntry("properties", .map(properties)),
                SourceEntry("required", texts(["kind", "name"] + (needsSpec ? ["spec"] : []))), closed,
            ])
    }

    package static func spec(_ schema: Schema) -> SourceNode {
        var entries = [
            SourceEntry("properties", .map(schema.fields.map { SourceEntry($0.name, field($0, schema)) }))
        ]
        let required = schema.fields.filter(\.isRequired).map(\.name)
        if !required.isEmpty { entries.append(SourceEntry("required", texts(required))) }
        entries.append(closed)
        let choices = schema.fields.flatMap(conditions)
        if !choices.isEmpty { entries.append(SourceEntry("allOf", SourceNode(.list(choices)))) }
        return typed("object", entries)
    }

    /// `connection` by `driver`: one condition for each driver.
    private static func conditions(_ field: Field) -> [SourceNode] {
        guard case .chosen(let sibling, let schemas) = field.type else { return [] }
        return schemas.sorted { $0.key < $1.key }.map { name, schema in
            func properties(_ key: String, _ value: SourceNode) -> SourceNode {
                .map([SourceEntry("properties", .map([SourceEntry(key, value)]))])
            }
            return .map([
                SourceEntry("if", properties(sibling, .map([SourceEntry("const", .text(name))]))),
                SourceEntry("then", properties(field.name, spec(schema))),
            ])
        }
    }

    private static func field(_ field: Field, _ parent: Schema) -> SourceNode {
        var node = type(field.type)
        let help = field.unit.map { "\(field.help) (\($0))" } ?? field.help
        node.set("description", .text(help))
        if let value = field.defaultValue { node.set("default", ConfigText.node(value)) }
        return node
    }

    private static func type(_ type: FieldType) -> SourceNode {
        func limits(_ low: some CustomStringConvertible, _ high: some CustomStringConvertible) -> [SourceEntry] {
            [SourceEntry("minimum", ConfigText.word(low)), SourceEntry("maximum", ConfigText.word(high))]
        }
        switch type {
        case .bool: return typed("boolean")
        case .integer(let range): return typed("integer", limits(range.lowerBound, range.upperBound))
        case .number(let range):
            return typed("number", range.upperBound.isFinite ? limits(range.lowerBound, range.upperBound) : [])
        case .string(let rule): return typed("string", [SourceEntry("maxLength", ConfigText.word(rule.lengthMax))])
        case .duration:
            return typed("string", [SourceEntry("pattern", .text("^(0|([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$"))])
        case .size:
            return .map([SourceEntry("type", texts(["string", "integer"]))])
        case .choice(let known): return .map([SourceEntry("enum", texts(known))])
        case .secret:
            let references = ["secret", "env", "file"].map { key in
                typed(
                    "object",
                    [
                        SourceEntry("properties", .map([SourceEntry(key, typed("string"))])),
                        SourceEntry("required", texts([key])), closed,
                    ])
            }
            return .map([SourceEntry("oneOf", SourceNode(.list([typed("string")] + references)))])
        case .object(let schema): return spec(schema)
        case .list(let element, let countMax):
            return typed(
                "array", [SourceEntry("items", self.type(element)), SourceEntry("maxItems", ConfigText.word(countMax))])
        case .map(let element, let countMax):
            return typed(
                "object",
                [
                    SourceEntry("additionalProperties", self.type(element)),
                    SourceEntry("maxProperties", ConfigText.word(countMax)),
                ])
        case .chosen: return typed("object")
        case .oneOf(let choices):
            var node = spec(Schema(choices))
            node.set("minProperties", ConfigText.word(1))
            node.set("maxProperties", ConfigText.word(1))
            return node
        case .any: return .map([])
        }
    }

    private static let closed = SourceEntry("additionalProperties", SourceNode(.scalar("false", .plain)))

    private static func typed(_ name: String, _ more: [SourceEntry] = []) -> SourceNode {
        .map([SourceEntry("type", .text(name))] + more)
    }

    private static func texts(_ values: [String]) -> SourceNode { SourceNode(.list(values.map { .text($0) })) }
}
