import Journal
import Model
import Synchronization

/// One sink at work: reads the buffer, gathers batches for each lane, writes them, and lets go of what is confirmed.
///
/// A thread reads the journal and fills the lanes; each lane is a task that has one batch under way at a time. The
/// buffer's cursor is moved up to the oldest row that is not dealt with.
final class SinkHost: Sendable {
    /// Bytes of rows in memory, beyond which the buffer is not read on.
    private static let cacheBytesMax = 48 << 20
    /// Rows named one at a time before a batch is halved.
    private static let namedMax = 8
    /// How often a sink that has nothing to do is probed.
    static let probeInterval = Duration.seconds(30)
    /// How long a write may go on when the sink stops.
    private static let stopWait = Duration.seconds(5)

    /// A batch with what the cursor needs of it.
    struct Ready: Sendable {
        var batch: SinkBatch
        /// The record of its first row.
        var record: JournalPosition
        /// When its first row came.
        var time: Int64
    }

    struct Lane {
        var ready: [Ready] = []
        var underWay: Ready?
        /// Of the rows that are not a batch yet.
        var openRecord: JournalPosition?
        var openTime: Int64 = 0
        var waiter: CheckedContinuation<Ready?, Never>?
        var problem: SinkStatus?
        var isConnected = false
    }

    struct State {
        var lanes: [Lane]
        var read: JournalPosition
        var cachedBytes = 0
        var hasNews = true
        var isStopping = false
        var tasksRunning = 0
        var report = SinkReport()
        /// Rows before this one are dealt with, or in a lane: the ordinal of the next to be read.
        var readOrdinal: UInt64
        var cachedRows = 0
        var window = (start: Int64(0), rows: UInt64(0))
        var health: SinkHealth?
        var readProblem: Problem?
    }

    let configuration: SinkConfiguration
    let buffer: SinkBuffer
    let sink: any Sink
    private let remembersMarks: Bool
    private let mapping: RowMapping
    private let reader: JournalReader
    let time: any TimeSource
    private let random: any RandomSource
    let onStatus: @Sendable (SinkStatus) -> Void
    let monitor: Monitor<State>
    private let tasks = Mutex<[Task<Void, Never>]>([])
    let lastStatus = Mutex<SinkStatus?>(nil)

    init(
        _ configuration: SinkConfiguration, type: any Sink.Type, buffer: SinkBuffer, environment: SinkEnvironment,
        onStatus: @escaping @Sendable (SinkStatus) -> Void
    ) throws(Problem) {
        self.configuration = configuration
        self.buffer = buffer
        self.onStatus = onStatus
        time = environment.time
        random = environment.random
        mapping = try configuration.mapping()
        var environment = environment
        environment.buffer = buffer.identity
        sink = try type.init(
            configuration.connection,
            target: SinkTarget(name: configuration.name, options: configuration.options, columns: mapping.columns),
            environment: environment)
        remembersMarks = type.descriptor.remembersMarks
        reader = try buffer.journal.reader("sink")
        monitor = Monitor(
            State(
                lanes: Array(repeating: Lane(), count: configuration.lanes.lanes), read: reader.committed,
                readOrdinal: buffer.expectedOrdinal))
    }

    func start() {
        let monitor = monitor
        let laneCount = configuration.lanes.lanes
        monitor.withLock { $0.tasksRunning = laneCount + 1 }
        reader.onAppend {
            monitor.signal { state in
                state.hasNews = true
                return true
            }
        }
        WorkerThread.start("sink") { self.readLoop() }
        tasks.withLock { tasks in
            for lane in 0..<laneCount { tasks.append(Task.detached { await self.run(lane) }) }
            tasks.append(Task.detached { await self.watch() })
        }
    }

