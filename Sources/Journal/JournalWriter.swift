import Model

/// The one who writes: confined to its thread, which is what makes it Sendable.
final class JournalWriter: @unchecked Sendable {
    private let directory: String
    private let files: any FileSystem
    private let time: any TimeSource
    private let options: JournalOptions
    private let state: Monitor<JournalState>
    private var active: any OpenFile
    private var buffer: UnsafeMutableRawBufferPointer
    /// One write takes no more than this, unless a single append is bigger.
    private static let groupBytesMax = 8 << 20
    private static let bufferBytesKept = 1 << 20

    init(
        directory: String, files: any FileSystem, time: any TimeSource, options: JournalOptions,
        state: Monitor<JournalState>, active: any OpenFile
    ) {
        self.directory = directory
        self.files = files
        self.time = time
        self.options = options
        self.state = state
        self.active = active
        buffer = .allocate(byteCount: 64 << 10, alignment: 16)
    }

    deinit { buffer.deallocate() }

    private struct Work {
        var appends: [PendingAppend] = []
        /// The table to write; nil if the one on disk is good.
        var cursors: [String: Int64]?
        var position: Int64 = 0
        var segment = JournalSegment(base: 0, end: 0, path: "")
        var failure: Problem?
        var reopens: [@Sendable (Result<Void, Problem>) -> Void] = []
        var isLast = false
    }

    func run() {
        while true {
            let work = state.wait(until: { state in
                !state.pending.isEmpty || (state.cursorsChanged && state.failure == nil)
                    || !state.reopenRequests.isEmpty || state.isClosing
            }) { take(&$0) }
            if !work.reopens.isEmpty { reopen(work.reopens) }
            if let failure = work.failure {
                finish(work.appends, .failure(failure))
            } else if !work.appends.isEmpty || work.cursors != nil {
                write(work)
            }
            truncate()
            if work.isLast { return end() }
        }
    }

    /// As many appends as fit one write.
    private func take(_ state: inout JournalState) -> Work {
        var work = Work()
        work.reopens = state.reopenRequests
        state.reopenRequests = []
        if !work.reopens.isEmpty { return work }
        work.failure = state.failure
        var bytes = 0
        var count = 0
        while count < state.pending.count {
            bytes += state.pending[count].bytes
            if count > 0, bytes > Self.groupBytesMax, work.failure == nil { break }
            count += 1
        }
        if count == state.pending.count {
            swap(&work.appends, &state.pending)
        } else {
            work.appends = Array(state.pending[..<count])
            state.pending.removeFirst(count)
        }
        if state.failure == nil, state.cursorsChanged || state.cursorsUnwritten {
            work.cursors = state.cursors
            state.cursorsChanged = false
            state.cursorsUnwritten = false
        }
        work.position = state.end
        work.segment = state.segments[state.segments.count - 1]
        work.isLast = state.isClosing && state.pending.isEmpty
        return work
    }

    private func write(_ given: Work) {
        var work = given
        do throws(Problem) {
            let bytes = work.appends.reduce(0) { $0 + $1.bytes }
            if mustRoll(work.segment, adding: bytes) { try roll(&work) }
            makeRoom(for: bytes)
            encode(work)
        } catch {
            return refuse(work, error)
        }
        let count = encodedBytes
        let slice = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        let offset = work.segment.fileOffset(of: work.position)
        do throws(Problem) {
            try active.write(slice, at: offset)
        } catch {
            do throws(Problem) { try active.truncate(to: offset) } catch { return fail(work, error) }
            return refuse(work, error)
        }
        let start = time.monotonicNanoseconds()
        do throws(Problem) { try active.sync() } catch { return fail(work, error) }
        let duration = UInt64(max(0, time.monotonicNanoseconds() - start))
        let end = work.position + Int64(count)
        var wakers: [@Sendable () -> Void] = []
        state.signal { state in
            state.segments[state.segments.count - 1].end = end
            state.stats.groupsSynced += 1
            state.stats.syncNanoseconds += duration
            state.stats.recordsAppended += UInt64(work.appends.reduce(0) { $0 + $1.records.count })
            state.stats.bytesAppended += UInt64(count)
            if !work.appends.isEmpty { wakers = Array(state.wakers.values) }
            return false
        }
        finish(work.appends, .success(JournalPosition(rawValue: work.position)))
        for wake in wakers { wake() }
        if count > Self.bufferBytesKept { resize(64 << 10) }
    }

