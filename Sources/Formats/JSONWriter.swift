package import Model

/// An append-only buffer of JSON text. Writes what it is told: commas and brackets are the caller's.
package struct JSONWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    package private(set) var count = 0

    package init(capacity: Int = 256) {
        self.capacity = max(capacity, 64)
        base = .allocate(capacity: self.capacity)
    }

    deinit { base.deallocate() }

    /// Forgets what was written, keeps the memory.
    package mutating func reset() { count = 0 }

    /// Forgets what was written behind `count` bytes.
    package mutating func truncate(to count: Int) { self.count = min(count, self.count) }

    /// What was written, copied.
    package func bytes(from start: Int = 0) -> Bytes {
        Bytes(copying: UnsafeRawBufferPointer(start: base + start, count: count - start))
    }

    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Makes room; the pointer is where the next byte goes, valid until the next call.
    @inline(__always)
    private mutating func room(_ extra: Int) -> UnsafeMutablePointer<UInt8> {
        if count + extra > capacity { grow(extra) }
        return base + count
    }

    @inline(never)
    private mutating func grow(_ extra: Int) {
        let wanted = max(capacity * 2, count + extra)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
        capacity = wanted
    }

    package mutating func byte(_ byte: UInt8) {
        room(1).pointee = byte
        count += 1
    }

    package mutating func raw(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        UnsafeMutableRawPointer(room(source.count)).copyMemory(from: start, byteCount: source.count)
        count += source.count
    }

    package mutating func raw(_ source: [UInt8]) { source.withUnsafeBytes { raw($0) } }
    package mutating func copy(_ source: Bytes) { source.withUnsafeBytes { raw($0) } }

    package mutating func raw(_ source: StaticString) {
        raw(UnsafeRawBufferPointer(start: source.utf8Start, count: source.utf8CodeUnitCount))
    }

    package mutating func integer(_ value: Int64) { count += NumberText.write(value, to: room(NumberText.bytesMax)) }
    package mutating func integer(_ value: UInt64) { count += NumberText.write(value, to: room(NumberText.bytesMax)) }
    package mutating func integer(_ value: Int) { integer(Int64(value)) }

    /// False, and `null`, for what JSON has no number for.
    @discardableResult
    package mutating func number(_ value: Double) -> Bool {
        guard value.isFinite else {
            raw("null")
            return false
        }
        count += NumberText.write(value, to: room(NumberText.bytesMax))
        return true
    }

    /// The shortest form for 32 bits. False, and `null`, for what JSON has no number for.
    @discardableResult
    package mutating func number(_ value: Float) -> Bool {
        guard value.isFinite else {
            raw("null")
            return false
        }
        count += NumberText.write(value, to: room(NumberText.bytesMax))
        return true
    }

    package mutating func bool(_ value: Bool) { raw(value ? "true" : "false" as StaticString) }
    package mutating func null() { raw("null") }

    /// A quoted, escaped string; U+FFFD stands for what is not UTF-8.
    package mutating func string(_ utf8: UnsafeRawBufferPointer) {
        byte(UInt8(ascii: "\""))
        escaped(utf8)
        byte(UInt8(ascii: "\""))
    }

    package mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }

    package mutating func string(_ bytes: Bytes) { bytes.withUnsafeBytes { string($0) } }

    /// The inside of a string.
    package mutating func escaped(_ utf8: UnsafeRawBufferPointer) {
        var high = false
        var start = 0
        for index in 0..<utf8.count {
            let byte = utf8[index]
            if byte >= 0x80 { high = true }
            if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { continue }
            if high {
                high = false
                valid(UnsafeRawBufferPointer(rebasing: utf8[start..<index]))
            } else {
                raw(UnsafeRawBufferPointer(rebasing: utf8[start..<index]))
            }
            start = index + 1
            escape(byte)
        }
        let rest = UnsafeRawBufferPointer(rebasing: utf8[start...])
        if high { valid(rest) } else { raw(rest) }
    }

    private mutating func valid(_ utf8: UnsafeRawBufferPointer) {
        if UTF8Check.isValid(utf8) { return raw(utf8) }
        var repaired = String(decoding: utf8, as: UTF8.self)
        repaired.withUTF8 { raw(UnsafeRawBufferPointer($0)) }
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): raw("\\\"")
        case UInt8(ascii: "\\"): raw("\\\\")
        case 0x0A: raw("\\n")
        case 0x0D: raw("\\r")
        case 0x09: raw("\\t")
        default:
            raw("\\u00")
            hex(byte)
        }
    }

    /// Two hexadecimal digits.
    package mutating func hex(_ byte: UInt8) {
        let digits: StaticString = "0123456789abcdef"
        self.byte(digits.utf8Start[Int(byte >> 4)])
        self.byte(digits.utf8Start[Int(byte & 15)])
    }

    /// The value as groups publish it: bytes in hex, timestamps in RFC 3339, what is not a number as `null`.
    package mutating func value(_ value: Value) {
        switch value {
        case .bool(let value): bool(value)
        case .int(let value): integer(value)
        case .uint(let value): integer(value)
        case .float32(let value): number(value)
        case .float64(let value): number(value)
        case .string(let value): string(value)
        case .bytes(let value):
            byte(UInt8(ascii: "\""))
            for each in value { hex(each) }
            byte(UInt8(ascii: "\""))
        case .timestamp(let value): string(value.description)
        case .array(let values):
            byte(UInt8(ascii: "["))
            for (index, element) in values.enumerated() {
                if index > 0 { byte(UInt8(ascii: ",")) }
                self.value(element)
            }
            byte(UInt8(ascii: "]"))
        }
    }
}
