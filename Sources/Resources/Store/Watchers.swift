import Model
import Synchronization

/// What a watcher hears.
package enum ResourceEvent: Sendable {
    /// A transaction was committed.
    case changed(revision: Int64, [ResourceKey])
    /// The status of a resource changed.
    case status(ResourceKey)
    /// The watcher was too slow and has missed something: it must look at everything again.
    case resync
}

/// Everyone who watches. Each has a bounded buffer; at its end events are replaced by one `resync`.
final class Watchers: Sendable {
    static let bufferedMax = 256

    private struct Watcher {
        var continuation: AsyncStream<ResourceEvent>.Continuation
        var kinds: Set<String>?
        var wantsStatus: Bool
    }

    private struct State {
        var watchers: [UInt64: Watcher] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())
    let resyncs = Counter()

    func add(kinds: Set<String>?, status: Bool) -> AsyncStream<ResourceEvent> {
        let (stream, continuation) = AsyncStream<ResourceEvent>.makeStream(
            bufferingPolicy: .bufferingNewest(Self.bufferedMax))
        let id = state.withLock { state in
            state.nextID += 1
            state.watchers[state.nextID] = Watcher(continuation: continuation, kinds: kinds, wantsStatus: status)
            return state.nextID
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.watchers.removeValue(forKey: id) }
        }
        return stream
    }

    func changed(_ revision: Int64, _ keys: [ResourceKey]) {
        for watcher in all() {
            let wanted = watcher.kinds.map { kinds in keys.filter { kinds.contains($0.kind) } } ?? keys
            if !wanted.isEmpty { send(.changed(revision: revision, wanted), to: watcher) }
        }
    }

    func statusChanged(_ key: ResourceKey) {
        for watcher in all() where watcher.wantsStatus && watcher.kinds?.contains(key.kind) != false {
            send(.status(key), to: watcher)
        }
    }

    func finish() {
        for watcher in all() { watcher.continuation.finish() }
    }

    private func all() -> [Watcher] { state.withLock { Array($0.watchers.values) } }

    private func send(_ event: ResourceEvent, to watcher: Watcher) {
        guard case .dropped = watcher.continuation.yield(event) else { return }
        resyncs.add()
        // The newest stays in the buffer: after all that is left comes the word to look at everything.
        watcher.continuation.yield(.resync)
    }
}
