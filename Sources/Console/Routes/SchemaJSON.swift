import Formats
import Model

/// The schema of a spec as the console's forms read it: a list of fields, each with its type and limits.
enum SchemaJSON {
    static func schema(_ schema: Schema) -> JSONValue { .object(["fields": fields(schema)]) }

    static func driver(_ driver: DriverInfo) -> JSONValue {
        .object([
            "name": .string(driver.name), "title": .string(driver.title),
            "titleChinese": driver.titleChinese.map(JSONValue.string), "connection": schema(driver.connection),
        ])
    }

    private static func fields(_ schema: Schema) -> JSONValue { .array(schema.fields.map(field)) }

    private static func field(_ field: Field) -> JSONValue {
        .object(
            [JSONMember("name", .string(field.name))] + type(field.type)
                + object([
                    "required": .bool(field.isRequired), "default": field.defaultValue.map(value),
                    "unit": field.unit.map(JSONValue.string), "help": .string(field.help),
                    "helpChinese": field.helpChinese.map(JSONValue.string),
                ]))
    }

    private static func object(_ pairs: KeyValuePairs<String, JSONValue?>) -> [JSONMember] {
        pairs.compactMap { key, value in value.map { JSONMember(key, $0) } }
    }

    /// `type` and what limits it.
    private static func type(_ type: FieldType) -> [JSONMember] {
        switch type {
        case .bool: object(["type": "bool"])
        case .integer(let range):
            object(["type": "integer", "min": .integer(range.lowerBound), "max": .integer(range.upperBound)])
        case .number(let range):
            object(["type": "number", "min": limit(range.lowerBound), "max": limit(range.upperBound)])
        case .string(let rule):
            object([
                "type": "string", "form": .string(rule.form.rawValue), "lengthMax": .integer(Int64(rule.lengthMax)),
            ])
        case .duration(let range):
            object(["type": "duration", "min": duration(range.lowerBound), "max": duration(range.upperBound)])
        case .size(let range):
            object(["type": "size", "min": .integer(range.lowerBound), "max": .integer(range.upperBound)])
        case .choice(let choices): object(["type": "choice", "choices": .array(choices.map(JSONValue.string))])
        case .secret: object(["type": "secret"])
        case .object(let schema): object(["type": "object", "fields": fields(schema)])
        case .list(let element, let countMax):
            object(["type": "list", "of": .object(Self.type(element)), "countMax": .integer(Int64(countMax))])
        case .map(let element, let countMax):
            object(["type": "map", "of": .object(Self.type(element)), "countMax": .integer(Int64(countMax))])
        case .chosen(let sibling, let schemas):
            object([
                "type": "chosen", "by": .string(sibling),
                "cases": .object(schemas.sorted { $0.key < $1.key }.map { JSONMember($0.key, schema($0.value)) }),
            ])
        case .oneOf(let fields): object(["type": "oneOf", "fields": .array(fields.map(field))])
        case .any: object(["type": "any"])
        }
    }

    /// Nil where the range has no end.
    private static func limit(_ value: Double) -> JSONValue? {
        value.isFinite && abs(value) < .greatestFiniteMagnitude ? .number(value) : nil
    }

    private static func duration(_ value: Duration) -> JSONValue? {
        value.nanoseconds == .max || value.nanoseconds == .min ? nil : .string(DurationText.write(value.nanoseconds))
    }

    private static func value(_ value: ConfigValue) -> JSONValue {
        switch value {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value), .size(let value): .integer(value)
        case .number(let value): .number(value)
        case .string(let value): .string(value)
        case .duration(let nanoseconds): .string(DurationText.write(nanoseconds))
        case .secret: .null
        case .list(let values): .array(values.map(Self.value))
        case .object(let entries): .object(entries.map { JSONMember($0.key, Self.value($0.value)) })
        }
    }
}

/// Durations as resource files write them.
enum DurationText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
    ]

    /// In the greatest unit that gives a whole number.
    static func write(_ nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0s" }
        let unit = units.first { nanoseconds % $0.nanoseconds == 0 && $0.name != "d" }
        return unit.map { "\(nanoseconds / $0.nanoseconds)\($0.name)" } ?? "\(nanoseconds)ns"
    }

    /// `24h`, `1m`, `500ms`; nil for anything else, zero and overflow included.
    static func read(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits), number > 0,
            let unit = units.first(where: { $0.name == text[digits.endIndex...] })
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.nanoseconds)
        return overflow ? nil : product
    }
}
