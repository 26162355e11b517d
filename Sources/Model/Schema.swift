/// The shape of a piece of configuration, as data. The validator's messages, the console's forms, the reference
/// page and the JSON Schema all come from it.
package struct Schema: Sendable {
    package var fields: [Field]

    package init(_ fields: [Field]) { self.fields = fields }

    package func field(_ name: String) -> Field? { fields.first { $0.name == name } }
}

/// One key of a document.
package struct Field: Sendable {
    package var name: String
    package var type: FieldType
    package var isRequired: Bool
    /// What an absent key means, already typed; nil: absent stays absent.
    package var defaultValue: ConfigValue?
    /// One sentence for people, in English.
    package var help: String
    /// The same in Chinese.
    package var helpChinese: String?
    /// Shown behind the input and in the reference, such as `°C`.
    package var unit: String?

    package init(
        _ name: String, _ type: FieldType, required: Bool = false, default defaultValue: ConfigValue? = nil,
        unit: String? = nil, help: String, chinese: String? = nil
    ) {
        self.name = name
        self.type = type
        isRequired = required
        self.defaultValue = defaultValue
        self.unit = unit
        self.help = help
        helpChinese = chinese
    }
}

/// The type of a field. It, not YAML's guess, decides how a scalar is read: `no` in a `string` field is text.
package indirect enum FieldType: Sendable {
    case bool
    case integer(ClosedRange<Int64>)
    case number(ClosedRange<Double>)
    case string(StringRule)
    /// `100ms`, `5s`, `2h`; held in nanoseconds.
    case duration(ClosedRange<Duration>)
    /// `64KiB`, `1GiB`, or a plain number of bytes.
    case size(ClosedRange<Int64>)
    case choice([String])
    /// A string or `{ secret: NAME }`, `{ env: NAME }`, `{ file: PATH }`; never echoed back.
    case secret
    case object(Schema)
    case list(FieldType, countMax: Int)
    /// Free keys, each with a value of the type.
    case map(FieldType, countMax: Int)
    /// An object whose schema is chosen by the value of a sibling field (`connection` by `driver`).
    case chosen(by: String, [String: Schema])
    /// An object with exactly one of these keys (`publish`, `historian`, `alarm`, ...).
    case oneOf([Field])
    /// Any value, kept as written.
    case any
}

/// Limits on a string field.
package struct StringRule: Sendable {
    package enum Form: String, Sendable {
        case text
        /// Letters of any script, digits, `-`, `_`, `.`; at most 128 characters.
        case name
        case topic
        case topicFilter
        /// `host:port`, with `[...]` around an IPv6 address.
        case hostPort
        case sql
        /// A `ValueType`, such as `float32[8]`.
        case valueType
    }

    package var form: Form
    package var lengthMax: Int

    package init(_ form: Form = .text, lengthMax: Int = 4096) {
        self.form = form
        self.lengthMax = lengthMax
    }
}

extension FieldType {
    package static let string: FieldType = .string(StringRule())
    package static func string(_ form: StringRule.Form) -> FieldType { .string(StringRule(form)) }
    package static let port: FieldType = .integer(1...65_535)
}
