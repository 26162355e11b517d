import Model

/// What is done to a spec as written with the help of its schema: scalars written the way their types are, secrets
/// taken out, differences found.
package enum SpecTree {
    /// Stands in an output where a secret was. Given back in an `apply`, it means: as before.
    package static let redactedKey = "redacted"

    static var redacted: SourceNode {
        .map([SourceEntry(redactedKey, SourceNode(.scalar("true", .plain)))])
    }

    static func isRedacted(_ node: SourceNode) -> Bool {
        guard let entries = node.entries, entries.count == 1, let entry = entries.first else { return false }
        return entry.key == redactedKey && entry.value.scalar == "true"
    }

    /// Visits every value of a schema's tree from the outside in. What the visitor returns stands in its place;
    /// nil: go on inside.
    static func rewrite(
        _ node: SourceNode, _ type: FieldType, _ visit: (SourceNode, FieldType) -> SourceNode?
    ) -> SourceNode {
        if let replaced = visit(node, type) { return replaced }
        var result = node
        switch (type, node.content) {
        case (.object(let schema), .map(let entries)):
            result.content = .map(entries.map { rewrite($0, schema, node, visit) })
        case (.oneOf(let fields), .map(let entries)):
            result.content = .map(entries.map { rewrite($0, Schema(fields), node, visit) })
        case (.map(let element, _), .map(let entries)):
            result.content = .map(
                entries.map { entry in
                    var entry = entry
                    entry.value = rewrite(entry.value, element, visit)
                    return entry
                })
        case (.list(let element, _), .list(let items)):
            result.content = .list(items.map { rewrite($0, element, visit) })
        default: break
        }
        return result
    }

    private static func rewrite(
        _ entry: SourceEntry, _ schema: Schema, _ parent: SourceNode, _ visit: (SourceNode, FieldType) -> SourceNode?
    ) -> SourceEntry {
        guard let field = schema.field(entry.key) else { return entry }
        var entry = entry
        var type = field.type
        if case .chosen(let sibling, let choices) = type {
            let choice = parent[sibling]?.scalar ?? schema.field(sibling)?.defaultValue?.string
            guard let choice, let chosen = choices[choice] else { return entry }
            type = .object(chosen)
        }
        entry.value = rewrite(entry.value, type, visit)
        return entry
    }

    /// The spec as JSON would have it: text in quotes, numbers and truths bare. Equal specs give equal texts,
    /// whatever their form was.
    static func normalized(_ spec: SourceNode, _ schema: Schema) -> SourceNode {
        rewrite(spec, .object(schema)) { node, type in
            guard case .scalar(let text, let style) = node.content else { return nil }
            var result = node
            switch type {
            case .bool: result.content = .scalar(text, .plain)
            case .integer: result.content = .scalar(ScalarReading.integer(text).map { String($0) } ?? text, .plain)
            case .number:
                let isJSON = SourceWriter.isJSONWord(text)
                result.content = .scalar(isJSON ? text : ScalarReading.number(text).map { "\($0)" } ?? text, .plain)
            case .size where Int64(text) != nil: result.content = .scalar(text, .plain)
            case .any:
                result.content = .scalar(text, style == .plain && SourceWriter.isJSONWord(text) ? .plain : .quoted)
            default: result.content = .scalar(text, .quoted)
            }
            return result
        }
    }

    /// The same with every secret's text taken out; references stay.
    static func redacted(_ spec: SourceNode, _ schema: Schema) -> SourceNode {
        rewrite(normalized(spec, schema), .object(schema)) { node, type in
            guard case .secret = type, node.scalar != nil else { return nil }
            return redacted
        }
    }

    /// A whole document whose spec reads back as it is: what looks like a number but is text gets its quotes.
    static func writable(_ root: SourceNode, _ schema: Schema) -> SourceNode {
        var result = root
        for key in ["apiVersion", "kind", "name", "space", "description"] {
            if let text = root[key]?.scalar { result.set(key, .text(text)) }
        }
        if let labels = root["labels"]?.entries {
            result.set("labels", .map(labels.map { SourceEntry($0.key, .text($0.value.scalar ?? "")) }))
        }
        if let spec = root["spec"] { result.set("spec", normalized(spec, schema)) }
        return result
    }

    static func hasInlineSecret(_ spec: SourceNode, _ schema: Schema) -> Bool {
        var found = false
        _ = rewrite(spec, .object(schema)) { node, type in
            if case .secret = type, node.scalar != nil { found = true }
            return nil
        }
        return found
    }

    private static func holdsRedacted(_ node: SourceNode) -> Bool {
        switch node.content {
        case .map(let entries): isRedacted(node) || entries.contains { holdsRedacted($0.value) }
        case .list(let items): items.contains(where: holdsRedacted)
        case .null, .scalar: false
        }
    }

    /// Puts the former secrets where the document says that they were taken out. Entries of lists are matched by
    /// their `name`, else by position. Second: whether anything was put back.
    static func restoringSecrets(_ node: SourceNode, from former: SourceNode?) -> (SourceNode, Bool) {
        guard holdsRedacted(node) else { return (node, false) }
        if isRedacted(node), let former, former.scalar != nil { return (former, true) }
        var result = node
        var any = false
        switch node.content {
        case .map(var entries):
            for index in entries.indices {
                let (value, changed) = restoringSecrets(entries[index].value, from: former?[entries[index].key])
                if changed {
                    entries[index].value = value
                    any = true
                }
            }
            if any { result.content = .map(entries) }
        case .list(var items):
            for index in items.indices {
                let formerItems = former?.items ?? []
                let name = items[index]["name"]?.scalar
                let match =
                    name.flatMap { name in formerItems.first { $0["name"]?.scalar == name } }
                    ?? (formerItems.indices.contains(index) ? formerItems[index] : nil)
                let (value, changed) = restoringSecrets(items[index], from: match)
                if changed {
                    items[index] = value
                    any = true
                }
            }
            if any { result.content = .list(items) }
        default: break
        }
        return (result, any)
    }
}