    /// Lets what is under way end, for a while, and leaves the rest in the buffer.
    func stop() async {
        reader.onAppend(nil)
        let waiters = monitor.withLock { state -> [CheckedContinuation<Ready?, Never>] in
            state.isStopping = true
            return state.lanes.indices.compactMap { lane in
                defer { state.lanes[lane].waiter = nil }
                return state.lanes[lane].waiter
            }
        }
        for waiter in waiters { waiter.resume(returning: nil) }
        monitor.signal { _ in true }
        let deadline = ContinuousClock.now + Self.stopWait
        while monitor.withLock({ $0.tasksRunning > 0 }), ContinuousClock.now < deadline {
            // Cannot be cut short: who stops a sink waits for it.
            try? await Task.sleep(for: .milliseconds(10))
        }
        for task in tasks.withLock({ $0 }) { task.cancel() }
        buffer.noteStop()
    }

    // MARK: from the buffer to the lanes

    /// Rows on their way into a batch of one lane. Belongs to the reading thread.
    private struct Builder {
        var values: [[Value?]]
        var texts: [Bytes] = []
        var numbers: [UInt64] = []
        var bytes = 0
        var record = JournalPosition.zero
        var time: Int64 = 0
        /// Monotonic, when its first row was read.
        var since: Int64 = 0

        init(columns: Int) { values = Array(repeating: [], count: columns) }
    }

    private func readLoop() {
        let reading = RowMapping.Reading(mapping)
        var builders = (0..<configuration.lanes.lanes).map { _ in newBuilder() }
        while true {
            let wait = untilDue(builders)
            let (isStopping, mayRead, position) = monitor.wait(
                until: { $0.isStopping || Self.mayRead($0) }, milliseconds: wait
            ) { state -> (Bool, Bool, JournalPosition) in
                let mayRead = Self.mayRead(state)
                if mayRead { state.hasNews = false }
                return (state.isStopping, mayRead, state.read)
            }
            if isStopping { return }
            if mayRead { take(from: position, reading, &builders) }
            flushDue(&builders)
        }
    }

    private static func mayRead(_ state: borrowing State) -> Bool {
        state.hasNews && state.cachedBytes < cacheBytesMax
    }

    private func newBuilder() -> Builder { Builder(columns: mapping.columns.count) }

    private func take(from position: JournalPosition, _ reading: RowMapping.Reading, _ builders: inout [Builder]) {
        let read: JournalRead
        do throws(Problem) {
            read = try reader.read(from: position)
        } catch {
            // The disk does not let itself be read: said, and tried again when something comes or a second is over.
            monitor.withLock { state in
                state.readProblem = error
            }
            tell()
            return
        }
        let now = time.monotonicNanoseconds()
        var done: [(lane: Int, ready: Ready)] = []
        var refused: [SetApartRow] = []
        var ordinal = monitor.withLock { $0.readOrdinal }
        var gap: UInt64 = 0
        var rows = 0
        var rowBytes = 0
        var values = mapping.emptyRow
        for record in read.records {
            record.bytes.withUnsafeBytes { bytes in
                guard let head = SinkRecord.head(bytes), let ranges = SinkRecord.rows(bytes) else { return }
                if head.ordinal > ordinal { gap += head.ordinal - ordinal }
                ordinal = head.ordinal + UInt64(head.count)
                for (index, range) in ranges.enumerated() {
                    let text = UnsafeRawBufferPointer(rebasing: bytes[range])
                    let number = UInt64(record.position.rawValue) + UInt64(index) + 1
                    if let failure = mapping.read(text, reading, into: &values) {
                        refused.append(
                            SetApartRow(
                                time: time.now(), code: "sink.row", reason: "not JSON: \(failure)",
                                row: String(decoding: text, as: UTF8.self)))
                        continue
                    }
                    let lane = mapping.lane(configuration.lanes, text, reading)
                    if builders[lane].texts.isEmpty {
                        builders[lane].record = record.position
                        builders[lane].time = head.time
                        builders[lane].since = now
                    }
                    for column in values.indices { builders[lane].values[column].append(values[column]) }
                    builders[lane].texts.append(record.bytes.slice(range))
                    builders[lane].numbers.append(number)
                    builders[lane].bytes += range.count
                    rows += 1
                    rowBytes += range.count
                    if builders[lane].texts.count >= configuration.batch.rowsMax
                        || builders[lane].bytes >= configuration.batch.bytesMax
                    {
                        done.append((lane, close(&builders[lane], lane)))
                    }
                }
            }
        }
        // Before the cursor may pass them.
        let problem = refused.isEmpty ? nil : buffer.refused.addAndWait(refused)
        let open = builders.map { $0.texts.isEmpty ? nil : ($0.record, $0.time) }
        let resumed = monitor.withLock { state -> [(CheckedContinuation<Ready?, Never>, Ready)] in
            state.readProblem = problem
            state.read = read.next
            state.readOrdinal = ordinal
            state.cachedBytes += rowBytes
            state.cachedRows += rows
            if read.damagedBytes > 0 { state.report.damaged += gap } else { state.report.dropped += gap }
            state.report.setApart += UInt64(refused.count)
            // There may be more behind what one read takes.
            if !read.records.isEmpty || read.next > position { state.hasNews = true }
            for (lane, mark) in open.enumerated() {
                state.lanes[lane].openRecord = mark?.0
                state.lanes[lane].openTime = mark?.1 ?? 0
            }
            return Self.enqueue(done, &state)
        }
        for (waiter, ready) in resumed { waiter.resume(returning: ready) }
        if rows == 0 { commit() }
    }

