import GRDB
import Model

/// Works out what documents and deletions would change, inside one transaction, and then does it. All or nothing:
/// whatever is wrong with one refuses all.
struct ChangePlan {
    /// One resource that is to be written or deleted.
    struct Step {
        var change: ResourceChange
        var row: StoreDatabase.Row?
        var checked: CheckedDocument?
        var body: StoreDatabase.Body?
    }

    let store: ResourceStore
    let db: Database
    private let context: ChangeContext
    private(set) var steps: [Step] = []
    private(set) var issues = IssueList()
    private var checked: [CheckedDocument] = []

    init(_ store: ResourceStore, _ db: Database, _ context: ChangeContext) {
        self.store = store
        self.db = db
        self.context = context
    }

    private var database: StoreDatabase { store.database }

    // MARK: Planning

    /// `uids`: of resources that are to come back under the identity they had.
    mutating func add(
        _ documents: [Document], as action: ChangeAction? = nil, uids: [ResourceKey: String] = [:]
    ) throws {
        var prepared: [(document: Document, former: Former?, rewritten: Bool)] = []
        for document in documents {
            let former = try former(document.key)
            try checkExpected(document.key, former?.row)
            prepared.append(try prepare(document, former))
        }
        let valid = store.registry.check(prepared.map(\.document), &issues)
        let byKey = Dictionary(valid.map { ($0.key, $0) }) { first, _ in first }
        for item in prepared {
            guard let found = byKey[item.document.key], found.document.root.line == item.document.root.line else {
                continue
            }
            checked.append(found)
            steps.append(try step(found, item.former, item.rewritten, action, uids[found.key]))
        }
    }

    mutating func delete(_ key: ResourceKey) throws {
        guard let row = try database.find(db, key) else { throw ResourceStore.notFound(key) }
        try checkExpected(key, row)
        let former = try former(key)
        let change = ResourceChange(
            key: key, uid: row.uid, action: .delete, revision: row.revision,
            differences: SpecTree.differences(former.map { store.shown($0.document) }, nil))
        steps.append(Step(change: change, row: row))
    }

    mutating func leave(_ key: ResourceKey, _ row: StoreDatabase.Row, _ note: Problem) {
        steps.append(
            Step(
                change: ResourceChange(
                    key: key, uid: row.uid, action: .left, revision: row.revision, differences: [], note: note)))
    }

    /// Takes over what another plan holds, to be checked together.
    mutating func join(_ other: ChangePlan) {
        steps += other.steps
        checked += other.checked
        for issue in other.issues.issues { issues.add(issue) }
    }

    /// Call after everything was added: references may go in any direction. Throws what was found.
    mutating func finish() throws {
        let deleted = Set(steps.filter { $0.change.action == .delete }.map(\.change.key))
        var existing: Set<ResourceKey> = []
        for item in checked {
            for reference in item.references {
                let key = ResourceKey(space: item.key.space, kind: reference.kind, name: reference.name)
                if !deleted.contains(key), try database.find(db, key) != nil { existing.insert(key) }
            }
        }
        var found = issues
        store.registry.checkReferences(checked, severity: .error, exists: { existing.contains($0) }, &found)
        issues = found
        let rewritten = Set(checked.map(\.key))
        for key in deleted {
            let users = try database.users(db, of: key).filter {
                !deleted.contains($0.key) && !rewritten.contains($0.key)
            }
            guard let user = users.first else { continue }
            let names = users.prefix(10).map(\.key.description).joined(separator: ", ")
            throw Rejection(
                Problem(
                    "resource.referenced",
                    "\(key) is needed by \(names): change or delete \(users.count == 1 ? "it" : "them") first",
                    ["kind": key.kind, "name": key.name, "by": names, "first": user.key.name]))
        }
        guard issues.isValid else { throw Rejection(issues.issues) }
        try keepAdministrator()
    }

    private struct Former {
        var row: StoreDatabase.Row
        var document: Document
    }

    private func former(_ key: ResourceKey) throws -> Former? {
        guard let row = try database.find(db, key),
            let body = try database.body(db, uid: row.uid, revision: row.revision),
            let document = store.parsed(body, key)
        else { return nil }
        return Former(row: row, document: document)
    }

    private func checkExpected(_ key: ResourceKey, _ row: StoreDatabase.Row?) throws {
        guard let expected = context.expected[key], expected != row?.revision ?? 0 else { return }
        let found = row.map { "revision \($0.revision) by \($0.author)" } ?? "nothing"
        throw Rejection(
            Problem(
                "resource.conflict",
                "\(key) is not at revision \(expected) but there is \(found): look at it and try again",
                ["kind": key.kind, "name": key.name, "expected": String(expected), "found": String(row?.revision ?? 0)])
        )
    }

    /// Puts kept secrets back and lets the kind have its way.
    private func prepare(
        _ document: Document, _ former: Former?
    ) throws -> (document: Document, former: Former?, rewritten: Bool) {
        guard let kind = store.registry[document.key.kind] else { return (document, former, false) }
        var (spec, rewritten) = SpecTree.restoringSecrets(document.spec, from: former?.document.spec)
        if let prepare = kind.prepare {
            // Only what the schema takes: anything else is reported with its place afterwards.
            var probe = document
            probe.spec = spec
            var ignored = IssueList()
            if store.registry.check(probe, &ignored) != nil {
                let prepared = try prepare(spec, former?.document.spec)
                if !SpecTree.differences(spec, prepared).isEmpty {
                    spec = prepared
                    rewritten = true
                }
            }
        }
        guard rewritten else { return (document, former, false) }
        var result = document
        result.spec = spec
        result.root.set("spec", spec)
        return (result, former, true)
    }

