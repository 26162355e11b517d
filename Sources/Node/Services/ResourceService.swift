import Console
import Formats
import Model
import Resources

/// The store of resources in the shape in which REST shows it.
struct ResourceService: ConsoleResources {
    let store: ResourceStore

    var kinds: [String] { store.registry.kinds.map(\.name) }

    func schema(kind: String) -> Schema? { store.registry[kind]?.schema }

    func list(kind: String) async throws(ResourceRefusal) -> (items: [ResourceView], revision: Int64) {
        try await refusing { () async throws(Rejection) in
            let listed = try await store.list(kind: kind)
            return (listed.items.map(view), listed.revision)
        }
    }

    func get(kind: String, name: String) async throws(ResourceRefusal) -> ResourceView {
        let key = ResourceKey(kind: kind, name: name)
        let found = try await refusing { () async throws(Rejection) in try await store.get(key) }
        guard let found else { throw .notFound(Self.notFound(key)) }
        return view(found)
    }

    func put(
        kind: String, name: String, document: JSONValue, expecting: RevisionExpectation,
        by context: Console.ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView {
        let key = ResourceKey(kind: kind, name: name)
        var expected: [ResourceKey: Int64] = [:]
        switch expecting {
        case .absent: expected[key] = 0
        case .revision(let revision): expected[key] = revision
        case .present: _ = try await get(kind: kind, name: name)
        }
        // The path names the resource; what the server adds to an answer is not part of the document.
        let kept: Set<String> = ["apiVersion", "space", "labels", "description", "spec"]
        let members = (document.members ?? []).filter { kept.contains($0.key) }
        let whole = JSONValue.object(
            [JSONMember("kind", .string(kind)), JSONMember("name", .string(name))] + members)
        let changes = change(context, expected)
        _ = try await refusing { () async throws(Rejection) in
            try await store.apply(Array(whole.text.utf8), file: "request", format: .json, changes)
        }
        return try await get(kind: kind, name: name)
    }

    func delete(
        kind: String, name: String, expecting: RevisionExpectation?, by context: Console.ChangeContext
    ) async throws(ResourceRefusal) {
        let key = ResourceKey(kind: kind, name: name)
        var expected: [ResourceKey: Int64] = [:]
        if case .revision(let revision) = expecting { expected[key] = revision }
        let changes = change(context, expected)
        _ = try await refusing { () async throws(Rejection) in try await store.delete(key, changes) }
    }

    func history(kind: String, name: String) async throws(ResourceRefusal) -> [ResourceRevisionView] {
        let key = ResourceKey(kind: kind, name: name)
        let entries = try await refusing { () async throws(Rejection) in try await store.history(key) }
        if entries.isEmpty { throw .notFound(Self.notFound(key)) }
        return entries.map { entry in
            ResourceRevisionView(
                revision: entry.revision, author: entry.author, source: entry.source.description, at: entry.at,
                action: entry.action.rawValue, spec: entry.shown.map(json))
        }
    }

    func rollback(
        kind: String, name: String, to revision: Int64, by context: Console.ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView {
        let key = ResourceKey(kind: kind, name: name)
        let changes = change(context)
        _ = try await refusing { () async throws(Rejection) in
            try await store.rollback(key, to: revision, changes)
        }
        return try await get(kind: kind, name: name)
    }

    func apply(
        _ text: Bytes, syntax: DocumentSyntax, dryRun: Bool, by context: Console.ChangeContext
    ) async throws(ResourceRefusal) -> ApplyView {
        let changes = change(context)
        let file = changes.source.name.isEmpty ? "request" : changes.source.name
        let result = try await refusing { () async throws(Rejection) in
            try await store.apply(
                text.array, file: file, format: syntax == .json ? .json : .yaml, changes, dryRun: dryRun)
        }
        return ApplyView(
            revision: result.revision,
            changes: result.changes.map { change in
                ApplyView.Change(
                    kind: change.key.kind, name: change.key.name, action: change.action.rawValue,
                    differences: change.differences.map { difference in
                        ApplyView.Difference(
                            path: difference.path, before: difference.before.flatMap { try? JSONValue(parsing: $0) },
                            after: difference.after.flatMap { try? JSONValue(parsing: $0) })
                    })
            })
    }

    // MARK: Shapes

    private func view(_ snapshot: ResourceSnapshot) -> ResourceView {
        let status = store.status(of: snapshot)
        return ResourceView(
            kind: snapshot.key.kind, space: snapshot.key.space, name: snapshot.key.name, uid: snapshot.uid,
            revision: snapshot.revision, createdAt: snapshot.createdAt, updatedAt: snapshot.updatedAt,
            author: snapshot.author, source: snapshot.source.description, spec: json(snapshot.shown),
            status: ResourceStatusView(
                observedRevision: status.observedRevision, state: status.condition.state.rawValue,
                problem: status.condition.problem, since: status.since))
    }

    /// What the writer makes always reads back.
    private func json(_ node: SourceNode) -> JSONValue { (try? JSONValue(parsing: SourceWriter.json(node))) ?? .null }

    private func change(
        _ context: Console.ChangeContext, _ expected: [ResourceKey: Int64] = [:]
    ) -> Resources.ChangeContext {
        Resources.ChangeContext(
            author: context.author, source: ChangeSource(context.source) ?? ChangeSource(.api, context.source),
            expected: expected)
    }

    private static func notFound(_ key: ResourceKey) -> Problem {
        Problem("resource.not_found", "there is no \(key)", ["kind": key.kind, "name": key.name])
    }

    /// Turns the store's rejections into what REST answers.
    private func refusing<R>(
        _ body: () async throws(Rejection) -> R
    ) async throws(ResourceRefusal) -> R {
        do {
            return try await body()
        } catch {
            let problem = error.problem
            switch problem.code {
            case "resource.not_found", "resource.revision.unknown": throw .notFound(problem)
            case "resource.conflict":
                throw .revisionMismatch(problem, current: problem.arguments["found"].flatMap { Int64($0) })
            case "resource.exists", "resource.referenced", "account.last_administrator": throw .conflict(problem)
            case let code where code.hasPrefix("store."): throw .failed(problem)
            default:
                throw .invalid(
                    problem,
                    issues: error.issues.map { issue in
                        DocumentIssue(
                            file: issue.file, line: issue.line, column: issue.column, problem: issue.problem,
                            known: issue.known)
                    })
            }
        }
    }
}
