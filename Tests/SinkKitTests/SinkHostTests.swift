import Journal
import Model
import SinkConformance
import Synchronization
import Testing

@testable import SinkKit

@Suite("A sink at work")
struct SinkHostTests {
    private static let counter = Mutex(0)

    private func peer(_ more: [ConfigEntry] = []) -> ToyServer {
        ToyServer("toy-\(Self.counter.withLock { $0 += 1; return $0 })", more)
    }

    private func engine(_ files: any FileSystem, time: any TimeSource = SystemTime()) -> SinkEngine {
        SinkEngine(
            types: [ToySink.self], directory: "sinks", files: files,
            environment: SinkEnvironment(time: time, random: SeededRandom(seed: 7)) { _ throws(Problem) in "" })
    }

    private func apply(_ engine: SinkEngine, _ peer: ToyServer) async throws {
        try await engine.apply(SinkConfiguration(name: "s", peer.spec, sinks: [ToySink.self]), uid: "s")
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not within 20 s")
    }

    private func row(_ number: Int) -> Bytes {
        Bytes("{\"n\":\(number),\"text\":\"x\",\"device\":\"d\(number % 13)\"}")
    }

    @Test("the toy sink does what any sink must", arguments: SinkCheck.allCases)
    func conformance(_ check: SinkCheck) async throws {
        let peer = peer()
        let directory = "/tmp/tundish-sink-\(peer.name)-\(UInt32.random(in: 0 ... .max))"
        try await checkSink(check, ToySink.self, peer: peer, directory: directory)
    }

    @Test("bad rows are found by halving where nobody says which they are")
    func halving() async throws {
        let peer = peer([ConfigEntry("batch", .object(["rowsMax": .integer(1000), "delayMax": .duration(50_000_000)]))])
        peer.state.withLock { $0.namesBadRows = false }
        let engine = engine(FaultyFiles())
        try await apply(engine, peer)
        let bad: Set = [0, 499, 500, 999]
        for number in 0..<1000 {
            _ = engine.offer(bad.contains(number) ? Bytes("{\"n\":null}") : row(number), sink: "s")
        }
        try await eventually { engine.report("s")?.setApart == 4 && engine.report("s")?.written == 996 }
        #expect(await peer.rows() == (0..<1000).filter { !bad.contains($0) }.map(Int64.init))
        #expect(engine.refused("s", limit: 10)?.allSatisfy { $0.code == "toy.number" } == true)
        await engine.stop()
    }

    @Test("batches are closed by rows and by delay")
    func batches() async throws {
        let peer = peer([ConfigEntry("batch", .object(["rowsMax": .integer(10), "delayMax": .duration(20_000_000)]))])
        let engine = engine(FaultyFiles())
        try await apply(engine, peer)
        for number in 0..<95 { _ = engine.offer(row(number), sink: "s") }
        try await eventually { await peer.rows().count == 95 }
        #expect(peer.state.withLock { $0.batchSizes }.allSatisfy { $0 <= 10 })
        #expect(peer.state.withLock { $0.batchSizes.count } >= 10)
        await engine.stop()
    }

    @Test("rows of a key keep their order in their lane, also when the lanes change")
    func lanes() async throws {
        let files = FaultyFiles()
        var sent = 0
        let first = peer([ConfigEntry("lanes", .object(["lanes": .integer(4)]))])
        let engine = engine(files)
        for lanes in [4, 2, 7, 1] {
            let spec = ToyServerSpec.with(first, lanes: lanes)
            try await engine.apply(SinkConfiguration(name: "s", spec, sinks: [ToySink.self]), uid: "s")
            for _ in 0..<300 {
                #expect(engine.offer(row(sent), sink: "s"))
                sent += 1
            }
        }
        try await eventually { await first.rows().count >= sent }
        let rows = await first.rows()
        #expect(rows.count == sent)
        #expect(Set(rows).count == sent)
        for key in 0..<13 {
            let ofKey = rows.filter { $0 % 13 == Int64(key) }
            #expect(ofKey == ofKey.sorted())
        }
        await engine.stop()
    }

    @Test("what a person must mend holds the rows and is said")
    func permanent() async throws {
        let peer = peer()
        peer.state.withLock { $0.mistake = Problem("toy.password", "wrong password") }
        let engine = engine(FaultyFiles())
        try await apply(engine, peer)
        for number in 0..<10 { _ = engine.offer(row(number), sink: "s") }
        try await eventually {
            engine.status("s") == SinkStatus(.failed, Problem("toy.password", "wrong password"))
                && engine.report("s")?.queued == 10
        }
        peer.state.withLock { $0.mistake = nil }
        try await eventually { await peer.rows().count == 10 && engine.status("s")?.state == .running }
        await engine.stop()
    }

