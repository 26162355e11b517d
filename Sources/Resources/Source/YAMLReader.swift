// libyaml's events, from the parser that Yams carries: they give the place of every key and value, and let limits
// work while reading. Yams' own node tree expands aliases and compares keys before anyone can count.
import CYaml
import Model

/// Reads YAML 1.1/1.2 into source trees. No type is guessed. Keys are text; a key twice in one map is an error;
/// aliases and the merge key `<<` work within the limits; tags other than `!!str` are refused.
struct YAMLReader {
    /// One document: its tree, and where its text lies in the file.
    struct Document {
        var root: SourceNode
        /// Lines from 1; the last is the line before the next document, or nil at the end of the file.
        var lines: (first: Int, last: Int?)
    }

    private let file: String
    private let limits: SourceLimits
    private var parser = yaml_parser_t()
    private var nodes = 0
    private var anchors: [String: Anchored] = [:]

    private struct Anchored {
        var node: SourceNode
        var nodes: Int
    }

    private struct Event {
        var type: yaml_event_type_t
        var line: Int
        var column: Int
        var endLine: Int
        var anchor: String?
        var tag: String?
        var text = ""
        var style: SourceNode.ScalarStyle = .plain
        var isPlainImplicit = false
    }

    private init(file: String, limits: SourceLimits) {
        self.file = file
        self.limits = limits
    }

