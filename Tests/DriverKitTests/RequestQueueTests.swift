import NIOCore
import NIOEmbedded
import Testing

@testable import DriverKit

@Suite struct RequestQueueTests {
    private final class Fixture {
        let loop = EmbeddedEventLoop()
        var sent: [(name: String, id: UInt16)] = []
        var failed: [String] = []
        private(set) var queue: RequestQueue<String>!

        init(_ change: (inout RequestQueue<String>.Settings) -> Void = { _ in }) {
            var settings = RequestQueue<String>.Settings()
            change(&settings)
            queue = RequestQueue(
                settings, on: loop, send: { [unowned self] in sent.append(($0, $1)) },
                failed: { [unowned self] in failed.append("\($0) \($1)") })
        }

        var names: [String] { sent.map(\.name) }

        func submit(_ names: String..., lane: Int, _ priority: RequestQueue<String>.Priority = .read) {
            for name in names { #expect(queue.submit(name, lane: lane, priority)) }
        }

        func answer(_ name: String) {
            guard let id = sent.last(where: { $0.name == name })?.id else { return }
            if case .request(let answered, let lane) = queue.answer(id: id) {
                #expect(answered == name)
                queue.laneAnswered(lane)
            } else {
                Issue.record("\(name) was not outstanding")
            }
            queue.pump()
        }
    }

    @Test("a lane has one request outstanding, lanes go side by side")
    func lanes() {
        let f = Fixture()
        f.submit("a1", "a2", lane: 1)
        f.submit("b1", "b2", lane: 2)
        f.queue.pump()
        #expect(f.names == ["a1", "b1"])
        f.answer("b1")
        #expect(f.names == ["a1", "b1", "b2"])
        f.answer("a1")
        #expect(f.names == ["a1", "b1", "b2", "a2"])
    }

    @Test("lanes take turns where the connection has fewer places than lanes")
    func turns() {
        let f = Fixture { $0.inFlightMax = 1 }
        f.submit("a1", "a2", lane: 1)
        f.submit("b1", "b2", lane: 2)
        f.queue.pump()
        for _ in 0..<3 { f.answer(f.sent.last?.name ?? "") }
        #expect(f.names == ["a1", "b1", "a2", "b2"])
    }

    @Test("a write goes ahead of every read that waits, of whatever lane")
    func writesFirst() {
        let f = Fixture { $0.inFlightMax = 1 }
        f.submit("a1", "a2", lane: 1)
        f.submit("b1", lane: 2)
        f.queue.pump()
        f.submit("w", lane: 1, .write)
        f.queue.pump()
        #expect(f.names == ["a1"])
        f.answer("a1")
        #expect(f.names == ["a1", "w"])
    }

    @Test("what is not answered in time fails, and with it what waits in its lane, but not what others wait for")
    func timeout() {
        let f = Fixture { $0.timeout = .seconds(1) }
        f.submit("a1", "a2", lane: 1)
        f.submit("b1", "b2", lane: 2)
        f.queue.pump()
        f.answer("b1")
        f.loop.advanceTime(by: .milliseconds(999))
        #expect(f.failed.isEmpty)
        f.answer("b2")
        f.loop.advanceTime(by: .milliseconds(1))
        #expect(f.failed == ["a1 timeout", "a2 laneSilent"])
        #expect(f.queue.counters.timeouts == 1)
    }

    @Test("the time-out of a request that was sent later runs from when it was sent")
    func laterTimeout() {
        let f = Fixture { $0.timeout = .seconds(1) }
        f.submit("a1", lane: 1)
        f.queue.pump()
        f.loop.advanceTime(by: .milliseconds(600))
        f.answer("a1")
        f.submit("a2", lane: 1)
        f.queue.pump()
        f.loop.advanceTime(by: .milliseconds(999))
        #expect(f.failed.isEmpty)
        f.loop.advanceTime(by: .milliseconds(1))
        #expect(f.failed == ["a2 timeout"])
    }

