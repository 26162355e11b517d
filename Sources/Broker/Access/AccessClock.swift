package import Model
import Synchronization

/// Clocks and waiting, injected so that time-outs are tested and not awaited.
package struct AccessClock: Sendable {
    package let time: any TimeSource
    let sleep: @Sendable (Duration) async throws -> Void

    package init(
        _ time: any TimeSource,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.time = time
        self.sleep = sleep
    }

    /// What `body` returns, or nil if the time is up first; `body` is cancelled then and not waited for.
    func within<T: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async -> T) async -> T? {
        let race = Race<T>()
        return await withCheckedContinuation { continuation in
            race.begin(continuation)
            let work = Task { race.end(await body()) }
            let timer = Task {
                do { try await sleep(limit) } catch { return }
                race.end(nil)
            }
            race.attach(work, timer)
        }
    }
}

/// Whoever ends it first decides.
private final class Race<T: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<T?, Never>?
        var tasks: [Task<Void, Never>] = []
        var isOver = false
    }

    private let state = Mutex(State())

    func begin(_ continuation: CheckedContinuation<T?, Never>) {
        state.withLock { $0.continuation = continuation }
    }

    func attach(_ tasks: Task<Void, Never>...) {
        let isOver = state.withLock { state in
            if !state.isOver { state.tasks = tasks }
            return state.isOver
        }
        if isOver { for task in tasks { task.cancel() } }
    }

    func end(_ value: T?) {
        let (continuation, tasks) = state.withLock { state in
            defer {
                state.continuation = nil
                state.tasks = []
                state.isOver = true
            }
            return (state.continuation, state.tasks)
        }
        for task in tasks { task.cancel() }
        continuation?.resume(returning: value)
    }
}
