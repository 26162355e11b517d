package import Journal
package import Model
package import SinkKit

/// The other end that a sink's tests bring along: a server with faults on demand.
package protocol SinkPeer: Sendable {
    /// The `spec:` of a sink that reaches it, with the columns `n` (an integer) and `text`, and short waits.
    var spec: ConfigValue { get }
    /// Makes it ready to take rows, with nothing in it.
    func start() async throws
    func stop() async
    /// Goes away, as a crash does, and comes back with what it had.
    func crash() async
    func comeBack() async throws
    /// The next write is done, but its answer never arrives.
    func loseNextAnswer() async
    /// What it has, in the order in which it came: `n` of each row.
    func rows() async throws -> [Int64]
    /// A row, as JSON, that it will never take; nil if it takes everything.
    var refusedRow: String? { get }
}

/// What any sink must do. Each is run against a fresh peer.
package enum SinkCheck: String, CaseIterable, Sendable {
    case writesRowsInOrder
    case probeSaysWhetherItIsThere
    case refusedRowIsSetApartAndTheRestGoesThrough
    case outageLosesNothing
    case lostAnswerLosesNothing
    case restartGoesOnWhereItWas
    case stopsQuicklyWhileTheOtherSideIsAway
}

package struct SinkConformanceFailure: Error, CustomStringConvertible {
    package var description: String
}

/// Runs one check in `directory`, which must be empty; throws `SinkConformanceFailure` where the sink fails it.
package func checkSink(
    _ check: SinkCheck, _ type: any Sink.Type, peer: any SinkPeer, directory: String,
    secret: @escaping @Sendable (SecretReference) async throws(Problem) -> String = { _ throws(Problem) in "" }
) async throws {
    try await peer.start()
    let suite = Suite(type: type, peer: peer, directory: directory, secret: secret)
    do {
        try await suite.run(check)
    } catch {
        await peer.stop()
        throw error
    }
    await peer.stop()
}

private struct Suite {
    let type: any Sink.Type
    let peer: any SinkPeer
    let directory: String
    let secret: @Sendable (SecretReference) async throws(Problem) -> String

    private func engine() -> SinkEngine {
        SinkEngine(
            types: [type], directory: directory, files: SystemFiles(),
            environment: SinkEnvironment(time: SystemTime(), random: SystemRandom(), secret: secret))
    }

    private func started() async throws -> SinkEngine {
        let engine = engine()
        try await engine.apply(SinkConfiguration(name: "s", peer.spec, sinks: [type]), uid: "s")
        return engine
    }

    private func offer(_ numbers: Range<Int64>, _ engine: SinkEngine) throws {
        for number in numbers {
            try require(
                engine.offer(Bytes("{\"n\":\(number),\"text\":\"row \(number)\"}"), sink: "s"),
                "row \(number) was refused")
        }
    }

    private func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw SinkConformanceFailure(description: what()) }
    }

    private func eventually(
        _ what: String, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let isTrue = try? await condition(), isTrue { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw SinkConformanceFailure(description: "\(what): not within 20 s")
    }

    /// Every row is there, in order, and once where the sink remembers marks.
    private func expect(_ numbers: Range<Int64>, _ engine: SinkEngine) async throws {
        let remembers = type.descriptor.remembersMarks
        try await eventually("all \(numbers.count) rows") { Set(try await peer.rows()).count >= numbers.count }
        try await eventually("nothing waits") { engine.report("s")?.queued == 0 }
        let rows = try await peer.rows()
        var seen: Set<Int64> = []
        let first = rows.filter { seen.insert($0).inserted }
        try require(first == Array(numbers), "rows out of order, or foreign ones: \(first.prefix(50))")
        if remembers { try require(rows.count == numbers.count, "\(rows.count - numbers.count) rows are doubled") }
    }

    func run(_ check: SinkCheck) async throws {
        switch check {
        case .writesRowsInOrder:
            let engine = try await started()
            try offer(0..<2000, engine)
            try await expect(0..<2000, engine)
            try require(engine.report("s")?.written == 2000, "written: \(engine.report("s")?.written ?? 0), not 2000")
            try await eventually("running") { engine.status("s")?.state == .running }
            await engine.stop()
        case .probeSaysWhetherItIsThere:
            let configuration = try SinkConfiguration(name: "s", peer.spec, sinks: [type])
            let engine = engine()
            let there = try await engine.test(configuration)
            try require(there == .ready, "probe of a peer that is there: \(there)")
            await peer.crash()
            let away = try await engine.test(configuration)
            guard case .unavailable(let problem) = away else {
                throw SinkConformanceFailure(description: "probe of a peer that is away: \(away)")
            }
            try require(!problem.code.isEmpty && !problem.message.isEmpty, "a problem without words: \(problem)")
        case .refusedRowIsSetApartAndTheRestGoesThrough:
            guard let bad = peer.refusedRow else { return }
            let engine = try await started()
            try offer(0..<100, engine)
            _ = engine.offer(Bytes(bad), sink: "s")
            try offer(100..<200, engine)
            try await expect(0..<200, engine)
            let apart = engine.refused("s", limit: 10) ?? []
            try require(apart.count == 1, "\(apart.count) rows are set apart, not 1")
            try require(apart[0].row == bad, "another row is set apart: \(apart[0].row)")
            try require(!apart[0].reason.isEmpty, "without a reason")
            try require(engine.report("s")?.setApart == 1, "counted: \(engine.report("s")?.setApart ?? 0)")
            await engine.stop()
        case .outageLosesNothing:
            let engine = try await started()
            try offer(0..<200, engine)
            try await eventually("the first rows") { try await peer.rows().count >= 200 }
            await peer.crash()
            try offer(200..<400, engine)
            try await eventually("the loss is said") {
                engine.status("s")?.problem != nil && engine.report("s")?.queued == 200
            }
            try await peer.comeBack()
            try await expect(0..<400, engine)
            try require((engine.report("s")?.retries ?? 0) > 0, "no retry is counted")
            await engine.stop()
        case .lostAnswerLosesNothing:
            let engine = try await started()
            try offer(0..<10, engine)
            try await eventually("the first rows") { try await peer.rows().count >= 10 }
            await peer.loseNextAnswer()
            try offer(10..<400, engine)
            try await expect(0..<400, engine)
            await engine.stop()
        case .restartGoesOnWhereItWas:
            var engine = try await started()
            try offer(0..<100, engine)
            try await eventually("the first rows") { try await peer.rows().count >= 100 }
            await peer.crash()
            try offer(100..<300, engine)
            await engine.stop()
            engine = try await started()
            try offer(300..<400, engine)
            try await eventually("what waited is counted") { engine.report("s")?.queued == 300 }
            try await peer.comeBack()
            try await expect(0..<400, engine)
            await engine.stop()
        case .stopsQuicklyWhileTheOtherSideIsAway:
            let engine = try await started()
            await peer.crash()
            try offer(0..<10, engine)
            try await eventually("the loss is said") { engine.status("s")?.problem != nil }
            let start = ContinuousClock.now
            await engine.stop()
            let taken = ContinuousClock.now - start
            try require(taken < .seconds(6), "stopping took \(taken)")
            try await peer.comeBack()
        }
    }
}
