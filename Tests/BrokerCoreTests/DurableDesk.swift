import Model
import NIOCore
import NIOEmbedded
import Synchronization

@testable import BrokerCore

/// A log in memory that does what it is told: makes blocks durable when asked, loses power, refuses.
final class TestStore: DurabilityStore, @unchecked Sendable {
    // Everything happens on the test's thread.
    struct Block {
        var number: UInt64
        var shard: Int
        var bytes: Bytes
    }

    /// Durable, oldest first.
    private(set) var blocks: [Block] = []
    private(set) var waiting: [Block] = []
    private var durable: [Int: UInt64] = [:]
    private var wakes: [Int: @Sendable () -> Void] = [:]
    private var next: UInt64 = 1
    /// Makes everything durable as it comes.
    var isImmediate = true
    var isRefusing = false
    var problem: Problem?
    var isBlind = false
    private(set) var released: UInt64 = 0
    private(set) var reads = 0
    private var work: [@Sendable () -> Void] = []
    var holdsWork = false
    /// Every number appended so far.
    private(set) var appended = 0

    init(blocks: [Block] = []) {
        self.blocks = blocks
    }

    /// What a new process finds after a power cut: what was durable and the first `extra` of what was not.
    func survivor(extra: Int = 0) -> TestStore { TestStore(blocks: blocks + waiting.prefix(extra)) }

    func attach(shard: Int, wake: @escaping @Sendable () -> Void) { wakes[shard] = wake }

    func nextBlockNumber() -> UInt64 {
        defer { next += 1 }
        return next
    }

    func append(_ block: Bytes, number: UInt64, shard: Int) {
        appended += 1
        waiting.append(Block(number: number, shard: shard, bytes: block))
        if isImmediate { sync() }
    }

    /// Makes the oldest `count` waiting blocks durable.
    func sync(_ count: Int = .max) {
        let part = waiting.prefix(count)
        waiting.removeFirst(part.count)
        for block in part {
            blocks.append(block)
            durable[block.shard] = block.number
            wakes[block.shard]?()
        }
    }

    func durableNumber(shard: Int) -> UInt64 { durable[shard] ?? 0 }

    func onWorker(_ body: @escaping @Sendable () -> Void) {
        if holdsWork { work.append(body) } else { body() }
    }

    func runWork() {
        let all = work
        work = []
        for body in all { body() }
    }

    func forEachBlock(_ body: (Bytes) -> Void) throws(Problem) {
        if isBlind { throw Problem("test.blind", "cannot be read") }
        for block in blocks { body(block.bytes) }
        next = (blocks.map(\.number).max() ?? 0) + 1
    }

    func read(_ places: [RecordPlace]) throws(Problem) -> [Bytes?] {
        if isBlind { throw Problem("test.blind", "cannot be read") }
        reads += 1
        let all = Dictionary((blocks + waiting).map { ($0.number, $0.bytes) }, uniquingKeysWith: { a, _ in a })
        return places.map { place in
            guard let block = all[place.block], place.offset < block.count else { return nil }
            return block.slice(place.offset..<block.count)
        }
    }

    func release(before number: UInt64) {
        released = max(released, number)
        // As they stand on the disk, which is not quite the order of their numbers.
        blocks.removeFirst(blocks.firstIndex { $0.number >= released } ?? 0)
    }

    func block(behind bytes: Int) -> UInt64? {
        var left = bytes
        for block in blocks {
            if left <= 0 { return block.number }
            left -= block.bytes.count
        }
        return nil
    }

    var byteCount: Int { blocks.reduce(0) { $0 + $1.bytes.count } }
}

extension Desk {
    /// Starts on what the store holds.
    convenience init(
        shards: Int = 1, limits: ExchangeLimits = ExchangeLimits(), store: TestStore, time: ManualTime = ManualTime(),
        seed: UInt64 = 1, recovers: Bool = true
    ) {
        self.init(shards: shards, limits: limits, durable: store, time: time, seed: seed)
        if recovers {
            exchange.recover()
            settle()
        }
    }
}
