import Foundation
import Model
import Testing

@testable import Bench

@Suite("Load generator")
struct LoadTests {
    @Test("a quantile is at most 1/32 above the value that was recorded, over all magnitudes")
    func histogramWidth() {
        var value: Int64 = 1
        while value < 1 << 60 {
            for near in [value - 1, value, value + value / 3] {
                var histogram = LatencyHistogram()
                histogram.record(near)
                histogram.record(Int64.max / 2)
                let found = histogram.quantile(0.5)
                #expect(found >= near && found <= near + near / 32 + 1, "\(near) became \(found)")
            }
            value *= 2
        }
    }

    @Test("quantiles of 1 to 10,000 microseconds")
    func histogramQuantiles() {
        var histogram = LatencyHistogram()
        for microsecond in 1...10_000 { histogram.record(Int64(microsecond) * 1000) }
        #expect(histogram.count == 10_000)
        let summary = histogram.summary
        #expect((5000...5160).contains(summary.p50))
        #expect((9900...10_000).contains(summary.p99))
        #expect(summary.max == 10_000)
        #expect(histogram.quantile(1) == 10_000_000)
    }

    @Test("an empty histogram is zero, and a clock that goes back counts as no time")
    func histogramEdges() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.99) == 0)
        histogram.record(-5)
        #expect(histogram.quantile(0.99) == 0 && histogram.count == 1)
        histogram.record(.max)
        #expect(histogram.quantile(1) == .max)
    }

    @Test("a book in which every message stands once has no fault")
    func account() {
        var account = DeliveryAccount(shape: LoadShape(groups: 2, publishers: 2, subscribers: 3))
        var isOwn = true
        for sequence in 0..<5 {
            for subscriber in 0..<6 {
                for publisher in 0..<2 {
                    let own = account.arrived(
                        subscriber: subscriber, publisher: subscriber / 3 * 2 + publisher, sequence: UInt32(sequence))
                    isOwn = isOwn && own
                }
            }
        }
        let totals = account.close(sent: [5, 5, 5, 5])
        #expect(isOwn && totals.arrived == 60 && totals.fault(qos: 2) == nil)
    }

    @Test("a message passed over and one that never came are both missing")
    func missing() {
        var account = DeliveryAccount(shape: .pairs(1))
        for sequence: UInt32 in [0, 1, 3] { _ = account.arrived(subscriber: 0, publisher: 0, sequence: sequence) }
        let totals = account.close(sent: [6])
        #expect(totals.missing == 3)
        for qos in 0...2 { #expect(totals.fault(qos: qos) != nil) }
    }

    @Test("a message that comes twice is a fault with QoS 0 and 2; QoS 1 permits it")
    func repeated() {
        var account = DeliveryAccount(shape: .pairs(1))
        for sequence: UInt32 in [0, 1, 1] { _ = account.arrived(subscriber: 0, publisher: 0, sequence: sequence) }
        let totals = account.close(sent: [2])
        #expect(totals.repeated == 1)
        #expect(totals.fault(qos: 0) != nil && totals.fault(qos: 1) == nil && totals.fault(qos: 2) != nil)
    }

    @Test("a message of another group's publisher is at the wrong subscriber")
    func stray() {
        var account = DeliveryAccount(shape: .pairs(2))
        let own0 = account.arrived(subscriber: 0, publisher: 1, sequence: 0)
        let own1 = account.arrived(subscriber: 0, publisher: 9, sequence: 0)
        let own2 = account.arrived(subscriber: 1, publisher: -1, sequence: 0)
        let totals = account.close(sent: [0, 0])
        #expect(!own0 && !own1 && !own2 && totals.stray == 3 && totals.fault(qos: 1) != nil)
    }

    @Test("a stall is what does not move for its time")
    func stall() throws {
        var watch = StallWatch(now: 0, limit: 100)
        let early = watch.isStalled(1, now: 90)
        let late = watch.isStalled(1, now: 190)
        let moved = watch.isStalled(2, now: 191)
        let stood = watch.isStalled(2, now: 292)
        #expect(!early && !late && !moved && stood)
        #expect(throws: Problem.self) {
            var standing = StallWatch(now: 0, limit: 100)
            try standing.check(-1, now: 293)
        }
    }

    @Test("connections come from many addresses of the loopback network, never from its usual one")
    func sources() {
        let sources = Set((0..<50).map { ConnectLoad.source(of: $0 * ConnectLoad.connectionsPerSource, salt: 3) })
        #expect(sources.count >= 25)
        #expect(sources.allSatisfy { $0 > 0x01_0000 && $0 <= 0x01_FFFF })
    }

    @Test("the disk's limit is groups times messages")
    func disk() throws {
        let folder = FileManager.default.temporaryDirectory
        let limit = try DiskLimit.measure(in: folder, messages: 100, payloadBytes: 64, seconds: 0.05)
        #expect(limit.groupsPerSecond > 0)
        #expect(limit.messagesPerSecond == limit.groupsPerSecond * 100)
        #expect(throws: Problem.self) {
            try DiskLimit.measure(
                in: folder.appending(path: "not-there"), messages: 1, payloadBytes: 1, seconds: 0.01)
        }
    }
}
