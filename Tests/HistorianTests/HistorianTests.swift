#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Bus
import Journal
import Model
import Testing

@testable import Historian

/// A directory that goes away with the test.
final class Scratch {
    let path = "/tmp/tundish-historian-test-\(SystemRandom().next())"
    deinit { Self.remove(path) }

    static func remove(_ path: String) {
        let files = SystemFiles()
        for name in (try? files.list(path)) ?? [] {
            let child = FilePath.join(path, name)
            if (try? files.remove(child)) == nil { remove(child) }
        }
        _ = rmdir(path)
    }

    /// Copies what is there at this moment, as a crash would leave it.
    func copy(to other: Scratch) throws { try Self.copy(path, other.path) }

    private static func copy(_ from: String, _ to: String) throws {
        let files = SystemFiles()
        try files.createDirectory(to)
        for name in try files.list(from) where name != "lock" && !name.hasSuffix("-shm") {
            let child = FilePath.join(from, name)
            if (try? files.list(child)) != nil {
                try copy(child, FilePath.join(to, name))
            } else if let bytes = try? files.contents(child) {
                try files.replace(FilePath.join(to, name), with: bytes)
            }
        }
    }
}

let second: Int64 = 1_000_000_000
let noon = Timestamp(milliseconds: 1_767_268_800_000)

func descriptor(_ device: String = "press-1", group: String = "fast", tags: [Model.Tag]) -> BatchDescriptor {
    BatchDescriptor(device: device, deviceUID: "uid-" + device, group: group, tags: tags)
}

let mixedTags = [
    Model.Tag(name: "temperature", type: ValueType(.float32), unit: "°C"),
    Model.Tag(name: "count", type: ValueType(.uint32)),
    Model.Tag(name: "state", type: ValueType(.string)), Model.Tag(name: "on", type: ValueType(.bool)),
    Model.Tag(name: "offset", type: ValueType(.int16)),
]

/// One cycle of the mixed group.
func cycle(_ descriptor: BatchDescriptor, _ index: Int, at start: Timestamp = noon) -> SampleBatch {
    let builder = SampleBatchBuilder(dense: descriptor, timestamp: start.advanced(nanoseconds: Int64(index) * second))
    builder.set(tag: 0, value: .float32(Float(index % 100) / 10))
    builder.set(tag: 1, value: .uint(UInt64(index)))
    builder.set(tag: 2, value: .string(index % 60 < 30 ? "running" : "idle"))
    builder.set(tag: 3, value: .bool(index % 7 == 0))
    if index % 50 == 13 {
        builder.fail(tag: 4, .badTimeout)
    } else {
        builder.set(tag: 4, value: .int(Int64(-index % 50)))
    }
    return builder.finish()
}

/// Expects cycles `range` of the mixed group, complete and once each.
func expectCycles(
    _ historian: Historian, _ descriptor: BatchDescriptor, _ range: Range<Int>, at start: Timestamp = noon,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    let all = TimeRange(from: Timestamp(nanoseconds: 0), to: Timestamp(nanoseconds: .max))
    for tag in 0..<5 {
        let columns = try await historian.range(descriptor.series[tag], all)
        #expect(
            columns.times == range.map { start.nanoseconds + Int64($0) * second }, "tag \(tag)",
            sourceLocation: sourceLocation)
        for (row, index) in range.enumerated() where row < columns.count {
            let batch = cycle(descriptor, index, at: start)
            if columns.value(row) != batch.value(tag) || columns.quality(row) != batch.quality(tag) {
                Issue.record(
                    "tag \(tag), point \(index): \(columns.value(row)) instead of \(batch.value(tag))",
                    sourceLocation: sourceLocation)
                break
            }
        }
    }
}

@Suite("Historian")
struct HistorianTests {
    let scratch = Scratch()

    func open(_ change: (inout HistorianOptions) -> Void = { _ in }) async throws -> Historian {
        var options = HistorianOptions(directory: scratch.path)
        change(&options)
        return try await Historian.open(options)
    }

    @Test("gives back what was appended, newest included, before and after a checkpoint and a restart")
    func roundTrip() async throws {
        let group = descriptor(tags: mixedTags)
        var historian = try await open()
        for index in 0..<1000 { try await historian.append([cycle(group, index)]) }
        try await expectCycles(historian, group, 0..<1000)
        try await historian.checkpoint()
        try await expectCycles(historian, group, 0..<1000)
        for index in 1000..<1010 { try await historian.append([cycle(group, index)]) }
        try await expectCycles(historian, group, 0..<1010)
        #expect(await historian.stats().points == 5050)
        await historian.close()
        historian = try await open()
        try await expectCycles(historian, group, 0..<1010)
        #expect(await historian.stats().points == 5050)
        #expect(await historian.stats().pointsLate == 0)
        await historian.close()
    }

