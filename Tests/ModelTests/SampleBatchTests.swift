import Model
import Testing

@Suite struct SampleBatchTests {
    let descriptor = BatchDescriptor(
        device: "press-1", deviceUID: "u1", group: "fast",
        tags: [
            Tag(name: "t", type: ValueType(.float32)), Tag(name: "n", type: ValueType(.int16)),
            Tag(name: "s", type: ValueType(.string)), Tag(name: "a", type: ValueType(.uint16, arrayCount: 3)),
        ])
    let now = Timestamp(milliseconds: 1_767_225_600_000)

    @Test("a dense batch gives back every value in its type")
    func dense() {
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: now)
        builder.set(tag: 3, value: .array([.uint(1), .uint(2), .uint(65_535)]))
        builder.set(tag: 0, value: .float32(71.5))
        builder.set(tag: 2, value: .string("läuft"))
        builder.set(tag: 1, value: .int(-7))
        let batch = builder.finish()
        #expect(batch.count == 4 && batch.statuses == nil && batch.tagIndexes == nil)
        #expect(batch.value(0) == .float32(71.5))
        #expect(batch.value(1) == .int(-7))
        #expect(batch.value(2) == .string("läuft"))
        #expect(batch.value(3) == .array([.uint(1), .uint(2), .uint(65_535)]))
        #expect(batch.time(2) == now)
    }

    @Test("rows that nobody sets are missing, not zero and good")
    func missing() {
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: now, missing: .badTimeout)
        builder.set(tag: 0, value: .float32(1))
        let batch = builder.finish()
        #expect(batch.quality(0) == .good)
        #expect((1..<4).allSatisfy { batch.quality($0) == .badTimeout })
        #expect(batch.value(2) == .string(""))
    }

    @Test("a sparse batch keeps several samples of a tag with their own times")
    func sparse() {
        let builder = SampleBatchBuilder(sparse: descriptor, timestamp: now)
        builder.set(tag: 1, value: .int(1))
        builder.set(tag: 1, value: .int(2))
        builder.setSourceTime(tag: 1, now.advanced(nanoseconds: 5))
        builder.fail(tag: 0, .badTimeout)
        let batch = builder.finish()
        #expect(batch.count == 3)
        #expect([0, 1, 2].map(batch.tagIndex) == [1, 1, 0])
        #expect(batch.time(0) == now && batch.time(1) == now.advanced(nanoseconds: 5) && batch.time(2) == now)
        #expect(batch.row(ofTag: 1) == 1 && batch.row(ofTag: 3) == nil)
        #expect(batch.quality(2) == .badTimeout)
    }

    @Test("a series id survives renaming the device and differs between tags")
    func seriesIDs() {
        let renamed = BatchDescriptor(device: "other", deviceUID: "u1", group: "fast", tags: descriptor.tags)
        #expect(renamed.series == descriptor.series)
        #expect(Set(descriptor.series).count == 4)
        #expect(
            SeriesID(device: "ab", group: "c", tag: "d") != SeriesID(device: "a", group: "bc", tag: "d"))
    }
}
