import GRDB
import Model

/// The ways in which resources change.
extension ResourceStore {
    /// Reads and applies a file or request: all of its documents or none. Fails with `resource.invalid` and every
    /// issue found, `resource.conflict`, `resource.referenced`, or what is the matter with the store.
    package func apply(
        _ bytes: [UInt8], file: String, format: DocumentFormat? = nil, _ context: ChangeContext, dryRun: Bool = false
    ) async throws(Rejection) -> ApplyResult {
        let (documents, issues) = registry.reader.read(bytes, file: file, format: format)
        return try await apply(documents, issues, context, dryRun: dryRun)
    }

    package func apply(
        _ documents: [Document], _ found: IssueList = IssueList(), _ context: ChangeContext, dryRun: Bool = false
    ) async throws(Rejection) -> ApplyResult {
        guard found.isValid else {
            // What is wrong inside the documents that could be read belongs to the answer too.
            var issues = found
            _ = registry.check(documents, &issues)
            throw Rejection(issues.issues)
        }
        return try await change(context, dryRun: dryRun) { plan in try plan.add(documents) }
    }

    /// Fails with `resource.not_found`, `resource.conflict`, `resource.referenced`.
    package func delete(_ key: ResourceKey, _ context: ChangeContext) async throws(Rejection) -> ApplyResult {
        try await change(context, dryRun: false) { plan in try plan.delete(key) }
    }

    /// Makes the resource what it was at a revision: a new change, not a way to forget those between. A deleted
    /// resource comes back under its uid.
    package func rollback(
        _ key: ResourceKey, to revision: Int64, _ context: ChangeContext, dryRun: Bool = false
    ) async throws(Rejection) -> ApplyResult {
        try await change(context, dryRun: dryRun) { [self] db, plan in
            guard let uid = try database.find(db, key)?.uid ?? database.lastUID(db, key) else {
                throw Self.notFound(key)
            }
            guard let body = try database.body(db, uid: uid, revision: revision) else {
                let known = try database.history(db, uid: uid, limit: StoreDatabase.revisionsMax)
                    .filter { $0.body != nil }.map { String($0.row.revision) }
                throw Rejection(
                    Problem(
                        "resource.revision.unknown",
                        "\(key) has no revision \(revision); kept are \(known.joined(separator: ", "))",
                        ["kind": key.kind, "name": key.name, "revision": String(revision)]))
            }
            guard var document = parsed(body, key) else {
                throw Problem("store.damaged", "revision \(revision) of \(key) cannot be read", ["uid": uid])
            }
            document = renamed(document, to: key.name)
            try plan.add([document], as: .rollback, uids: [key: uid])
        }
    }

    /// Gives the resource another name; uid, and with it history and recorded data, stay. Fails with
    /// `resource.exists` if the name is taken, `resource.referenced` if others use the present one.
    package func rename(_ key: ResourceKey, to name: String, _ context: ChangeContext) async throws(Rejection)
        -> ApplyResult
    {
        if let fault = DocumentReader.nameFault(name) {
            throw Rejection(Problem("resource.name", "name \"\(shortened(name))\" \(fault)", ["name": name]))
        }
        let target = ResourceKey(space: key.space, kind: key.kind, name: name)
        let (revision, uid) = try await write { [self] db in
            guard var row = try database.find(db, key),
                let body = try database.body(db, uid: row.uid, revision: row.revision),
                let document = parsed(body, key)
            else { throw Self.notFound(key) }
            if let expected = context.expected[key], expected != row.revision {
                throw Rejection(
                    Problem(
                        "resource.conflict", "\(key) is not at revision \(expected) but at \(row.revision)",
                        [
                            "kind": key.kind, "name": key.name, "expected": String(expected),
                            "found": String(row.revision),
                        ]))
            }
            if try database.find(db, target) != nil {
                throw Rejection(
                    Problem("resource.exists", "\(target) exists already", ["kind": key.kind, "name": name]))
            }
            let users = try database.users(db, of: key)
            if !users.isEmpty {
                let names = users.prefix(10).map(\.key.description).joined(separator: ", ")
                throw Rejection(
                    Problem(
                        "resource.referenced", "\(key) is needed by \(names) under this name",
                        ["kind": key.kind, "name": key.name, "by": names]))
            }
            let revision = try database.nextRevision(db)
            row.key = target
            row.revision = revision
            row.updatedAt = time.now()
            row.author = context.author
            row.source = context.source
            try database.update(db, row)
            let renamed = renamed(document, to: name)
            try database.addRevision(
                db, row, .rename,
                StoreDatabase.Body(text: renamed.text, format: renamed.format, isSealed: body.isSealed))
            announce(db, revision, [key, target])
            return (revision, row.uid)
        }
        return ApplyResult(
            dryRun: false, revision: revision,
            changes: [
                ResourceChange(
                    key: target, uid: uid, action: .rename, revision: revision,
                    differences: [
                        SpecDifference(
                            path: "name", before: SourceWriter.quoted(key.name), after: SourceWriter.quoted(name))
                    ])
            ], warnings: [])
    }

    // MARK: Inside

    private func renamed(_ document: Document, to name: String) -> Document {
        guard document.key.name != name, let kind = registry[document.key.kind] else { return document }
        var result = document
        result.key.name = name
        result.root.set("name", .text(name))
        result.text = SourceWriter.json(SpecTree.writable(result.root, kind.schema))
        result.format = .json
        return result
    }

    func change(
        _ context: ChangeContext, dryRun: Bool, _ fill: @escaping @Sendable (inout ChangePlan) throws -> Void
    ) async throws(Rejection) -> ApplyResult {
        try await change(context, dryRun: dryRun) { _, plan in try fill(&plan) }
    }

    private func change(
        _ context: ChangeContext, dryRun: Bool,
        _ fill: @escaping @Sendable (Database, inout ChangePlan) throws -> Void
    ) async throws(Rejection) -> ApplyResult {
        let work: @Sendable (Database) throws -> ApplyResult = { [self] db in
            var plan = ChangePlan(self, db, context)
            try fill(db, &plan)
            try plan.finish()
            let revision = dryRun ? try database.revision(db) : try commit(&plan, db)
            return ApplyResult(
                dryRun: dryRun, revision: revision, changes: plan.steps.map(\.change), warnings: plan.issues.issues)
        }
        return dryRun ? try await read(work) : try await write(work)
    }

    /// Commits, and tells the watchers once the transaction is on the disk.
    func commit(_ plan: inout ChangePlan, _ db: Database) throws -> Int64 {
        let before = try database.revision(db)
        let revision = try plan.commit()
        guard revision != before else { return revision }
        let changed = plan.steps.map(\.change).filter { $0.action != .unchanged && $0.action != .left }
        announce(db, revision, changed.map(\.key), deleted: changed.filter { $0.action == .delete }.map(\.uid))
        return revision
    }

    func announce(_ db: Database, _ revision: Int64, _ keys: [ResourceKey], deleted: [String] = []) {
        // On the writer's own queue: watchers hear of changes in the order of their revisions.
        db.afterNextTransaction { [self] _ in
            for uid in deleted { statuses.remove(uid: uid) }
            watchers.changed(revision, keys)
        }
    }
}