    private func step(
        _ found: CheckedDocument, _ former: Former?, _ rewritten: Bool, _ action: ChangeAction?, _ uid: String?
    ) throws -> Step {
        let key = found.key
        guard let kind = store.registry[key.kind] else { throw ResourceStore.notFound(key) }
        let old = former.map { Self.comparable($0.document, kind) }
        let differences = SpecTree.differences(old, Self.comparable(found.document, kind))
        let row = former?.row
        var change = ResourceChange(
            key: key, uid: row?.uid ?? uid ?? store.newUID(), action: row == nil ? .create : .update,
            revision: row?.revision ?? 0, differences: Self.presentable(differences, isNew: row == nil))
        if row != nil, differences.isEmpty { change.action = .unchanged } else if let action { change.action = action }
        var document = found.document
        if rewritten {
            document.text = SourceWriter.json(SpecTree.writable(document.root, kind.schema))
            document.format = .json
        }
        let isSealed = kind.isSealed || !kind.hiddenKeys.isEmpty || SpecTree.hasInlineSecret(document.spec, kind.schema)
        return Step(
            change: change, row: row, checked: found,
            body: StoreDatabase.Body(text: document.text, format: document.format, isSealed: isSealed))
    }

    // MARK: Doing

    /// Writes what differs under one new revision; returns it, or the present one if nothing differs.
    mutating func commit() throws -> Int64 {
        let present = try database.revision(db)
        guard steps.contains(where: { $0.change.action != .unchanged && $0.change.action != .left }) else {
            return present
        }
        let revision = try database.nextRevision(db)
        let now = store.time.now()
        for index in steps.indices where steps[index].change.action == .delete {
            guard var row = steps[index].row else { continue }
            try database.delete(db, uid: row.uid)
            row.revision = revision
            row.updatedAt = now
            row.author = context.author
            row.source = context.source
            try database.addRevision(db, row, .delete, nil)
            steps[index].change.revision = revision
        }
        for index in steps.indices {
            let step = steps[index]
            guard let checked = step.checked, step.change.action != .unchanged else { continue }
            var row =
                step.row
                ?? StoreDatabase.Row(
                    uid: step.change.uid, key: step.change.key, revision: 0, createdAt: now, updatedAt: now,
                    author: context.author, source: context.source, origin: context.source)
            row.revision = revision
            row.updatedAt = now
            row.author = context.author
            row.source = context.source
            if step.row == nil { try database.insert(db, row) } else { try database.update(db, row) }
            try database.setReferences(db, uid: row.uid, space: row.key.space, checked.references)
            try database.addRevision(db, row, step.change.action, step.body)
            steps[index].change.revision = revision
        }
        return revision
    }

    // MARK: Comparing

    /// Marks secrets, so that a difference is found but not shown. No document can hold the key.
    private static let veil = "\u{0}"

    private static func comparable(_ document: Document, _ kind: ResourceKind) -> SourceNode {
        var spec = SpecTree.rewrite(SpecTree.normalized(document.spec, kind.schema), .object(kind.schema)) {
            node, type in
            guard case .secret = type, node.scalar != nil else { return nil }
            return .map([SourceEntry(veil, node)])
        }
        for key in kind.hiddenKeys {
            if let node = spec[key] { spec.set(key, .map([SourceEntry(veil, node)])) }
        }
        var entries = [SourceEntry("spec", spec)]
        if let description = document.description { entries.append(SourceEntry("description", .text(description))) }
        let labels = document.labels.sorted { $0.key < $1.key }.map { SourceEntry($0.key, .text($0.value)) }
        if !labels.isEmpty { entries.append(SourceEntry("labels", .map(labels))) }
        return .map(entries)
    }

    private static func presentable(_ differences: [SpecDifference], isNew: Bool) -> [SpecDifference] {
        differences.map { difference in
            var result = difference
            if result.path.hasSuffix("." + veil) { result.path.removeLast(2) }
            func hide(_ text: String?) -> String? {
                guard let text else { return nil }
                if difference.path.hasSuffix(veil) { return "\"(secret)\"" }
                // A whole part came or went: the secrets inside it stand behind their mark.
                return text.contains("\\u0000") ? hidingMarked(text) : text
            }
            result.before = hide(result.before)
            result.after = hide(result.after)
            return result
        }
    }

    private static func hidingMarked(_ json: String) -> String {
        guard let value = try? JSONReader.read(Array(json.utf8), file: "", limits: SourceLimits()).first?.root else {
            return "\"(secret)\""
        }
        return SourceWriter.json(unveiled(value))
    }

    private static func unveiled(_ node: SourceNode) -> SourceNode {
        switch node.content {
        case .map(let entries):
            if entries.count == 1, entries.first?.key == veil { return .text("(secret)") }
            return .map(entries.map { SourceEntry($0.key, unveiled($0.value)) })
        case .list(let items): return SourceNode(.list(items.map(unveiled)))
        default: return node
        }
    }
}
