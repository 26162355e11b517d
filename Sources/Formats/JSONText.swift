/// Why a text is not JSON (RFC 8259), and at which byte, counted from 0.
package struct JSONFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Reason: String, Sendable {
        case valueExpected = "expected a value"
        case keyExpected = "expected a key in double quotes"
        case colonExpected = "expected \":\""
        case commaOrBraceExpected = "expected \",\" or \"}\""
        case commaOrBracketExpected = "expected \",\" or \"]\""
        case endExpected = "expected nothing behind the value"
        case stringNotClosed = "the string is not closed"
        case controlCharacter = "a control character in a string must be escaped"
        case badEscape = "unknown escape"
        case badNumber = "not a number"
        case notUTF8 = "not UTF-8"
        case tooDeep = "nested too deeply"
        case tooLarge = "too large"
    }

    package var reason: Reason
    package var offset: Int

    package init(_ reason: Reason, _ offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    package var description: String { "byte \(offset + 1): \(reason.rawValue)" }
}

/// Reading the parts of a JSON text whose place is known.
package enum JSONText {
    /// A number, exact where it is an integer of 64 bits.
    package enum Number: Equatable, Sendable {
        case integer(Int64)
        /// Above Int64.max.
        case unsigned(UInt64)
        case double(Double)
    }

    /// `text` is a JSON number that was validated.
    package static func number(_ text: UnsafeRawBufferPointer) -> Number {
        var at = 0
        let negative = text.first == UInt8(ascii: "-")
        if negative { at = 1 }
        var digits: UInt64 = 0
        var exponent = 0
        var isExact = true
        var isInteger = true
        var seenPoint = false
        while at < text.count {
            let byte = text[at]
            if byte >= 0x30, byte <= 0x39 {
                let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(byte - 0x30))
                if overflow || carry {
                    isExact = false
                    break
                }
                digits = sum
                if seenPoint { exponent -= 1 }
            } else if byte == UInt8(ascii: ".") {
                seenPoint = true
                isInteger = false
            } else {
                isInteger = false
                exponent += readExponent(text, at + 1)
                break
            }
            at += 1
        }
        if isExact, isInteger {
            if !negative { return digits <= UInt64(Int64.max) ? .integer(Int64(digits)) : .unsigned(digits) }
            // "-0" is the float minus zero.
            if digits > 0, digits <= UInt64(Int64.max) + 1 { return .integer(Int64(truncatingIfNeeded: 0 &- digits)) }
            if digits == 0 { return .double(-0.0) }
        }
        // Both operands are exact, so that one division or product rounds once.
        if isExact, digits <= 1 << 53, exponent >= -22, exponent <= 22 {
            let scale = powersTable.doubles[abs(exponent)]
            let value = exponent < 0 ? Double(digits) / scale : Double(digits) * scale
            return .double(negative ? -value : value)
        }
        return .double(Double(String(decoding: text, as: UTF8.self)) ?? .nan)
    }

    /// Saturates far beyond what a double can hold.
    private static func readExponent(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        var negative = false
        if at < text.count, text[at] == UInt8(ascii: "-") || text[at] == UInt8(ascii: "+") {
            negative = text[at] == UInt8(ascii: "-")
            at += 1
        }
        var value = 0
        while at < text.count {
            value = min(value * 10 + Int(text[at] &- 0x30), 100_000)
            at += 1
        }
        return negative ? -value : value
    }

    /// Whether text is a JSON number as a whole.
    package static func isNumber(_ text: UnsafeRawBufferPointer) -> Bool {
        numberEnd(text, 0) == text.count
    }

    /// The end of the number that starts at `start`; nil if there is none.
    @inline(__always)
    static func numberEnd(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int? {
        var at = start
        let end = text.count
        if at < end, text[at] == UInt8(ascii: "-") { at += 1 }
        guard at < end else { return nil }
        if text[at] == 0x30 {
            at += 1
        } else {
            let first = at
            while at < end, text[at] &- 0x30 < 10 { at += 1 }
            if at == first { return nil }
        }
        if at < end, text[at] == UInt8(ascii: ".") {
            at += 1
            let first = at
            while at < end, text[at] &- 0x30 < 10 { at += 1 }
            if at == first { return nil }
        }
        if at < end, text[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < end, text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") { at += 1 }
            let first = at
            while at < end, text[at] &- 0x30 < 10 { at += 1 }
            if at == first { return nil }
        }
        return at
    }

    /// Writes the text of a string whose inside (without quotes) is `source` and was validated; `target` has room for
    /// `source.count` bytes. Returns the number of bytes. A lone surrogate becomes U+FFFD.
    package static func unescape(_ source: UnsafeRawBufferPointer, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var at = 0
        var out = 0
        while at < source.count {
            let byte = source[at]
            if byte != UInt8(ascii: "\\") {
                target[out] = byte
                out += 1
                at += 1
                continue
            }
            guard at + 1 < source.count else { break }
            let kind = source[at + 1]
            at += 2
            if kind != UInt8(ascii: "u") {
                target[out] = simpleEscape(kind)
                out += 1
                continue
            }
            var scalar = hex4(source, at)
            at += 4
            if scalar & 0xFC00 == 0xD800, at + 5 < source.count, source[at] == UInt8(ascii: "\\"),
                source[at + 1] == UInt8(ascii: "u"), hex4(source, at + 2) & 0xFC00 == 0xDC00
            {
                scalar = 0x10000 + (scalar & 0x3FF) << 10 + hex4(source, at + 2) & 0x3FF
                at += 6
            }
            if scalar & 0x1F_F800 == 0xD800 { scalar = 0xFFFD }
            out += writeUTF8(scalar, target + out)
        }
        return out
    }

    private static func simpleEscape(_ kind: UInt8) -> UInt8 {
        switch kind {
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        default: kind
        }
    }

    private static func hex4(_ source: UnsafeRawBufferPointer, _ start: Int) -> UInt32 {
        guard start + 4 <= source.count else { return 0xFFFD }
        var value: UInt32 = 0
        for index in start..<start + 4 { value = value << 4 | UInt32(hexDigit(source[index]) ?? 0) }
        return value
    }

    @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    private static func writeUTF8(_ scalar: UInt32, _ target: UnsafeMutablePointer<UInt8>) -> Int {
        if scalar < 0x80 {
            target[0] = UInt8(scalar)
            return 1
        }
        if scalar < 0x800 {
            target[0] = UInt8(0xC0 | scalar >> 6)
            target[1] = UInt8(0x80 | scalar & 0x3F)
            return 2
        }
        if scalar < 0x10000 {
            target[0] = UInt8(0xE0 | scalar >> 12)
            target[1] = UInt8(0x80 | scalar >> 6 & 0x3F)
            target[2] = UInt8(0x80 | scalar & 0x3F)
            return 3
        }
        target[0] = UInt8(0xF0 | scalar >> 18)
        target[1] = UInt8(0x80 | scalar >> 12 & 0x3F)
        target[2] = UInt8(0x80 | scalar >> 6 & 0x3F)
        target[3] = UInt8(0x80 | scalar & 0x3F)
        return 4
    }
}

