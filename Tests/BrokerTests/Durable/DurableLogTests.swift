import BrokerCore
import Journal
import Model
import Synchronization
import Testing

@testable import Broker

@Suite("The broker's log on disk")
struct DurableLogTests {
    /// A block as shards make them, with its number as content.
    private func block(_ number: UInt64, _ shard: UInt16, size: Int = 40) -> Bytes {
        var bytes: [UInt8] = [BlockHeader.version, 0]
        func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        put(shard)
        put(number)
        put(Int64(0))
        bytes += repeatElement(UInt8(truncatingIfNeeded: number), count: size)
        return bytes.withUnsafeBytes { Bytes(copying: $0) }
    }

    /// Appends to a log and knows what it was told.
    private final class Shards: Sendable {
        let log: MessageLog
        private let durable = Mutex<[UInt64]>(Array(repeating: 0, count: 3))
        private let wakes = Mutex<AsyncStream<Void>.Continuation?>(nil)
        let woken: AsyncStream<Void>

        init(_ log: MessageLog) {
            self.log = log
            let (stream, continuation) = AsyncStream<Void>.makeStream()
            woken = stream
            wakes.withLock { $0 = continuation }
            for shard in 0..<3 {
                log.attach(shard: shard) { [weak self] in
                    guard let self else { return }
                    let number = log.durableNumber(shard: shard)
                    durable.withLock { $0[shard] = max($0[shard], number) }
                    wakes.withLock { _ = $0?.yield() }
                }
            }
        }

        var newest: [UInt64] { durable.withLock { $0 } }

        /// Returns when the shard's block is durable.
        func wait(_ number: UInt64, _ shard: Int) async {
            if newest[shard] >= number { return }
            for await _ in woken where newest[shard] >= number { return }
        }
    }

    private func options(segment: Int = 2048) -> MessageLogOptions {
        MessageLogOptions(bytesMax: 1 << 20, segmentBytes: segment, retryMilliseconds: 1, retryMillisecondsMax: 4)
    }

    /// What a start finds: numbers by shard, each once, in order.
    private func found(_ log: MessageLog) throws -> [[UInt64]] {
        var numbers: [[UInt64]] = [[], [], []]
        try log.forEachBlock { bytes in
            guard let header = bytes.withUnsafeBytes({ BlockHeader($0) }) else { return }
            // Written again after a sync whose outcome was unknown.
            if header.number > numbers[Int(header.shard)].last ?? 0 { numbers[Int(header.shard)].append(header.number) }
        }
        return numbers
    }

    @Test(
        "whatever the disk refuses comes again in order until it is durable",
        arguments: [FaultyFiles.Operation.write, .sync, .truncate, .open], [FileFault.full, .io])
    func refusals(operation: FaultyFiles.Operation, fault: FileFault) async throws {
        for seed in 0..<6 {
            let files = FaultyFiles(seed: UInt64(seed))
            let told = Mutex<[Bool]>([])
            let log = try MessageLog.open("b", files: files, options: options()) { problem in
                told.withLock { $0.append(problem != nil) }
            }
            let shards = Shards(log)
            var last: [UInt64] = [0, 0, 0]
            files.fail(operation, with: fault, after: seed * 3)
            files.fail(.sync, with: .io, after: 5)
            for index in 0..<120 {
                let number = log.nextBlockNumber()
                last[index % 3] = number
                log.append(block(number, UInt16(index % 3)), number: number, shard: index % 3)
                if index % 10 == 9 { await shards.wait(number, index % 3) }
            }
            for shard in 0..<3 { await shards.wait(last[shard], shard) }
            #expect(!log.isRefusing)
            #expect(told.withLock { $0.count % 2 == 0 && $0.first == true }, "each problem is told to have ended")
            files.restart()
            let again = try MessageLog.open("b", files: files, options: options())
            let numbers = try found(again)
            for shard in 0..<3 {
                #expect(numbers[shard] == stride(from: UInt64(shard + 1), through: 120, by: 3).map { $0 })
            }
            #expect(again.nextBlockNumber() > 120)
            await again.close()
            await log.close()
        }
    }

