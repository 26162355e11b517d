package import Model

/// From where a change came.
package struct ChangeSource: Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        case file, cli, console, api, fleet, system
    }

    package var kind: Kind
    /// A file's path, or nothing.
    package var name: String

    package init(_ kind: Kind, _ name: String = "") {
        self.kind = kind
        self.name = name
    }

    /// `file:/etc/plant.yaml`, `console`.
    package var description: String { name.isEmpty ? kind.rawValue : "\(kind.rawValue):\(name)" }

    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard let first = parts.first, let kind = Kind(rawValue: String(first)) else { return nil }
        self.init(kind, parts.count > 1 ? String(parts[1]) : "")
    }
}

package enum ChangeAction: String, Sendable {
    case create, update, rename, delete, rollback
    /// Nothing differs.
    case unchanged
    /// Left as it is, though the file says otherwise: someone else has changed it since. `note` says more.
    case left
}

/// Who changes something, from where, and under which condition.
package struct ChangeContext: Sendable {
    package var author: String
    package var source: ChangeSource
    /// Revisions that the resources must still have; 0: must not exist. Otherwise `resource.conflict`.
    package var expected: [ResourceKey: Int64]

    package init(author: String, source: ChangeSource, expected: [ResourceKey: Int64] = [:]) {
        self.author = author
        self.source = source
        self.expected = expected
    }
}

/// What happened, or would happen, to one resource.
package struct ResourceChange: Sendable {
    package var key: ResourceKey
    package var uid: String
    package var action: ChangeAction
    /// Of the resource, after the change.
    package var revision: Int64
    package var differences: [SpecDifference]
    package var note: Problem?
}

package struct ApplyResult: Sendable {
    package var dryRun: Bool
    /// Of the store, afterwards.
    package var revision: Int64
    package var changes: [ResourceChange]
    package var warnings: [Issue]
}

/// A resource as it is now.
package struct ResourceSnapshot: Sendable {
    package var key: ResourceKey
    /// Survives renaming.
    package var uid: String
    /// The store's revision at which it was last changed.
    package var revision: Int64
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// Of the last change.
    package var author: String
    package var source: ChangeSource
    package var labels: [String: String]
    package var description: String?
    /// Typed, with defaults; null if the stored document is not valid any more (see `issues`).
    package var spec: ConfigValue
    /// As written, without secrets: for people.
    package var shown: SourceNode
    package var issues: [Issue]

    package var name: String { key.name }
}

/// One entry of a resource's history.
package struct RevisionEntry: Sendable {
    package var revision: Int64
    package var key: ResourceKey
    package var uid: String
    package var author: String
    package var source: ChangeSource
    package var at: Timestamp
    package var action: ChangeAction
    /// As written, without secrets; nil for a deletion.
    package var shown: SourceNode?
}
