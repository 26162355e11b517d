import Model

/// Reads JSON (RFC 8259) strictly, with the place of every key and value. Several values may follow one another.
struct JSONReader {
    private let bytes: [UInt8]
    private let file: String
    private let limits: SourceLimits
    private var index = 0
    private var line = 1
    private var column = 1
    private var nodes = 0

    private init(_ bytes: [UInt8], file: String, limits: SourceLimits) {
        self.bytes = bytes
        self.file = file
        self.limits = limits
    }

    /// Each value with its range of bytes.
    static func read(
        _ bytes: [UInt8], file: String, limits: SourceLimits
    ) throws(Issue) -> [(root: SourceNode, range: Range<Int>)] {
        var reader = JSONReader(bytes, file: file, limits: limits)
        var values: [(root: SourceNode, range: Range<Int>)] = []
        reader.skipSpace()
        while reader.index < bytes.count {
            let start = reader.index
            let node = try reader.value(depth: 0)
            values.append((node, start..<reader.index))
            if values.count > limits.documentsMax { throw reader.limit("documents", limits.documentsMax) }
            reader.skipSpace()
        }
        return values
    }

    private mutating func value(depth: Int) throws(Issue) -> SourceNode {
        nodes += 1
        if nodes > limits.nodesMax { throw limit("values", limits.nodesMax) }
        if depth > limits.depthMax { throw limit("levels of nesting", limits.depthMax) }
        skipSpace()
        let line = line
        let column = column
        guard index < bytes.count else { throw failure("a value is missing at the end") }
        switch bytes[index] {
        case UInt8(ascii: "{"): return SourceNode(.map(try object(depth)), line: line, column: column)
        case UInt8(ascii: "["): return SourceNode(.list(try array(depth)), line: line, column: column)
        case UInt8(ascii: "\""): return SourceNode(.scalar(try string(), .quoted), line: line, column: column)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return SourceNode(.scalar(try number(), .plain), line: line, column: column)
        default:
            for word in ["true", "false", "null"] where bytes[index...].starts(with: word.utf8) {
                advance(word.utf8.count)
                return SourceNode(word == "null" ? .null : .scalar(word, .plain), line: line, column: column)
            }
            throw failure(
                "a value is expected: an object, a list, text in double quotes, a number, true, false or null")
        }
    }

    private mutating func object(_ depth: Int) throws(Issue) -> [SourceEntry] {
        var entries: [SourceEntry] = []
        var seen: [String: Int] = [:]
        advance(1)
        skipSpace()
        if take("}") { return entries }
        while true {
            skipSpace()
            let (keyLine, keyColumn) = (line, column)
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
                throw failure("a key in double quotes is expected")
            }
            let key = try string()
            if let first = seen.updateValue(keyLine, forKey: key) {
                throw Issue(
                    Problem(
                        "resource.key.duplicate", "key \"\(key)\" is given twice; the first is in line \(first)",
                        ["key": key, "first": String(first)]), file: file, line: keyLine, column: keyColumn)
            }
            skipSpace()
            guard take(":") else { throw failure("\":\" is expected after a key") }
            entries.append(SourceEntry(key, try value(depth: depth + 1), line: keyLine, column: keyColumn))
            skipSpace()
            if take("}") { return entries }
            guard take(",") else { throw failure("\",\" or \"}\" is expected") }
        }
    }

    private mutating func array(_ depth: Int) throws(Issue) -> [SourceNode] {
        var items: [SourceNode] = []
        advance(1)
        skipSpace()
        if take("]") { return items }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return items }
            guard take(",") else { throw failure("\",\" or \"]\" is expected") }
        }
    }

    private mutating func number() throws(Issue) -> String {
        let start = index
        func digit(_ at: Int) -> Bool { at < bytes.count && (0x30...0x39).contains(bytes[at]) }
        var end = index
        if bytes[end] == UInt8(ascii: "-") { end += 1 }
        guard digit(end) else { throw failure("a digit is expected after \"-\"") }
        if bytes[end] == UInt8(ascii: "0"), digit(end + 1) { throw failure("a number does not begin with 0") }
        while digit(end) { end += 1 }
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") {
            end += 1
            guard digit(end) else { throw failure("a digit is expected after \".\"") }
            while digit(end) { end += 1 }
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            end += 1
            if end < bytes.count, bytes[end] == UInt8(ascii: "+") || bytes[end] == UInt8(ascii: "-") { end += 1 }
            guard digit(end) else { throw failure("a digit is expected in the exponent") }
            while digit(end) { end += 1 }
        }
        advance(end - start)
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    private mutating func string() throws(Issue) -> String {
        advance(1)
        var text: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                advance(1)
                guard let string = String(validating: text, as: UTF8.self) else { throw failure("text is not UTF-8") }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw failure("text must not hold control characters: write \\n for a new line")
            default:
                text.append(byte)
                index += 1
                // Columns count scalars: bytes that continue one do not count.
                if byte & 0xC0 != 0x80 { column += 1 }
            }
        }
        throw failure("text has no end: a double quote is missing")
    }

    private mutating func escape(into text: inout [UInt8]) throws(Issue) {
        guard index + 1 < bytes.count else { throw failure("text has no end: a double quote is missing") }
        let plain: UInt8
        switch bytes[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain = bytes[index + 1]
        case UInt8(ascii: "b"): plain = 8
        case UInt8(ascii: "f"): plain = 12
        case UInt8(ascii: "n"): plain = 10
        case UInt8(ascii: "r"): plain = 13
        case UInt8(ascii: "t"): plain = 9
        case UInt8(ascii: "u"):
            guard var code = hex4(index + 2) else { throw failure("\\u needs four hexadecimal digits") }
            var length = 6
            if (0xD800..<0xDC00).contains(code), index + 7 < bytes.count, bytes[index + 6] == UInt8(ascii: "\\"),
                bytes[index + 7] == UInt8(ascii: "u"), let low = hex4(index + 8), (0xDC00..<0xE000).contains(low)
            {
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                length = 12
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("\\u names half of a character") }
            text += Array(String(Character(scalar)).utf8)
            advance(length)
            return
        default: throw failure("unknown escape: known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")
        }
        text.append(plain)
        advance(2)
    }

    private func hex4(_ start: Int) -> UInt32? {
        guard start + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[start..<start + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private mutating func skipSpace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0D: advance(1)
            case 0x0A:
                index += 1
                line += 1
                column = 1
            default: return
            }
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        advance(1)
        return true
    }

    private mutating func advance(_ count: Int) {
        index += count
        column += count
    }

    private func failure(_ what: String) -> Issue {
        Issue(Problem("resource.json", "JSON: \(what)", ["problem": what]), file: file, line: line, column: column)
    }

    private func limit(_ what: String, _ max: Int) -> Issue {
        Issue(
            Problem("resource.limit", "more than \(max) \(what); split the file", ["what": what, "max": String(max)]),
            file: file, line: line, column: column)
    }
}
