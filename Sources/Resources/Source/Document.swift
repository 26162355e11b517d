import Model

/// What names a resource among all others.
package struct ResourceKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package static let defaultSpace = "default"

    package var space: String
    package var kind: String
    package var name: String

    package init(space: String = ResourceKey.defaultSpace, kind: String, name: String) {
        self.space = space
        self.kind = kind
        self.name = name
    }

    package static func < (a: ResourceKey, b: ResourceKey) -> Bool {
        (a.space, a.kind, a.name) < (b.space, b.kind, b.name)
    }

    /// `Device "press-1"`, as messages name it.
    package var description: String {
        space == Self.defaultSpace ? "\(kind) \"\(name)\"" : "\(kind) \"\(name)\" in space \"\(space)\""
    }
}

package enum DocumentFormat: Int, Sendable {
    case yaml = 1
    case json = 2

    /// JSON begins with a brace or bracket; so may YAML, which then is read as YAML if it is not JSON.
    package init(file: String) { self = file.lowercased().hasSuffix(".json") ? .json : .yaml }
}

/// One resource as someone wrote it, before its spec is checked.
package struct Document: Sendable {
    package var key: ResourceKey
    package var labels: [String: String]
    package var description: String?
    package var spec: SourceNode
    /// The whole document.
    package var root: SourceNode
    /// Path or name of where it was read from.
    package var file: String
    /// Its own part of the file, as written.
    package var text: String
    package var format: DocumentFormat

    package func issue(
        _ code: String, _ message: String, _ arguments: [String: String] = [:], at node: SourceNode,
        known: [String] = [], severity: Issue.Severity = .error
    ) -> Issue {
        Issue(
            Problem(code, message, arguments), file: file, line: node.line, column: node.column, known: known,
            severity: severity)
    }
}

