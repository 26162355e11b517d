/// Trees back into text. Reading the text gives an equal tree, apart from positions.
package enum SourceWriter {
    /// JSON on one line, or indented. Plain scalars are written bare only if they are JSON's numbers or truths.
    package static func json(_ node: SourceNode, indented: Bool = false) -> String {
        var text = ""
        writeJSON(node, into: &text, indent: indented ? 0 : nil)
        return text
    }

    private static func writeJSON(_ node: SourceNode, into text: inout String, indent: Int?) {
        func newLine(_ level: Int) {
            guard indent != nil else { return }
            text += "\n" + String(repeating: "  ", count: level)
        }
        switch node.content {
        case .null: text += "null"
        case .scalar(let scalar, let style):
            if style == .plain, isJSONWord(scalar) { text += scalar } else { text += quoted(scalar) }
        case .list(let items):
            text += "["
            for (index, item) in items.enumerated() {
                if index > 0 { text += "," }
                newLine((indent ?? 0) + 1)
                writeJSON(item, into: &text, indent: indent.map { $0 + 1 })
            }
            if !items.isEmpty { newLine(indent ?? 0) }
            text += "]"
        case .map(let entries):
            text += "{"
            for (index, entry) in entries.enumerated() {
                if index > 0 { text += "," }
                newLine((indent ?? 0) + 1)
                text += quoted(entry.key) + (indent == nil ? ":" : ": ")
                writeJSON(entry.value, into: &text, indent: indent.map { $0 + 1 })
            }
            if !entries.isEmpty { newLine(indent ?? 0) }
            text += "}"
        }
    }

    /// YAML in block form.
    package static func yaml(_ node: SourceNode) -> String {
        var text = ""
        writeYAML(node, into: &text, indent: 0, afterKey: false)
        return text
    }

    private static func writeYAML(_ node: SourceNode, into text: inout String, indent: Int, afterKey: Bool) {
        let margin = String(repeating: " ", count: indent)
        switch node.content {
        case .null: text += afterKey ? "\n" : "~\n"
        case .scalar(let scalar, let style): writeYAMLScalar(scalar, style, into: &text, indent: indent)
        case .list(let items):
            if items.isEmpty { text += (afterKey ? " " : "") + "[]\n" } else if afterKey { text += "\n" }
            for (index, item) in items.enumerated() {
                text += (index == 0 && !afterKey ? "" : margin) + "- "
                writeYAML(item, into: &text, indent: indent + 2, afterKey: false)
            }
        case .map(let entries):
            if entries.isEmpty { text += (afterKey ? " " : "") + "{}\n" } else if afterKey { text += "\n" }
            for (index, entry) in entries.enumerated() {
                text += (index == 0 && !afterKey ? "" : margin) + yamlKey(entry.key) + ":"
                switch entry.value.content {
                case .scalar: text += " "
                default: break
                }
                writeYAML(entry.value, into: &text, indent: indent + 2, afterKey: true)
            }
        }
    }

    private static func writeYAMLScalar(
        _ scalar: String, _ style: SourceNode.ScalarStyle, into text: inout String, indent: Int
    ) {
        let lines = scalar.split(separator: "\n", omittingEmptySubsequences: false)
        let isBlock =
            lines.count > 1 && scalar.first != " " && scalar.first != "\n"
            && scalar.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && $0 != "\u{7F}") }
        if isBlock {
            let ended = scalar.hasSuffix("\n")
            let body = ended ? lines.dropLast() : lines[...]
            // A text that ends in empty lines would lose them in a clipped block.
            if body.last?.isEmpty != true {
                text += ended ? "|\n" : "|-\n"
                let margin = String(repeating: " ", count: max(indent, 2))
                for line in body { text += line.isEmpty ? "\n" : margin + line + "\n" }
                return
            }
        }
        if style == .plain && isJSONWord(scalar) {
            text += scalar + "\n"
        } else {
            text += (isSafePlain(scalar) ? scalar : quoted(scalar)) + "\n"
        }
    }

    private static func yamlKey(_ key: String) -> String { isSafePlain(key) ? key : quoted(key) }

    /// Whether text without quotes is the same text to every reader of YAML.
    private static func isSafePlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, first.properties.isAlphabetic, text.utf8.count <= 120 else {
            return false
        }
        let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        guard !words.contains(text.lowercased()) else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "-_./".unicodeScalars.contains(scalar)
        }
    }

    /// JSON's number, `true` or `false`.
    static func isJSONWord(_ text: String) -> Bool {
        if text == "true" || text == "false" { return true }
        var rest = Array(text.utf8)[...]
        func digits() -> Int {
            let count = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        let leadsWithZero = rest.first == 0x30
        let whole = digits()
        guard whole > 0, !leadsWithZero || whole == 1 else { return false }
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard digits() > 0 else { return false }
        }
        if let e = rest.first, e | 0x20 == UInt8(ascii: "e") {
            rest = rest.dropFirst()
            if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { rest = rest.dropFirst() }
            guard digits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    /// JSON's text, which YAML reads alike.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0}"..<"\u{20}", "\u{7F}"..<"\u{A0}", "\u{2028}", "\u{2029}", "\u{FEFF}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
