package import Model

/// A document's spec against a schema: a typed value with the defaults filled in, and everything that is wrong, not
/// only the first.
package struct Validator {
    private let document: Document
    private(set) var issues: IssueList

    private init(_ document: Document) {
        self.document = document
        issues = IssueList()
    }

    /// The value is complete only if the issues hold no error.
    package static func validate(_ document: Document, _ schema: Schema) -> (spec: ConfigValue, issues: IssueList) {
        var validator = Validator(document)
        let spec = validator.object(document.spec, schema, what: "spec")
        return (spec, validator.issues)
    }

    // MARK: Containers

    private mutating func object(_ node: SourceNode, _ schema: Schema, what: String) -> ConfigValue {
        guard let entries = entries(of: node, what) else { return .null }
        let known = schema.fields.map(\.name)
        for entry in entries where schema.field(entry.key) == nil { unknown("key", entry, known) }
        var result: [ConfigEntry] = []
        result.reserveCapacity(schema.fields.count)
        for field in schema.fields {
            let given = entries.first { $0.key == field.name }
            if let given, !isAbsent(given.value, field.type) {
                result.append(
                    ConfigEntry(field.name, value(given.value, field.type, what: field.name, in: node, schema)))
            } else if let defaultValue = field.defaultValue {
                result.append(ConfigEntry(field.name, defaultValue))
            } else if field.isRequired {
                report(
                    "resource.key.missing", "\(what): key \"\(field.name)\" is missing: \(field.help)",
                    ["key": field.name, "what": what], at: given?.value ?? node)
            }
        }
        return .object(result)
    }

    /// Nothing, or the word `null` where text is not wanted, is as if the key were not there.
    private func isAbsent(_ node: SourceNode, _ type: FieldType) -> Bool {
        switch (node.content, type) {
        case (.null, .any): false
        case (.null, _): true
        case (.scalar("null", .plain), .string), (.scalar("null", .plain), .any): false
        case (.scalar("null", .plain), _): true
        default: false
        }
    }

    private mutating func value(
        _ node: SourceNode, _ type: FieldType, what: String, in parent: SourceNode, _ schema: Schema
    ) -> ConfigValue {
        guard case .chosen(let sibling, let choices) = type else { return value(node, type, what: what) }
        let known = choices.keys.sorted()
        let fallback = schema.field(sibling)?.defaultValue?.string
        guard let choice = parent[sibling]?.scalar ?? fallback else {
            // That the sibling is missing or wrong is said where it stands.
            return .null
        }
        guard let chosen = choices[choice] else {
            // A choice field says so itself; a free text field does not.
            if case .choice? = schema.field(sibling)?.type { return .null }
            let place = parent[sibling] ?? node
            let text = unknownName(sibling, choice, known: known)
            report("resource.\(sibling).unknown", text.message, text.arguments, at: place, known: known)
            return .null
        }
        return object(node, chosen, what: what)
    }

    private mutating func value(_ node: SourceNode, _ type: FieldType, what: String) -> ConfigValue {
        switch type {
        case .object(let schema): return object(node, schema, what: what)
        case .list(let element, let countMax): return list(node, element, countMax, what)
        case .map(let element, let countMax): return map(node, element, countMax, what)
        case .oneOf(let fields): return oneOf(node, fields, what)
        case .any: return anything(node, what)
        case .secret: return secret(node, what)
        case .chosen: return .null
        default: return scalar(node, type, what)
        }
    }

    private mutating func list(_ node: SourceNode, _ element: FieldType, _ countMax: Int, _ what: String) -> ConfigValue
    {
        guard let items = node.items else {
            wrongType(node, what, "a list")
            return .null
        }
        if items.count > countMax {
            report(
                "resource.count", "\(what): \(items.count) entries; at most \(countMax) are allowed",
                ["key": what, "count": String(items.count), "max": String(countMax)], at: node)
            return .null
        }
        checkNames(items, element, what)
        var values: [ConfigValue] = []
        values.reserveCapacity(items.count)
        for (index, item) in items.enumerated() { values.append(value(item, element, what: "\(what)[\(index)]")) }
        return .list(values)
    }

    /// Entries that have a name have each its own.
    private mutating func checkNames(_ items: [SourceNode], _ element: FieldType, _ what: String) {
        guard case .object(let schema) = element, let field = schema.field("name"), field.isRequired else { return }
        var lines: [String: Int] = [:]
        for item in items {
            guard let node = item["name"], let name = node.scalar else { continue }
            guard let first = lines.updateValue(node.line, forKey: name) else { continue }
            report(
                "resource.name.duplicate", "\(what): name \"\(name)\" is given twice; the first is in line \(first)",
                ["key": what, "name": name, "first": String(first)], at: node)
        }
    }

    private mutating func map(_ node: SourceNode, _ element: FieldType, _ countMax: Int, _ what: String) -> ConfigValue
    {
        guard let entries = entries(of: node, what) else { return .null }
        if entries.count > countMax {
            report(
                "resource.count", "\(what): \(entries.count) entries; at most \(countMax) are allowed",
                ["key": what, "count": String(entries.count), "max": String(countMax)], at: node)
            return .null
        }
        return .object(entries.map { ConfigEntry($0.key, value($0.value, element, what: $0.key)) })
    }

    private mutating func oneOf(_ node: SourceNode, _ fields: [Field], _ what: String) -> ConfigValue {
        guard let entries = entries(of: node, what) else { return .null }
        let known = fields.map(\.name)
        for entry in entries where !known.contains(entry.key) { unknown("key", entry, known) }
        let given = entries.filter { known.contains($0.key) }
        guard given.count == 1, let entry = given.first, let field = fields.first(where: { $0.name == entry.key })
        else {
            if given.isEmpty, !entries.isEmpty { return .null }
            let found = given.isEmpty ? "none" : given.map(\.key).joined(separator: " and ")
            report(
                "resource.one_of", "\(what): exactly one of \(known.joined(separator: ", ")) is wanted, found \(found)",
                ["key": what, "known": known.joined(separator: ", ")], at: node, known: known)
            return .null
        }
        // `historian:` alone is the choice with all its defaults.
        var inner = entry.value
        if inner.isNull, case .object = field.type { inner.content = .map([]) }
        return .object([ConfigEntry(entry.key, value(inner, field.type, what: entry.key))])
    }

    /// Kept as written; plain scalars are what JSON would make of them.
    private mutating func anything(_ node: SourceNode, _ what: String) -> ConfigValue {
        switch node.content {
        case .null: return .null
        case .scalar(let text, let style):
            checkPassword(text, node, what)
            guard style == .plain else { return .string(text) }
            switch text {
            case "true": return .bool(true)
            case "false": return .bool(false)
            case "null": return .null
            default: break
            }
            guard SourceWriter.isJSONWord(text) else { return .string(text) }
            if let integer = Int64(text) { return .integer(integer) }
            return ScalarReading.number(text).map { .number($0) } ?? .string(text)
        case .list(let items): return .list(items.map { anything($0, what) })
        case .map(let entries): return .object(entries.map { ConfigEntry($0.key, anything($0.value, $0.key)) })
        }
    }

    private mutating func secret(_ node: SourceNode, _ what: String) -> ConfigValue {
        let known = ["secret", "env", "file"]
        if let text = node.scalar { return .secret(.inline(text)) }
        guard let entries = node.entries else {
            wrongType(node, what, "text, { secret: NAME }, { env: NAME } or { file: PATH }")
            return .null
        }
        if SpecTree.isRedacted(node) {
            report(
                "resource.secret.redacted",
                "\(what): its value was taken out of this document and none is stored that could stay; give it again",
                ["key": what], at: node)
            return .null
        }
        for entry in entries where !known.contains(entry.key) { unknown("key", entry, known) }
        guard entries.count == 1, let entry = entries.first, let text = entry.value.scalar, !text.isEmpty else {
            report(
                "resource.one_of", "\(what): exactly one of secret, env, file is wanted, each with text",
                ["key": what, "known": known.joined(separator: ", ")], at: node, known: known)
            return .null
        }
        switch entry.key {
        case "secret": return .secret(.secret(text))
        case "env": return .secret(.environment(text))
        default: return .secret(.file(text))
        }
    }

    // MARK: Scalars

    private mutating func scalar(_ node: SourceNode, _ type: FieldType, _ what: String) -> ConfigValue {
        guard case .scalar(let text, let style) = node.content else {
            wrongType(node, what, type.wanted)
            return .null
        }
        switch type {
        case .bool:
            if style == .plain, text == "true" { return .bool(true) }
            if style == .plain, text == "false" { return .bool(false) }
        case .integer(let range):
            if style == .plain, let value = ScalarReading.integer(text) {
                check(value, in: range, node, what) { String($0) }
                return .integer(value)
            }
        case .number(let range):
            if style == .plain, let value = ScalarReading.number(text) {
                check(value, in: range, node, what) { ConfigText.word($0).scalar ?? "" }
                return .number(value)
            }
        case .duration(let range):
            if let value = ScalarReading.duration(text) {
                let limits = range.lowerBound.nanoseconds...range.upperBound.nanoseconds
                check(value, in: limits, node, what) { ScalarReading.text(duration: $0) }
                return .duration(value)
            }
        case .size(let range):
            if let value = ScalarReading.size(text) {
                check(value, in: range, node, what) { ScalarReading.text(size: $0) }
                return .size(value)
            }
        case .choice(let known):
            if known.contains(text) { return .string(text) }
            let message = unknownName(what, text, known: known)
            report("resource.\(what).unknown", message.message, message.arguments, at: node, known: known)
            return .null
        case .string(let rule):
            checkString(text, rule, node, what)
            return .string(text)
        default: break
        }
        wrongType(node, what, type.wanted)
        return .null
    }

    private mutating func check<Value: Comparable>(
        _ value: Value, in range: ClosedRange<Value>, _ node: SourceNode, _ what: String, _ text: (Value) -> String
    ) {
        guard !range.contains(value) else { return }
        let (low, high) = (text(range.lowerBound), text(range.upperBound))
        report(
            "resource.range", "\(what): \(text(value)) is not in \(low) to \(high)",
            ["key": what, "value": text(value), "min": low, "max": high], at: node)
    }

    private mutating func checkString(_ text: String, _ rule: StringRule, _ node: SourceNode, _ what: String) {
        let length = text.unicodeScalars.count
        if length > rule.lengthMax {
            report(
                "resource.length", "\(what): \(length) characters; at most \(rule.lengthMax) are allowed",
                ["key": what, "length": String(length), "max": String(rule.lengthMax)], at: node)
            return
        }
        if let fault = StringForms.fault(text, rule.form) {
            report(
                "resource.form", "\(what): \"\(shortened(text))\" \(fault)", ["key": what, "value": text], at: node)
        }
        if rule.form == .text || rule.form == .hostPort { checkPassword(text, node, what) }
    }

    private mutating func checkPassword(_ text: String, _ node: SourceNode, _ what: String) {
        guard let user = StringForms.userOfPassword(inURL: text) else { return }
        report(
            "resource.password_in_url",
            "\(what): a password inside a URL can be seen by everyone; write the URL with \"\(user)@\" alone and give "
                + "the password by reference: { secret: NAME }, { env: NAME } or { file: PATH }", ["key": what],
            at: node)
    }

    // MARK: Issues

    private mutating func entries(of node: SourceNode, _ what: String) -> [SourceEntry]? {
        if let entries = node.entries { return entries }
        wrongType(node, what, "a map of keys")
        return nil
    }

    private mutating func wrongType(_ node: SourceNode, _ what: String, _ wanted: String) {
        report(
            "resource.type", "\(what): expected \(wanted), found \(node.kindName)", ["key": what, "wanted": wanted],
            at: node)
    }

    private mutating func unknown(_ what: String, _ entry: SourceEntry, _ known: [String]) {
        let text = unknownName(what, entry.key, known: known)
        let problem = Problem("resource.key.unknown", text.message, text.arguments)
        issues.add(
            Issue(problem, file: document.file, line: entry.keyLine, column: entry.keyColumn, known: known))
    }

    private mutating func report(
        _ code: String, _ message: String, _ arguments: [String: String], at node: SourceNode, known: [String] = []
    ) {
        issues.add(document.issue(code, message, arguments, at: node, known: known))
    }
}

extension FieldType {
    /// What a person should have written.
    var wanted: String {
        switch self {
        case .bool: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .string: "text"
        case .duration: "a duration such as 100ms, 5s or 2h"
        case .size: "a size such as 64KiB or 1GiB"
        case .choice(let known): "one of \(known.joined(separator: ", "))"
        case .secret: "text or a reference to a secret"
        case .object, .map, .chosen, .oneOf: "a map of keys"
        case .list: "a list"
        case .any: "anything"
        }
    }
}
