package import Model

/// Schemas as JSON, for forms: `{"fields":[{"name","type","required","default","unit","help","helpChinese",...}]}`.
/// Beside them by type: `minimum`, `maximum` (durations and sizes as texts), `choices`, `form`, `lengthMax`, `fields`,
/// `items`, `countMax`, `by` and `schemas`.
package enum SchemaJSON {
    package static func kind(_ kind: ResourceKind) -> SourceNode {
        var entries = [
            SourceEntry("kind", .text(kind.name)), SourceEntry("plural", .text(kind.plural)),
            SourceEntry("help", .text(kind.help)),
        ]
        if let chinese = kind.helpChinese { entries.append(SourceEntry("helpChinese", .text(chinese))) }
        return .map(entries + fields(kind.schema.fields))
    }

    package static func schema(_ schema: Schema) -> SourceNode { .map(fields(schema.fields)) }

    private static func fields(_ fields: [Field]) -> [SourceEntry] {
        [SourceEntry("fields", SourceNode(.list(fields.map(field))))]
    }

    private static func field(_ field: Field) -> SourceNode {
        var entries = [SourceEntry("name", .text(field.name))] + type(field.type)
        entries.append(SourceEntry("required", word(field.isRequired)))
        if let value = field.defaultValue { entries.append(SourceEntry("default", ConfigText.node(value))) }
        if let unit = field.unit { entries.append(SourceEntry("unit", .text(unit))) }
        entries.append(SourceEntry("help", .text(field.help)))
        if let chinese = field.helpChinese { entries.append(SourceEntry("helpChinese", .text(chinese))) }
        return .map(entries)
    }

    private static func type(_ type: FieldType) -> [SourceEntry] {
        func named(_ name: String, _ more: [SourceEntry] = []) -> [SourceEntry] {
            [SourceEntry("type", .text(name))] + more
        }
        func limits(_ low: SourceNode, _ high: SourceNode) -> [SourceEntry] {
            [SourceEntry("minimum", low), SourceEntry("maximum", high)]
        }
        switch type {
        case .bool: return named("bool")
        case .integer(let range): return named("integer", limits(word(range.lowerBound), word(range.upperBound)))
        case .number(let range): return named("number", limits(word(range.lowerBound), word(range.upperBound)))
        case .string(let rule):
            return named(
                "string",
                [SourceEntry("form", .text(rule.form.rawValue)), SourceEntry("lengthMax", word(rule.lengthMax))])
        case .duration(let range):
            return named(
                "duration",
                limits(
                    .text(ScalarReading.text(duration: range.lowerBound.nanoseconds)),
                    .text(ScalarReading.text(duration: range.upperBound.nanoseconds))))
        case .size(let range):
            return named(
                "size",
                limits(
                    .text(ScalarReading.text(size: range.lowerBound)), .text(ScalarReading.text(size: range.upperBound))
                ))
        case .choice(let known):
            return named("choice", [SourceEntry("choices", SourceNode(.list(known.map { .text($0) })))])
        case .secret: return named("secret")
        case .object(let schema): return named("object", fields(schema.fields))
        case .list(let element, let countMax):
            return named(
                "list", [SourceEntry("items", .map(self.type(element))), SourceEntry("countMax", word(countMax))])
        case .map(let element, let countMax):
            return named(
                "map", [SourceEntry("items", .map(self.type(element))), SourceEntry("countMax", word(countMax))])
        case .chosen(let sibling, let schemas):
            let each = schemas.sorted { $0.key < $1.key }.map { SourceEntry($0.key, schema($0.value)) }
            return named("chosen", [SourceEntry("by", .text(sibling)), SourceEntry("schemas", .map(each))])
        case .oneOf(let choices): return named("oneOf", fields(choices))
        case .any: return named("any")
        }
    }

    static func word(_ value: some CustomStringConvertible) -> SourceNode {
        let text = value.description
        return SourceNode(.scalar(text.hasSuffix(".0") ? String(text.dropLast(2)) : text, .plain))
    }
}

/// Typed values as trees again; secrets that stand in the value itself are left out.
package enum ConfigText {
    package static func node(_ value: ConfigValue) -> SourceNode {
        switch value {
        case .null: SourceNode(.null)
        case .bool(let value): SchemaJSON.word(value)
        case .integer(let value): SchemaJSON.word(value)
        case .number(let value): SchemaJSON.word(value)
        case .string(let text): .text(text)
        case .duration(let value): .text(ScalarReading.text(duration: value))
        case .size(let value): .text(ScalarReading.text(size: value))
        case .secret(.inline): SpecTree.redacted
        case .secret(.secret(let name)): .map([SourceEntry("secret", .text(name))])
        case .secret(.environment(let name)): .map([SourceEntry("env", .text(name))])
        case .secret(.file(let path)): .map([SourceEntry("file", .text(path))])
        case .list(let values): SourceNode(.list(values.map(node)))
        case .object(let entries): .map(entries.map { SourceEntry($0.key, node($0.value)) })
        }
    }
}