    @Test("a crash at any moment loses nothing acknowledged and doubles nothing")
    func crashes() async throws {
        let group = descriptor(tags: mixedTags)
        let historian = try await open { $0.journalBytesTarget = 1 << 20 }
        for part in 0..<12 {
            for index in part * 97..<(part + 1) * 97 { try await historian.append([cycle(group, index)]) }
            if part % 3 == 1 { try await historian.checkpoint() }
            // What is on disk now, with the files in use, is what a killed process leaves.
            let crashed = Scratch()
            try scratch.copy(to: crashed)
            let again = try await Historian.open(HistorianOptions(directory: crashed.path, shards: part % 2 + 1))
            try await expectCycles(again, group, 0..<(part + 1) * 97)
            #expect(await again.stats().points == (part + 1) * 97 * 5)
            await again.close()
            let stored = try await Historian.open(HistorianOptions(directory: crashed.path))
            #expect(await stored.stats().points == (part + 1) * 97 * 5)
            try await expectCycles(stored, group, 0..<(part + 1) * 97)
            await stored.close()
        }
        await historian.close()
    }

    @Test("late points come out in their place; the same time again replaces")
    func late() async throws {
        let group = descriptor(tags: [Model.Tag(name: "x", type: ValueType(.float64))])
        func batch(_ second: Int, _ value: Double) -> SampleBatch {
            let builder = SampleBatchBuilder(
                dense: group, timestamp: noon.advanced(nanoseconds: Int64(second) * 1_000_000_000))
            builder.set(tag: 0, value: .float64(value))
            return builder.finish()
        }
        var historian = try await open()
        for index in 0..<200 where index % 10 != 5 { try await historian.append([batch(index, Double(index))]) }
        for index in 0..<200 where index % 10 == 5 { try await historian.append([batch(index, Double(index))]) }
        try await historian.append([batch(100, -1)])
        let expected = (0..<200).map { $0 == 100 ? -1.0 : Double($0) }
        let all = TimeRange(from: noon, to: noon.advanced(nanoseconds: 200 * second))
        for round in 0..<3 {
            let columns = try await historian.range(group.series[0], all)
            #expect(columns.slots.map { Double(bitPattern: $0) } == expected, "round \(round)")
            if round == 0 { try await historian.checkpoint() }
            if round == 1 {
                await historian.close()
                historian = try await open()
            }
        }
        await historian.close()
    }

    @Test("days have files of their own, and old ones are unlinked")
    func retention() async throws {
        let group = descriptor(tags: mixedTags)
        let time = ManualTime(noon)
        var options = HistorianOptions(directory: scratch.path)
        options.retention = .seconds(3 * 86_400)
        let historian = try await Historian.open(options, time: time)
        let day = 86_400 * second
        for age in 0..<6 {
            let start = noon.advanced(nanoseconds: -Int64(5 - age) * day)
            for index in 0..<10 { try await historian.append([cycle(group, index, at: start)]) }
        }
        try await historian.checkpoint()
        time.advance(nanoseconds: 120 * second)
        try await historian.checkpoint()
        // Another turn of each shard looks for what is old.
        try await historian.checkpoint()
        let columns = try await historian.range(
            group.series[1], TimeRange(from: Timestamp(nanoseconds: 0), to: Timestamp(nanoseconds: .max)))
        #expect(columns.count == 40)
        #expect(columns.times.first == noon.advanced(nanoseconds: -3 * day).nanoseconds)
        await historian.close()
    }

