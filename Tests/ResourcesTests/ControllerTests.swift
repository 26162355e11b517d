import Model
import Synchronization
import Testing

@testable import Resources

/// A controller that notes what it is told, and fails when it is told to.
private final class Recorder: Controller {
    let kind: String
    let after: [String]
    private struct State {
        var log: [String] = []
        var failing: [String: Int] = [:]
    }
    private let state = Mutex(State())

    init(_ kind: String, after: [String] = [], failing: [String: Int] = [:]) {
        self.kind = kind
        self.after = after
        state.withLock { $0.failing = failing }
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        let fails = state.withLock { state in
            switch change {
            case .create(let snapshot): state.log.append("create \(snapshot.name)")
            case .update(let snapshot): state.log.append("update \(snapshot.name)")
            case .delete(let key, _): state.log.append("delete \(key.name)")
            }
            guard let left = state.failing[change.key.name], left > 0 else { return false }
            state.failing[change.key.name] = left - 1
            return true
        }
        if fails { throw Problem("test.failed", "did not work") }
        return .running
    }

    var log: [String] { state.withLock { $0.log } }
    func clear() { state.withLock { $0.log = [] } }
}

/// Pauses that take no time, but move the clock.
private final class ManualPause: Sendable {
    private let time: ManualTime
    private let waits = Mutex<[Duration]>([])

    init(_ time: ManualTime) { self.time = time }

    /// Passes at once, having moved the clock by the pause.
    var immediate: Pause {
        Pause { duration in
            self.waits.withLock { $0.append(duration) }
            self.time.advance(nanoseconds: duration.nanoseconds)
        }
    }

    var lengths: [Duration] { waits.withLock { $0 } }
}

@Suite("Controllers")
struct ControllerTests {
    private func host(_ fixture: StoreFixture, _ controllers: [any Controller], _ pause: Pause = .sleep)
        -> ControllerHost
    {
        ControllerHost(store: fixture.store, controllers: controllers, pause: pause, time: fixture.time)
    }

    private func status(_ fixture: StoreFixture, _ key: ResourceKey) async throws -> ResourceStatus {
        fixture.store.status(of: try #require(try await fixture.store.get(key)))
    }

    @Test("only what differs is handed over, deletions first")
    func difference() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(["a", "b", "c"].map { rule($0) }.joined(separator: "---\n"))
        #expect(try await status(fixture, .rule("a")).condition.state == .pending)
        let rules = Recorder("Rule")
        let host = host(fixture, [rules])
        await host.start()
        #expect(rules.log == ["create a", "create b", "create c"])
        #expect(
            try await status(fixture, .rule("a"))
                == ResourceStatus(observedRevision: 1, condition: .running, since: fixture.time.now()))
        rules.clear()
        try await fixture.apply(rule("a") + "---\n" + rule("b", "SELECT 2") + "---\n" + rule("d"))
        #expect(await host.settled())
        #expect(rules.log == ["update b", "create d"])
        #expect(try await status(fixture, .rule("b")).observedRevision == 2)
        #expect(try await status(fixture, .rule("a")).observedRevision == 1)
        rules.clear()
        _ = try await fixture.store.delete(.rule("a"), StoreFixture.console)
        #expect(await host.settled())
        try await fixture.apply(sink("s"))
        #expect(await host.settled(at: 3))
        #expect(rules.log == ["delete a"])
        await host.stop()
    }

    @Test("a renamed resource is an update of the same uid")
    func rename() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a"))
        let rules = Recorder("Rule")
        let host = host(fixture, [rules])
        await host.start()
        _ = try await fixture.store.rename(.rule("a"), to: "b", StoreFixture.console)
        #expect(await host.settled())
        #expect(rules.log == ["create a", "update b"])
        await host.stop()
    }

    @Test("a failure is a status, holds up nobody, and is tried again after pauses that double")
    func retries() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a") + "---\n" + rule("b") + "---\n" + sink("s"))
        let rules = Recorder("Rule", failing: ["a": 3])
        let sinks = Recorder("Sink")
        let pause = ManualPause(fixture.time)
        let host = host(fixture, [rules, sinks], pause.immediate)
        var statuses = fixture.store.watch(kinds: ["Rule"], status: true).makeAsyncIterator()
        await host.start()
        #expect(sinks.log == ["create s"])
        var seen: [Condition.State] = []
        while seen.last != .running, await statuses.next() != nil {
            let now = try await status(fixture, .rule("a")).condition
            if seen.last != now.state { seen.append(now.state) }
            if now.state == .failed { #expect(now.problem == Problem("test.failed", "did not work")) }
        }
        #expect(seen.filter { $0 != .pending } == [.failed, .running])
        #expect(rules.log == ["create a", "create b", "create a", "create a", "create a"])
        #expect(pause.lengths == [.milliseconds(500), .seconds(1), .seconds(2)])
        await host.stop()
    }

    @Test("what is needed comes first within one change")
    func order() async throws {
        let fixture = try StoreFixture()
        struct Ordered: Controller {
            var kind: String
            var after: [String]
            var note: @Sendable (String) -> Void
            func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
                if kind == "Sink" { for _ in 0..<100 { await Task.yield() } }
                note(kind)
                return .running
            }
        }
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let host = host(
            fixture,
            [
                Ordered(kind: "Rule", after: ["Sink"]) { continuation.yield($0) },
                Ordered(kind: "Sink", after: []) { continuation.yield($0) },
            ])
        await host.start()
        try await fixture.apply(rule("a", sink: "s") + "---\n" + sink("s"))
        #expect(await host.settled())
        continuation.finish()
        var order: [String] = []
        for await kind in stream { order.append(kind) }
        #expect(order == ["Sink", "Rule"])
        await host.stop()
    }

    @Test("a changed secret updates those who refer to it, and nobody else")
    func secretChange() async throws {
        let fixture = try StoreFixture()
        let secret = "kind: Secret\nname: pw\nspec: { value: one }\n"
        try await fixture.apply(secret + "---\n" + sink("s", password: "{ secret: pw }") + "---\n" + sink("t"))
        let sinks = Recorder("Sink")
        let host = host(fixture, [sinks])
        await host.start()
        sinks.clear()
        try await fixture.apply(secret.replacing("one", with: "two"))
        #expect(await host.settled())
        #expect(sinks.log == ["update s"])
        #expect(try await status(fixture, .sink("s")).observedRevision == 1)
        await host.stop()
    }

    @Test("since tells when the state became what it is")
    func since() throws {
        let fixture = try StoreFixture()
        let start = fixture.time.now()
        let board = fixture.store.statuses
        board.set(.running, of: .rule("a"), uid: "u", observed: 3)
        fixture.time.advance(nanoseconds: 5)
        board.set(.running, of: .rule("a"), uid: "u", observed: 4)
        #expect(board["u"] == ResourceStatus(observedRevision: 4, condition: .running, since: start))
        board.set(.degraded(Problem("device.timeout", "")), of: .rule("a"), uid: "u")
        #expect(board["u"]?.since == start.advanced(nanoseconds: 5))
        #expect(board["u"]?.observedRevision == 4)
    }
}
