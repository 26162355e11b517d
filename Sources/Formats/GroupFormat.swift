package import Bus
package import Model

/// The shape in which a group publishes its samples.
package enum GroupFormat: String, Sendable, CaseIterable {
    /// One object of values, one of errors.
    case values
    /// A list with value, quality and source time of each tag.
    case tags
    /// A list with value and type of each tag.
    case ecp

    /// Formats that the contract names and that this version cannot write.
    package static let planned = ["sparkplug", "template"]
}

/// Whose names and details a format uses.
package enum FormatDialect: String, Sendable, CaseIterable {
    case tundish
    /// Neuron's exact shapes: `node` instead of `device`, errors as Neuron's numbers.
    case neuron
}

/// The encoder of a group's payloads; made once per descriptor, which it serves fastest.
///
/// Errors: `format.unknown`, `format.not_available`, `format.dialect_unknown`; each names what there is.
package func makeEncoder(
    format: String = "values", dialect: String? = nil, descriptor: BatchDescriptor
) throws(Problem) -> any PayloadEncoder {
    let (format, dialect) = try checkFormat(format, dialect: dialect)
    return GroupEncoder(format, dialect, descriptor)
}

/// The checks of `makeEncoder` alone, for whoever validates configuration.
@discardableResult
package func checkFormat(
    _ format: String, dialect: String? = nil
) throws(Problem) -> (format: GroupFormat, dialect: FormatDialect) {
    let known = GroupFormat.allCases.map(\.rawValue).joined(separator: ", ")
    guard let shape = GroupFormat(rawValue: format) else {
        if GroupFormat.planned.contains(format) {
            throw Problem(
                "format.not_available", "format \"\(format)\" is not yet available; use one of \(known)",
                ["format": format, "known": known])
        }
        throw Problem(
            "format.unknown", "unknown format \"\(format)\"; known are \(known)", ["format": format, "known": known])
    }
    guard let name = dialect else { return (shape, .tundish) }
    guard let dialect = FormatDialect(rawValue: name) else {
        let dialects = FormatDialect.allCases.map(\.rawValue).joined(separator: ", ")
        throw Problem(
            "format.dialect_unknown", "unknown dialect \"\(name)\" of format \"\(format)\"; known are \(dialects)",
            ["dialect": name, "format": format, "known": dialects])
    }
    return (shape, dialect)
}