    @Test("finds series by name")
    func names() async throws {
        let historian = try await open()
        for device in ["press-1", "press-2", "boiler"] {
            try await historian.append([cycle(descriptor(device, tags: mixedTags), 0)])
        }
        _ = try? await historian.checkpoint()
        #expect(try await historian.seriesCount() == 15)
        #expect(
            try await historian.series(SeriesFilter(device: "press-2", tag: "count")).map(\.path) == [
                "press-2/fast/count"
            ])
        #expect(try await historian.series(SeriesFilter(text: "PRESS")).count == 10)
        let info = try #require(try await historian.series(SeriesFilter(device: "boiler", tag: "temperature")).first)
        #expect(info.unit == "°C" && info.type == ValueType(.float32) && info.deviceUID == "uid-boiler")
        #expect(try await historian.series(limit: 4, offset: 13).count == 2)
        await historian.close()
    }

    @Test("buckets have minimum, maximum, average, first, last and count of what is not bad")
    func buckets() async throws {
        let group = descriptor(tags: [Model.Tag(name: "x", type: ValueType(.float64))])
        let historian = try await open()
        for index in 0..<100 {
            let builder = SampleBatchBuilder(dense: group, timestamp: noon.advanced(nanoseconds: Int64(index) * second))
            if index == 15 {
                builder.fail(tag: 0, .badTimeout)
            } else {
                builder.set(tag: 0, value: .float64(Double(index)))
            }
            if index / 10 != 5 { try await historian.append([builder.finish()]) }
        }
        let result = try await historian.buckets(
            group.series[0], TimeRange(from: noon, to: noon.advanced(nanoseconds: 95 * second)), width: .seconds(10))
        #expect(result.times == [0, 1, 2, 3, 4, 6, 7, 8, 9].map { noon.nanoseconds + $0 * 10 * second })
        #expect(result.counts == [10, 9, 10, 10, 10, 10, 10, 10, 5])
        #expect(result.badCounts == [0, 1, 0, 0, 0, 0, 0, 0, 0])
        #expect(result.minima == [0, 10, 20, 30, 40, 60, 70, 80, 90])
        #expect(result.maxima == [9, 19, 29, 39, 49, 69, 79, 89, 94])
        #expect(result.firsts == result.minima && result.lasts == result.maxima)
        #expect(result.averages[0] == 4.5 && result.averages[8] == 92)
        #expect(result.qualities[1] == Quality.badTimeout.rawValue)
        await #expect(throws: Problem.self) {
            _ = try await historian.buckets(
                group.series[0], TimeRange(from: Timestamp(nanoseconds: 0), to: noon), width: .nanoseconds(1))
        }
        await historian.close()
    }

    @Test("the last points come from memory, from files, and over days")
    func last() async throws {
        let group = descriptor(tags: mixedTags)
        let historian = try await open()
        let yesterday = noon.advanced(nanoseconds: -86_400 * second)
        for index in 0..<100 { try await historian.append([cycle(group, index, at: yesterday)]) }
        try await historian.checkpoint()
        for index in 0..<5 { try await historian.append([cycle(group, index)]) }
        #expect(try await historian.last(group.series[1]).slots == [4])
        #expect(try await historian.last(group.series[1], count: 7).slots == [98, 99, 0, 1, 2, 3, 4])
        await #expect(throws: Problem.self) { _ = try await historian.last(SeriesID(rawValue: 1)) }
        await historian.close()
    }

    @Test("a group may change its tags and types while it is recorded")
    func changes() async throws {
        var historian = try await open()
        let before = descriptor(tags: [
            Model.Tag(name: "a", type: ValueType(.int32)), Model.Tag(name: "b", type: ValueType(.int32)),
        ])
        let after = descriptor(tags: [
            Model.Tag(name: "b", type: ValueType(.float64)), Model.Tag(name: "c", type: ValueType(.int32)),
        ])
        func batch(_ descriptor: BatchDescriptor, _ index: Int) -> SampleBatch {
            let builder = SampleBatchBuilder(
                dense: descriptor, timestamp: noon.advanced(nanoseconds: Int64(index) * second))
            for (tag, info) in descriptor.tags.enumerated() {
                builder.set(
                    tag: tag, value: info.type.scalar == .int32 ? .int(Int64(index)) : .float64(Double(index) + 0.5))
            }
            return builder.finish()
        }
        for index in 0..<40 { try await historian.append([batch(before, index)]) }
        for index in 40..<80 { try await historian.append([batch(after, index)]) }
        for round in 0..<2 {
            let all = TimeRange(from: noon, to: noon.advanced(nanoseconds: 1000 * second))
            let b = try await historian.range(after.series[0], all)
            #expect(b.type == ValueType(.float64) && b.count == 80)
            #expect(b.value(3) == .float64(3) && b.value(50) == .float64(50.5))
            #expect(try await historian.range(before.series[0], all).count == 40)
            #expect(try await historian.range(after.series[1], all).count == 40)
            if round == 0 {
                await historian.close()
                historian = try await open()
            }
        }
        await historian.close()
    }

    @Test("changes only, own times, and several rows of a tag in one batch")
    func sparse() async throws {
        let group = descriptor(tags: mixedTags)
        var historian = try await open()
        for part in 0..<50 {
            let builder = SampleBatchBuilder(sparse: group, timestamp: noon)
            for index in 0..<4 {
                let number = part * 4 + index
                builder.set(tag: 1, value: .uint(UInt64(number)))
                builder.setSourceTime(tag: 1, noon.advanced(nanoseconds: Int64(number) * second))
                builder.set(tag: 2, value: .string("s\(number % 9)"))
                builder.setSourceTime(tag: 2, noon.advanced(nanoseconds: Int64(number) * second))
            }
            try await historian.append([builder.finish()])
        }
        for round in 0..<2 {
            let all = TimeRange(from: noon, to: noon.advanced(nanoseconds: 1000 * second))
            #expect(try await historian.range(group.series[1], all).slots == (0..<200).map { UInt64($0) })
            let texts = try await historian.range(group.series[2], all)
            #expect((0..<texts.count).map { texts.value($0) } == (0..<200).map { .string("s\($0 % 9)") })
            #expect(try await historian.range(group.series[0], all).count == 0)
            #expect(try await historian.range(group.series[1], all, limit: 10).isCut)
            if round == 0 {
                await historian.close()
                historian = try await open()
            }
        }
        await historian.close()
    }

    @Test("more than the backlog holds is refused and counted; after the end everything is")
    func refuses() async throws {
        let group = descriptor(tags: mixedTags)
        let historian = try await open { $0.backlogPointsMax = 50 }
        let refused = Counter()
        let accepted = Counter()
        for index in 0..<500 {
            historian.append([cycle(group, index)]) { $0 == nil ? accepted.add() : refused.add() }
        }
        try await historian.checkpoint()
        #expect(refused.count > 0)
        #expect(accepted.count + refused.count == 500)
        #expect(await historian.stats().pointsRefused == Int(refused.count) * 5)
        #expect(
            try await historian.range(group.series[1], TimeRange(from: noon, to: Timestamp(nanoseconds: .max))).count
                == Int(accepted.count))
        await historian.close()
        await #expect(throws: Problem.self) { try await historian.append([cycle(group, 0)]) }
        await historian.close()
    }

    @Test("under a failing disk what was acknowledged is there after power returns, and the rest was refused")
    func journalFaults() async throws {
        for seed in 0..<10 {
            let disk = FaultyFiles(seed: UInt64(seed))
            let scratch = Scratch()
            let group = descriptor(tags: mixedTags)
            var historian = try await Historian.open(HistorianOptions(directory: scratch.path), files: disk)
            var acknowledged: [Int] = []
            disk.fail(.sync, with: .io, after: 20)
            for index in 0..<60 {
                do throws(Problem) {
                    try await historian.append([cycle(group, index)])
                    acknowledged.append(index)
                } catch { #expect(error.code == "journal.failed") }
            }
            disk.cutPower(atChange: 1)
            await historian.close()
            disk.restart()
            historian = try await Historian.open(HistorianOptions(directory: scratch.path), files: disk)
            let all = TimeRange(from: noon, to: Timestamp(nanoseconds: .max))
            let found = Set(try await historian.range(group.series[1], all).slots.map { Int($0) })
            #expect(found.isSuperset(of: acknowledged))
            await historian.close()
        }
    }

    @Test("records what groups publish, unless they say no")
    func recorder() async throws {
        struct Encoder: PayloadEncoder {
            var contentType: String { "text/plain" }
            func encode(_ batch: SampleBatch) -> Bytes { Bytes() }
        }
        let historian = try await open()
        let recorder = HistorianRecorder(historian)
        let kept = descriptor(tags: mixedTags)
        let passed = BatchDescriptor(device: "d", deviceUID: "u", group: "g", tags: mixedTags, isRecorded: false)
        let origin = Origin(.device, clientID: "d")
        recorder.deliver(
            try [kept, passed].map { descriptor in
                Message(
                    topic: try Topic("t"), payload: .samples(TypedPayload(cycle(descriptor, 1), encoder: Encoder())),
                    receivedAt: noon, origin: origin)
            } + [Message(topic: try Topic("t"), payload: .bytes("{}"), receivedAt: noon, origin: origin)])
        try await historian.checkpoint()
        #expect(recorder.batchesRecorded == 1)
        #expect(try await historian.seriesCount() == 5)
        #expect(try await historian.last(kept.series[1]).slots == [1])
        await historian.close()
    }
}