    @Test("a full disk makes the log refuse; room makes it go on; nothing is lost or doubled")
    func full() async throws {
        let files = FaultyFiles()
        let log = try MessageLog.open("b", files: files, options: options())
        let shards = Shards(log)
        let first = log.nextBlockNumber()
        log.append(block(first, 0), number: first, shard: 0)
        await shards.wait(first, 0)
        files.limit(bytes: 600)
        var numbers: [UInt64] = []
        for _ in 0..<40 {
            let number = log.nextBlockNumber()
            numbers.append(number)
            log.append(block(number, 0), number: number, shard: 0)
        }
        while !log.isRefusing { await Task.yield() }
        #expect(log.problem != nil)
        #expect(log.durableNumber(shard: 0) < 41)
        files.heal()
        await shards.wait(41, 0)
        while log.isRefusing { await Task.yield() }
        // What waited is there as if nothing had been.
        #expect(try found(log)[0] == Array(1...41))
        await log.close()
    }

    @Test("too much that waits for a slow disk is refused like a failing one")
    func slow() async throws {
        let files = FaultyFiles()
        var options = options()
        options.waitingBytesMax = 500
        let log = try MessageLog.open("b", files: files, options: options)
        files.fail(.sync, with: .io, isLasting: true)
        for _ in 0..<20 {
            let number = log.nextBlockNumber()
            log.append(block(number, 1), number: number, shard: 1)
        }
        #expect(log.isRefusing)
        files.heal()
        let shards = Shards(log)
        await shards.wait(20, 1)
        while log.isRefusing { await Task.yield() }
        await log.close()
    }

    /// Appends until the power goes; returns what was said to be durable.
    private func work(_ files: FaultyFiles) async -> [UInt64] {
        guard let log = try? MessageLog.open("b", files: files, options: options(segment: 1024)) else {
            return [0, 0, 0]
        }
        let shards = Shards(log)
        for index in 0..<60 {
            if files.isOff { break }
            let number = log.nextBlockNumber()
            log.append(block(number, UInt16(index % 3), size: 10 + index), number: number, shard: index % 3)
            if index % 6 == 5 {
                while shards.newest[index % 3] < number, !files.isOff { await Task.yield() }
            }
            if index == 30 { log.release(before: 10) }
        }
        let durable = shards.newest
        await log.abandon()
        return durable
    }

    @Test("a power cut at every change of the disk loses no block that was said to be durable")
    func powerCuts() async throws {
        let whole = FaultyFiles(seed: 1)
        _ = await work(whole)
        let changes = whole.changes
        #expect(changes > 30)
        for cut in 1...changes {
            let files = FaultyFiles(seed: UInt64(cut))
            files.cutPower(atChange: cut)
            let durable = await work(files)
            files.restart()
            let log = try MessageLog.open("b", files: files, options: options(segment: 1024))
            let numbers = try found(log)
            for shard in 0..<3 {
                let expected = stride(from: UInt64(shard + 1), through: durable[shard], by: 3).filter { $0 >= 10 }
                #expect(Set(expected).isSubset(of: Set(numbers[shard])), "cut \(cut), shard \(shard)")
            }
            await log.close()
        }
    }

    @Test("records are read by place: durable, waiting, released")
    func places() async throws {
        let files = FaultyFiles()
        let log = try MessageLog.open("b", files: files, options: options(segment: 1024))
        let shards = Shards(log)
        for _ in 0..<50 {
            let number = log.nextBlockNumber()
            log.append(block(number, 0), number: number, shard: 0)
        }
        await shards.wait(50, 0)
        files.fail(.sync, with: .io, isLasting: true)
        log.append(block(51, 0), number: 51, shard: 0)
        func contents(_ numbers: [UInt64]) throws -> [UInt8?] {
            try log.read(numbers.map { RecordPlace(block: $0, offset: BlockHeader.byteCount + 3) }).map { bytes in
                bytes?.withUnsafeBytes { $0.first }
            }
        }
        #expect(try contents([40, 3, 51, 3, 50]) == [40, 3, 51, 3, 50])
        #expect(try contents([99]) == [nil])
        files.heal()
        await shards.wait(51, 0)
        let half = try #require(log.block(behind: log.byteCount / 2))
        #expect(half > 15 && half < 35)
        log.release(before: 30)
        #expect(try contents([5, 30, 51]) == [nil, 30, 51])
        #expect(try log.read([RecordPlace(block: 40, offset: 5000)]) == [nil])
        await log.close()
    }
}
