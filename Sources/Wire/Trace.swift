/// A conversation written down: golden wire traces are tests, documentation and seeds of fuzzers at once.
///
/// One entry a line, `#` begins a comment anywhere:
/// ```
/// # Reads two holding registers.
/// unit 1                                       a note: a word and the rest of the line
/// > 00 01 00 00 00 06 01 03 00 00 00 02        from the client
/// < 00 01 00 00 00 07 01 03 04 41 20 00 00     from the server
/// = 10.0                                       what the reader of the trace should have understood
/// ```
/// A line that begins with `+` continues the bytes of the line before it.
package struct Trace: Sendable {
    package enum Entry: Sendable, Equatable {
        case toServer([UInt8])
        case toClient([UInt8])
        /// The text after `=`.
        case expectation(String)
        case note(key: String, text: String)
    }

    /// Entries with the line, counted from 1, on which each begins.
    package var entries: [(line: Int, entry: Entry)] = []

    package init(parsing text: String) throws(WireError) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let content = Self.trim(line.prefix { $0 != "#" })
            guard let first = content.first else { continue }
            let rest = Self.trim(content.dropFirst())
            switch first {
            case ">": entries.append((index + 1, .toServer(try Self.bytes(rest, line: index + 1))))
            case "<": entries.append((index + 1, .toClient(try Self.bytes(rest, line: index + 1))))
            case "+": try extend(with: try Self.bytes(rest, line: index + 1), line: index + 1)
            case "=": entries.append((index + 1, .expectation(String(rest))))
            default:
                let key = content.prefix { $0 != " " && $0 != "\t" }
                entries.append(
                    (index + 1, .note(key: String(key), text: String(Self.trim(content.dropFirst(key.count))))))
            }
        }
    }

    private mutating func extend(with more: [UInt8], line: Int) throws(WireError) {
        guard let last = entries.popLast() else { throw .invalid(position: line, reason: "nothing to continue") }
        switch last.entry {
        case .toServer(let bytes): entries.append((last.line, .toServer(bytes + more)))
        case .toClient(let bytes): entries.append((last.line, .toClient(bytes + more)))
        default: throw .invalid(position: line, reason: "only bytes can be continued")
        }
    }

    private static func bytes(_ text: Substring, line: Int) throws(WireError) -> [UInt8] {
        guard let bytes = Hex.bytes(text) else {
            throw .invalid(position: line, reason: "expected pairs of hex digits")
        }
        return bytes
    }

    private static func trim(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