    private func close(_ builder: inout Builder, _ lane: Int) -> Ready {
        let batch = SinkBatch(
            columns: mapping.columns, values: builder.values, texts: builder.texts, numbers: builder.numbers,
            mark: SinkMark(
                division: configuration.lanes.division, lane: lane, number: builder.numbers[builder.numbers.count - 1]))
        let ready = Ready(batch: batch, record: builder.record, time: builder.time)
        builder = newBuilder()
        return ready
    }

    /// Gives batches to the lanes; returns whom to wake with what.
    private static func enqueue(
        _ done: [(lane: Int, ready: Ready)], _ state: inout State
    ) -> [(CheckedContinuation<Ready?, Never>, Ready)] {
        var resumed: [(CheckedContinuation<Ready?, Never>, Ready)] = []
        for (lane, ready) in done {
            if let waiter = state.lanes[lane].waiter {
                state.lanes[lane].waiter = nil
                state.lanes[lane].underWay = ready
                resumed.append((waiter, ready))
            } else {
                state.lanes[lane].ready.append(ready)
            }
        }
        return resumed
    }

    /// Milliseconds until the first batch must go.
    private func untilDue(_ builders: [Builder]) -> Int {
        let now = time.monotonicNanoseconds()
        let delay = configuration.batch.delayMax.nanoseconds
        var wait: Int64 = 1_000_000_000
        for builder in builders where !builder.texts.isEmpty { wait = min(wait, builder.since + delay - now) }
        return Int(max(wait, 0) / 1_000_000) + (wait > 0 && wait < 1_000_000_000 ? 1 : 0)
    }

    private func flushDue(_ builders: inout [Builder]) {
        let now = time.monotonicNanoseconds()
        let delay = configuration.batch.delayMax.nanoseconds
        var done: [(lane: Int, ready: Ready)] = []
        for lane in builders.indices where !builders[lane].texts.isEmpty && now - builders[lane].since >= delay {
            done.append((lane, close(&builders[lane], lane)))
        }
        let batches = done
        let resumed = monitor.withLock { state -> [(CheckedContinuation<Ready?, Never>, Ready)] in
            for (lane, _) in batches { state.lanes[lane].openRecord = nil }
            // What could not be read is tried again.
            if state.readProblem != nil { state.hasNews = true }
            return Self.enqueue(batches, &state)
        }
        for (waiter, ready) in resumed { waiter.resume(returning: ready) }
    }

    // MARK: from the lanes to the other side