/// Files and requests into documents: syntax, and the keys that every document has.
package struct DocumentReader: Sendable {
    package static let apiVersion = "tundish/v1"
    static let keys = ["apiVersion", "kind", "name", "space", "labels", "description", "spec"]
    static let nameLengthMax = 128
    static let labelsMax = 64

    package var limits: SourceLimits
    /// Names of the kinds that exist.
    package var kinds: [String]

    package init(kinds: [String], limits: SourceLimits = SourceLimits()) {
        self.kinds = kinds
        self.limits = limits
    }

    /// Reads a file of several documents. Never throws: what is wrong is in the issues, and the documents are those
    /// that can be looked at further.
    package func read(
        _ bytes: [UInt8], file: String, format: DocumentFormat? = nil
    ) -> (documents: [Document], issues: IssueList) {
        var issues = IssueList()
        guard bytes.count <= limits.bytesMax else {
            issues.add(
                Issue(
                    Problem(
                        "resource.limit", "\(bytes.count) bytes; at most \(limits.bytesMax) are read: split the file",
                        ["what": "bytes", "max": String(limits.bytesMax)]), file: file))
            return ([], issues)
        }
        var documents: [Document] = []
        do throws(Issue) {
            for part in try parts(bytes, file: file, format: format ?? DocumentFormat(file: file)) {
                if part.root.isNull { continue }
                if let document = document(part, file: file, issues: &issues) { documents.append(document) }
            }
        } catch {
            issues.add(error)
        }
        return (documents, issues)
    }

    package func read(
        _ text: String, file: String, format: DocumentFormat? = nil
    ) -> (documents: [Document], issues: IssueList) { read(Array(text.utf8), file: file, format: format) }

    private struct Part {
        var root: SourceNode
        var text: String
        var format: DocumentFormat
    }

    private func parts(_ bytes: [UInt8], file: String, format: DocumentFormat) throws(Issue) -> [Part] {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Issue(Problem("resource.encoding", "not UTF-8 text; save the file as UTF-8"), file: file)
        }
        if format == .json {
            var parts: [Part] = []
            for (root, range) in try JSONReader.read(bytes, file: file, limits: limits) {
                // A list at the top is as good as one value after another.
                for item in root.items ?? [root] {
                    let text =
                        root.items == nil
                        ? String(decoding: bytes[range], as: UTF8.self) : SourceWriter.json(item)
                    parts.append(Part(root: item, text: text, format: .json))
                }
            }
            return parts
        }
        let lines = LineIndex(bytes)
        return try YAMLReader.read(bytes, file: file, limits: limits).map { document in
            Part(
                root: document.root, text: lines.text(document.lines.first, document.lines.last), format: .yaml)
        }
    }

    private func document(_ part: Part, file: String, issues: inout IssueList) -> Document? {
        let errorsBefore = issues.errors
        func report(
            _ code: String, _ message: String, _ arguments: [String: String] = [:], _ line: Int, _ column: Int,
            known: [String] = []
        ) {
            issues.add(
                Issue(Problem(code, message, arguments), file: file, line: line, column: column, known: known))
        }
        guard let entries = part.root.entries else {
            report(
                "resource.document", "a document is a map with kind, name and spec, not \(part.root.kindName)", [:],
                part.root.line, part.root.column)
            return nil
        }
        for entry in entries where !Self.keys.contains(entry.key) {
            let unknown = unknownName("key", entry.key, known: Self.keys)
            report(
                "resource.key.unknown", unknown.message, unknown.arguments, entry.keyLine, entry.keyColumn,
                known: Self.keys)
        }
        if let version = part.root["apiVersion"], version.scalar != Self.apiVersion {
            report(
                "resource.version", "apiVersion is \(version.kindName); this release knows \(Self.apiVersion)", [:],
                version.line, version.column, known: [Self.apiVersion])
        }
        let kind = text("kind", part.root, file, &issues)
        if let kind, !kinds.contains(kind), let node = part.root["kind"] {
            let unknown = unknownName("kind", kind, known: kinds)
            report("resource.kind.unknown", unknown.message, unknown.arguments, node.line, node.column, known: kinds)
        }
        let name = text("name", part.root, file, &issues)
        for (key, value) in [("name", name), ("space", part.root["space"]?.scalar)] {
            guard let value, let node = part.root[key], let fault = Self.nameFault(value) else { continue }
            report("resource.name", "\(key) \"\(shortened(value))\" \(fault)", ["name": value], node.line, node.column)
        }
        if let space = part.root["space"], space.scalar == nil {
            report("resource.type", "space must be text, not \(space.kindName)", [:], space.line, space.column)
        }
        let labels = labels(part.root["labels"], file, &issues)
        let description = part.root["description"]
        if let description, description.scalar == nil, !description.isNull {
            report(
                "resource.type", "description must be text, not \(description.kindName)", [:], description.line,
                description.column)
        }
        var spec = part.root["spec"] ?? SourceNode(.map([]), line: part.root.line, column: part.root.column)
        if spec.isNull { spec.content = .map([]) }
        guard issues.errors == errorsBefore, let kind, let name else { return nil }
        return Document(
            key: ResourceKey(space: part.root["space"]?.scalar ?? ResourceKey.defaultSpace, kind: kind, name: name),
            labels: labels, description: description?.scalar, spec: spec, root: part.root, file: file,
            text: part.text, format: part.format)
    }

    private func text(_ key: String, _ root: SourceNode, _ file: String, _ issues: inout IssueList) -> String? {
        let node = root[key]
        if let text = node?.scalar, !text.isEmpty { return text }
        let place = node ?? root
        let message = node.map { "\(key) must be text, not \($0.kindName)" } ?? "\(key) is missing"
        issues.add(
            Issue(
                Problem(node == nil ? "resource.key.missing" : "resource.type", message, ["key": key]), file: file,
                line: place.line, column: place.column))
        return nil
    }

    private func labels(_ node: SourceNode?, _ file: String, _ issues: inout IssueList) -> [String: String] {
        guard let node, !node.isNull else { return [:] }
        guard let entries = node.entries, entries.count <= Self.labelsMax else {
            issues.add(
                Issue(
                    Problem("resource.labels", "labels must be a map of at most \(Self.labelsMax) texts"), file: file,
                    line: node.line, column: node.column))
            return [:]
        }
        var labels: [String: String] = [:]
        for entry in entries {
            guard let text = entry.value.scalar else {
                issues.add(
                    Issue(
                        Problem("resource.labels", "label \"\(entry.key)\" must be text, not \(entry.value.kindName)"),
                        file: file, line: entry.value.line, column: entry.value.column))
                continue
            }
            labels[entry.key] = text
        }
        return labels
    }

    /// What is wrong with a name: letters of any script, digits, `-`, `_`, `.`; at most 128 characters.
    package static func nameFault(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name.count > nameLengthMax { return "has \(name.count) characters; at most \(nameLengthMax) are allowed" }
        if name == "." || name == ".." { return "is not a name" }
        for character in name {
            let isMark = character == "-" || character == "_" || character == "."
            if isMark || character.isLetter || character.isNumber { continue }
            return "has the character \"\(character)\"; allowed are letters, digits, - _ and ."
        }
        return nil
    }
}
