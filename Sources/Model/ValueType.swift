/// The type of one element of a tag's value. Raw values are stored on disk: never renumber.
package enum ScalarType: UInt8, Sendable, CaseIterable {
    case bool = 1
    case int8, uint8, int16, uint16, int32, uint32, int64, uint64
    case float32, float64
    case string
    case bytes
    case timestamp

    package var name: String { "\(self)" }

    /// The width of a number in bits as a device stores it; nil for what is not a number.
    package var bitWidth: Int? {
        switch self {
        case .int8, .uint8: 8
        case .int16, .uint16: 16
        case .int32, .uint32, .float32: 32
        case .int64, .uint64, .float64: 64
        case .bool, .string, .bytes, .timestamp: nil
        }
    }

    package var isSignedInteger: Bool { self == .int8 || self == .int16 || self == .int32 || self == .int64 }
    package var isUnsignedInteger: Bool { self == .uint8 || self == .uint16 || self == .uint32 || self == .uint64 }
    package var isInteger: Bool { isSignedInteger || isUnsignedInteger }
    package var isFloat: Bool { self == .float32 || self == .float64 }
    package var isNumber: Bool { isInteger || isFloat }
    /// Whether a sample of the type fits its 8-byte slot; strings and bytes lie in the batch's blob.
    @inlinable package var isInline: Bool { self != .string && self != .bytes }

    /// The least and greatest integer; nil for other types.
    package var integerRange: (min: Int64, max: UInt64)? {
        guard isInteger, let width = bitWidth else { return nil }
        return isSignedInteger
            ? (Int64.min >> (64 - width), UInt64(Int64.max >> (64 - width))) : (0, UInt64.max >> (64 - width))
    }
}

/// The type of a tag: a scalar, or an array of `arrayCount` scalars.
package struct ValueType: Hashable, Sendable {
    package static let arrayCountMax = 65_536

    package var scalar: ScalarType
    /// Number of elements; 0 for a scalar.
    package var arrayCount: Int

    package init(_ scalar: ScalarType, arrayCount: Int = 0) {
        self.scalar = scalar
        self.arrayCount = arrayCount
    }

    @inlinable package var isArray: Bool { arrayCount > 0 }
    @inlinable package var isInline: Bool { arrayCount == 0 && scalar.isInline }
}

extension ValueType: CustomStringConvertible {
    package var description: String { isArray ? "\(scalar.name)[\(arrayCount)]" : scalar.name }

    /// Reads `float32` or `float32[8]`; arrays of strings or bytes do not exist.
    package init?(_ text: String) {
        guard let bracket = text.firstIndex(of: "[") else {
            guard let scalar = ScalarType(name: text) else { return nil }
            self.init(scalar)
            return
        }
        guard let scalar = ScalarType(name: String(text[..<bracket])), scalar.isInline, text.last == "]",
            let count = Int(text[text.index(after: bracket)...].dropLast()), (1...Self.arrayCountMax).contains(count)
        else { return nil }
        self.init(scalar, arrayCount: count)
    }
}

extension ScalarType {
    package init?(name: String) {
        guard let type = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = type
    }
}
