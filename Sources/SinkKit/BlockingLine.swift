import Journal

/// A thread for a client library whose calls block: work goes there one piece after the other, and whoever brought it
/// waits without holding a thread of the pool. Ends when the last reference is gone and the work is done.
package final class BlockingLine: Sendable {
    private typealias Work = @Sendable () -> Void

    private struct State {
        var work: [Work] = []
        var isEnding = false
    }

    private let monitor: Monitor<State>

    package init(_ name: String) {
        let monitor = Monitor(State())
        self.monitor = monitor
        WorkerThread.start(name) {
            while true {
                let (work, isEnd) = monitor.wait(until: { !$0.work.isEmpty || $0.isEnding }) { state in
                    (state.work.isEmpty ? nil : state.work.removeFirst(), state.work.isEmpty && state.isEnding)
                }
                work?()
                if work == nil, isEnd { return }
            }
        }
    }

    deinit {
        monitor.signal { state in
            state.isEnding = true
            return true
        }
    }

    /// Runs `body` on the thread and returns what it returns.
    package func run<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in
            post { continuation.resume(returning: body()) }
        }
    }

    /// Runs `body` on the thread and does not wait.
    package func post(_ body: @escaping @Sendable () -> Void) {
        monitor.signal { state in
            state.work.append(body)
            return true
        }
    }
}
