package import Model

/// One resource that differs from what runs.
package enum ControllerChange: Sendable {
    /// Not running yet.
    case create(ResourceSnapshot)
    /// Running, as of another revision. Change only what differs; nothing else may flicker.
    case update(ResourceSnapshot)
    /// Running, and to be stopped. The name is the last that was known.
    case delete(ResourceKey, uid: String)

    package var key: ResourceKey {
        switch self {
        case .create(let snapshot), .update(let snapshot): snapshot.key
        case .delete(let key, _): key
        }
    }

    package var uid: String {
        switch self {
        case .create(let snapshot), .update(let snapshot): snapshot.uid
        case .delete(_, let uid): uid
        }
    }
}

/// Makes the running system agree with the resources of one kind.
package protocol Controller: Sendable {
    var kind: String { get }
    /// Kinds whose changes of the same transaction should be made first: a rule's sinks before the rule.
    var after: [String] { get }

    /// Called for one resource at a time. Returns how the resource fares now. What it throws becomes the status
    /// `failed`, and the change is tried again after a pause that doubles from 0.5 s to 30 s, until it succeeds or
    /// the resource changes. After a failed `create` the next try is a `create`; it must leave nothing behind.
    func apply(_ change: ControllerChange) async throws(Problem) -> Condition
}

extension Controller {
    package var after: [String] { [] }
}

/// How controllers wait: `Task.sleep`, or a test's decision.
package struct Pause: Sendable {
    let wait: @Sendable (Duration) async throws -> Void

    package init(_ wait: @escaping @Sendable (Duration) async throws -> Void) { self.wait = wait }

    package static let sleep = Pause { try await Task.sleep(for: $0) }
}
