import Synchronization
package import Model

/// Runs the controllers: each in a task of its own, woken when a resource of its kind changes.
///
/// A round reads which resources there are and at what revisions, and hands over only what differs from what the
/// controller acted on last: deletions first, then creations and updates in the order of names. A controller that
/// fails holds up neither the other resources of its kind nor the other controllers.
package final class ControllerHost: Sendable {
    static let pauseMin = Duration.milliseconds(500)
    static let pauseMax = Duration.seconds(30)
    /// How long a controller waits for those that go before it.
    static let orderWait = Duration.seconds(5)

    private let store: ResourceStore
    private let workers: [Worker]
    private let tasks = Mutex<[Task<Void, Never>]>([])

    package init(
        store: ResourceStore, controllers: [any Controller], pause: Pause = .sleep, time: any TimeSource = SystemTime()
    ) {
        self.store = store
        let progress = RoundProgress()
        workers = controllers.map { controller in
            let kinds = Set(controllers.map(\.kind))
            return Worker(
                store: store, controller: controller, progress: progress, pause: pause, time: time,
                after: controller.after.filter { kinds.contains($0) && $0 != controller.kind })
        }
    }

    /// Starts all and returns when each has been through its first round.
    package func start() async {
        let store = store
        var streams: [AsyncStream<ResourceEvent>] = []
        for worker in workers { streams.append(store.watch(kinds: [worker.kind, ResourceKind.secretName])) }
        let starts = zip(workers, streams).map { worker, stream in
            let (first, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            let task = Task { await worker.run(stream, firstRound: continuation) }
            tasks.withLock { $0.append(task) }
            return first
        }
        for first in starts { for await _ in first { break } }
    }

    /// Ends all tasks. What runs goes on running: stopping it is its owners' business.
    package func stop() async {
        let running = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in running { task.cancel() }
        for task in running { await task.value }
    }

    /// Returns when every controller has been through a round that saw the store's revision (its newest, if nil),
    /// whether successfully or not. For callers that want to answer after the change has taken effect.
    package func settled(at revision: Int64? = nil, within limit: Duration = .seconds(10)) async -> Bool {
        var target = revision
        if target == nil { target = try? await store.revision() }
        guard let target else { return false }
        for worker in workers {
            guard await worker.progress.wait(worker.kind, target, limit: limit) else { return false }
        }
        return true
    }
}

/// Which revision each kind's controller has seen.
final class RoundProgress: Sendable {
    private struct Waiter {
        var kind: String
        var revision: Int64
        var continuation: AsyncStream<Void>.Continuation
    }

    private struct State {
        var seen: [String: Int64] = [:]
        var waiters: [Waiter] = []
    }

    private let state = Mutex(State())

    func finished(_ kind: String, _ revision: Int64) {
        let done = state.withLock { state in
            state.seen[kind] = max(state.seen[kind] ?? 0, revision)
            let done = state.waiters.filter { $0.kind == kind && $0.revision <= revision }
            state.waiters.removeAll { $0.kind == kind && $0.revision <= revision }
            return done
        }
        for waiter in done {
            waiter.continuation.yield()
            waiter.continuation.finish()
        }
    }

    /// False if the time is up first.
    func wait(_ kind: String, _ revision: Int64, limit: Duration) async -> Bool {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let isThere = state.withLock { state in
            if let seen = state.seen[kind], seen >= revision { return true }
            state.waiters.append(Waiter(kind: kind, revision: revision, continuation: continuation))
            return false
        }
        if isThere { return true }
        let timer = Task {
            try? await Task.sleep(for: limit)
            continuation.finish()
        }
        defer { timer.cancel() }
        for await _ in stream { return true }
        return false
    }
}

/// One controller's loop.
private final class Worker: Sendable {
    let store: ResourceStore
    let controller: any Controller
    let progress: RoundProgress
    let pause: Pause
    let time: any TimeSource
    let after: [String]

    var kind: String { controller.kind }

    init(
        store: ResourceStore, controller: any Controller, progress: RoundProgress, pause: Pause, time: any TimeSource,
        after: [String]
    ) {
        self.store = store
        self.controller = controller
        self.progress = progress
        self.pause = pause
        self.time = time
        self.after = after
    }

    /// What the controller was told last about a resource.
    private struct Known {
        var key: ResourceKey
        /// The effective revision that it was given.
        var revision: Int64
        var isRunning: Bool
        /// Set after a failure.
        var failures = 0
        var retryAt: Int64?
    }

    func run(_ events: AsyncStream<ResourceEvent>, firstRound: AsyncStream<Void>.Continuation) async {
        var known: [String: Known] = [:]
        let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        // However many changes come during a round, they make one more round.
        let listener = Task {
            for await _ in events { wake.yield() }
            wake.finish()
        }
        var iterator = wakes.makeAsyncIterator()
        while !Task.isCancelled {
            await round(&known)
            firstRound.yield()
            firstRound.finish()
            let alarm = nextRetry(known).map { wait in
                let pause = pause
                return Task {
                    // Cancelled when something else wakes the loop first.
                    if (try? await pause.wait(wait)) != nil { wake.yield() }
                }
            }
            let next: Void? = await iterator.next()
            alarm?.cancel()
            if next == nil { break }
        }
        firstRound.finish()
        listener.cancel()
    }

    private func nextRetry(_ known: [String: Known]) -> Duration? {
        guard let at = known.values.compactMap(\.retryAt).min() else { return nil }
        return .nanoseconds(max(0, at - time.monotonicNanoseconds()))
    }

    private func round(_ known: inout [String: Known]) async {
        let index: (revision: Int64, items: [ResourceIndexEntry])
        do throws(Rejection) { index = try await store.index(kind: kind) } catch {
            // The store cannot be read at the moment: look again after a pause, as after any failure.
            known[""] = Known(
                key: ResourceKey(kind: kind, name: ""), revision: 0, isRunning: false, failures: 1,
                retryAt: time.monotonicNanoseconds() + ControllerHost.pauseMax.nanoseconds)
            return
        }
        known[""] = nil
        let desired = Set(index.items.map(\.uid))
        for (uid, item) in known.sorted(by: { $0.value.key < $1.value.key }) where !desired.contains(uid) {
            await remove(uid, item, &known)
        }
        let due = index.items.filter { isDue($0, known) }
        if !due.isEmpty {
            for kind in after { await awaitProgress(of: kind, at: index.revision) }
        }
        for item in due where !Task.isCancelled { await act(item, &known) }
        progress.finished(kind, index.revision)
    }

    /// Until the controller of `kind` has acted on what its resources were at `revision`. It is not woken by changes of
    /// other kinds: its own newest one is all there is to wait for.
    private func awaitProgress(of kind: String, at revision: Int64) async {
        var target = revision
        do throws(Rejection) {
            target = min(revision, try await store.index(kind: kind).items.map(\.effectiveRevision).max() ?? 0)
        } catch {
            // What cannot be read is waited for as if it had changed.
        }
        guard target > 0 else { return }
        _ = await progress.wait(kind, target, limit: ControllerHost.orderWait)
    }

    private func isDue(_ item: ResourceIndexEntry, _ known: [String: Known]) -> Bool {
        guard let known = known[item.uid], known.revision == item.effectiveRevision else { return true }
        guard let retryAt = known.retryAt else { return false }
        return retryAt <= time.monotonicNanoseconds()
    }

    private func remove(_ uid: String, _ item: Known, _ known: inout [String: Known]) async {
        if item.isRunning {
            do throws(Problem) { _ = try await controller.apply(.delete(item.key, uid: uid)) } catch {
                var item = item
                fail(&item)
                known[uid] = item
                return
            }
        }
        known[uid] = nil
        store.statuses.remove(uid: uid)
    }

    private func act(_ item: ResourceIndexEntry, _ known: inout [String: Known]) async {
        let former = known[item.uid]
        var now = Known(key: item.key, revision: item.effectiveRevision, isRunning: former?.isRunning ?? false)
        var observed = item.revision
        if former?.revision == item.effectiveRevision { now.failures = former?.failures ?? 0 }
        do throws(Problem) {
            guard let snapshot = try await snapshot(item.uid) else { return }
            now.key = snapshot.key
            now.revision = max(now.revision, snapshot.revision)
            observed = snapshot.revision
            if let issue = snapshot.issues.first(where: { $0.severity == .error }) { throw issue.problem }
            let condition = try await controller.apply(now.isRunning ? .update(snapshot) : .create(snapshot))
            now.isRunning = true
            now.failures = 0
            store.statuses.set(condition, of: now.key, uid: item.uid, observed: observed)
        } catch {
            fail(&now)
            store.statuses.set(.failed(error), of: now.key, uid: item.uid, observed: observed)
        }
        known[item.uid] = now
    }

    private func snapshot(_ uid: String) async throws(Problem) -> ResourceSnapshot? {
        do throws(Rejection) { return try await store.get(uid: uid) } catch { throw error.problem }
    }

    private func fail(_ item: inout Known) {
        let doubled = ControllerHost.pauseMin.nanoseconds << Int64(min(item.failures, 16))
        item.failures += 1
        item.retryAt = time.monotonicNanoseconds() + min(doubled, ControllerHost.pauseMax.nanoseconds)
    }
}
