package import BrokerCore
package import Journal
package import Model
import Synchronization

/// The shards' log in a journal: one for all shards, so that they share its syncs.
///
/// What the disk refuses stays in memory, in order, and is tried again until it is durable; meanwhile `isRefusing`.
package final class MessageLog: DurabilityStore {
    private struct Block {
        var number: UInt64
        var shard: Int
        var bytes: Bytes
    }

    private struct State {
        /// Not known to be durable, oldest first; the journal has the first `handed` of them.
        var unconfirmed: [Block] = []
        /// Of `unconfirmed`, those before it are durable.
        var head = 0
        var handed = 0
        var unconfirmedBytes = 0
        var durable: [Int: UInt64] = [:]
        var wakes: [Int: @Sendable () -> Void] = [:]
        var isAwake: Set<Int> = []
        var problem: Problem?
        var attempt = 0
        var isRetrying = false
        var isClosing = false
        var positions = BlockPositions()
        var whenEmpty: [@Sendable () -> Void] = []
    }

    private let journal: Journal
    private let reader: JournalReader
    private let worker = Worker("broker log")
    private let state = Mutex(State())
    /// Held while blocks are handed to the journal, so that all see one order.
    private let order = Mutex(())
    private let refusing = Atomic<Bool>(false)
    private let nextNumber = Atomic<UInt64>(1)
    private let options: MessageLogOptions
    /// Told, on some thread, when the log begins and ends to refuse.
    private let onProblem: @Sendable (Problem?) -> Void
    package let failures = Counter()

    /// Opens or makes the log in `directory`. Blocks while the newest segment is checked.
    package static func open(
        _ directory: String, files: any FileSystem = SystemFiles(), time: any TimeSource = SystemTime(),
        options: MessageLogOptions = MessageLogOptions(), onProblem: @escaping @Sendable (Problem?) -> Void = { _ in }
    ) throws(Problem) -> MessageLog {
        let journal = try Journal.open(
            directory: directory, files: files, time: time,
            options: JournalOptions(
                bytesMax: options.bytesMax, segmentBytes: options.segmentBytes, recordBytesMax: 256 << 20,
                pendingBytesMax: Int.max / 4, stopsOnRefusal: true))
        return MessageLog(journal: journal, reader: try journal.reader("broker"), options, onProblem)
    }

    private init(
        journal: Journal, reader: JournalReader, _ options: MessageLogOptions,
        _ onProblem: @escaping @Sendable (Problem?) -> Void
    ) {
        self.journal = journal
        self.reader = reader
        self.options = options
        self.onProblem = onProblem
    }

    /// Waits until everything is durable, ten seconds at most, and closes the files.
    package func close() async {
        await withTaskGroup { group in
            group.addTask { await self.drained() }
            group.addTask { try? await Task.sleep(for: .seconds(10)) }
            await group.next()
            self.giveUp()
            group.cancelAll()
        }
        worker.stop()
        await journal.close()
    }

    /// Closes without waiting for a disk that does not answer.
    package func abandon() async {
        giveUp()
        worker.stop()
        await journal.close()
    }

    private func drained() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isEmpty = state.withLock { state in
                if state.head == state.unconfirmed.count || state.isClosing { return true }
                state.whenEmpty.append { continuation.resume() }
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    private func giveUp() {
        let waiting = state.withLock { state in
            state.isClosing = true
            defer { state.whenEmpty = [] }
            return state.whenEmpty
        }
        for body in waiting { body() }
    }

    // MARK: DurabilityStore

    package func attach(shard: Int, wake: @escaping @Sendable () -> Void) {
        state.withLock { $0.wakes[shard] = wake }
    }

    package func nextBlockNumber() -> UInt64 { nextNumber.add(1, ordering: .relaxed).oldValue }

    package func durableNumber(shard: Int) -> UInt64 {
        state.withLock { state in
            state.isAwake.remove(shard)
            return state.durable[shard] ?? 0
        }
    }

    package var isRefusing: Bool { refusing.load(ordering: .relaxed) }
    package var problem: Problem? { state.withLock { $0.problem } }
    package var byteCount: Int { journal.stats.bytesOnDisk }
    package func onWorker(_ work: @escaping @Sendable () -> Void) { worker.run(work) }

    package func append(_ block: Bytes, number: UInt64, shard: Int) {
        order.withLock { _ in
            let mayHand = state.withLock { state in
                state.unconfirmed.append(Block(number: number, shard: shard, bytes: block))
                state.unconfirmedBytes += block.count
                judge(state)
                if state.problem != nil || state.isRetrying { return false }
                state.handed += 1
                return true
            }
            if mayHand { hand(block) }
        }
    }

    /// Whether more may come.
    private func judge(_ state: borrowing State) {
        let mustRefuse = state.problem != nil || state.unconfirmedBytes > options.waitingBytesMax
        if mustRefuse != refusing.load(ordering: .relaxed) { refusing.store(mustRefuse, ordering: .relaxed) }
    }

    /// With `order` held.
    private func hand(_ block: Bytes) {
        journal.append([block]) { [weak self] result in self?.completed(result, byteCount: block.count) }
    }

    /// On the journal's thread, in the order of the appends; or within `append`, if it refuses at once.
    private func completed(_ result: Result<JournalPosition, Problem>, byteCount: Int) {
        var wake: (@Sendable () -> Void)?
        var whenEmpty: [@Sendable () -> Void] = []
        var mustRetry = false
        var news: Problem??
        state.withLock { state in
            state.handed -= 1
            switch result {
            case .success(let end):
                // A success after a failure cannot be: the journal takes nothing until it is reopened.
                guard state.head < state.unconfirmed.count else { return }
                let block = state.unconfirmed[state.head]
                state.unconfirmed[state.head].bytes = Bytes()
                state.head += 1
                state.unconfirmedBytes -= block.bytes.count
                state.positions.set(
                    block.number, to: end.rawValue - Int64(block.bytes.count + JournalRecord.overheadBytes))
                state.durable[block.shard] = block.number
                if state.isAwake.insert(block.shard).inserted { wake = state.wakes[block.shard] }
                if state.head == state.unconfirmed.count {
                    state.unconfirmed.removeAll(keepingCapacity: true)
                    state.head = 0
                    whenEmpty = state.whenEmpty
                    state.whenEmpty = []
                } else if state.head > 4096 {
                    state.unconfirmed.removeFirst(state.head)
                    state.head = 0
                }
                if state.problem != nil {
                    state.problem = nil
                    state.attempt = 0
                    news = .some(nil)
                }
            case .failure(let problem):
                if state.problem == nil { news = problem }
                state.problem = problem
            }
            if state.problem != nil, state.handed == 0, !state.isRetrying, !state.isClosing {
                state.isRetrying = true
                mustRetry = true
            }
            judge(state)
        }
        if let news {
            if news != nil { failures.add() }
            onProblem(news)
        }
        wake?()
        for body in whenEmpty { body() }
        if mustRetry { scheduleRetry() }
    }

    // MARK: Trying again

    private func scheduleRetry() {
        let delay = state.withLock { state in
            state.attempt += 1
            return min(options.retryMillisecondsMax, options.retryMilliseconds << min(state.attempt - 1, 10))
        }
        WorkerThread.start("broker log retry") { [weak self] in
            Monitor(()).wait(until: { _ in false }, milliseconds: delay) { _ in }
            self?.retry()
        }
    }

    private func retry() {
        journal.reopen { [weak self] result in
            guard let self else { return }
            switch result {
            case .success: handAll()
            case .failure(let problem):
                let goesOn = state.withLock { state in
                    state.problem = problem
                    return !state.isClosing
                }
                if goesOn { scheduleRetry() }
            }
        }
    }

    /// Everything that is not durable goes to the journal once more, in the old order.
    private func handAll() {
        order.withLock { _ in
            let blocks = state.withLock { state in
                let blocks = Array(state.unconfirmed[state.head...])
                state.handed = blocks.count
                state.isRetrying = false
                if blocks.isEmpty { state.problem = nil }
                judge(state)
                return blocks
            }
            for block in blocks { hand(block.bytes) }
        }
    }

    // MARK: Reading

    package func forEachBlock(_ body: (Bytes) -> Void) throws(Problem) {
        var at = reader.committed
        var newest: UInt64 = 0
        while true {
            let part = try reader.read(from: at, bytesMax: 4 << 20)
            if part.records.isEmpty, part.next == at { break }
            var found: [(UInt64, Int64)] = []
            for record in part.records {
                if let header = record.bytes.withUnsafeBytes({ BlockHeader($0) }) {
                    found.append((header.number, record.position.rawValue))
                    newest = max(newest, header.number)
                }
                body(record.bytes)
            }
            state.withLock { state in for (number, position) in found { state.positions.set(number, to: position) } }
            at = part.next
        }
        nextNumber.store(newest + 1, ordering: .relaxed)
    }

    package func read(_ places: [RecordPlace]) throws(Problem) -> [Bytes?] {
        var result: [Bytes?] = Array(repeating: nil, count: places.count)
        var onDisk: [(position: Int64, index: Int)] = []
        state.withLock { state in
            var waiting: [UInt64: Bytes]?
            for (index, place) in places.enumerated() {
                if let position = state.positions.position(of: place.block) {
                    onDisk.append((position, index))
                    continue
                }
                if waiting == nil {
                    waiting = Dictionary(
                        state.unconfirmed[state.head...].map { ($0.number, $0.bytes) }, uniquingKeysWith: { a, _ in a })
                }
                if let block = waiting?[place.block] { result[index] = Self.tail(block, place.offset) }
            }
        }
        onDisk.sort { $0.position < $1.position }
        var window: [JournalRecord] = []
        var windowEnd: Int64 = -1
        var at = 0
        for (position, index) in onDisk {
            if window.isEmpty || position >= windowEnd || position < window[0].position.rawValue {
                let part = try reader.read(from: JournalPosition(rawValue: position), bytesMax: 1 << 20)
                window = part.records
                windowEnd = part.next.rawValue
                at = 0
            }
            while at < window.count, window[at].position.rawValue < position { at += 1 }
            if at < window.count, window[at].position.rawValue == position {
                result[index] = Self.tail(window[at].bytes, places[index].offset)
            }
        }
        return result
    }

    private static func tail(_ block: Bytes, _ offset: Int) -> Bytes? {
        offset < block.count ? block.slice(offset..<block.count) : nil
    }

    package func block(behind bytes: Int) -> UInt64? {
        let start = journal.start.rawValue
        return state.withLock { $0.positions.block(at: start + Int64(bytes)) }
    }

    package func release(before number: UInt64) {
        guard let position = state.withLock({ $0.positions.release(before: number) }) else { return }
        reader.commit(JournalPosition(rawValue: position))
    }
}

package struct MessageLogOptions: Sendable, Hashable {
    /// Bound on the files' total size; when it is reached the log refuses.
    package var bytesMax: Int
    package var segmentBytes: Int
    /// Bytes that wait for the disk, beyond which the log refuses until they have become fewer.
    package var waitingBytesMax: Int
    /// First pause before what was refused is tried again; it doubles up to the second.
    package var retryMilliseconds: Int
    package var retryMillisecondsMax: Int

    package init(
        bytesMax: Int = 16 << 30, segmentBytes: Int = 16 << 20, waitingBytesMax: Int = 256 << 20,
        retryMilliseconds: Int = 100, retryMillisecondsMax: Int = 5000
    ) {
        self.bytesMax = bytesMax
        self.segmentBytes = segmentBytes
        self.waitingBytesMax = waitingBytesMax
        self.retryMilliseconds = max(1, retryMilliseconds)
        self.retryMillisecondsMax = max(1, retryMillisecondsMax)
    }
}

/// Where each block stands in the journal. Numbers are dense, so a table by number is enough.
struct BlockPositions {
    private var base: UInt64 = 0
    private var table: [Int64] = []

    mutating func set(_ number: UInt64, to position: Int64) {
        if table.isEmpty { base = number }
        if number < base {
            // Blocks of several shards are not quite in the order of their numbers.
            guard base - number < 1 << 20 else { return }
            table.insert(contentsOf: repeatElement(-1, count: Int(base - number)), at: 0)
            base = number
        }
        let index = Int(number - base)
        if index >= table.count { table.append(contentsOf: repeatElement(-1, count: index - table.count + 1)) }
        table[index] = position
    }

    func position(of number: UInt64) -> Int64? {
        guard number >= base, number - base < UInt64(table.count) else { return nil }
        let position = table[Int(number - base)]
        return position < 0 ? nil : position
    }

    /// The first known block that stands at a position or behind it, as far as numbers follow positions.
    func block(at position: Int64) -> UInt64? {
        table.firstIndex { $0 >= position }.map { base + UInt64($0) }
    }

    /// Forgets older blocks; returns where the oldest of the others stands.
    mutating func release(before number: UInt64) -> Int64? {
        guard number > base, !table.isEmpty else { return nil }
        let count = min(Int(number - base), table.count)
        let oldest = table[count...].prefix(8192).filter { $0 >= 0 }.min()
        guard let oldest else { return nil }
        table.removeFirst(count)
        base += UInt64(count)
        return oldest
    }
}

/// One thread that does one piece of work after the other.
private final class Worker: Sendable {
    private struct State {
        var work: [@Sendable () -> Void] = []
        var isStopped = false
    }

    private let state: Monitor<State>

    init(_ name: String) {
        let state = Monitor(State())
        self.state = state
        WorkerThread.start(name) {
            while true {
                let (work, isStopped) = state.wait(until: { !$0.work.isEmpty || $0.isStopped }) { state in
                    defer { state.work = [] }
                    return (state.work, state.isStopped)
                }
                for body in work { body() }
                if isStopped { return }
            }
        }
    }

    deinit { stop() }

    func run(_ body: @escaping @Sendable () -> Void) {
        state.signal { state in
            state.work.append(body)
            return true
        }
    }

    func stop() {
        state.signal { state in
            state.isStopped = true
            return true
        }
    }
}

extension MessageLog: MetricSource {
    package func collect() async -> [MetricSample] {
        let waiting = state.withLock { ($0.unconfirmed.count - $0.head, $0.unconfirmedBytes) }
        return journal.stats.metrics(journal: "broker") + [
            MetricSample(
                "tundish_broker_log_waiting_blocks", .gauge, "Blocks of records that are not durable yet.",
                Double(waiting.0)),
            MetricSample(
                "tundish_broker_log_waiting_bytes", .gauge, "Bytes of records that are not durable yet.",
                Double(waiting.1)),
            MetricSample(
                "tundish_broker_log_failures_total", .counter, "Times that the disk began to refuse.",
                Double(failures.count)),
            MetricSample(
                "tundish_broker_log_refusing", .gauge, "1 while what must be kept is refused.", isRefusing ? 1 : 0),
        ]
    }
}
