package import Model

/// Typed values as trees again; secrets that stand in the value itself are left out.
package enum ConfigText {
    package static func node(_ value: ConfigValue) -> SourceNode {
        switch value {
        case .null: SourceNode(.null)
        case .bool(let value): word(value)
        case .integer(let value): word(value)
        case .number(let value): word(value)
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

    /// A number or a truth value as a plain scalar; whole numbers without a fraction.
    static func word(_ value: some CustomStringConvertible) -> SourceNode {
        let text = value.description
        return SourceNode(.scalar(text.hasSuffix(".0") ? String(text.dropLast(2)) : text, .plain))
    }
}
