/// A piece of configuration after validation: typed by its schema, defaults filled in.
package enum ConfigValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    /// Nanoseconds.
    case duration(Int64)
    /// Bytes.
    case size(Int64)
    case secret(SecretReference)
    case list([ConfigValue])
    /// In the order of the document.
    case object([ConfigEntry])
}

package struct ConfigEntry: Sendable, Hashable {
    package var key: String
    package var value: ConfigValue

    package init(_ key: String, _ value: ConfigValue) {
        self.key = key
        self.value = value
    }
}

/// Where a secret's value is found. `inline` is kept out of every output.
package enum SecretReference: Sendable, Hashable {
    case inline(String)
    case secret(String)
    case environment(String)
    case file(String)
}

extension ConfigValue {
    /// The value of a key of an object; nil where absent, null, or not an object.
    package subscript(_ key: String) -> ConfigValue? {
        guard case .object(let entries) = self, let entry = entries.first(where: { $0.key == key }) else { return nil }
        if case .null = entry.value { return nil }
        return entry.value
    }

    package var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    package var integer: Int64? {
        switch self {
        case .integer(let value), .size(let value): value
        default: nil
        }
    }

    /// An integer or a number.
    package var number: Double? {
        switch self {
        case .number(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }

    package var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    package var duration: Duration? {
        if case .duration(let value) = self { return .nanoseconds(value) }
        return nil
    }

    package var list: [ConfigValue]? {
        if case .list(let values) = self { return values }
        return nil
    }

    package var entries: [ConfigEntry]? {
        if case .object(let entries) = self { return entries }
        return nil
    }

    package var secret: SecretReference? {
        if case .secret(let reference) = self { return reference }
        return nil
    }

    /// Builds an object; a nil value leaves its key out.
    package static func object(_ pairs: KeyValuePairs<String, ConfigValue?>) -> ConfigValue {
        .object(pairs.compactMap { key, value in value.map { ConfigEntry(key, $0) } })
    }
}
