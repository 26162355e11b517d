import Formats
import Model

/// A column's type in the database, as far as it can be written: the formats of binary COPY.
///
/// PostgreSQL 15 documentation, COPY, "Binary Format", and the types' send functions.
enum PostgresType: UInt32, CaseIterable {
    case bool = 16
    case bytea = 17
    case int8 = 20
    case int2 = 21
    case int4 = 23
    case text = 25
    case json = 114
    case float4 = 700
    case float8 = 701
    case bpchar = 1042
    case varchar = 1043
    case date = 1082
    case timestamp = 1114
    case timestamptz = 1184
    case numeric = 1700
    case uuid = 2950
    case jsonb = 3802
    case boolArray = 1000
    case int2Array = 1005
    case int4Array = 1007
    case textArray = 1009
    case int8Array = 1016
    case float4Array = 1021
    case float8Array = 1022

    var element: PostgresType? {
        switch self {
        case .boolArray: .bool
        case .int2Array: .int2
        case .int4Array: .int4
        case .textArray: .text
        case .int8Array: .int8
        case .float4Array: .float4
        case .float8Array: .float8
        default: nil
        }
    }

    /// What a table that is made gets for values of this type.
    static func name(for type: ValueType?) -> String {
        guard let type else { return "text" }
        let scalar =
            switch type.scalar {
            case .bool: "boolean"
            case .int8, .uint8, .int16: "smallint"
            case .uint16, .int32: "integer"
            case .uint32, .int64: "bigint"
            case .uint64: "numeric(20)"
            case .float32: "real"
            case .float64: "double precision"
            case .string: "text"
            case .bytes: "bytea"
            case .timestamp: "timestamptz"
            }
        return type.isArray ? scalar + "[]" : scalar
    }

    /// Whether values of the type fit, as far as that is known before any value is.
    func takes(_ type: ValueType) -> Bool {
        if type.isArray {
            return self == .json || self == .jsonb || self == .text || element?.takes(ValueType(type.scalar)) == true
        }
        switch self {
        case .text, .varchar, .bpchar, .json, .jsonb: return true
        case .bool: return type.scalar == .bool
        case .int2: return [.int8, .uint8, .int16, .bool].contains(type.scalar)
        case .int4: return [.int8, .uint8, .int16, .uint16, .int32, .bool].contains(type.scalar)
        case .int8: return type.scalar.isInteger && type.scalar != .uint64 || type.scalar == .bool
        case .float4: return type.scalar.isNumber && type.scalar != .float64 || type.scalar == .bool
        case .float8, .numeric: return type.scalar.isNumber || type.scalar == .bool
        case .bytea: return type.scalar == .bytes
        case .timestamp, .timestamptz, .date: return [.timestamp, .int64, .string].contains(type.scalar)
        case .uuid: return type.scalar == .string
        default: return false
        }
    }
}

/// Rows in the format of binary COPY.
struct CopyEncoder {
    private(set) var bytes: [UInt8] = []

