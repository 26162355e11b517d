package import Model

/// A JSON text as a tree: for what is not on the hot path. Integers of 64 bits are exact, members keep their order.
package enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Above Int64.max.
    case unsigned(UInt64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])
}

package struct JSONMember: Sendable, Hashable {
    package var key: String
    package var value: JSONValue

    package init(_ key: String, _ value: JSONValue) {
        self.key = key
        self.value = value
    }
}

/// What a parser accepts from strangers.
package struct JSONLimits: Sendable {
    package var depthMax: Int
    package var bytesMax: Int

    package init(depthMax: Int = 64, bytesMax: Int = 16 << 20) {
        self.depthMax = depthMax
        self.bytesMax = bytesMax
    }
}

extension JSONValue {
    /// Parses a whole text.
    package init(parsing text: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(JSONFailure) {
        guard text.count <= limits.bytesMax else { throw JSONFailure(.tooLarge, limits.bytesMax) }
        // The first pass validates, so that the second one only builds.
        var slot = JSONSlot.absent
        if let failure = Self.whole.scan(text, into: &slot, depthMax: limits.depthMax) { throw failure }
        var builder = JSONTreeBuilder(text: text)
        self = builder.value()
    }

    package init(parsing text: Bytes, limits: JSONLimits = JSONLimits()) throws(JSONFailure) {
        self = try text.withUnsafeBytes { (bytes) throws(JSONFailure) in try JSONValue(parsing: bytes, limits: limits) }
    }

    package init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONFailure) {
        self = try JSONValue(parsing: Bytes(text), limits: limits)
    }

    private static let whole = JSONFieldSet([[]])

    /// The last member of that name; nil where absent or not an object.
    package subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.key == key }?.value
    }

    package subscript(_ index: Int) -> JSONValue? {
        guard case .array(let values) = self, values.indices.contains(index) else { return nil }
        return values[index]
    }

    package var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    package var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    package var integer: Int64? {
        if case .integer(let value) = self { return value }
        return nil
    }

    package var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    package var array: [JSONValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    package var members: [JSONMember]? {
        if case .object(let members) = self { return members }
        return nil
    }

    /// Builds an object; a nil value leaves its key out.
    package static func object(_ pairs: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(pairs.compactMap { key, value in value.map { JSONMember(key, $0) } })
    }

    /// As a tag's value; nil for null and for objects.
    package var value: Value? {
        switch self {
        case .null, .object: return nil
        case .bool(let value): return .bool(value)
        case .integer(let value): return .int(value)
        case .unsigned(let value): return .uint(value)
        case .number(let value): return .float64(value)
        case .string(let value): return .string(value)
        case .array(let elements):
            var values: [Value] = []
            for element in elements {
                guard let value = element.value else { return nil }
                values.append(value)
            }
            return .array(values)
        }
    }

    /// Without spaces.
    package var text: String {
        var writer = JSONWriter()
        writer.json(self)
        return writer.bytes().string
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSONWriter {
    package mutating func json(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .integer(let value): integer(value)
        case .unsigned(let value): integer(value)
        case .number(let value): number(value)
        case .string(let value): string(value)
        case .array(let values):
            byte(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { byte(UInt8(ascii: ",")) }
                json(value)
            }
            byte(UInt8(ascii: "]"))
        case .object(let members):
            byte(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { byte(UInt8(ascii: ",")) }
                string(member.key)
                byte(UInt8(ascii: ":"))
                json(member.value)
            }
            byte(UInt8(ascii: "}"))
        }
    }
}

/// Builds the tree of a text that was validated, also in depth.
private struct JSONTreeBuilder {
    let text: UnsafeRawBufferPointer
    var at = 0

    private mutating func space() {
        while at < text.count, text[at] <= 0x20 { at += 1 }
    }

    private var next: UInt8 { at < text.count ? text[at] : 0 }

    mutating func value() -> JSONValue {
        space()
        switch next {
        case UInt8(ascii: "\""): return .string(string())
        case UInt8(ascii: "{"): return object()
        case UInt8(ascii: "["): return array()
        case UInt8(ascii: "t"):
            at += 4
            return .bool(true)
        case UInt8(ascii: "f"):
            at += 5
            return .bool(false)
        case UInt8(ascii: "n"):
            at += 4
            return .null
        default:
            let end = JSONText.numberEnd(text, at) ?? text.count
            defer { at = end }
            switch JSONText.number(UnsafeRawBufferPointer(rebasing: text[at..<end])) {
            case .integer(let value): return .integer(value)
            case .unsigned(let value): return .unsigned(value)
            case .double(let value): return .number(value)
            }
        }
    }

    private mutating func string() -> String {
        at += 1
        let start = at
        var isEscaped = false
        while next != UInt8(ascii: "\""), at < text.count {
            if next == UInt8(ascii: "\\") {
                isEscaped = true
                at += 1
            }
            at += 1
        }
        let inside = UnsafeRawBufferPointer(rebasing: text[start..<min(at, text.count)])
        at += 1
        guard isEscaped else { return String(decoding: inside, as: UTF8.self) }
        return String(unsafeUninitializedCapacity: inside.count) { target in
            guard let base = target.baseAddress else { return 0 }
            return JSONText.unescape(inside, to: base)
        }
    }

    private mutating func object() -> JSONValue {
        var members: [JSONMember] = []
        at += 1
        space()
        while next != UInt8(ascii: "}"), at < text.count {
            let key = string()
            space()
            at += 1
            members.append(JSONMember(key, value()))
            space()
            if next == UInt8(ascii: ",") { at += 1 }
            space()
        }
        at += 1
        return .object(members)
    }

    private mutating func array() -> JSONValue {
        var values: [JSONValue] = []
        at += 1
        space()
        while next != UInt8(ascii: "]"), at < text.count {
            values.append(value())
            space()
            if next == UInt8(ascii: ",") { at += 1 }
            space()
        }
        at += 1
        return .array(values)
    }
}