    /// A segment that holds nothing but its table is never closed.
    private func mustRoll(_ segment: JournalSegment, adding bytes: Int) -> Bool {
        let table = JournalFormat.frameBytes + state.withLock { JournalFormat.encode($0.cursors).count }
        return segment.fileBytes + bytes > options.segmentBytes && Int(segment.end - segment.base) > table
    }

    private var encodedBytes = 0

    private func encode(_ work: Work) {
        let table = work.cursors.map(JournalFormat.encode)
        let size = work.appends.reduce(0) { $0 + $1.bytes } + (table.map { $0.count + JournalFormat.frameBytes } ?? 0)
        if size > buffer.count { resize(size) }
        encodedBytes = 0
        guard let base = buffer.baseAddress else { return }
        func put(_ payload: UnsafeRawBufferPointer, _ kind: JournalFormat.Kind) {
            JournalFormat.frame(
                payload, kind: kind, position: work.position + Int64(encodedBytes), into: base + encodedBytes)
            encodedBytes += payload.count + JournalFormat.frameBytes
        }
        for append in work.appends { for record in append.records { record.withUnsafeBytes { put($0, .data) } } }
        table?.withUnsafeBytes { put($0, .cursors) }
    }

    /// Closes the segment and begins the next, which takes the table of cursors along.
    private func roll(_ work: inout Work) throws(Problem) {
        let cursors = state.withLock { $0.cursors }
        let (segment, file) = try JournalRecovery.create(
            base: work.position, cursors: cursors, directory: directory, files: files)
        active.close()
        active = file
        state.withLock { $0.segments.append(segment) }
        work.segment = segment
        work.position = segment.end
        work.cursors = nil
    }

    /// Under `dropOldest`: removes the oldest segments until the group fits.
    private func makeRoom(for bytes: Int) {
        guard options.onFull == .dropOldest else { return }
        while true {
            let (oldest, unread) = state.withLock { state -> (JournalSegment?, Int64) in
                guard state.segments.count > 1, state.bytesOnDisk + bytes > options.bytesMax else { return (nil, 0) }
                return (state.segments[0], max(state.cursors.values.min() ?? state.start, state.start))
            }
            guard let oldest else { return }
            let dropped = unread < oldest.end ? countRecords(oldest, from: unread) : 0
            remove([oldest])
            state.withLock { state in
                state.segments.removeFirst()
                state.stats.recordsDropped += UInt64(dropped)
                let start = state.start
                for (name, cursor) in state.cursors where cursor < start { state.cursors[name] = start }
                state.cursorsChanged = true
            }
        }
    }

    private func countRecords(_ segment: JournalSegment, from position: Int64) -> Int {
        guard let file = try? files.open(segment.path, .read) else { return 0 }
        defer { file.close() }
        var window = JournalWindow(file: file, segment: segment, bytesMax: 1 << 20)
        var count = 0
        var at = position
        while at < segment.end, let part = try? window.read(at: at), part.next > at {
            count += part.records.count
            at = part.next
        }
        return count
    }

    /// Removes segments that every reader has behind it. Without readers all is kept.
    private func truncate() {
        let done = state.withLock { state -> [JournalSegment] in
            guard let slowest = state.cursors.values.min() else { return [] }
            let count = state.segments.dropLast().prefix { $0.end <= slowest }.count
            let done = Array(state.segments[..<count])
            state.segments.removeFirst(count)
            return done
        }
        if !done.isEmpty { remove(done) }
    }

