/// A value of a document as someone wrote it, with the place where it stands. Scalars are text until a schema says
/// what they are: `no`, `0x10` and `1e3` stay what they look like.
package struct SourceNode: Sendable {
    package enum Content: Sendable {
        /// An empty value, `~`, or JSON's `null`.
        case null
        case scalar(String, ScalarStyle)
        case list([SourceNode])
        case map([SourceEntry])
    }

    package enum ScalarStyle: UInt8, Sendable {
        /// Without quotes: text, number or truth, as the schema wants it.
        case plain
        /// In quotes: text.
        case quoted
        /// A block (`|` or `>`): text whose lines stand below its mark.
        case block
    }

    package var content: Content
    /// Counted from 1; 0 where the value was not read from a file.
    package var line: Int
    /// Counted from 1, in Unicode scalars.
    package var column: Int
    /// The column at which the lines of a block scalar begin.
    package var blockColumn: Int

    package init(_ content: Content, line: Int = 0, column: Int = 0, blockColumn: Int = 0) {
        self.content = content
        self.line = line
        self.column = column
        self.blockColumn = blockColumn
    }
}

/// One key of a map.
package struct SourceEntry: Sendable {
    package var key: String
    package var keyLine: Int
    package var keyColumn: Int
    package var value: SourceNode

    package init(_ key: String, _ value: SourceNode, line: Int = 0, column: Int = 0) {
        self.key = key
        self.value = value
        keyLine = line
        keyColumn = column
    }
}

extension SourceNode {
    package static func text(_ text: String) -> SourceNode { SourceNode(.scalar(text, .quoted)) }
    package static func map(_ entries: [SourceEntry]) -> SourceNode { SourceNode(.map(entries)) }

    package var entries: [SourceEntry]? {
        if case .map(let entries) = content { return entries }
        return nil
    }

    package var items: [SourceNode]? {
        if case .list(let items) = content { return items }
        return nil
    }

    package var scalar: String? {
        if case .scalar(let text, _) = content { return text }
        return nil
    }

    package var isNull: Bool {
        if case .null = content { return true }
        return false
    }

    package func entry(_ key: String) -> SourceEntry? { entries?.first { $0.key == key } }

    package subscript(_ key: String) -> SourceNode? { entry(key)?.value }

    /// Sets, replaces or (with nil) removes a key of a map.
    package mutating func set(_ key: String, _ value: SourceNode?) {
        guard case .map(var entries) = content else { return }
        let index = entries.firstIndex { $0.key == key }
        switch (index, value) {
        case (let index?, let value?): entries[index].value = value
        case (let index?, nil): entries.remove(at: index)
        case (nil, let value?): entries.append(SourceEntry(key, value))
        case (nil, nil): return
        }
        content = .map(entries)
    }

    /// What the value is called in a message.
    var kindName: String {
        switch content {
        case .null: "nothing"
        case .scalar(let text, .plain): text.isEmpty ? "nothing" : "\"\(shortened(text))\""
        case .scalar(let text, _): "the text \"\(shortened(text))\""
        case .list: "a list"
        case .map: "a map"
        }
    }
}

/// Text cut to a length that fits a message.
func shortened(_ text: String, to lengthMax: Int = 60) -> String {
    let flat = text.replacing("\n", with: " ")
    return flat.count <= lengthMax ? flat : flat.prefix(lengthMax - 3) + "..."
}

/// The way from a document's spec to one of its values: `groups[0].tags[3].address`.
package struct ConfigPath: Sendable, Hashable, CustomStringConvertible {
    package enum Step: Sendable, Hashable {
        case key(String)
        case index(Int)
    }

    package var steps: [Step]

    package init(_ steps: [Step] = []) { self.steps = steps }

    package subscript(_ key: String) -> ConfigPath { ConfigPath(steps + [.key(key)]) }
    package subscript(_ index: Int) -> ConfigPath { ConfigPath(steps + [.index(index)]) }

    package var description: String {
        var text = ""
        for step in steps {
            switch step {
            case .key(let key): text += (text.isEmpty ? "" : ".") + key
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}

extension SourceNode {
    /// The value at the end of the path; nil where the document has none.
    package subscript(_ path: ConfigPath) -> SourceNode? {
        var node = self
        for step in path.steps {
            switch step {
            case .key(let key):
                guard let next = node[key] else { return nil }
                node = next
            case .index(let index):
                guard let items = node.items, items.indices.contains(index) else { return nil }
                node = items[index]
            }
        }
        return node
    }

    /// Where the value stands, or, if the document leaves it out, the nearest thing around it.
    package func nearest(_ path: ConfigPath) -> SourceNode {
        var node = self
        for step in path.steps {
            switch step {
            case .key(let key):
                guard let next = node[key] else { return node }
                node = next
            case .index(let index):
                guard let items = node.items, items.indices.contains(index) else { return node }
                node = items[index]
            }
        }
        return node
    }

    /// The position of a character of a scalar: line and column counted from 1 within its text, as a parser of an
    /// embedded language counts. Exact for plain, quoted and literal text without escapes; otherwise the start.
    package func position(inText line: Int, column: Int) -> (line: Int, column: Int) {
        guard case .scalar(_, let style) = content else { return (self.line, self.column) }
        switch style {
        case .block: return (self.line + line, max(blockColumn, 1) + column - 1)
        case .quoted where line == 1: return (self.line, self.column + column)
        case .plain where line == 1: return (self.line, self.column + column - 1)
        case .quoted, .plain: return (self.line + line - 1, column)
        }
    }
}