    private func next(_ lane: Int) async -> Ready? {
        await withCheckedContinuation { continuation in
            let (isEnd, ready) = monitor.withLock { state -> (Bool, Ready?) in
                if state.isStopping { return (true, nil) }
                guard !state.lanes[lane].ready.isEmpty else {
                    state.lanes[lane].waiter = continuation
                    return (false, nil)
                }
                let ready = state.lanes[lane].ready.removeFirst()
                state.lanes[lane].underWay = ready
                return (false, ready)
            }
            if isEnd || ready != nil { continuation.resume(returning: ready) }
        }
    }

    var isStopping: Bool { monitor.withLock { $0.isStopping } }

    private func run(_ lane: Int) async {
        var line = LaneLine()
        while let ready = await next(lane) {
            guard await write(ready.batch, lane, &line) else { break }
            settle(lane)
        }
        await line.connection?.close()
        monitor.withLock { $0.tasksRunning -= 1 }
    }

    /// A lane's connection. Belongs to the lane's task.
    private struct LaneLine {
        var connection: (any SinkConnection)?
        var marks: [SinkMark] = []
        /// What takes rows apart to find their lanes under earlier divisions.
        var earlier: (mapping: RowMapping, reading: RowMapping.Reading)?
        var attempt = 0
    }

    /// Writes the batch, in parts where rows are refused. False when the sink stops before it is done.
    private func write(_ batch: SinkBatch, _ lane: Int, _ line: inout LaneLine) async -> Bool {
        // What is left, the last first; how often a row was named since the batch was halved.
        var left = [batch]
        var named = 0
        while let part = left.last {
            if isStopping { return false }
            do throws(SinkError) {
                let connection = try await connection(lane, &line)
                let fresh = withoutKnown(part, lane, &line)
                let known = part.count - (fresh?.count ?? 0)
                var refused: [RefusedRow] = []
                if let fresh {
                    refused = try await connection.write(fresh).refused
                    try await setApart(refused.map { (fresh, $0) })
                }
                left.removeLast()
                line.attempt = 0
                written(part.count - refused.count, known: known, lane)
            } catch {
                if !error.isConnectionSound {
                    await line.connection?.close()
                    line.connection = nil
                }
                switch error.kind {
                case .badBatch:
                    var refused = error.refused.filter { part.texts.indices.contains($0.index) }
                    if part.count == 1 {
                        refused = [RefusedRow(index: 0, code: error.problem.code, reason: error.problem.message)]
                    }
                    // A side that names one row at a time would be asked as often as there are bad rows.
                    if refused.isEmpty || refused.count == 1 && named >= Self.namedMax && part.count > 1 {
                        left.removeLast()
                        left.append(part.part(part.count / 2..<part.count))
                        left.append(part.part(0..<part.count / 2))
                        named = 0
                        continue
                    }
                    named += 1
                    do throws(SinkError) {
                        try await setApart(refused.map { (part, $0) })
                        left.removeLast()
                        let places = Set(refused.map(\.index))
                        if let rest = part.filtered(without: { places.contains($0) }) { left.append(rest) }
                    } catch {
                        if await !pause(error, lane, &line) { return false }
                    }
                case .transient, .permanent:
                    if await !pause(error, lane, &line) { return false }
                }
            }
        }
        return true
    }

    private func connection(_ lane: Int, _ line: inout LaneLine) async throws(SinkError) -> any SinkConnection {
        if let connection = line.connection { return connection }
        let made = try await sink.connect(lane: lane)
        if remembersMarks {
            do throws(SinkError) {
                line.marks = try await made.marks()
                let own = configuration.lanes
                let others = Set(line.marks.map(\.division)).subtracting([own.division])
                let divisions = others.compactMap { LanePolicy(division: $0) }
                line.earlier = nil
                if !divisions.isEmpty, let mapping = try? configuration.mapping(divisions: divisions) {
                    line.earlier = (mapping, RowMapping.Reading(mapping))
                }
            } catch {
                await made.close()
                throw error
            }
        }
        line.connection = made
        monitor.withLock { state in
            state.lanes[lane].problem = nil
            state.lanes[lane].isConnected = true
        }
        tell()
        return made
    }

