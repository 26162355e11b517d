package import Formats
package import Model

/// A resource as REST shows it.
package struct ResourceView: Sendable {
    package var apiVersion: String
    package var kind: String
    package var space: String
    package var name: String
    package var uid: String
    package var revision: Int64
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var author: String
    package var source: String
    /// As written, secrets redacted.
    package var spec: JSONValue
    package var status: ResourceStatusView

    package init(
        apiVersion: String = "tundish/v1", kind: String, space: String = "default", name: String, uid: String,
        revision: Int64, createdAt: Timestamp, updatedAt: Timestamp, author: String, source: String, spec: JSONValue,
        status: ResourceStatusView
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.space = space
        self.name = name
        self.uid = uid
        self.revision = revision
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.author = author
        self.source = source
        self.spec = spec
        self.status = status
    }
}

/// What its controller says about a resource.
package struct ResourceStatusView: Sendable {
    package var observedRevision: Int64
    /// `running`, `pending`, `degraded`, `failed` or `stopped`.
    package var state: String
    package var problem: Problem?
    package var since: Timestamp

    package init(observedRevision: Int64, state: String, problem: Problem? = nil, since: Timestamp) {
        self.observedRevision = observedRevision
        self.state = state
        self.problem = problem
        self.since = since
    }
}

/// One entry of a resource's history.
package struct ResourceRevisionView: Sendable {
    package var revision: Int64
    package var author: String
    package var source: String
    package var at: Timestamp
    /// `create`, `update`, `delete` or `rollback`.
    package var action: String
    /// Nil for a deletion.
    package var spec: JSONValue?

    package init(revision: Int64, author: String, source: String, at: Timestamp, action: String, spec: JSONValue?) {
        self.revision = revision
        self.author = author
        self.source = source
        self.at = at
        self.action = action
        self.spec = spec
    }
}

/// What an apply did, or would do.
package struct ApplyView: Sendable {
    package struct Change: Sendable {
        package var kind: String
        package var name: String
        /// `create`, `update`, `unchanged` or `delete`.
        package var action: String
        package var differences: [Difference]

        package init(kind: String, name: String, action: String, differences: [Difference] = []) {
            self.kind = kind
            self.name = name
            self.action = action
            self.differences = differences
        }
    }

    package struct Difference: Sendable {
        package var path: String
        package var before: JSONValue?
        package var after: JSONValue?

        package init(path: String, before: JSONValue?, after: JSONValue?) {
            self.path = path
            self.before = before
            self.after = after
        }
    }

    package var revision: Int64
    package var changes: [Change]

    package init(revision: Int64, changes: [Change]) {
        self.revision = revision
        self.changes = changes
    }
}

/// What is wrong at a place of a document.
package struct DocumentIssue: Sendable, Hashable {
    package var file: String?
    package var line: Int?
    package var column: Int?
    package var problem: Problem
    /// The keys, drivers, ... that would be right there.
    package var known: [String]

    package init(file: String? = nil, line: Int? = nil, column: Int? = nil, problem: Problem, known: [String] = []) {
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        self.known = known
    }
}

/// Why a change of resources was refused.
package enum ResourceRefusal: Error, Sendable {
    case notFound(Problem)
    /// Somebody else has changed it since the revision that the writer saw; its present one.
    case revisionMismatch(Problem, current: Int64?)
    /// The documents are not valid; nothing was changed.
    case invalid(Problem, issues: [DocumentIssue])
    /// Another resource stands in the way, such as a name that is taken or a reference to it.
    case conflict(Problem)
    /// The store failed.
    case failed(Problem)
}

/// Which present state a change expects.
package enum RevisionExpectation: Sendable, Equatable {
    /// There is none: the change creates.
    case absent
    case revision(Int64)
    /// Whatever it is, but there is one (`If-Match: *`).
    case present
}

/// Who changes resources, and from where.
package struct ChangeContext: Sendable, Hashable {
    package var author: String
    /// `console`, `rest`, or what `X-Tundish-Source` names.
    package var source: String

    package init(author: String, source: String) {
        self.author = author
        self.source = source
    }
}

package enum DocumentSyntax: Sendable { case yaml, json }

/// The store of resources as the REST paths need it. Kinds are written as in documents: `Device`.
package protocol ConsoleResources: Sendable {
    /// All kinds that have a path, in the order of the documentation.
    var kinds: [String] { get }
    func schema(kind: String) -> Schema?
    func list(kind: String) async throws(ResourceRefusal) -> (items: [ResourceView], revision: Int64)
    func get(kind: String, name: String) async throws(ResourceRefusal) -> ResourceView
    /// Writes one resource from a whole document or `{spec}`.
    func put(
        kind: String, name: String, document: JSONValue, expecting: RevisionExpectation, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView
    /// `expecting` nil: whatever revision it has.
    func delete(
        kind: String, name: String, expecting: RevisionExpectation?, by context: ChangeContext
    ) async throws(ResourceRefusal)
    /// Newest first.
    func history(kind: String, name: String) async throws(ResourceRefusal) -> [ResourceRevisionView]
    func rollback(
        kind: String, name: String, to revision: Int64, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView
    /// All documents of the text or none of them.
    func apply(
        _ text: Bytes, syntax: DocumentSyntax, dryRun: Bool, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ApplyView
}
