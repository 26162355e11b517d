/// One value outside the hot path: in a write, a query's result, a form. A batch keeps slots instead.
package enum Value: Sendable, Hashable {
    case bool(Bool)
    /// Any signed integer type.
    case int(Int64)
    /// Any unsigned integer type.
    case uint(UInt64)
    case float32(Float)
    case float64(Double)
    case string(String)
    case bytes([UInt8])
    case timestamp(Timestamp)
    case array([Value])

    /// The number as a double, for scaling, deadbands and charts; nil for what is not a number or a bool.
    package var double: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .float32(let value): Double(value)
        case .float64(let value): value
        case .string, .bytes, .timestamp, .array: nil
        }
    }
}

extension Value: CustomStringConvertible {
    /// As a person reads it; floats in the shortest form that reads back exactly.
    package var description: String {
        switch self {
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .uint(let value): String(value)
        case .float32(let value): "\(value)"
        case .float64(let value): "\(value)"
        case .string(let value): value
        case .bytes(let value): value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        case .timestamp(let value): value.description
        case .array(let values): "[" + values.map(\.description).joined(separator: ", ") + "]"
        }
    }
}

/// Why a value does not fit a type.
package enum ConversionFailure: Error, Sendable, Equatable {
    case wrongKind(expected: ValueType)
    case outOfRange(expected: ValueType)
    case wrongCount(expected: ValueType, seen: Int)
}

extension Value {
    /// The value as `type`, without loss: integers must fit, a float is an integer only when it is whole; any
    /// number becomes a float. Bytes are accepted as a hex string.
    package func converted(to type: ValueType) throws(ConversionFailure) -> Value {
        if type.isArray {
            guard case .array(let values) = self else { throw .wrongKind(expected: type) }
            guard values.count == type.arrayCount else { throw .wrongCount(expected: type, seen: values.count) }
            var converted: [Value] = []
            converted.reserveCapacity(values.count)
            for value in values { converted.append(try value.converted(to: ValueType(type.scalar))) }
            return .array(converted)
        }
        switch type.scalar {
        case .bool: return .bool(try asBool(type))
        case .int8, .int16, .int32, .int64: return .int(try asSigned(type))
        case .uint8, .uint16, .uint32, .uint64: return .uint(try asUnsigned(type))
        case .float32:
            guard let value = double else { throw .wrongKind(expected: type) }
            if value.isFinite, abs(value) > Double(Float.greatestFiniteMagnitude) { throw .outOfRange(expected: type) }
            return .float32(Float(value))
        case .float64:
            guard let value = double else { throw .wrongKind(expected: type) }
            return .float64(value)
        case .string:
            guard case .string = self else { throw .wrongKind(expected: type) }
            return self
        case .bytes:
            if case .bytes = self { return self }
            guard case .string(let text) = self, let bytes = Self.hex(text) else { throw .wrongKind(expected: type) }
            return .bytes(bytes)
        case .timestamp:
            switch self {
            case .timestamp: return self
            case .int(let milliseconds): return .timestamp(Timestamp(milliseconds: milliseconds))
            case .string(let text):
                guard let time = Timestamp(rfc3339: text) else { throw .wrongKind(expected: type) }
                return .timestamp(time)
            default: throw .wrongKind(expected: type)
            }
        }
    }

    private func asBool(_ type: ValueType) throws(ConversionFailure) -> Bool {
        switch self {
        case .bool(let value): return value
        case .int(0), .uint(0): return false
        case .int(1), .uint(1): return true
        case .int, .uint: throw .outOfRange(expected: type)
        default: throw .wrongKind(expected: type)
        }
    }

    private func asSigned(_ type: ValueType) throws(ConversionFailure) -> Int64 {
        let value: Int64
        switch self {
        case .int(let number): value = number
        case .uint(let number):
            guard let number = Int64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .float32(let number):
            guard let number = Int64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .float64(let number):
            guard let number = Int64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .bool, .string, .bytes, .timestamp, .array: throw .wrongKind(expected: type)
        }
        guard let range = type.scalar.integerRange, value >= range.min, value < 0 || UInt64(value) <= range.max else {
            throw .outOfRange(expected: type)
        }
        return value
    }

    private func asUnsigned(_ type: ValueType) throws(ConversionFailure) -> UInt64 {
        let value: UInt64
        switch self {
        case .uint(let number): value = number
        case .int(let number):
            guard let number = UInt64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .float32(let number):
            guard let number = UInt64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .float64(let number):
            guard let number = UInt64(exactly: number) else { throw .outOfRange(expected: type) }
            value = number
        case .bool, .string, .bytes, .timestamp, .array: throw .wrongKind(expected: type)
        }
        guard let range = type.scalar.integerRange, value <= range.max else { throw .outOfRange(expected: type) }
        return value
    }

    private static func hex(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Character(UnicodeScalar(digits[index])).hexDigitValue,
                let low = Character(UnicodeScalar(digits[index + 1])).hexDigitValue
            else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