    /// The batch without rows that the other side remembers.
    private func withoutKnown(_ batch: SinkBatch, _ lane: Int, _ line: inout LaneLine) -> SinkBatch? {
        guard !line.marks.isEmpty else { return batch }
        let marks = line.marks
        let own = configuration.lanes.division
        let earlier = line.earlier
        return batch.filtered { index in
            let number = batch.numbers[index]
            for mark in marks where number <= mark.number {
                if mark.division == own {
                    if mark.lane == lane { return true }
                } else if let policy = LanePolicy(division: mark.division), let earlier {
                    let isKnown = batch.texts[index].withUnsafeBytes { text -> Bool in
                        var values = earlier.mapping.emptyRow
                        guard earlier.mapping.read(text, earlier.reading, into: &values) == nil else { return false }
                        return earlier.mapping.lane(policy, text, earlier.reading) == mark.lane
                    }
                    if isKnown { return true }
                }
            }
            return false
        }
    }

    private func setApart(_ rows: [(batch: SinkBatch, row: RefusedRow)]) async throws(SinkError) {
        guard !rows.isEmpty else { return }
        let now = time.now()
        let found = rows.map { batch, row in
            SetApartRow(
                time: now, code: row.code, reason: row.reason,
                row: batch.texts.indices.contains(row.index) ? batch.texts[row.index].string : "")
        }
        do throws(Problem) {
            try await buffer.refused.add(found)
        } catch {
            throw SinkError(
                .transient,
                Problem("sink.set_apart", "refused rows cannot be kept: \(error.message)", error.arguments),
                isConnectionSound: true)
        }
        monitor.withLock { $0.report.setApart += UInt64(rows.count) }
    }

    private func written(_ rows: Int, known: Int, _ lane: Int) {
        monitor.withLock { state in
            state.report.written += UInt64(rows)
            state.report.known += UInt64(known)
            state.report.batches += 1
            state.lanes[lane].problem = nil
        }
        tell()
    }

    /// Waits before the next try. False if the sink stops meanwhile.
    private func pause(_ error: SinkError, _ lane: Int, _ line: inout LaneLine) async -> Bool {
        line.attempt += 1
        monitor.withLock { state in
            state.report.retries += 1
            state.lanes[lane].isConnected = false
            state.lanes[lane].problem = SinkStatus(error.kind == .permanent ? .failed : .degraded, error.problem)
        }
        tell()
        var delay = configuration.retry.delay(attempt: line.attempt, retryAfter: error.retryAfter, random: random)
        // What only a person can mend is looked at again from time to time, not hammered at.
        if error.kind == .permanent { delay = max(delay, min(configuration.retry.longest, .seconds(5))) }
        return await rest(delay)
    }

    /// False if the sink stops meanwhile.
    func rest(_ delay: Duration) async -> Bool {
        let deadline = ContinuousClock.now + delay
        while !isStopping, ContinuousClock.now < deadline {
            do { try await Task.sleep(for: min(.milliseconds(50), deadline - .now)) } catch { return false }
        }
        return !isStopping
    }

    /// The lane's batch is dealt with.
    private func settle(_ lane: Int) {
        monitor.signal { state in
            if let done = state.lanes[lane].underWay {
                state.cachedBytes -= done.batch.bytes
                state.cachedRows -= done.batch.count
            }
            state.lanes[lane].underWay = nil
            return true
        }
        commit()
    }

    private func commit() {
        let position = monitor.withLock { state -> JournalPosition in
            var position = state.read
            for lane in state.lanes {
                for record in [lane.underWay?.record, lane.ready.first?.record, lane.openRecord] {
                    if let record { position = min(position, record) }
                }
            }
            return position
        }
        reader.commit(position)
    }
}