    static func read(_ bytes: [UInt8], file: String, limits: SourceLimits) throws(Issue) -> [Document] {
        var reader = YAMLReader(file: file, limits: limits)
        let result: Result<[Document], Issue> = bytes.withUnsafeBufferPointer { buffer in
            // The parser keeps a pointer to itself nowhere, but to the input: both live for the whole call.
            guard yaml_parser_initialize(&reader.parser) == 1 else {
                return .failure(Issue(Problem("resource.yaml", "out of memory"), file: file))
            }
            defer { yaml_parser_delete(&reader.parser) }
            yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING)
            yaml_parser_set_input_string(&reader.parser, buffer.baseAddress, buffer.count)
            do throws(Issue) { return .success(try reader.documents(lines: bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private mutating func documents(lines bytes: [UInt8]) throws(Issue) -> [Document] {
        var documents: [Document] = []
        let lines = LineIndex(bytes)
        while true {
            let event = try next()
            switch event.type {
            case YAML_STREAM_START_EVENT, YAML_DOCUMENT_END_EVENT: continue
            case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return documents
            case YAML_DOCUMENT_START_EVENT:
                if documents.count == limits.documentsMax {
                    throw limit("documents", limits.documentsMax, event.line, event.column)
                }
                if let last = documents.indices.last { documents[last].lines.last = event.line - 1 }
                anchors = [:]
                var root = try node(try next(), depth: 0)
                Self.indentBlocks(&root, lines)
                documents.append(Document(root: root, lines: (event.line, nil)))
            default: throw unexpected(event)
            }
        }
    }

    private mutating func node(_ event: Event, depth: Int) throws(Issue) -> SourceNode {
        nodes += 1
        if nodes > limits.nodesMax { throw limit("values", limits.nodesMax, event.line, event.column) }
        if depth > limits.depthMax { throw limit("levels of nesting", limits.depthMax, event.line, event.column) }
        let before = nodes
        let node: SourceNode
        switch event.type {
        case YAML_ALIAS_EVENT: return try alias(event)
        case YAML_SCALAR_EVENT: node = try scalar(event)
        case YAML_SEQUENCE_START_EVENT:
            try checkTag(event, allowed: "tag:yaml.org,2002:seq")
            var items: [SourceNode] = []
            while true {
                let event = try next()
                if event.type == YAML_SEQUENCE_END_EVENT { break }
                items.append(try self.node(event, depth: depth + 1))
            }
            node = SourceNode(.list(items), line: event.line, column: event.column)
        case YAML_MAPPING_START_EVENT: node = try map(event, depth: depth)
        default: throw unexpected(event)
        }
        if let anchor = event.anchor { anchors[anchor] = Anchored(node: node, nodes: nodes - before + 1) }
        return node
    }

    private mutating func alias(_ event: Event) throws(Issue) -> SourceNode {
        guard let name = event.anchor, let anchored = anchors[name] else {
            throw issue(
                "resource.yaml.alias", "unknown alias *\(event.anchor ?? ""): define it before with &NAME", event)
        }
        // What stands behind an alias counts each time, so that aliases of aliases cannot grow without bound.
        nodes += anchored.nodes
        if nodes > limits.nodesMax { throw limit("values", limits.nodesMax, event.line, event.column) }
        return anchored.node
    }

    private func scalar(_ event: Event) throws(Issue) -> SourceNode {
        try checkTag(event, allowed: "tag:yaml.org,2002:str")
        if event.style == .plain, event.tag == nil, event.text.isEmpty || event.text == "~" {
            return SourceNode(.null, line: event.line, column: event.column)
        }
        let style = event.tag == nil || event.style != .plain ? event.style : .quoted
        return SourceNode(.scalar(event.text, style), line: event.line, column: event.column)
    }

    private mutating func map(_ start: Event, depth: Int) throws(Issue) -> SourceNode {
        try checkTag(start, allowed: "tag:yaml.org,2002:map")
        var entries: [SourceEntry] = []
        var merged: [SourceEntry] = []
        var seen: [String: Int] = [:]
        while true {
            let event = try next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            guard event.type == YAML_SCALAR_EVENT else {
                throw issue("resource.yaml.key", "a key must be text, not a list, a map or an alias", event)
            }
            nodes += 1
            let value = try node(try next(), depth: depth + 1)
            if event.text == "<<", event.style == .plain {
                merged += try merge(value, event)
                continue
            }
            if let line = seen.updateValue(event.line, forKey: event.text) {
                throw issue(
                    "resource.key.duplicate", "key \"\(event.text)\" is given twice; the first is in line \(line)",
                    event,
                    ["key": event.text, "first": String(line)])
            }
            entries.append(SourceEntry(event.text, value, line: event.line, column: event.column))
        }
        for entry in merged where seen.updateValue(entry.keyLine, forKey: entry.key) == nil { entries.append(entry) }
        return SourceNode(.map(entries), line: start.line, column: start.column)
    }

    /// `<<: *base` or `<<: [*a, *b]`: the earlier wins, and what the map says itself wins over all.
    private func merge(_ value: SourceNode, _ event: Event) throws(Issue) -> [SourceEntry] {
        if let entries = value.entries { return entries }
        let entries = value.items?.compactMap(\.entries) ?? []
        guard let items = value.items, entries.count == items.count else {
            throw issue("resource.yaml.merge", "<< must name a map, or a list of maps", event)
        }
        return entries.flatMap { $0 }
    }

    private func checkTag(_ event: Event, allowed: String) throws(Issue) {
        guard let tag = event.tag, tag != allowed, tag != "!" else { return }
        throw issue("resource.yaml.tag", "tag \"\(tag)\" is not supported: leave it out", event, ["tag": tag])
    }

    private mutating func next() throws(Issue) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(&parser, &raw) == 1 else { throw syntaxError() }
        defer { yaml_event_delete(&raw) }
        var event = Event(
            type: raw.type, line: raw.start_mark.line + 1, column: raw.start_mark.column + 1,
            endLine: raw.end_mark.line + 1)
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            event.anchor = Self.text(scalar.anchor)
            event.tag = Self.text(scalar.tag)
            event.text = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            switch scalar.style {
            case YAML_PLAIN_SCALAR_STYLE, YAML_ANY_SCALAR_STYLE: event.style = .plain
            case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: event.style = .block
            default: event.style = .quoted
            }
        case YAML_SEQUENCE_START_EVENT:
            event.anchor = Self.text(raw.data.sequence_start.anchor)
            event.tag = Self.text(raw.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            event.anchor = Self.text(raw.data.mapping_start.anchor)
            event.tag = Self.text(raw.data.mapping_start.tag)
        case YAML_ALIAS_EVENT: event.anchor = Self.text(raw.data.alias.anchor)
        default: break
        }
        return event
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private func syntaxError() -> Issue {
        let what = parser.problem.map { String(cString: $0) } ?? "cannot be read"
        let context = parser.context.map { String(cString: $0) + ": " } ?? ""
        if parser.error == YAML_READER_ERROR {
            return Issue(
                Problem(
                    "resource.encoding", "not UTF-8 text at byte \(parser.problem_offset)",
                    ["offset": String(parser.problem_offset)]), file: file)
        }
        let mark = parser.problem_mark
        // The scanner reads ahead and has a limit of its own, beyond ours.
        if what.hasPrefix("Maximum nesting") {
            return limit("levels of nesting", limits.depthMax, mark.line + 1, mark.column + 1)
        }
        return Issue(
            Problem("resource.yaml", "YAML: \(context)\(what)", ["problem": context + what]), file: file,
            line: mark.line + 1, column: mark.column + 1)
    }

    private func unexpected(_ event: Event) -> Issue { issue("resource.yaml", "YAML: unexpected end", event) }

    private func limit(_ what: String, _ max: Int, _ line: Int, _ column: Int) -> Issue {
        Issue(
            Problem("resource.limit", "more than \(max) \(what); split the file", ["what": what, "max": String(max)]),
            file: file, line: line, column: column)
    }

    private func issue(
        _ code: String, _ message: String, _ event: Event, _ arguments: [String: String] = [:]
    ) -> Issue {
        Issue(Problem(code, message, arguments), file: file, line: event.line, column: event.column)
    }

    /// Finds the column at which each block scalar's lines begin, which no event tells.
    private static func indentBlocks(_ node: inout SourceNode, _ lines: LineIndex) {
        switch node.content {
        case .null: return
        case .scalar(_, let style):
            if style == .block { node.blockColumn = lines.firstIndent(after: node.line) + 1 }
        case .list(var items):
            node.content = .null
            for index in items.indices { indentBlocks(&items[index], lines) }
            node.content = .list(items)
        case .map(var entries):
            node.content = .null
            for index in entries.indices { indentBlocks(&entries[index].value, lines) }
            node.content = .map(entries)
        }
    }
}

/// Where the lines of a file begin.
struct LineIndex {
    private let bytes: [UInt8]
    private var starts: [Int] = [0]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        for (index, byte) in bytes.enumerated() where byte == 0x0A { starts.append(index + 1) }
    }

    /// The lines, counted from 1, as text; nil for the last: to the end.
    func text(_ first: Int, _ last: Int?) -> String {
        guard first >= 1, first <= starts.count else { return "" }
        let end = last.map { $0 < starts.count ? starts[max($0, 0)] : bytes.count } ?? bytes.count
        let start = starts[first - 1]
        return start < end ? String(decoding: bytes[start..<end], as: UTF8.self) : ""
    }

    /// The number of spaces before the first line with text after the given line.
    func firstIndent(after line: Int) -> Int {
        var next = line
        while next < starts.count {
            var index = starts[next]
            var spaces = 0
            while index < bytes.count, bytes[index] == 0x20 {
                index += 1
                spaces += 1
            }
            if index < bytes.count, bytes[index] != 0x0A, bytes[index] != 0x0D { return spaces }
            next += 1
        }
        return 0
    }
}