    @Test("a late answer is told from one that nobody asked for")
    func late() {
        let f = Fixture { $0.timeout = .seconds(1) }
        f.submit("a", lane: 1)
        f.queue.pump()
        f.loop.advanceTime(by: .seconds(1))
        guard let id = f.sent.first?.id else { return }
        if case .late = f.queue.answer(id: id) {} else { Issue.record("not late") }
        if case .unknown = f.queue.answer(id: id) {} else { Issue.record("twice late") }
        if case .unknown = f.queue.answer(id: 999) {} else { Issue.record("not unknown") }
    }

    @Test("two silences demote a lane; the pause doubles until it answers")
    func demotes() {
        let f = Fixture {
            $0.timeout = .seconds(1)
            $0.health.pauseFirst = .seconds(2)
            $0.health.pauseMax = .seconds(8)
        }
        func silence() {
            f.submit("x", lane: 1)
            f.queue.pump()
            f.loop.advanceTime(by: .seconds(1))
        }
        silence()
        #expect(!f.queue.isSilent(lane: 1))
        silence()
        #expect(f.queue.isSilent(lane: 1))
        f.loop.advanceTime(by: .seconds(2))
        #expect(!f.queue.isSilent(lane: 1))
        silence()
        f.loop.advanceTime(by: .seconds(3))
        #expect(f.queue.isSilent(lane: 1))
        f.loop.advanceTime(by: .seconds(1))
        #expect(!f.queue.isSilent(lane: 1))
        f.submit("y", lane: 1)
        f.queue.pump()
        f.answer("y")
        silence()
        #expect(!f.queue.isSilent(lane: 1))
    }

    @Test("a pause is kept between requests")
    func interval() {
        let f = Fixture { $0.interval = .milliseconds(20) }
        f.submit("a", lane: 1)
        f.submit("b", lane: 2)
        f.queue.pump()
        #expect(f.names == ["a"])
        f.loop.advanceTime(by: .milliseconds(19))
        #expect(f.names == ["a"])
        f.loop.advanceTime(by: .milliseconds(1))
        #expect(f.names == ["a", "b"])
    }

    @Test("a retry goes before the rest of its lane, after its delay")
    func retry() {
        let f = Fixture()
        f.submit("a1", "a2", lane: 1)
        f.queue.pump()
        guard let id = f.sent.first?.id, case .request = f.queue.answer(id: id) else { return }
        f.queue.retry("a1", lane: 1, .read, after: .milliseconds(100))
        f.queue.pump()
        #expect(f.names == ["a1"])
        f.loop.advanceTime(by: .milliseconds(100))
        #expect(f.names == ["a1", "a1"])
    }

    @Test("too many requests are refused and counted")
    func bound() {
        let f = Fixture { $0.waitingMax = 2 }
        f.submit("a", "b", lane: 1)
        #expect(!f.queue.submit("c", lane: 1, .read))
        #expect(f.queue.counters.refused == 1)
    }

    @Test("stopping fails everything once, and nothing is taken afterwards")
    func stop() {
        let f = Fixture()
        f.submit("a1", "a2", lane: 1)
        f.submit("w", lane: 2, .write)
        f.queue.pump()
        f.queue.stop()
        f.queue.stop()
        #expect(f.failed.sorted() == ["a1 cancelled", "a2 cancelled", "w cancelled"])
        #expect(!f.queue.submit("b", lane: 1, .read))
        f.loop.advanceTime(by: .seconds(100))
        #expect(f.failed.count == 3)
    }

    @Test("ids in use are not given again")
    func ids() {
        let f = Fixture { $0.inFlightMax = 2 }
        f.submit("held", lane: 1)
        f.queue.pump()
        for index in 0..<70_000 {
            f.submit("n", lane: 2)
            f.queue.pump()
            guard let id = f.sent.last?.id, index == 0 || id != f.sent[0].id else {
                Issue.record("id used twice")
                return
            }
            _ = f.queue.answer(id: id)
        }
    }
}