    @Test("a full buffer drops its oldest rows and counts each")
    func dropOldest() async throws {
        let peer = peer([ConfigEntry("buffer", .object(["bytesMax": .size(1 << 20), "onFull": .string("dropOldest")]))])
        await peer.crash()
        let engine = engine(FaultyFiles())
        let padding = String(repeating: "x", count: 2000)
        try await engine.apply(
            SinkConfiguration(
                name: "s", .object((peer.spec.entries ?? []) + [ConfigEntry("enabled", .bool(false))]),
                sinks: [ToySink.self]),
            uid: "s")
        for number in 0..<3000 {
            #expect(engine.offer(Bytes("{\"n\":\(number),\"text\":\"\(padding)\"}"), sink: "s"))
            // In several groups, so that the journal has something to let go.
            if number % 100 == 99 { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await eventually { engine.journaled("s") == 3000 }
        await peer.comeBack()
        try await apply(engine, peer)
        try await eventually { await peer.rows().last == 2999 }
        let report = engine.report("s")
        let rows = await peer.rows()
        #expect(rows.count < 3000)
        let expected = Array((3000 - Int64(rows.count))..<3000)
        #expect(
            rows.elementsEqual(expected) == true, "\(rows.count) rows from \(rows.first ?? -1) to \(rows.last ?? -1)")
        #expect((report?.dropped ?? 0) + (report?.written ?? 0) == 3000)
        await engine.stop()
    }

    @Test("a full buffer that refuses keeps the oldest rows and counts what it refused")
    func refuse() async throws {
        let peer = peer([ConfigEntry("buffer", .object(["bytesMax": .size(1 << 20), "onFull": .string("refuse")]))])
        await peer.crash()
        let engine = engine(FaultyFiles())
        try await apply(engine, peer)
        let padding = String(repeating: "x", count: 2000)
        for number in 0..<3000 {
            _ = engine.offer(Bytes("{\"n\":\(number),\"text\":\"\(padding)\"}"), sink: "s")
            if number % 100 == 99 { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await eventually { (engine.report("s")?.refused ?? 0) > 0 }
        await peer.comeBack()
        try await eventually { engine.report("s")?.queued == 0 }
        let rows = await peer.rows()
        #expect(rows == rows.sorted())
        #expect(rows.first == 0)
        #expect(UInt64(rows.count) + (engine.report("s")?.refused ?? 0) == 3000)
        await engine.stop()
    }

    @Test("rows wait in memory while the disk refuses, and none is lost when it works again")
    func fullDisk() async throws {
        let files = FaultyFiles()
        let peer = peer()
        let engine = engine(files)
        try await apply(engine, peer)
        for number in 0..<50 { _ = engine.offer(row(number), sink: "s") }
        try await eventually { await peer.rows().count == 50 }
        files.fail(.write, with: .full, isLasting: true)
        for number in 50..<100 { #expect(engine.offer(row(number), sink: "s")) }
        try await eventually { engine.status("s")?.state == .degraded }
        files.heal()
        try await eventually { await peer.rows().count == 100 }
        let arrived = await peer.rows()
        #expect(arrived == (0..<100).map(Int64.init), "\(arrived.count) rows")
        try await eventually { engine.status("s")?.state == .running }
        await engine.stop()
    }

    @Test("after a power cut every row that was durable arrives once, wherever the power went", arguments: 0..<40)
    func powerCut(_ seed: Int) async throws {
        let files = FaultyFiles(seed: UInt64(seed))
        let peer = peer()
        var engine = engine(files)
        try await apply(engine, peer)
        for number in 0..<100 { _ = engine.offer(row(number), sink: "s") }
        try await eventually { engine.report("s").map { $0.written >= 40 } ?? false }
        files.cutPower(atChange: 1 + seed % 9)
        for number in 100..<200 { _ = engine.offer(row(number), sink: "s") }
        try await Task.sleep(for: .milliseconds(5))
        let journaled = engine.journaled("s") ?? 0
        // The process is gone with the power: nothing of it may be asked to close.
        await engine.abandon()
        files.restart()
        engine = self.engine(files)
        try await apply(engine, peer)
        try await eventually { await peer.rows().count >= Int(journaled) && engine.report("s")?.queued == 0 }
        let rows = await peer.rows()
        #expect(rows == Array(0..<Int64(rows.count)), "in order, none missing, none doubled")
        await engine.stop()
    }

    @Test("a spec says where it is wrong")
    func configuration() {
        func code(_ more: [ConfigEntry]) -> String? {
            do throws(Problem) {
                _ = try SinkConfiguration(name: "s", peer(more).spec, sinks: [ToySink.self])
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code([]) == nil)
        #expect(code([ConfigEntry("lanes", .object(["lanes": .integer(17)]))]) == "sink.lanes")
        #expect(code([ConfigEntry("table", .string("t"))]) == "sink.option")
        #expect(code([ConfigEntry("types", .object(["other": .string("int32")]))]) == "sink.types")
    }
}

enum ToyServerSpec {
    static func with(_ server: ToyServer, lanes: Int) -> ConfigValue {
        .object(
            (server.spec.entries ?? []).filter { $0.key != "lanes" }
                + [ConfigEntry("lanes", .object(["lanes": .integer(Int64(lanes))]))])
    }
}
