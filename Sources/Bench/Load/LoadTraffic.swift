#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// What the counters were at one moment.
struct LoadMark {
    var count: Int
    var broker: Int64
    var own: Int64
    var wall: Int64
}

extension LoadGenerator {
    static let stallNanoseconds: Int64 = 5_000_000_000
    static let drainNanoseconds: Int64 = 10_000_000_000
    /// Bursts that may be sent in a row before answers are read.
    static let burstsPerTurn = 32

    func mark(_ count: Int) throws(Problem) -> LoadMark {
        LoadMark(
            count: count, broker: try Processes.used(plan.broker), own: Processes.usedHere(),
            wall: clock.monotonicNanoseconds())
    }

    func phase(from begin: LoadMark, to end: LoadMark) -> LoadPhase {
        LoadPhase(
            count: end.count - begin.count, brokerNanoseconds: end.broker - begin.broker,
            wallNanoseconds: end.wall - begin.wall)
    }

    /// A closed loop: every publisher sends a window in one write and the next when all of it has arrived and been
    /// acknowledged, so that every broker sees the same pattern.
    func runWindows() throws -> LoadResult {
        var now = clock.monotonicNanoseconds()
        for publisher in publishers.indices { try publish(publisher, count: plan.window, time: now) }
        let measureFrom = now + Int64(plan.warmUpSeconds * 1e9)
        let measureTo = measureFrom + Int64(plan.seconds * 1e9)
        var begin: LoadMark?
        var end: LoadMark?
        var watch = StallWatch(now: now)
        while end == nil {
            try receiveAll(milliseconds: 500)
            now = clock.monotonicNanoseconds()
            if begin == nil, now >= measureFrom {
                begin = try mark(account.totals.arrived)
                latencyFrom = now
            }
            if now >= measureTo { end = try mark(account.totals.arrived) }
            for publisher in takeListed() where end == nil {
                try publish(publisher, count: plan.window, time: now)
            }
            try watch.check(account.totals.arrived + acknowledged, now: now)
        }
        return try result(begin, end)
    }

    /// An open loop: bursts of a window leave at their time, publisher after publisher, whether the broker keeps up or
    /// not; the latency of a message counts from that time.
    func runRate() throws -> LoadResult {
        var late = LatencyHistogram()
        let start = clock.monotonicNanoseconds() + 20_000_000
        let interval = Double(plan.window) * 1e9 / plan.ratePerSecond
        latencyFrom = start + Int64(plan.warmUpSeconds * 1e9)
        let measureTo = latencyFrom + Int64(plan.seconds * 1e9)
        var burst = 0
        var begin: LoadMark?
        var end: LoadMark?
        while end == nil {
            var now = clock.monotonicNanoseconds()
            for _ in 0..<Self.burstsPerTurn {
                let due = start + Int64(Double(burst) * interval)
                guard now >= due, due < measureTo else { break }
                let publisher = burst % publishers.count
                guard plan.qos == 0 || publishers[publisher].free.count >= plan.window else {
                    throw Problem("bench.generator", "the broker does not keep up with the rate: no identifiers left")
                }
                try publish(publisher, count: plan.window, time: due)
                if due >= latencyFrom { late.record(now - due) }
                burst += 1
                now = clock.monotonicNanoseconds()
            }
            if begin == nil, now >= latencyFrom { begin = try mark(account.totals.arrived) }
            if now >= measureTo { end = try mark(account.totals.arrived) }
            try receiveAll(milliseconds: plan.spins ? 0 : 1)
            _ = takeListed()
        }
        var result = try result(begin, end)
        result.latency = latency.summary
        result.lateP99 = Double(late.quantile(0.99)) / 1000
        return result
    }

    func takeListed() -> [Int] {
        let taken = listed
        listed.removeAll(keepingCapacity: true)
        for publisher in taken { publishers[publisher].isListed = false }
        return taken
    }

    /// Waits for what is under way and closes the book.
    private func result(_ begin: LoadMark?, _ end: LoadMark?) throws -> LoadResult {
        let deadline = clock.monotonicNanoseconds() + Self.drainNanoseconds
        var watch = StallWatch(now: clock.monotonicNanoseconds(), limit: 2_000_000_000)
        while publishers.contains(where: { $0.outstanding > 0 }), clock.monotonicNanoseconds() < deadline {
            try receiveAll(milliseconds: 100)
            if watch.isStalled(account.totals.arrived + acknowledged, now: clock.monotonicNanoseconds()) { break }
        }
        var result = LoadResult()
        if let begin, let end {
            result.measured = phase(from: begin, to: end)
            result.generatorLoad = Double(end.own - begin.own) / Double(max(end.wall - begin.wall, 1))
        }
        result.published = published
        result.account = account.close(sent: publishers.map(\.sequence))
        if plan.isPersistent { try forgetSubscribers() }
        return result
    }

    /// Ends the persistent sessions, so that nothing of them is left for the next run.
    func forgetSubscribers() throws(Problem) {
        for index in 0..<plan.shape.subscribersTotal where connections[index].socket >= 0 {
            close(connections[index].socket)
            connections[index].socket = -1
        }
        let clients = (0..<plan.shape.subscribersTotal).map { LoadConnection.Client(id: subscriberID($0)) }
        for socket in try LoadConnection.openAll(plan, clients) { LoadConnection.disconnect(socket) }
    }
}

/// Tells when a counter has stood still for too long.
struct StallWatch {
    private var last = -1
    private var since: Int64
    private let limit: Int64

    init(now: Int64, limit: Int64 = LoadGenerator.stallNanoseconds) {
        since = now
        self.limit = limit
    }

    mutating func isStalled(_ progress: Int, now: Int64) -> Bool {
        if progress != last {
            last = progress
            since = now
        }
        return now - since > limit
    }

    mutating func check(_ progress: Int, now: Int64) throws(Problem) {
        guard isStalled(progress, now: now) else { return }
        throw Problem(
            "bench.generator",
            "the broker lost a message or stands still: nothing arrived for \(limit / 1_000_000_000) s")
    }
}
