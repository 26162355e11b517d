import Synchronization
package import Model

/// How a resource fares in the running system.
package struct Condition: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        /// Its controller has not dealt with it yet.
        case pending
        case running
        /// Works in part, or not at the moment; goes on by itself.
        case degraded
        /// Does not work until someone changes something, or a retry succeeds.
        case failed
        /// Switched off on purpose.
        case stopped
    }

    package var state: State
    /// What is the matter; nil if nothing is.
    package var problem: Problem?

    package init(_ state: State, _ problem: Problem? = nil) {
        self.state = state
        self.problem = problem
    }

    package static let running = Condition(.running)
    package static let stopped = Condition(.stopped)
    package static func degraded(_ problem: Problem) -> Condition { Condition(.degraded, problem) }
    package static func failed(_ problem: Problem) -> Condition { Condition(.failed, problem) }
}

package struct ResourceStatus: Sendable, Hashable {
    /// The revision of the resource that its controller acted on last: the condition tells the effect of that one.
    /// Less than the resource's revision: the newest change has not been acted on yet. 0: none has.
    package var observedRevision: Int64
    package var condition: Condition
    /// When state or code became what they are.
    package var since: Timestamp
}

/// The statuses of all resources. In memory: after a start nothing is known until the controllers have acted, and
/// what the last process saw would be a lie.
package final class StatusBoard: Sendable {
    private let board = Mutex<[String: ResourceStatus]>([:])
    private let time: any TimeSource
    private let watchers: Watchers

    init(time: any TimeSource, watchers: Watchers) {
        self.time = time
        self.watchers = watchers
    }

    package subscript(_ uid: String) -> ResourceStatus? { board.withLock { $0[uid] } }

    /// `observed` nil: the revision stays; a device that loses its connection, a rule that fails.
    package func set(_ condition: Condition, of key: ResourceKey, uid: String, observed: Int64? = nil) {
        let now = time.now()
        let changed = board.withLock { board in
            let old = board[uid]
            let isSame =
                old?.condition.state == condition.state && old?.condition.problem?.code == condition.problem?.code
            let status = ResourceStatus(
                observedRevision: observed ?? old?.observedRevision ?? 0, condition: condition,
                since: isSame ? old?.since ?? now : now)
            board[uid] = status
            return status != old
        }
        if changed { watchers.statusChanged(key) }
    }

    func remove(uid: String) { board.withLock { _ = $0.removeValue(forKey: uid) } }
}