/// One value that a change makes different.
package struct SpecDifference: Sendable, Hashable {
    /// `groups[fast].interval`: entries of lists by name where they have one.
    package var path: String
    /// As JSON; nil: was not there.
    package var before: String?
    /// As JSON; nil: is not there any more.
    package var after: String?
}

extension SpecTree {
    static let differencesMax = 1000

    /// What differs between two normalized trees, by path.
    static func differences(_ before: SourceNode?, _ after: SourceNode?) -> [SpecDifference] {
        var found: [SpecDifference] = []
        compare(before, after, "", &found)
        return found
    }

    private static func compare(
        _ before: SourceNode?, _ after: SourceNode?, _ path: String, _ found: inout [SpecDifference]
    ) {
        guard found.count < differencesMax else { return }
        switch (before?.content, after?.content) {
        case (nil, nil): return
        case (.map(let old)?, .map(let new)?):
            for entry in old { compare(entry.value, after?[entry.key], join(path, entry.key), &found) }
            let known = Set(old.map(\.key))
            for entry in new where !known.contains(entry.key) {
                compare(nil, entry.value, join(path, entry.key), &found)
            }
        case (.list(let old)?, .list(let new)?): compareLists(old, new, path, &found)
        default:
            let (a, b) = (before.map { SourceWriter.json($0) }, after.map { SourceWriter.json($0) })
            if a != b { found.append(SpecDifference(path: path, before: a, after: b)) }
        }
    }

    private static func compareLists(
        _ old: [SourceNode], _ new: [SourceNode], _ path: String, _ found: inout [SpecDifference]
    ) {
        let oldNames = names(old)
        let newNames = names(new)
        guard let oldNames, let newNames else {
            for index in 0..<max(old.count, new.count) {
                compare(
                    index < old.count ? old[index] : nil, index < new.count ? new[index] : nil, "\(path)[\(index)]",
                    &found)
            }
            return
        }
        for (name, index) in oldNames.sorted(by: { $0.value < $1.value }) {
            compare(old[index], newNames[name].map { new[$0] }, "\(path)[\(name)]", &found)
        }
        for (name, index) in newNames.sorted(by: { $0.value < $1.value }) where oldNames[name] == nil {
            compare(nil, new[index], "\(path)[\(name)]", &found)
        }
        let kept = oldNames.filter { newNames[$0.key] != nil }.sorted { $0.value < $1.value }.map(\.key)
        let order = newNames.filter { oldNames[$0.key] != nil }.sorted { $0.value < $1.value }.map(\.key)
        if kept != order {
            found.append(
                SpecDifference(
                    path: "\(path) (order)", before: kept.joined(separator: ", "), after: order.joined(separator: ", "))
            )
        }
    }

    /// The position of each name; nil if not every entry has one of its own.
    private static func names(_ items: [SourceNode]) -> [String: Int]? {
        var names: [String: Int] = [:]
        for (index, item) in items.enumerated() {
            guard let name = item["name"]?.scalar, names.updateValue(index, forKey: name) == nil else { return nil }
        }
        return names
    }

    private static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : path + "." + key }
}
