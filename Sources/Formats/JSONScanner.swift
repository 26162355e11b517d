import Model

/// Where a field stands in a JSON text: its kind and its bytes, not yet converted.
@frozen
package struct JSONSlot {
    package enum Kind: UInt8 {
        /// The text has no such field.
        case absent = 0
        case null
        case `true`
        case `false`
        case number
        /// The bytes between the quotes, without escapes.
        case string
        /// The bytes between the quotes, with escapes.
        case escapedString
        /// With its braces.
        case object
        /// With its brackets.
        case array
    }

    package var kind: Kind
    package var offset: UInt32
    package var count: UInt32

    package init(_ kind: Kind, _ offset: Int, _ count: Int) {
        self.kind = kind
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.count = UInt32(truncatingIfNeeded: count)
    }

    package static var absent: JSONSlot { JSONSlot(.absent, 0, 0) }
}

/// Validates a JSON text in one pass and notes where the fields of a `JSONFieldSet` stand. Nothing is converted or
/// copied. Of a key that stands twice in an object the last one counts.
struct JSONScanner {
    let text: UnsafeRawBufferPointer
    let fields: UnsafePointer<JSONFieldSet.Node>
    let set: Unmanaged<JSONFieldSet>?
    let slots: UnsafeMutablePointer<JSONSlot>
    let depthMax: Int
    var at = 0
    var high: UInt64 = 0
    var failure: JSONFailure?

    /// Whether the text is one JSON value and nothing else.
    mutating func document(root: Int32) -> Bool {
        guard value(root, depthMax) else { return false }
        space()
        guard at == text.count else { return fail(.endExpected) }
        if high != 0, !UTF8Check.isValid(text) { return fail(.notUTF8) }
        return true
    }

    @inline(never)
    private mutating func fail(_ reason: JSONFailure.Reason) -> Bool {
        if failure == nil { failure = JSONFailure(reason, at) }
        return false
    }

    @inline(__always)
    private mutating func space() {
        while at < text.count {
            let byte = text[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at += 1
        }
    }

    private mutating func value(_ node: Int32, _ depth: Int) -> Bool {
        space()
        guard at < text.count else { return fail(.valueExpected) }
        let start = at
        let kind: JSONSlot.Kind
        switch text[at] {
        case UInt8(ascii: "\""):
            guard let isEscaped = string() else { return false }
            if node >= 0 { note(node, isEscaped ? .escapedString : .string, start + 1, at - 1) }
            return true
        case UInt8(ascii: "{"):
            guard object(node, depth) else { return false }
            kind = .object
        case UInt8(ascii: "["):
            guard array(node, depth) else { return false }
            kind = .array
        case UInt8(ascii: "t"):
            guard word("true") else { return fail(.valueExpected) }
            kind = .true
        case UInt8(ascii: "f"):
            guard word("false") else { return fail(.valueExpected) }
            kind = .false
        case UInt8(ascii: "n"):
            guard word("null") else { return fail(.valueExpected) }
            kind = .null
        case UInt8(ascii: "-"), 0x30...0x39:
            guard let end = JSONText.numberEnd(text, at) else { return fail(.badNumber) }
            at = end
            kind = .number
        default: return fail(.valueExpected)
        }
        if node >= 0 { note(node, kind, start, at) }
        return true
    }

    @inline(__always)
    private func note(_ node: Int32, _ kind: JSONSlot.Kind, _ start: Int, _ end: Int) {
        let slot = fields[Int(node)].slot
        if slot >= 0 { slots[Int(slot)] = JSONSlot(kind, start, end - start) }
    }

    private mutating func word(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard at + count <= text.count else { return false }
        for index in 0..<count where text[at + index] != word.utf8Start[index] { return false }
        at += count
        return true
    }

    private mutating func object(_ node: Int32, _ depth: Int) -> Bool {
        guard depth > 0 else { return fail(.tooDeep) }
        let wanted = node >= 0 && fields[Int(node)].keyCount > 0
        at += 1
        space()
        if at < text.count, text[at] == UInt8(ascii: "}") {
            at += 1
            return true
        }
        while true {
            guard at < text.count, text[at] == UInt8(ascii: "\"") else { return fail(.keyExpected) }
            let start = at + 1
            guard let isEscaped = string() else { return false }
            var child: Int32 = -1
            if wanted, let set {
                let key = UnsafeRawBufferPointer(rebasing: text[start..<at - 1])
                child = set._withUnsafeGuaranteedRef { $0.child(of: node, key: key, isEscaped: isEscaped) }
            }
            space()
            guard at < text.count, text[at] == UInt8(ascii: ":") else { return fail(.colonExpected) }
            at += 1
            guard value(child, depth - 1) else { return false }
            space()
            guard at < text.count else { return fail(.commaOrBraceExpected) }
            if text[at] == UInt8(ascii: ",") {
                at += 1
                space()
            } else if text[at] == UInt8(ascii: "}") {
                at += 1
                return true
            } else {
                return fail(.commaOrBraceExpected)
            }
        }
    }

    private mutating func array(_ node: Int32, _ depth: Int) -> Bool {
        guard depth > 0 else { return fail(.tooDeep) }
        let wanted = node >= 0 && fields[Int(node)].elementCount > 0
        at += 1
        space()
        if at < text.count, text[at] == UInt8(ascii: "]") {
            at += 1
            return true
        }
        var index = 0
        while true {
            var child: Int32 = -1
            if wanted, let set { child = set._withUnsafeGuaranteedRef { $0.child(of: node, element: index) } }
            guard value(child, depth - 1) else { return false }
            space()
            guard at < text.count else { return fail(.commaOrBracketExpected) }
            if text[at] == UInt8(ascii: ",") {
                at += 1
                index += 1
            } else if text[at] == UInt8(ascii: "]") {
                at += 1
                return true
            } else {
                return fail(.commaOrBracketExpected)
            }
        }
    }

    /// Passes a string; whether it has escapes, or nil if it is not one.
    @inline(__always)
    private mutating func string() -> Bool? {
        at += 1
        var isEscaped = false
        while true {
            // Eight bytes at once while none of them is a quote, a backslash or a control character.
            while at + 8 <= text.count {
                let word = text.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                let ones: UInt64 = 0x0101_0101_0101_0101
                let tops: UInt64 = 0x8080_8080_8080_8080
                let quote = word ^ (ones &* 0x22)
                let slash = word ^ (ones &* 0x5C)
                let hit = ((quote &- ones) & ~quote | (slash &- ones) & ~slash | (word &- ones &* 0x20) & ~word) & tops
                high |= word & tops
                if hit != 0 {
                    at += hit.trailingZeroBitCount >> 3
                    break
                }
                at += 8
            }
            guard at < text.count else {
                _ = fail(.stringNotClosed)
                return nil
            }
            let byte = text[at]
            if byte == UInt8(ascii: "\"") {
                at += 1
                return isEscaped
            }
            if byte == UInt8(ascii: "\\") {
                isEscaped = true
                guard escape() else { return nil }
            } else if byte < 0x20 {
                _ = fail(.controlCharacter)
                return nil
            } else {
                high |= UInt64(byte & 0x80)
                at += 1
            }
        }
    }

    private mutating func escape() -> Bool {
        guard at + 1 < text.count else {
            at = text.count
            return fail(.stringNotClosed)
        }
        switch text[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 2
            return true
        case UInt8(ascii: "u"):
            guard at + 6 <= text.count else { return fail(.badEscape) }
            for index in at + 2..<at + 6 where JSONText.hexDigit(text[index]) == nil { return fail(.badEscape) }
            at += 6
            return true
        default: return fail(.badEscape)
        }
    }
}
