package import Model

/// A log of records on disk: appended in groups that share one sync, read by named readers that each keep a durable
/// cursor, shortened by the slowest of them. What was acknowledged survives a crash at any moment.
///
/// One writer thread does all writing. After a failed sync nothing more is acknowledged until `reopen`, because the
/// system may have thrown away what it could not write.
package final class Journal: Sendable {
    package typealias Completion = @Sendable (Result<JournalPosition, Problem>) -> Void

    package let directory: String
    package let options: JournalOptions
    let files: any FileSystem
    let state: Monitor<JournalState>
    private let lock: any FileLock

    /// Opens or makes the journal in `directory` and recovers it. Blocks. Throws what the files say, `file.locked`
    /// if another process has it.
    package static func open(
        directory: String, files: any FileSystem = SystemFiles(), time: any TimeSource = SystemTime(),
        options: JournalOptions = JournalOptions()
    ) throws(Problem) -> Journal {
        try files.createDirectory(directory)
        let lock = try files.lock(FilePath.join(directory, "lock"))
        do throws(Problem) {
            let recovery = try JournalRecovery.run(directory: directory, files: files)
            return Journal(
                directory: directory, files: files, time: time, options: options, lock: lock, recovery: recovery)
        } catch {
            lock.release()
            throw error
        }
    }

    private init(
        directory: String, files: any FileSystem, time: any TimeSource, options: JournalOptions, lock: any FileLock,
        recovery: JournalRecovery
    ) {
        self.directory = directory
        self.files = files
        self.options = options
        self.lock = lock
        state = Monitor(JournalState(recovery))
        let writer = JournalWriter(
            directory: directory, files: files, time: time, options: options, state: state, active: recovery.active)
        WorkerThread.start("journal") { writer.run() }
    }

    deinit {
        state.signal { state in
            state.isClosing = true
            return true
        }
        lock.release()
    }

    /// Appends the records, in order, together: all of them are durable when `completion` gets the position behind
    /// the last one, or none is acknowledged. Problems: `journal.full`, `journal.busy`, `journal.record_too_big`,
    /// `journal.failed`, `journal.closed`.
    ///
    /// Returns at once. Completions come in the order of the appends, on the writer's thread, which they must not
    /// hold up; refusals come before this returns.
    package func append(_ records: [Bytes], completion: @escaping Completion) {
        var size = 0
        for record in records {
            if record.count > options.recordBytesMax {
                state.withLock { $0.stats.recordsRefused += UInt64(records.count) }
                return completion(.failure(recordTooBig(record.count)))
            }
            size += record.count + JournalFormat.frameBytes
        }
        var refusal: Problem?
        state.signal { state in
            refusal = refusalReason(state, size: size)
            if let refusal {
                state.stats.recordsRefused += UInt64(records.count)
                if options.stopsOnRefusal, state.failure == nil, !state.isClosing { state.failure = refusal }
                return false
            }
            state.pending.append(PendingAppend(records: records, bytes: size, completion: completion))
            state.pendingBytes += size
            return true
        }
        if let refusal { completion(.failure(refusal)) }
    }

    /// The same, and waits. Returns the position behind the last record.
    @discardableResult
    package func append(_ records: [Bytes]) async throws(Problem) -> JournalPosition {
        try await withCheckedContinuation { continuation in
            append(records) { continuation.resume(returning: $0) }
        }.get()
    }

    /// The reader of that name, with the cursor that it committed last; if it is new, from where `start` says.
    /// Names have at most 255 bytes of UTF-8; two readers of one name share one cursor.
    package func reader(_ name: String, startingAt start: JournalStart = .oldest) throws(Problem) -> JournalReader {
        guard !name.isEmpty, name.utf8.count <= 255 else {
            throw Problem("journal.reader_name", "a reader's name must have 1 to 255 bytes", ["name": name])
        }
        state.signal { state in
            if state.cursors[name] != nil { return false }
            state.cursors[name] = start == .oldest ? state.start : state.end
            state.cursorsChanged = true
            return true
        }
        return JournalReader(journal: self, name: name)
    }

    /// Forgets the reader, so that it holds back nothing any more.
    package func removeReader(_ name: String) {
        state.signal { state in
            state.wakers[name] = nil
            guard state.cursors.removeValue(forKey: name) != nil else { return false }
            state.cursorsChanged = true
            return true
        }
    }

    /// The readers that the journal knows, with what each has committed.
    package var readers: [String: JournalPosition] {
        state.withLock { $0.cursors.mapValues { JournalPosition(rawValue: $0) } }
    }

    /// The oldest record that is still there.
    package var start: JournalPosition { state.withLock { JournalPosition(rawValue: $0.start) } }
    /// Behind the newest durable record.
    package var end: JournalPosition { state.withLock { JournalPosition(rawValue: $0.end) } }

    package var stats: JournalStats {
        state.withLock { state in
            var stats = state.stats
            stats.bytesOnDisk = state.bytesOnDisk
            stats.bytesPending = state.pendingBytes
            stats.failure = state.failure
            return stats
        }
    }

    /// After `journal.failed`: recovers from the files, as a restart would, and accepts again. What was never
    /// acknowledged may or may not be there afterwards.
    package func reopen() async throws(Problem) {
        let result: Result<Void, Problem> = await withCheckedContinuation { continuation in
            reopen { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// The same with a call back, on the writer's thread, which it must not hold up.
    package func reopen(completion: @escaping @Sendable (Result<Void, Problem>) -> Void) {
        request { state in
            state.reopenRequests.append(completion)
        } orElse: {
            completion(.failure($0))
        }
    }

    /// Makes durable what is pending, writes the cursors, and ends. Later appends fail with `journal.closed`.
    /// Idempotent.
    package func close() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            request { state in
                state.isClosing = true
                state.closeRequests.append { continuation.resume() }
            } orElse: { _ in
                continuation.resume()
            }
        }
        lock.release()
    }

    private func request(_ body: (inout JournalState) -> Void, orElse closed: (Problem) -> Void) {
        var isClosed = false
        state.signal { state in
            isClosed = state.isClosed
            if !isClosed { body(&state) }
            return !isClosed
        }
        if isClosed { closed(JournalState.closed(directory)) }
    }

    private func refusalReason(_ state: borrowing JournalState, size: Int) -> Problem? {
        if let failure = state.failure { return failure }
        if state.isClosing { return JournalState.closed(directory) }
        if state.pendingBytes + size > max(options.pendingBytesMax, size) {
            return Problem(
                "journal.busy",
                "journal \(directory): \(state.pendingBytes) bytes wait for the disk; at most \(options.pendingBytesMax) may",
                ["journal": directory, "pending": String(state.pendingBytes), "max": String(options.pendingBytesMax)])
        }
        if options.onFull == .refuse, state.bytesOnDisk + state.pendingBytes + size > options.bytesMax {
            return Problem(
                "journal.full",
                "journal \(directory) is full: \(state.bytesOnDisk) bytes of at most \(options.bytesMax); its slowest reader must catch up",
                ["journal": directory, "bytes": String(state.bytesOnDisk), "max": String(options.bytesMax)])
        }
        return nil
    }

    private func recordTooBig(_ count: Int) -> Problem {
        Problem(
            "journal.record_too_big",
            "journal \(directory): a record of \(count) bytes; at most \(options.recordBytesMax) are allowed",
            ["journal": directory, "bytes": String(count), "max": String(options.recordBytesMax)])
    }
}

struct PendingAppend: Sendable {
    var records: [Bytes]
    /// With framing.
    var bytes: Int
    var completion: Journal.Completion
}

/// What appenders, readers and the writer share.
struct JournalState: Sendable {
    var pending: [PendingAppend] = []
    var pendingBytes = 0
    /// Oldest first; the last is written to.
    var segments: [JournalSegment]
    var cursors: [String: Int64]
    /// The table on disk is older than `cursors`.
    var cursorsChanged = false
    /// A table could not be written; it goes with the next group.
    var cursorsUnwritten = false
    var failure: Problem?
    var isClosing = false
    var isClosed = false
    var reopenRequests: [@Sendable (Result<Void, Problem>) -> Void] = []
    var closeRequests: [@Sendable () -> Void] = []
    var wakers: [String: @Sendable () -> Void] = [:]
    var stats = JournalStats()

    init(_ recovery: borrowing JournalRecovery) {
        segments = recovery.segments
        cursors = recovery.cursors
        stats.bytesTorn = UInt64(recovery.tornBytes)
    }

    var start: Int64 { segments.first?.base ?? 0 }
    /// Behind the newest durable record.
    var end: Int64 { segments.last?.end ?? 0 }
    var bytesOnDisk: Int { segments.reduce(0) { $0 + $1.fileBytes } }

    static func closed(_ directory: String) -> Problem {
        Problem("journal.closed", "journal \(directory) is closed", ["journal": directory])
    }
}
