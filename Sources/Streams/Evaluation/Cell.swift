import Formats

/// A value while a statement is evaluated: 16 bytes without references. Text and JSON point into the payload, the
/// program's constants or the context's arena, and are valid until the context goes to the next message.
struct Cell {
    enum Kind: UInt8 {
        /// Not looked up yet; only in the context's table of fields.
        case unloaded = 0
        /// SQL's NULL, JSON's null and what is not there.
        case null
        case bool
        case integer
        /// Above Int64.max.
        case unsigned
        /// Counts as the decimal number as which it is shown.
        case float
        case double
        /// UTF-8.
        case text
        /// A JSON number that nobody has converted yet.
        case number
        /// The inside of a JSON string with escapes.
        case escaped
        /// A JSON object or array as text.
        case object
        case array
    }

    var kind: Kind
    var count: UInt32
    var bits: UInt64

    @inline(__always)
    init(_ kind: Kind, _ bits: UInt64 = 0, count: UInt32 = 0) {
        self.kind = kind
        self.bits = bits
        self.count = count
    }

    static var null: Cell { Cell(.null) }
    static func bool(_ value: Bool) -> Cell { Cell(.bool, value ? 1 : 0) }
    static func integer(_ value: Int64) -> Cell { Cell(.integer, UInt64(bitPattern: value)) }
    static func double(_ value: Double) -> Cell { Cell(.double, value.bitPattern) }
    static func float(_ value: Float) -> Cell { Cell(.float, UInt64(value.bitPattern)) }

    static func unsigned(_ value: UInt64) -> Cell {
        value <= UInt64(Int64.max) ? .integer(Int64(value)) : Cell(.unsigned, value)
    }

    static func text(_ bytes: UnsafeRawBufferPointer) -> Cell { Cell(.text, bytes) }

    init(_ kind: Kind, _ bytes: UnsafeRawBufferPointer) {
        self.kind = kind
        count = UInt32(truncatingIfNeeded: bytes.count)
        bits = UInt64(UInt(bitPattern: bytes.baseAddress))
    }

    init(_ number: JSONText.Number) {
        switch number {
        case .integer(let value): self = .integer(value)
        case .unsigned(let value): self = Cell(.unsigned, value)
        case .double(let value): self = .double(value)
        }
    }

    @inline(__always) var isNull: Bool { kind == .null }
    @inline(__always) var isTrue: Bool { kind == .bool && bits != 0 }
    @inline(__always) var int: Int64 { Int64(bitPattern: bits) }

    /// Of text, numbers as text and JSON.
    @inline(__always) var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: UInt(bits)), count: Int(count))
    }

    var isNumber: Bool {
        switch kind {
        case .integer, .unsigned, .float, .double: true
        default: false
        }
    }

    /// Of a number; NaN of anything else.
    var number: Double {
        switch kind {
        case .integer: Double(Int64(bitPattern: bits))
        case .unsigned: Double(bits)
        case .double: Double(bitPattern: bits)
        case .float: NumberText.decimalDouble(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        default: .nan
        }
    }

    /// As error messages name it.
    var kindName: String {
        switch kind {
        case .unloaded, .null: "NULL"
        case .bool: "a boolean"
        case .integer, .unsigned: "an integer"
        case .float, .double, .number: "a number"
        case .text, .escaped: "a string"
        case .object: "an object"
        case .array: "an array"
        }
    }
}
