import Formats
import HTTPTypes
import Model

/// Reading a request's body, member by member, with errors that name the member.
extension JSONValue {
    func requiredText(_ name: String, max: Int) throws(Refusal) -> String {
        guard let text = try optionalText(name, max: max), !text.isEmpty else {
            throw Refusal(.unprocessableContent, "request.missing", "\"\(name)\" is missing", ["name": name])
        }
        return text
    }

    func optionalText(_ name: String, max: Int) throws(Refusal) -> String? {
        guard let value = self[name], value != .null else { return nil }
        guard let text = value.string else { throw Self.wrong(name, value, "a string") }
        guard text.utf8.count <= max else {
            throw Refusal(
                .unprocessableContent, "request.too_long", "\"\(name)\" must have at most \(max) bytes",
                ["name": name, "allowed": "\(max)"])
        }
        return text
    }

    func optionalBool(_ name: String) throws(Refusal) -> Bool? {
        guard let value = self[name], value != .null else { return nil }
        guard let flag = value.bool else { throw Self.wrong(name, value, "true or false") }
        return flag
    }

    func optionalInteger(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
        guard let value = self[name], value != .null else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw Self.wrong(name, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func requiredMembers(_ name: String) throws(Refusal) -> [JSONMember] {
        guard let value = self[name] else {
            throw Refusal(.unprocessableContent, "request.missing", "\"\(name)\" is missing", ["name": name])
        }
        guard let members = value.members else { throw Self.wrong(name, value, "an object") }
        return members
    }

    func optionalTexts(_ name: String, max: Int) throws(Refusal) -> [String]? {
        guard let value = self[name], value != .null else { return nil }
        guard let elements = value.array, elements.count <= max else {
            throw Self.wrong(name, value, "a list of at most \(max) strings")
        }
        var texts: [String] = []
        texts.reserveCapacity(elements.count)
        for element in elements {
            guard let text = element.string else { throw Self.wrong(name, element, "a list of strings") }
            texts.append(text)
        }
        return texts
    }

    /// `seen` is cut, so that an error never echoes a whole document.
    static func wrong(_ name: String, _ seen: JSONValue, _ allowed: String) -> Refusal {
        let text = String(seen.text.prefix(80))
        return Refusal(
            .unprocessableContent, "request.value", "\"\(name)\" is \(text): must be \(allowed)",
            ["name": name, "seen": text, "allowed": allowed])
    }
}

extension Value {
    /// As groups publish it.
    var json: JSONValue {
        switch self {
        case .bool(let value): .bool(value)
        case .int(let value): .integer(value)
        case .uint(let value): Int64(exactly: value).map(JSONValue.integer) ?? .unsigned(value)
        // Through the shortest decimal form, so that 0.1 stays 0.1 and does not become 0.10000000149.
        case .float32(let value): value.isFinite ? .number(Double("\(value)") ?? Double(value)) : .null
        case .float64(let value): value.isFinite ? .number(value) : .null
        case .string(let value): .string(value)
        case .bytes: .string(description)
        case .timestamp(let value): .string(value.description)
        case .array(let values): .array(values.map(\.json))
        }
    }
}

extension JSONValue {
    static func count(_ value: Int) -> JSONValue { .integer(Int64(value)) }
    static func count(_ value: UInt64) -> JSONValue { Int64(exactly: value).map(JSONValue.integer) ?? .unsigned(value) }
    static func time(_ value: Timestamp) -> JSONValue { .integer(value.milliseconds) }
}

extension Problem {
    /// `{code, message, arguments}`, as errors stand inside answers.
    var json: JSONValue {
        .object([
            "code": .string(code), "message": .string(message),
            "arguments": arguments.isEmpty ? nil : argumentsJSON,
        ])
    }
}