    /// The signature, no flags, no extension.
    mutating func begin() {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00])
        put(UInt32(0))
        put(UInt32(0))
    }

    mutating func end() { put(Int16(-1)) }

    /// Appends a row; nil if it fits, else the column and why not, and nothing is appended.
    mutating func row(_ values: some RandomAccessCollection<Value?>, _ types: [PostgresType]) -> (Int, String)? {
        let start = bytes.count
        put(Int16(types.count))
        var column = 0
        for value in values {
            if let why = field(value, types[column]) {
                bytes.removeLast(bytes.count - start)
                return (column, why)
            }
            column += 1
        }
        return nil
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Puts the length before what `body` appends.
    private mutating func measured(_ body: (inout CopyEncoder) -> String?) -> String? {
        let at = bytes.count
        put(UInt32(0))
        if let why = body(&self) { return why }
        withUnsafeBytes(of: UInt32(bytes.count - at - 4).bigEndian) {
            for (index, byte) in $0.enumerated() { bytes[at + index] = byte }
        }
        return nil
    }

    private mutating func fixed<T: FixedWidthInteger>(_ value: T) {
        put(UInt32(T.bitWidth / 8))
        put(value)
    }

    /// Nil if the value could be written.
    private mutating func field(_ value: Value?, _ type: PostgresType) -> String? {
        guard let value else {
            put(Int32(-1))
            return nil
        }
        switch type {
        case .bool:
            guard case .bool(let isTrue)? = try? value.converted(to: ValueType(.bool)) else {
                return "\(Self.shown(value)) is neither true nor false"
            }
            fixed(UInt8(isTrue ? 1 : 0))
        case .int2: return integer(value, Int16.self, .int16, "smallint")
        case .int4: return integer(value, Int32.self, .int32, "integer")
        case .int8: return integer(value, Int64.self, .int64, "bigint")
        case .float4:
            guard let number = value.double else { return "\(Self.shown(value)) is not a number" }
            if number.isFinite, abs(number) > Double(Float.greatestFiniteMagnitude) {
                return "\(Self.shown(value)) is out of range for real"
            }
            fixed(Float(number).bitPattern)
        case .float8:
            guard let number = value.double else { return "\(Self.shown(value)) is not a number" }
            fixed(number.bitPattern)
        case .numeric: return numeric(value)
        case .text, .varchar, .bpchar, .json: return text(Self.text(value, isJSON: type == .json))
        case .jsonb:
            return measured { encoder in
                encoder.bytes.append(1)
                encoder.bytes.append(contentsOf: Self.text(value, isJSON: true).utf8)
                return nil
            }
        case .bytea:
            guard case .bytes(let content)? = try? value.converted(to: ValueType(.bytes)) else {
                return "\(Self.shown(value)) is not bytes in hexadecimal digits"
            }
            put(UInt32(content.count))
            bytes.append(contentsOf: content)
        case .timestamp, .timestamptz:
            guard let time = Self.time(value) else { return "\(Self.shown(value)) is not a time" }
            fixed(Self.microseconds(time))
        case .date:
            guard let time = Self.time(value) else { return "\(Self.shown(value)) is not a time" }
            let days = Self.microseconds(time).flooredDivision(by: 86_400_000_000)
            fixed(Int32(truncatingIfNeeded: days))
        case .uuid:
            guard case .string(let text) = value, let content = Self.uuid(text) else {
                return "\(Self.shown(value)) is not a UUID"
            }
            put(UInt32(16))
            bytes.append(contentsOf: content)
        default: return array(value, type)
        }
        return nil
    }

    private mutating func integer<T: FixedWidthInteger>(
        _ value: Value, _: T.Type, _ type: ScalarType, _ name: String
    ) -> String? {
        var value = value
        if case .bool(let isTrue) = value { value = .int(isTrue ? 1 : 0) }
        do throws(ConversionFailure) {
            guard case .int(let number) = try value.converted(to: ValueType(type)) else { return "not an integer" }
            fixed(T(truncatingIfNeeded: number))
            return nil
        } catch {
            guard let number = value.double else { return "\(Self.shown(value)) is not a number" }
            return number.isFinite && number.rounded() == number
                ? "\(Self.shown(value)) is out of range for \(name)" : "\(Self.shown(value)) is not a whole number"
        }
    }

    private mutating func text(_ text: String) -> String? {
        let start = bytes.count
        put(UInt32(0))
        bytes.append(contentsOf: text.utf8)
        withUnsafeBytes(of: UInt32(bytes.count - start - 4).bigEndian) {
            for (index, byte) in $0.enumerated() { bytes[start + index] = byte }
        }
        // A zero byte cannot be stored as text.
        return bytes[(start + 4)...].contains(0) ? "text with a zero byte cannot be stored" : nil
    }

    private mutating func array(_ value: Value, _ type: PostgresType) -> String? {
        guard let element = type.element, case .array(let values) = value else {
            return "\(Self.shown(value)) is not a list"
        }
        return measured { encoder in
            encoder.put(UInt32(values.isEmpty ? 0 : 1))
            encoder.put(UInt32(0))
            encoder.put(element.rawValue)
            guard !values.isEmpty else { return nil }
            encoder.put(UInt32(values.count))
            encoder.put(UInt32(1))
            for value in values {
                if let why = encoder.field(value, element) { return why }
            }
            return nil
        }
    }

    /// Base 10,000 digits, the weight of the first, a sign and the digits behind the point that are shown.
    private mutating func numeric(_ value: Value) -> String? {
        var text: String
        switch value {
        case .bool(let isTrue): text = isTrue ? "1" : "0"
        case .int(let number): text = String(number)
        case .uint(let number): text = String(number)
        case .float32, .float64:
            let number = value.double ?? 0
            if number.isNaN || number.isInfinite {
                return measured { encoder in
                    encoder.put(UInt16(0))
                    encoder.put(UInt16(0))
                    encoder.put(UInt16(number.isNaN ? 0xC000 : number > 0 ? 0xD000 : 0xF000))
                    encoder.put(UInt16(0))
                    return nil
                }
            }
            text = "\(value)"
        case .string(let digits): text = digits
        default: return "\(Self.shown(value)) is not a number"
        }
        guard let parts = Self.decimal(text) else { return "\(Self.shown(value)) is not a number" }
        return measured { encoder in
            encoder.put(UInt16(parts.digits.count))
            encoder.put(Int16(parts.weight))
            encoder.put(UInt16(parts.isNegative ? 0x4000 : 0))
            encoder.put(UInt16(parts.scale))
            for digit in parts.digits { encoder.put(UInt16(digit)) }
            return nil
        }
    }

    struct Decimal: Equatable {
        var digits: [Int]
        var weight: Int
        var isNegative: Bool
        var scale: Int
    }

    /// Takes `-12.5e3` apart; nil for what is no decimal number, or has more than 1,000 digits.
    static func decimal(_ text: String) -> Decimal? {
        var rest = Array(text.utf8)[...]
        var isNegative = false
        if let sign = rest.first, sign == 0x2D || sign == 0x2B {
            isNegative = sign == 0x2D
            rest = rest.dropFirst()
        }
        var digits: [UInt8] = []
        var fraction = 0
        var hasPoint = false
        var exponent = 0
        while let byte = rest.first {
            rest = rest.dropFirst()
            switch byte {
            case 0x30...0x39:
                digits.append(byte - 0x30)
                if hasPoint { fraction += 1 }
            case 0x2E:
                if hasPoint { return nil }
                hasPoint = true
            case 0x65, 0x45:
                guard let number = Int(String(decoding: rest, as: UTF8.self)), abs(number) <= 1000 else { return nil }
                exponent = number
                rest = []
            default: return nil
            }
        }
        guard !digits.isEmpty, digits.count <= 1000 else { return nil }
        // `point` digits stand before the decimal point.
        var point = digits.count - fraction + exponent
        let scale = max(0, digits.count - point)
        while point > digits.count { digits.append(0) }
        while point < 0 {
            digits.insert(0, at: 0)
            point += 1
        }
        while point % 4 != 0 {
            digits.insert(0, at: 0)
            point += 1
        }
        while digits.count % 4 != 0 { digits.append(0) }
        var groups: [Int] = []
        for at in stride(from: 0, to: digits.count, by: 4) {
            groups.append(digits[at..<at + 4].reduce(0) { $0 * 10 + Int($1) })
        }
        var weight = point / 4 - 1
        while groups.first == 0 {
            groups.removeFirst()
            weight -= 1
        }
        while groups.last == 0 { groups.removeLast() }
        if groups.isEmpty { return Decimal(digits: [], weight: 0, isNegative: false, scale: scale) }
        return Decimal(digits: groups, weight: weight, isNegative: isNegative, scale: scale)
    }

    private static func time(_ value: Value) -> Timestamp? {
        guard case .timestamp(let time)? = try? value.converted(to: ValueType(.timestamp)) else { return nil }
        return time
    }

    /// Since 2000-01-01, as the database counts.
    private static func microseconds(_ time: Timestamp) -> Int64 {
        time.nanoseconds.flooredDivision(by: 1000) - 946_684_800_000_000
    }

    private static func uuid(_ text: String) -> [UInt8]? {
        let digits = text.utf8.filter { $0 != 0x2D && $0 != 0x7B && $0 != 0x7D }
        guard digits.count == 32 else { return nil }
        guard
            case .bytes(let bytes)? = try? Value.string(String(decoding: digits, as: UTF8.self)).converted(
                to: ValueType(.bytes))
        else { return nil }
        return bytes
    }

    private static func text(_ value: Value, isJSON: Bool) -> String {
        guard isJSON else { return "\(value)" }
        // Objects come as their text.
        if case .string(let text) = value, text.utf8.first == UInt8(ascii: "{") || text.utf8.first == UInt8(ascii: "[")
        {
            return text
        }
        return json(value).text
    }

    private static func json(_ value: Value) -> JSONValue {
        switch value {
        case .bool(let value): .bool(value)
        case .int(let value): .integer(value)
        case .uint(let value): .unsigned(value)
        case .float32, .float64: value.double.flatMap { $0.isFinite ? .number($0) : nil } ?? .null
        case .string(let text): .string(text)
        case .bytes, .timestamp: .string("\(value)")
        case .array(let values): .array(values.map(json))
        }
    }

    /// A value in a message to people.
    private static func shown(_ value: Value) -> String {
        let text = "\(value)"
        let short = text.count > 60 ? text.prefix(60) + "…" : text[...]
        if case .string = value { return "\"\(short)\"" }
        return String(short)
    }
}

extension Int64 {
    /// Rounds towards minus infinity.
    func flooredDivision(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
