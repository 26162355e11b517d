package import Model
import NIOPosix
import Synchronization

/// Threads for work that takes a tenth of a second and megabytes of memory: password hashes. What waits is bounded;
/// beyond that work is refused at once and counted, and clients come again.
package final class HashPool: Sendable {
    private let threads: NIOThreadPool
    private let waiting = Atomic<Int>(0)
    private let waitingMax: Int
    let refused = Counter()
    let done = Counter()

    package init(threads count: Int = 2, waitingMax: Int = 2048) {
        threads = NIOThreadPool(numberOfThreads: max(1, count))
        self.waitingMax = waitingMax
        threads.start()
    }

    /// Nil: too much waits already, or the pool has ended.
    func run<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T? {
        guard waiting.add(1, ordering: .relaxed).newValue <= waitingMax else {
            waiting.subtract(1, ordering: .relaxed)
            refused.add()
            return nil
        }
        defer { waiting.subtract(1, ordering: .relaxed) }
        let result = try? await threads.runIfActive(body)
        if result != nil { done.add() }
        return result
    }

    var waitingCount: Int { waiting.load(ordering: .relaxed) }

    /// What waits is not done any more.
    package func shutdown() async {
        // An error means that it had been shut down before.
        try? await threads.shutdownGracefully()
    }
}
