import Model

/// The reference page of the resources, in Markdown: a table for each object, in the schema's order.
package enum SchemaMarkdown {
    package static func reference(_ registry: KindRegistry) -> String {
        registry.kinds.map(reference).joined(separator: "\n")
    }

    package static func reference(_ kind: ResourceKind) -> String {
        "## \(kind.name)\n\n\(kind.help)\n\n" + tables(kind.schema, path: "")
    }

    private static func tables(_ schema: Schema, path: String) -> String {
        var text = "| key | type | default | what |\n|---|---|---|---|\n"
        var inner = ""
        for field in schema.fields {
            let value = field.isRequired ? "required" : field.defaultValue.map { code(ConfigText.node($0)) } ?? ""
            let unit = field.unit.map { " (\($0))" } ?? ""
            text += "| `\(field.name)` | \(escaped(type(field.type))) | \(value) | \(escaped(field.help))\(unit) |\n"
            inner += parts(field.type, path: path.isEmpty ? field.name : "\(path).\(field.name)")
        }
        return text + inner
    }

    private static func parts(_ type: FieldType, path: String) -> String {
        switch type {
        case .object(let schema): "\n`\(path)`:\n\n" + tables(schema, path: path)
        case .oneOf(let fields): "\n`\(path)`, exactly one of:\n\n" + tables(Schema(fields), path: path)
        case .list(let element, _): parts(element, path: path + "[]")
        case .map(let element, _): parts(element, path: path + ".*")
        case .chosen(let sibling, let schemas):
            schemas.sorted { $0.key < $1.key }.map {
                "\n`\(path)` with `\(sibling): \($0.key)`:\n\n" + tables($0.value, path: path)
            }.joined()
        default: ""
        }
    }

    private static func type(_ type: FieldType) -> String {
        switch type {
        case .bool: "true or false"
        case .integer(let range): "whole number, \(range.lowerBound) to \(range.upperBound)"
        case .number(let range):
            range.upperBound.magnitude < 1e300 ? "number, \(range.lowerBound) to \(range.upperBound)" : "number"
        case .string(let rule): rule.form == .text ? "text" : "text (\(rule.form.rawValue))"
        case .duration(let range):
            "duration, \(ScalarReading.text(duration: range.lowerBound.nanoseconds)) to "
                + ScalarReading.text(duration: range.upperBound.nanoseconds)
        case .size(let range):
            "size, \(ScalarReading.text(size: range.lowerBound)) to \(ScalarReading.text(size: range.upperBound))"
        case .choice(let known): known.map { "`\($0)`" }.joined(separator: ", ")
        case .secret: "text, or `{ secret: NAME }`, `{ env: NAME }`, `{ file: PATH }`"
        case .object, .oneOf: "keys, see below"
        case .chosen(let sibling, _): "keys by `\(sibling)`, see below"
        case .list(let element, let countMax): "list of at most \(countMax): \(self.type(element))"
        case .map(let element, let countMax): "at most \(countMax) free keys: \(self.type(element))"
        case .any: "anything"
        }
    }

    private static func code(_ node: SourceNode) -> String { "`" + (node.scalar ?? SourceWriter.json(node)) + "`" }

    private static func escaped(_ text: String) -> String {
        text.replacing("|", with: "\\|").replacing("\n", with: " ")
    }
}
