import Formats

/// Text as bytes: what most functions need, without a String.
extension UnsafeRawBufferPointer {
    /// The first place of `part` at or behind `start`; nil if there is none.
    func firstIndex(of part: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
        guard part.count > 0 else { return start <= count ? start : nil }
        var at = start
        while at + part.count <= count {
            if self[at] == part[0], UnsafeRawBufferPointer(rebasing: self[at..<at + part.count]).elementsEqual(part) {
                return at
            }
            at += 1
        }
        return nil
    }

    /// Unicode scalars of UTF-8.
    var scalarCount: Int {
        var total = 0
        for byte in self where byte & 0xC0 != 0x80 { total += 1 }
        return total
    }

    /// The byte at which scalar `index` starts; the end if there are fewer.
    func offset(ofScalar index: Int) -> Int {
        var seen = 0
        for at in 0..<count where self[at] & 0xC0 != 0x80 {
            if seen == index { return at }
            seen += 1
        }
        return count
    }
}

extension SQLFunctions {
    /// A function of one text.
    private static func ofText(
        _ name: String, aliases: [String] = [],
        _ body: @escaping @Sendable (EvaluationContext, UnsafeRawBufferPointer) -> Cell
    ) -> SQLFunction {
        SQLFunction(name, 1...1, aliases: aliases) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            return body(context, arguments[0].bytes)
        }
    }

    /// A function of two texts.
    private static func ofTexts(
        _ name: String, aliases: [String] = [],
        _ body: @escaping @Sendable (EvaluationContext, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Cell
    ) -> SQLFunction {
        SQLFunction(name, 2...2, aliases: aliases) { context, arguments in
            for index in 0..<2 where arguments[index].kind != .text { return context.bad(arguments[index], index + 1) }
            return body(context, arguments[0].bytes, arguments[1].bytes)
        }
    }

    private static func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer, _ left: Bool, _ right: Bool) -> Cell {
        var start = 0
        var end = bytes.count
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0D }
        while left, start < end, isSpace(bytes[start]) { start += 1 }
        while right, end > start, isSpace(bytes[end - 1]) { end -= 1 }
        return .text(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }

    static let text: [SQLFunction] = [
        ofText("lower", aliases: ["lowercase"]) { context, bytes in
            if bytes.allSatisfy({ $0 < 0x80 }) {
                return mapped(context, bytes) { $0 >= 0x41 && $0 <= 0x5A ? $0 + 32 : $0 }
            }
            return context.text(string(bytes).lowercased())
        },
        ofText("upper", aliases: ["uppercase"]) { context, bytes in
            if bytes.allSatisfy({ $0 < 0x80 }) {
                return mapped(context, bytes) { $0 >= 0x61 && $0 <= 0x7A ? $0 - 32 : $0 }
            }
            return context.text(string(bytes).uppercased())
        },
        /// Characters of a text, elements of an array.
        SQLFunction("length", 1...1, aliases: ["strlen", "numchars", "len", "char_length", "cardinality"]) {
            context, arguments in
            switch arguments[0].kind {
            case .text: return .integer(Int64(arguments[0].bytes.scalarCount))
            case .array: return .integer(Int64(JSONText.count(of: arguments[0].bytes)))
            default: return context.bad(arguments[0], 1)
            }
        },
        ofText("byte_length", aliases: ["bytesize", "numbytes"]) { _, bytes in .integer(Int64(bytes.count)) },
        ofText("trim") { _, bytes in trimmed(bytes, true, true) },
        ofText("ltrim") { _, bytes in trimmed(bytes, true, false) },
        ofText("rtrim") { _, bytes in trimmed(bytes, false, true) },
        ofText("reverse") { context, bytes in context.text(String(string(bytes).reversed())) },
        /// Of the arguments that are not NULL.
        SQLFunction("concat", 1...argumentsMax, strict: false) { context, arguments in
            join(context, arguments, from: 0, separator: UnsafeRawBufferPointer(start: nil, count: 0))
        },
        SQLFunction("concat_ws", 2...argumentsMax, strict: false) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            return join(context, arguments, from: 1, separator: arguments[0].bytes)
        },
        ofTexts("starts_with", aliases: ["startswith"]) { _, text, part in
            .bool(text.count >= part.count && UnsafeRawBufferPointer(rebasing: text[..<part.count]).elementsEqual(part))
        },
        ofTexts("ends_with", aliases: ["endswith"]) { _, text, part in
            .bool(
                text.count >= part.count
                    && UnsafeRawBufferPointer(rebasing: text[(text.count - part.count)...]).elementsEqual(part))
        },
        /// The place of a part, from 0; -1 where there is none.
        ofTexts("indexof", aliases: ["position", "strpos"]) { _, text, part in
            guard let at = text.firstIndex(of: part) else { return .integer(-1) }
            return .integer(Int64(UnsafeRawBufferPointer(rebasing: text[..<at]).scalarCount))
        },
        /// The text from the part on; empty where there is none.
        ofTexts("find") { _, text, part in
            guard let at = text.firstIndex(of: part) else { return .text(UnsafeRawBufferPointer(rebasing: text[..<0])) }
            return .text(UnsafeRawBufferPointer(rebasing: text[at...]))
        },
        SQLFunction("replace", 3...3) { context, arguments in
            for index in 0..<3 where arguments[index].kind != .text { return context.bad(arguments[index], index + 1) }
            return replaced(context, arguments[0].bytes, arguments[1].bytes, arguments[2].bytes)
        },
        SQLFunction("repeat", 2...2) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, arguments[1].int >= 0 else { return context.bad(arguments[1], 2) }
            let unit = arguments[0].bytes
            let (total, overflow) = unit.count.multipliedReportingOverflow(by: Int(arguments[1].int))
            guard !overflow, let target = context.allocate(total) else { return context.tooLarge() }
            for index in 0..<total { target[index] = unit[index % unit.count] }
            return .text(UnsafeRawBufferPointer(start: target, count: total))
        },
        padding("lpad", left: true),
        padding("rpad", left: false),
    ]

    private static func mapped(
        _ context: EvaluationContext, _ bytes: UnsafeRawBufferPointer, _ body: (UInt8) -> UInt8
    ) -> Cell {
        guard let target = context.allocate(bytes.count) else { return context.tooLarge() }
        for index in 0..<bytes.count { target[index] = body(bytes[index]) }
        return .text(UnsafeRawBufferPointer(start: target, count: bytes.count))
    }

    private static func join(
        _ context: EvaluationContext, _ arguments: SQLArguments, from start: Int, separator: UnsafeRawBufferPointer
    ) -> Cell {
        var result: Cell?
        for index in start..<arguments.count where !arguments[index].isNull {
            guard let text = context.asText(arguments[index]) else { return context.bad(arguments[index], index + 1) }
            guard let before = result else {
                result = .text(text)
                continue
            }
            var joined = before
            if separator.count > 0 { joined = context.joined(joined.bytes, separator) }
            joined = context.joined(joined.bytes, text)
            if joined.isNull { return .null }
            result = joined
        }
        return result ?? context.text("")
    }

    private static func replaced(
        _ context: EvaluationContext, _ text: UnsafeRawBufferPointer, _ old: UnsafeRawBufferPointer,
        _ new: UnsafeRawBufferPointer
    ) -> Cell {
        guard old.count > 0 else { return .text(text) }
        var result: [UInt8] = []
        var start = 0
        while let at = text.firstIndex(of: old, from: start) {
            result += text[start..<at]
            result += new
            start = at + old.count
            if result.count > Arena.bytesMax { return context.tooLarge() }
        }
        result += text[start...]
        return context.text(result)
    }

    private static func padding(_ name: String, left: Bool) -> SQLFunction {
        SQLFunction(name, 2...3) { context, arguments in
            guard let text = context.asText(arguments[0]) else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, (0...65_536).contains(arguments[1].int) else {
                return context.bad(arguments[1], 2)
            }
            var fill: [UInt8] = [0x20]
            if arguments.count == 3 {
                guard arguments[2].kind == .text, arguments[2].count > 0 else { return context.bad(arguments[2], 3) }
                fill = Array(arguments[2].bytes)
            }
            let missing = max(0, Int(arguments[1].int) - text.scalarCount)
            var added: [UInt8] = []
            for index in 0..<missing { added.append(fill[index % fill.count]) }
            return context.text(left ? added + Array(text) : Array(text) + added)
        }
    }

    // MARK: parts

    static let textParts: [SQLFunction] = [
        /// From 1 in Tundish's dialect, as in SQL.
        SQLFunction("substring", 2...3) { context, arguments in part(context, arguments, first: 1) },
        /// From 0, as in EMQX.
        SQLFunction("substr", 2...3) { context, arguments in part(context, arguments, first: 0) },
        SQLFunction("left", 2...2) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, arguments[1].int >= 0 else { return context.bad(arguments[1], 2) }
            let bytes = arguments[0].bytes
            return .text(UnsafeRawBufferPointer(rebasing: bytes[..<bytes.offset(ofScalar: Int(arguments[1].int))]))
        },
        SQLFunction("right", 2...2) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, arguments[1].int >= 0 else { return context.bad(arguments[1], 2) }
            let bytes = arguments[0].bytes
            let skipped = max(0, bytes.scalarCount - Int(clamping: arguments[1].int))
            return .text(UnsafeRawBufferPointer(rebasing: bytes[bytes.offset(ofScalar: skipped)...]))
        },
        /// The part with that number, from 1; NULL beyond the last.
        SQLFunction("split_part", 3...3) { context, arguments in
            for index in 0..<2 where arguments[index].kind != .text { return context.bad(arguments[index], index + 1) }
            guard arguments[2].kind == .integer, arguments[2].int >= 1 else { return context.bad(arguments[2], 3) }
            let parts = split(arguments[0].bytes, arguments[1].bytes)
            let index = Int(clamping: arguments[2].int) - 1
            return index < parts.count ? .text(parts[index]) : .null
        },
        /// An array of the parts, empty ones left out.
        SQLFunction("split", 1...2, aliases: ["tokens", "split_value"]) { context, arguments in
            for index in 0..<arguments.count where arguments[index].kind != .text {
                return context.bad(arguments[index], index + 1)
            }
            let space: [UInt8] = [0x20]
            let parts = space.withUnsafeBytes {
                split(arguments[0].bytes, arguments.count == 2 ? arguments[1].bytes : $0)
            }
            return context.json(.array) { writer in
                writer.byte(UInt8(ascii: "["))
                var isFirst = true
                for part in parts where part.count > 0 {
                    if !isFirst { writer.byte(UInt8(ascii: ",")) }
                    isFirst = false
                    writer.string(part)
                }
                writer.byte(UInt8(ascii: "]"))
            }
        },
        ofText("ascii") { _, bytes in bytes.first.map { .integer(Int64($0)) } ?? .null },
        SQLFunction("chr", 1...1) { context, arguments in
            guard arguments[0].kind == .integer,
                let scalar = UInt32(exactly: arguments[0].int).flatMap(Unicode.Scalar.init)
            else { return context.bad(arguments[0], 1) }
            return context.text(String(Character(scalar)))
        },
        ofText("hex", aliases: ["bin2hexstr"]) { context, bytes in
            let digits = Array("0123456789ABCDEF".utf8)
            return context.text(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
        },
        ofText("unhex", aliases: ["hexstr2bin"]) { context, bytes in
            guard bytes.count.isMultiple(of: 2) else { return .null }
            var result: [UInt8] = []
            for at in stride(from: 0, to: bytes.count, by: 2) {
                guard let high = Character(UnicodeScalar(bytes[at])).hexDigitValue,
                    let low = Character(UnicodeScalar(bytes[at + 1])).hexDigitValue
                else { return .null }
                result.append(UInt8(high << 4 | low))
            }
            return context.text(result)
        },
        ofText("base64_encode", aliases: ["encode_base64"]) { context, bytes in context.text(Base64.encode(bytes)) },
        ofText("base64_decode", aliases: ["decode_base64"]) { context, bytes in
            guard let decoded = Base64.decode(bytes) else { return .null }
            return context.text(decoded)
        },
        /// CRC-32 as in zip and Ethernet.
        ofText("crc32") { _, bytes in
            var crc: UInt32 = 0xFFFF_FFFF
            for byte in bytes {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            }
            return .integer(Int64(~crc))
        },
    ]

    private static func part(_ context: EvaluationContext, _ arguments: SQLArguments, first: Int64) -> Cell {
        guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
        guard arguments[1].kind == .integer else { return context.bad(arguments[1], 2) }
        let bytes = arguments[0].bytes
        let start = Int(clamping: max(0, arguments[1].int.subtractingReportingOverflow(first).partialValue))
        var end = Int.max
        if arguments.count == 3 {
            guard arguments[2].kind == .integer, arguments[2].int >= 0 else { return context.bad(arguments[2], 3) }
            end =
                start.addingReportingOverflow(Int(arguments[2].int)).overflow ? Int.max : start + Int(arguments[2].int)
        }
        let lower = bytes.offset(ofScalar: start)
        let upper = end == .max ? bytes.count : bytes.offset(ofScalar: end)
        return .text(UnsafeRawBufferPointer(rebasing: bytes[lower..<max(lower, upper)]))
    }

    private static func split(
        _ text: UnsafeRawBufferPointer, _ separator: UnsafeRawBufferPointer
    ) -> [UnsafeRawBufferPointer] {
        guard separator.count > 0 else { return [text] }
        var parts: [UnsafeRawBufferPointer] = []
        var start = 0
        while let at = text.firstIndex(of: separator, from: start) {
            parts.append(UnsafeRawBufferPointer(rebasing: text[start..<at]))
            start = at + separator.count
        }
        parts.append(UnsafeRawBufferPointer(rebasing: text[start...]))
        return parts
    }
}

/// RFC 4648, section 4.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        for at in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - at)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[at + index]) : 0) }
            for index in 0..<4 {
                result.append(index <= count ? alphabet[Int(group >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return result
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        guard bytes.count.isMultiple(of: 4) else { return nil }
        var result: [UInt8] = []
        for at in stride(from: 0, to: bytes.count, by: 4) {
            var group: UInt32 = 0
            var padding = 0
            for index in 0..<4 {
                let byte = bytes[at + index]
                if byte == UInt8(ascii: "=") {
                    guard at + 4 == bytes.count, index >= 2 else { return nil }
                    padding += 1
                    group <<= 6
                } else {
                    guard padding == 0, let digit = alphabet.firstIndex(of: byte) else { return nil }
                    group = group << 6 | UInt32(digit)
                }
            }
            for index in 0..<3 - padding { result.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * index))) }
        }
        return result
    }
}
