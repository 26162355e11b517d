import Journal
import Model
import SQLiteDisk
import Testing

@testable import Historian

/// A historian whose journal and databases lie on one disk in memory.
private struct FaultyPlace {
    let disk: FaultyFiles
    let directory = "/faulty/historian-\(SystemRandom().next())"
    let group = descriptor(tags: mixedTags)

    init(seed: UInt64 = 1) {
        disk = FaultyFiles(seed: seed)
        SQLiteDisk.mount(directory, on: disk)
    }

    func open(shards: Int = 2) async throws -> Historian {
        try await Historian.open(
            HistorianOptions(directory: directory, shards: shards), files: disk, databaseFiles: disk)
    }

    /// What a power cut leaves, with the power back.
    func restart() {
        disk.restart()
        SQLiteDisk.mount(directory, on: disk)
    }

    func append(_ historian: Historian, _ range: Range<Int>) async throws {
        for index in range { try await historian.append([cycle(group, index)]) }
    }

    /// Numbers of the cycles that are there.
    func found(_ historian: Historian) async throws -> [Int] {
        let all = TimeRange(from: noon, to: Timestamp(nanoseconds: .max))
        do throws(Problem) {
            return try await historian.range(group.series[1], all).slots.map { Int($0) }
        } catch {
            // A power cut ahead of the first point leaves no series.
            if error.code == "historian.unknown_series" { return [] }
            throw error
        }
    }
}

private func problem(_ body: () async throws -> Void) async -> Problem? {
    do { try await body() } catch { return error as? Problem }
    return nil
}

@Suite("Historian on a failing disk", .serialized)
struct DatabaseFaultTests {
    @Test(
        "databases that cannot be written hold nothing up and lose nothing; all is well again when the fault goes",
        arguments: [
            (FaultyFiles.Operation.write, FileFault.full, "historian.full"), (.sync, .io, "historian.io"),
            (.write, .io, "historian.io"), (.sync, .full, "historian.full"),
        ])
    func databases(_ operation: FaultyFiles.Operation, _ fault: FileFault, _ code: String) async throws {
        let place = FaultyPlace()
        var historian = try await place.open()
        try await place.append(historian, 0..<20)
        try await historian.checkpoint()

        place.disk.fail(operation, on: ".db", with: fault, isLasting: true)
        try await place.append(historian, 20..<60)
        let told = await problem { try await historian.checkpoint() }
        #expect(told?.code == code)
        #expect(told?.message.contains("\(place.directory)/days/2026-01-01-s") == true)
        #expect(await historian.stats().problem?.code == code)
        #expect(await historian.stats().writeFailures > 0)
        try await expectCycles(historian, place.group, 0..<60)

        place.disk.heal()
        try await historian.checkpoint()
        #expect(await historian.stats().problem == nil)
        place.disk.cutPower(atChange: 1)
        await historian.close()
        place.restart()
        historian = try await place.open()
        try await expectCycles(historian, place.group, 0..<60)
        await historian.close()
    }

    @Test("a new group is recorded though the catalogue cannot be written, and is in it when the fault has gone")
    func catalogue() async throws {
        let place = FaultyPlace()
        var historian = try await place.open()
        place.disk.fail(.write, on: "catalogue.db", with: .full, isLasting: true)
        try await place.append(historian, 0..<10)
        let told = await problem { try await historian.checkpoint() }
        #expect(told?.code == "historian.full")
        #expect(told?.message.contains("catalogue.db") == true)
        place.disk.heal()
        try await historian.checkpoint()
        #expect(await historian.stats().problem == nil)
        try await expectCycles(historian, place.group, 0..<10)
        place.disk.cutPower(atChange: 1)
        await historian.close()
        place.restart()
        historian = try await place.open()
        try await expectCycles(historian, place.group, 0..<10)
        await historian.close()
    }

    @Test("a full disk refuses points in one sentence and counts them; with space they are taken again")
    func fullDisk() async throws {
        let place = FaultyPlace()
        let historian = try await place.open()
        try await place.append(historian, 0..<10)
        place.disk.limit(bytes: 0)
        for index in 10..<20 {
            let refused = await problem { try await historian.append([cycle(place.group, index)]) }
            #expect(refused?.code == "journal.full")
            #expect(refused?.message.contains("the disk is full") == true)
        }
        #expect(await historian.stats().pointsRefused == 50)
        place.disk.heal()
        try await place.append(historian, 20..<30)
        try await historian.checkpoint()
        #expect(try await place.found(historian) == Array(0..<10) + Array(20..<30))
        #expect(await historian.stats().problem == nil)
        await historian.close()
    }

    @Test("files that cannot be read fail the query, not the recording; the next query works")
    func reading() async throws {
        let place = FaultyPlace()
        let historian = try await place.open()
        try await place.append(historian, 0..<10)
        try await historian.checkpoint()
        place.disk.fail(.read, on: "/days/", with: .io, isLasting: true)
        #expect(await problem { _ = try await place.found(historian) }?.code == "historian.io")
        try await place.append(historian, 10..<20)
        place.disk.heal()
        try await expectCycles(historian, place.group, 0..<20)
        await historian.close()
    }

    @Test("a single refused sync anywhere loses nothing that was acknowledged")
    func refusedSync() async throws {
        for count in stride(from: 0, to: 24, by: 2) {
            let place = FaultyPlace(seed: UInt64(count))
            var historian = try await place.open()
            place.disk.fail(.sync, on: ".db", with: .io, after: count)
            var acknowledged: [Int] = []
            for index in 0..<40 {
                if await problem({ try await historian.append([cycle(place.group, index)]) }) == nil {
                    acknowledged.append(index)
                }
                if index % 6 == 5 { _ = await problem { try await historian.checkpoint() } }
            }
            #expect(acknowledged == Array(0..<40))
            place.disk.cutPower(atChange: 1)
            await historian.close()
            place.restart()
            historian = try await place.open()
            #expect(try await place.found(historian) == acknowledged, "sync \(count)")
            await historian.close()
        }
    }

    @Test("a power cut at any write leaves every acknowledged point, once, in journal and databases together")
    func powerCut() async throws {
        for seed in 0..<24 {
            let place = FaultyPlace(seed: UInt64(seed))
            var historian = try await place.open()
            place.disk.cutPower(atChange: 1 + seed * 11)
            var acknowledged: [Int] = []
            for index in 0..<60 where !place.disk.isOff {
                if await problem({ try await historian.append([cycle(place.group, index)]) }) == nil {
                    acknowledged.append(index)
                }
                if index % 5 == 4 { _ = await problem { try await historian.checkpoint() } }
            }
            await historian.close()
            place.restart()
            historian = try await place.open(shards: seed % 2 + 1)
            let found = try await place.found(historian)
            #expect(found == found.sorted() && Set(found).count == found.count, "seed \(seed)")
            #expect(Set(found).isSuperset(of: acknowledged), "seed \(seed)")
            await historian.close()
        }
    }

    @Test("a power cut while the store opens for the first time is no hindrance")
    func powerCutAtOpening() async throws {
        for change in stride(from: 1, through: 60, by: 3) {
            let place = FaultyPlace(seed: UInt64(change))
            place.disk.cutPower(atChange: change)
            var historian: Historian?
            do { historian = try await place.open() } catch { #expect(error is Problem) }
            await historian?.close()
            place.restart()
            let again = try await place.open()
            try await place.append(again, 0..<3)
            try await expectCycles(again, place.group, 0..<3)
            await again.close()
        }
    }
}
