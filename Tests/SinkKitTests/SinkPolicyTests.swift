import Journal
import Model
import Testing

@testable import SinkKit

@Suite("Sink policies")
struct SinkPolicyTests {
    @Test("waits double up to the longest, never less than half, and respect what the other side asks for")
    func retry() {
        let policy = RetryPolicy(first: .milliseconds(500), longest: .seconds(5))
        let random = SeededRandom(seed: 1)
        for (attempt, full) in [(1, 500), (2, 1000), (3, 2000), (4, 4000), (5, 5000), (60, 5000)] {
            for _ in 0..<50 {
                let delay = policy.delay(attempt: attempt, retryAfter: nil, random: random)
                #expect(delay >= .milliseconds(full / 2) && delay <= .milliseconds(full))
            }
        }
        #expect(policy.delay(attempt: 1, retryAfter: .seconds(60), random: random) == .seconds(60))
    }

    @Test("a key always has the same lane, and keys spread")
    func lanes() {
        let policy = LanePolicy(lanes: 8)
        let lanes = (0..<1000).map { policy.lane(of: "device-\($0)".utf8) }
        #expect(lanes == (0..<1000).map { policy.lane(of: "device-\($0)".utf8) })
        for lane in 0..<8 { #expect(lanes.filter { $0 == lane }.count > 80) }
        #expect(LanePolicy(lanes: 1).lane(of: "x".utf8) == 0)
    }

    @Test("only dropOldest drops in the journal")
    func buffer() {
        #expect(BufferPolicy(bytesMax: 1 << 20, onFull: .dropOldest).journalOptions.onFull == .dropOldest)
        #expect(BufferPolicy(bytesMax: 1 << 20, onFull: .refuse).journalOptions.bytesMax == 1 << 20)
    }

    @Test("a batch gives its rows back")
    func batch() {
        let batch = SinkBatch(
            columns: [SinkColumn(name: "ts"), SinkColumn(name: "v", type: ValueType(.float32))],
            values: [[.int(1), .int(2), .int(3)], [.float32(1.5), nil, nil]], texts: ["{}", "{ }", "{  }"],
            numbers: [5, 6, 9], mark: SinkMark(division: "4:", lane: 3, number: 12))
        #expect(batch.count == 3)
        #expect(batch.row(1) == [.int(2), nil])
        // A part's mark says how far it goes; what ends the batch goes as far as the batch.
        #expect(batch.part(0..<2).mark.number == 6)
        #expect(batch.part(1..<3).mark.number == 12)
        #expect(batch.filtered { $0 == 1 }?.numbers == [5, 9])
        #expect(batch.filtered { _ in true } == nil)
    }

    @Test("a division into lanes is found again by its name")
    func divisions() {
        for policy in [LanePolicy(), LanePolicy(lanes: 7), LanePolicy(lanes: 3, key: "a:b")] {
            #expect(LanePolicy(division: policy.division) == policy)
        }
        #expect(LanePolicy(division: "x") == nil)
        #expect(LanePolicy(division: "0:") == nil)
    }
}