/// Reaching into objects and arrays that were validated.
extension JSONText {
    /// The last member of that name; the slot's offset counts from the start of `object`.
    package static func member(of object: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer) -> JSONSlot {
        var found = JSONSlot.absent
        forEachMember(of: object) { name, isEscaped, value in
            if !isEscaped, name.elementsEqual(key) {
                found = value
            } else if isEscaped {
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: name.count) { target in
                    guard let base = target.baseAddress else { return }
                    let count = unescape(name, to: base)
                    if UnsafeRawBufferPointer(start: base, count: count).elementsEqual(key) { found = value }
                }
            }
        }
        return found
    }

    /// `body` gets the inside of each key and where the value is.
    package static func forEachMember(
        of object: UnsafeRawBufferPointer,
        _ body: (_ key: UnsafeRawBufferPointer, _ isEscaped: Bool, _ value: JSONSlot) -> Void
    ) {
        var walk = JSONWalk(text: object)
        guard walk.open(UInt8(ascii: "{")) else { return }
        while walk.next == UInt8(ascii: "\"") {
            let key = walk.value()
            walk.pass(UInt8(ascii: ":"))
            let value = walk.value()
            let start = Int(key.offset)
            body(
                UnsafeRawBufferPointer(rebasing: object[start..<start + Int(key.count)]), key.kind == .escapedString,
                value)
            walk.pass(UInt8(ascii: ","))
        }
    }

    /// The element at `index`, from 0.
    package static func element(of array: UnsafeRawBufferPointer, _ index: Int) -> JSONSlot {
        var found = JSONSlot.absent
        var at = 0
        forEachElement(of: array) { value in
            if at == index { found = value }
            at += 1
            return at <= index
        }
        return found
    }

    package static func count(of array: UnsafeRawBufferPointer) -> Int {
        var count = 0
        forEachElement(of: array) { _ in
            count += 1
            return true
        }
        return count
    }

    /// Until `body` returns false.
    package static func forEachElement(of array: UnsafeRawBufferPointer, _ body: (JSONSlot) -> Bool) {
        var walk = JSONWalk(text: array)
        guard walk.open(UInt8(ascii: "[")) else { return }
        while walk.next != UInt8(ascii: "]"), walk.next != 0 {
            guard body(walk.value()) else { return }
            walk.pass(UInt8(ascii: ","))
        }
    }
}

/// Passes over the values of a text that was validated.
private struct JSONWalk {
    let text: UnsafeRawBufferPointer
    var at = 0

    private mutating func space() {
        while at < text.count, text[at] <= 0x20 { at += 1 }
    }

    var next: UInt8 {
        mutating get {
            space()
            return at < text.count ? text[at] : 0
        }
    }

    mutating func open(_ bracket: UInt8) -> Bool {
        guard next == bracket else { return false }
        at += 1
        return true
    }

    mutating func pass(_ byte: UInt8) {
        if next == byte { at += 1 }
    }

    mutating func value() -> JSONSlot {
        let first = next
        let start = at
        switch first {
        case UInt8(ascii: "\""):
            let isEscaped = string()
            return JSONSlot(isEscaped ? .escapedString : .string, start + 1, max(0, at - start - 2))
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            nested()
            return JSONSlot(first == UInt8(ascii: "{") ? .object : .array, start, at - start)
        default:
            while at < text.count {
                let byte = text[at]
                if byte <= 0x20 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") {
                    break
                }
                at += 1
            }
            // Never stands still, whatever the text.
            if at == start { at = min(start + 1, text.count) }
            switch first {
            case UInt8(ascii: "t"): return JSONSlot(.true, start, at - start)
            case UInt8(ascii: "f"): return JSONSlot(.false, start, at - start)
            case UInt8(ascii: "n"): return JSONSlot(.null, start, at - start)
            default: return JSONSlot(.number, start, at - start)
            }
        }
    }

    private mutating func string() -> Bool {
        at += 1
        var isEscaped = false
        while at < text.count, text[at] != UInt8(ascii: "\"") {
            if text[at] == UInt8(ascii: "\\") {
                isEscaped = true
                at += 1
            }
            at += 1
        }
        at = min(at + 1, text.count)
        return isEscaped
    }

    private mutating func nested() {
        var depth = 0
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: "\""):
                _ = string()
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 {
                    at += 1
                    return
                }
            default: break
            }
            at += 1
        }
    }
}
