import Model
import Testing

@testable import Gateway

@Suite struct ValueTests {
    @Test(
        "scaling gives the decimals that people expect",
        arguments: [
            (234.0, 0.1, 0.0, 23.4), (715, 0.1, 0, 71.5), (1, 0.01, 0, 0.01), (3, 0.001, 0, 0.003), (10, 2, 1, 21),
            (100, 0.5, -20, 30), (7, -0.1, 0, -0.7),
        ])
    func scales(_ raw: Double, _ scale: Double, _ offset: Double, _ expected: Double) {
        let scaling = Scaling(scale: scale, offset: offset)
        #expect(scaling.apply(raw) == expected)
        #expect(abs(scaling.invert(expected) - raw) < 1e-9)
    }

    @Test("precision rounds")
    func rounds() {
        #expect(Scaling(scale: 1, precision: 2).apply(3.14159) == 3.14)
        #expect(Scaling(scale: 1, precision: 0).apply(2.5) == 3)
        #expect(Scaling(scale: 1, precision: 3).apply(1e300) == 1e300)
    }

    private let descriptor = BatchDescriptor(
        device: "d", deviceUID: "u", group: "g",
        tags: [
            Tag(name: "f", type: ValueType(.float32)), Tag(name: "i", type: ValueType(.int32)),
            Tag(name: "s", type: ValueType(.string)), Tag(name: "b", type: ValueType(.bool)),
        ])

    private func batch(_ f: Float, _ i: Int32, _ s: String, _ b: Bool, _ quality: Quality = .good) -> SampleBatch {
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(milliseconds: 0))
        builder.set(tag: 0, value: .float32(f), quality: quality)
        builder.set(tag: 1, value: .int(Int64(i)))
        builder.set(tag: 2, value: .string(s))
        builder.set(tag: 3, value: .bool(b))
        return builder.finish()
    }

    private func filter(_ deadband: Deadband, heartbeat: Duration? = nil) -> ReportFilter {
        ReportFilter(
            descriptor.tags.map { TagConfiguration(name: $0.name, address: "", type: $0.type, deadband: deadband) },
            heartbeat: heartbeat)
    }

    @Test("only what changed by more than its deadband is reported, measured from what was reported last")
    func deadband() {
        var filter = filter(Deadband(absolute: 0.5))
        #expect(filter.report(batch(1, 1, "x", true), monotonic: 0)?.count == 4)
        #expect(filter.report(batch(1.5, 1, "x", true), monotonic: 1) == nil)
        #expect(filter.report(batch(1.25, 1, "x", true), monotonic: 2) == nil)
        let moved = filter.report(batch(1.75, 1, "y", false), monotonic: 3)
        #expect(moved?.tagIndexes == [0, 2, 3])
        #expect(moved?.value(0) == .float32(1.75))
        #expect(moved?.value(1) == .string("y"))
        #expect(filter.report(batch(1.5, 1, "y", false), monotonic: 4) == nil)
    }

    @Test("a creeping value is reported once it has left the deadband")
    func creeping() {
        var filter = filter(Deadband(absolute: 1))
        var reports = 0
        for step in 0..<100 where filter.report(batch(Float(step) * 0.125, 1, "x", true), monotonic: Int64(step)) != nil
        {
            reports += 1
        }
        #expect(reports == 12)
    }

    @Test("a percentage is of the value reported last")
    func percent() {
        var filter = filter(Deadband(percent: 10))
        _ = filter.report(batch(100, 1, "x", true), monotonic: 0)
        #expect(filter.report(batch(109, 1, "x", true), monotonic: 1) == nil)
        #expect(filter.report(batch(111, 1, "x", true), monotonic: 2)?.count == 1)
    }

    @Test("a change of quality is reported once, whatever the value")
    func quality() {
        var filter = filter(Deadband(absolute: 100))
        _ = filter.report(batch(1, 1, "x", true), monotonic: 0)
        #expect(filter.report(batch(0, 1, "x", true, .badTimeout), monotonic: 1)?.tagIndexes == [0])
        #expect(filter.report(batch(0, 1, "x", true, .badTimeout), monotonic: 2) == nil)
        #expect(filter.report(batch(1, 1, "x", true), monotonic: 3)?.tagIndexes == [0])
    }

    @Test("a heartbeat reports everything")
    func heartbeat() {
        var filter = filter(.none, heartbeat: .nanoseconds(100))
        _ = filter.report(batch(1, 1, "x", true), monotonic: 0)
        #expect(filter.report(batch(1, 1, "x", true), monotonic: 99) == nil)
        #expect(filter.report(batch(1, 1, "x", true), monotonic: 100)?.count == 4)
        #expect(filter.report(batch(1, 1, "x", true), monotonic: 199) == nil)
    }
}