    /// A segment that cannot be removed now is removed after the next start, which finds it behind all cursors.
    private func remove(_ segments: [JournalSegment]) {
        for segment in segments {
            do throws(Problem) { try files.remove(segment.path) } catch { note(error) }
        }
        do throws(Problem) { try files.syncDirectory(directory) } catch { note(error) }
    }

    private func note(_ problem: Problem) {
        state.withLock { $0.stats.lastWarning = problem }
    }

    /// The group was not written, and the file is as before.
    private func refuse(_ work: Work, _ cause: Problem) {
        let count = work.appends.reduce(0) { $0 + $1.records.count }
        state.withLock { state in
            state.stats.recordsRefused += UInt64(count)
            // Tried again with the next group: alone it would be tried without end while the disk is full.
            state.cursorsUnwritten = state.cursorsUnwritten || work.cursors != nil
        }
        let problem = Problem(
            cause.fileFault == .full ? "journal.full" : "journal.refused",
            "journal \(directory): \(cause.message)", cause.arguments.merging(["journal": directory]) { a, _ in a })
        if options.stopsOnRefusal { state.withLock { $0.failure = problem } }
        finish(work.appends, .failure(problem))
    }

    /// Nobody knows what is on the disk: nothing more is acknowledged.
    private func fail(_ work: Work, _ cause: Problem) {
        let problem = Problem(
            "journal.failed",
            "journal \(directory): \(cause.message); nothing more is accepted until it has been reopened",
            cause.arguments.merging(["journal": directory]) { a, _ in a })
        let count = work.appends.reduce(0) { $0 + $1.records.count }
        state.withLock { state in
            state.failure = problem
            state.stats.recordsRefused += UInt64(count)
        }
        finish(work.appends, .failure(problem))
    }

    /// Hands out results in order; a success tells each append its own end. Frees their share of the bound.
    private func finish(_ appends: [PendingAppend], _ result: Result<JournalPosition, Problem>) {
        if appends.isEmpty { return }
        let bytes = appends.reduce(0) { $0 + $1.bytes }
        state.withLock { $0.pendingBytes -= bytes }
        var end: Int64 = 0
        if case .success(let position) = result { end = position.rawValue }
        for append in appends {
            end += Int64(append.bytes)
            switch result {
            case .success: append.completion(.success(JournalPosition(rawValue: end)))
            case .failure(let problem): append.completion(.failure(problem))
            }
        }
    }

    private func reopen(_ requests: [@Sendable (Result<Void, Problem>) -> Void]) {
        active.close()
        var result: Result<Void, Problem> = .success(())
        do throws(Problem) {
            let recovery = try JournalRecovery.run(directory: directory, files: files)
            active = recovery.active
            state.withLock { state in
                state.segments = recovery.segments
                let start = state.start
                let end = state.end
                state.cursors = state.cursors.mapValues { min(max($0, start), end) }
                state.cursorsChanged = true
                state.failure = nil
                state.stats.bytesTorn += UInt64(recovery.tornBytes)
            }
        } catch {
            let problem = Problem(
                "journal.failed", "journal \(directory) cannot be reopened: \(error.message)",
                error.arguments.merging(["journal": directory]) { a, _ in a })
            state.withLock { $0.failure = problem }
            result = .failure(problem)
        }
        for request in requests { request(result) }
    }

    private func end() {
        active.close()
        let (appends, requests, reopens) = state.withLock { state in
            state.isClosed = true
            defer {
                state.pending = []
                state.closeRequests = []
                state.reopenRequests = []
                state.wakers = [:]
            }
            return (state.pending, state.closeRequests, state.reopenRequests)
        }
        let closed = JournalState.closed(directory)
        finish(appends, .failure(closed))
        for reopen in reopens { reopen(.failure(closed)) }
        for request in requests { request() }
    }

    private func resize(_ size: Int) {
        buffer.deallocate()
        buffer = .allocate(byteCount: size, alignment: 16)
    }
}
