package import Journal
package import Model
import Synchronization

/// The embedded time-series store: compressed chunks per series in SQLite files per shard and day, with an intake
/// journal in front, so that what was acknowledged survives a power cut.
package final class Historian: MetricSource {
    private let shared: HistorianShared
    private let journal: Journal
    private let shards: [Shard]
    private let intake: Intake
    private let queries: QueryPool
    private let pointsBefore: Int
    private let isReopening = Atomic<Bool>(false)
    private let closing = Mutex(false)

    private init(
        shared: HistorianShared, journal: Journal, shards: [Shard], intake: Intake, queries: QueryPool,
        pointsBefore: Int
    ) {
        self.shared = shared
        self.journal = journal
        self.shards = shards
        self.intake = intake
        self.queries = queries
        self.pointsBefore = pointsBefore
    }

    /// Opens the store and replays what the journal holds beyond the chunks. Blocks a thread of its own, not the
    /// caller. One process at a time: `file.locked` otherwise. `files` is what the journal lies on, `databaseFiles`
    /// what SQLite's default VFS works on: the system's, unless a test puts another beneath both.
    package static func open(
        _ options: HistorianOptions, files: any FileSystem = SystemFiles(),
        databaseFiles: any FileSystem = SystemFiles(), time: any TimeSource = SystemTime()
    ) async throws(Problem) -> Historian {
        let result: Result<Historian, Problem> = await withCheckedContinuation { continuation in
            WorkerThread.start("historian-open") {
                do throws(Problem) {
                    continuation.resume(returning: .success(try openBlocking(options, files, databaseFiles, time)))
                } catch { continuation.resume(returning: .failure(error)) }
            }
        }
        return try result.get()
    }

    private static func openBlocking(
        _ options: HistorianOptions, _ files: any FileSystem, _ databaseFiles: any FileSystem, _ time: any TimeSource
    ) throws(Problem) -> Historian {
        try databaseFiles.createDirectory(options.directory)
        let journal = try Journal.open(
            directory: FilePath.join(options.directory, "journal"), files: files, time: time,
            options: JournalOptions(
                bytesMax: options.journalBytesMax,
                segmentBytes: max(1 << 20, min(32 << 20, options.journalBytesTarget / 8)), onFull: .refuse,
                recordBytesMax: 256 << 20 - 1, pendingBytesMax: 256 << 20))
        let catalogue = try SeriesCatalogue(path: FilePath.join(options.directory, "catalogue.db"))
        let days = try DayIndex(directory: options.directory, files: databaseFiles)
        let shared = HistorianShared(
            options: options, catalogue: catalogue, days: days, files: databaseFiles, time: time)
        var points = 0
        for (day, numbers) in days.all() {
            for shard in numbers { points += try DayFile.points(path: days.path(day, shard)) }
        }
        let reader = try journal.reader("historian")
        let floor = Monitor([Int64](repeating: reader.committed.rawValue, count: options.shards))
        let shards = (0..<options.shards).map { number in
            Shard(number: number, shared: shared, journalEnd: { [weak journal] in journal?.end.rawValue ?? 0 }) {
                shard, position in
                let least = floor.withLock { floor in
                    floor[shard] = max(floor[shard], position)
                    return floor.min() ?? 0
                }
                reader.commit(JournalPosition(rawValue: least))
            }
        }
        for shard in shards { shard.start() }
        let intake = Intake(shared: shared, journal: journal, shards: shards)
        var replay = Replay(shared: shared, journal: journal, reader: reader, intake: intake)
        try replay.run()
        return Historian(
            shared: shared, journal: journal, shards: shards, intake: intake,
            queries: QueryPool(shared: shared, jobsMax: options.queriesMax), pointsBefore: points)
    }

    /// Takes the points in; returns when they are on disk. Throws `historian.busy` (backlog full), `journal.full`,
    /// `journal.failed` or `historian.closed`; then none of them was taken.
    package func append(_ batches: [SampleBatch]) async throws(Problem) {
        let problem = await withCheckedContinuation { continuation in
            append(batches) { continuation.resume(returning: $0) }
        }
        if let problem { throw problem }
    }

    /// The same for the hot path: returns at once. `completion` is called once, with nil when the points are on
    /// disk, on a thread that must not be held up; it may be called before this returns.
    package func append(_ batches: [SampleBatch], completion: @escaping @Sendable (Problem?) -> Void) {
        if batches.isEmpty { return completion(nil) }
        intake.append(batches) { [weak self] problem in
            if problem?.code == "journal.failed" { self?.reopenJournal() }
            completion(problem)
        }
    }

    /// After a failed sync the journal must be recovered before it may be believed again.
    private func reopenJournal() {
        if isReopening.exchange(true, ordering: .sequentiallyConsistent) { return }
        Task {
            do throws(Problem) {
                try await journal.reopen()
                shared.report(.journal, nil)
            } catch { shared.report(.journal, error) }
            isReopening.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// Writes everything that is in memory as chunks, and ends. Idempotent.
    package func close() async {
        let isFirst = closing.withLock { closing in
            defer { closing = true }
            return !closing
        }
        if !isFirst { return }
        intake.close()
        // What could not be written stays in the journal and comes back with the next start.
        try? await checkpoint()
        queries.close()
        for shard in shards {
            shard.inbox.signal { inbox in
                inbox.isClosing = true
                return true
            }
        }
        await journal.close()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            WorkerThread.start("historian-close") { [shards, shared] in
                for shard in shards { shard.inbox.wait(until: { $0.isClosed }) { _ in } }
                shared.catalogue.close()
                continuation.resume()
            }
        }
    }

    // MARK: Queries

    /// Series by name, in order of device, group and tag.
    package func series(
        _ filter: SeriesFilter = SeriesFilter(), limit: Int = 1000, offset: Int = 0
    ) async throws(Problem) -> [SeriesInfo] {
        let catalogue = shared.catalogue
        return try await queries.run { _ throws(Problem) in try catalogue.find(filter, limit: limit, offset: offset) }
    }

    /// How many series the filter matches.
    package func seriesCount(_ filter: SeriesFilter = SeriesFilter()) async throws(Problem) -> Int {
        let catalogue = shared.catalogue
        return try await queries.run { _ throws(Problem) in try catalogue.count(filter) }
    }

    /// All points of the range, in order of time; the first `limit` of them. The newest are included.
    package func range(
        _ series: SeriesID, _ range: TimeRange, limit: Int = 1_000_000
    ) async throws(Problem) -> HistoryColumns {
        let memory = await snapshots(series)
        let catalogue = shared.catalogue
        return try await queries.run { reader throws(Problem) in
            let type = try Self.type(series, catalogue)
            var result = PointBuffer()
            var isCut = false
            try reader.each(series, type, range, memory) { points in
                if result.count == 0 { result = points } else { result.append(points, of: type, as: type) }
                if result.count <= limit { return true }
                result.cut(to: 0..<max(0, limit))
                isCut = true
                return false
            }
            return Self.columns(series, type, result, isCut: isCut)
        }
    }

    /// The range in buckets of `width`, counted from the range's start; at most 1,000,000 buckets
    /// (`historian.too_many_buckets`).
    package func buckets(
        _ series: SeriesID, _ range: TimeRange, width: Duration
    ) async throws(Problem) -> HistoryBuckets {
        let nanoseconds = max(1, width.nanoseconds)
        let (span, overflow) = range.to.nanoseconds.subtractingReportingOverflow(range.from.nanoseconds)
        if overflow || span / nanoseconds > 1_000_000 {
            throw Problem(
                "historian.too_many_buckets",
                "a query may have at most 1,000,000 buckets; ask for wider ones or less time",
                ["max": "1000000"])
        }
        let memory = await snapshots(series)
        let catalogue = shared.catalogue
        return try await queries.run { reader throws(Problem) in
            let type = try Self.type(series, catalogue)
            var builder = BucketBuilder(series, type, from: range.from.nanoseconds, width: nanoseconds)
            try reader.each(series, type, range, memory) { points in
                builder.add(points)
                return true
            }
            builder.finish()
            return builder.buckets
        }
    }

    /// The newest points, at most `count`, oldest first.
    package func last(_ series: SeriesID, count: Int = 1) async throws(Problem) -> HistoryColumns {
        let memory = await snapshots(series)
        let catalogue = shared.catalogue
        return try await queries.run { reader throws(Problem) in
            let type = try Self.type(series, catalogue)
            let all = TimeRange(from: Timestamp(nanoseconds: .min), to: Timestamp(nanoseconds: .max))
            // Most often the newest chunk of the newest day is enough.
            if let day = reader.newestDay, let start = try reader.threshold(series, day, count: count) {
                var newest: [PointBuffer] = []
                let range = TimeRange(from: Timestamp(nanoseconds: start), to: all.to)
                try reader.each(series, type, range, memory) { points in
                    newest.append(points)
                    return true
                }
                if newest.reduce(0, { $0 + $1.count }) >= count { return Self.newest(count, series, type, newest) }
            }
            var days: [PointBuffer] = []
            var found = 0
            try reader.each(series, type, all, memory, newestFirst: true) { points in
                days.append(points)
                found += points.count
                return found < count
            }
            return Self.newest(count, series, type, days.reversed())
        }
    }

    private static func newest(
        _ count: Int, _ series: SeriesID, _ type: ValueType, _ days: some Sequence<PointBuffer>
    ) -> HistoryColumns {
        var result = PointBuffer()
        for points in days { result.append(points, of: type, as: type) }
        result.cut(to: max(0, result.count - max(0, count))..<result.count)
        return columns(series, type, result, isCut: false)
    }

    private static func type(_ series: SeriesID, _ catalogue: SeriesCatalogue) throws(Problem) -> ValueType {
        guard let info = try catalogue.info(series) else {
            throw Problem(
                "historian.unknown_series", "the historian has no series \(series.rawValue)",
                ["series": String(series.rawValue)])
        }
        return info.type
    }

    private static func columns(
        _ series: SeriesID, _ type: ValueType, _ points: PointBuffer, isCut: Bool
    ) -> HistoryColumns {
        var columns = HistoryColumns(series: series, type: type)
        columns.times = points.times
        columns.slots = points.slots
        columns.statuses = points.statuses.contains { $0 != 0 } ? points.statuses : nil
        columns.blob = points.blob
        columns.isCut = isCut
        return columns
    }

    /// What the shards have in memory; after everything that was acknowledged before the call.
    private func snapshots(_ series: SeriesID) async -> [MemorySnapshot] {
        var snapshots: [MemorySnapshot] = []
        for shard in shards {
            if let snapshot = await onShard(shard, { $0.snapshot(series) }) { snapshots.append(snapshot) }
        }
        return snapshots
    }

    /// Nil if the shard has ended.
    private func onShard<R: Sendable>(_ shard: Shard, _ body: @escaping @Sendable (Shard) -> R) async -> R? {
        await withCheckedContinuation { (continuation: CheckedContinuation<R?, Never>) in
            var isClosed = false
            shard.inbox.signal { inbox in
                isClosed = inbox.isClosed || inbox.isClosing
                if !isClosed { inbox.jobs.append { continuation.resume(returning: body($0)) } }
                return !isClosed
            }
            if isClosed { continuation.resume(returning: nil) }
        }
    }

    /// Writes what is in memory as chunks and shortens the journal. For backups and tests. Throws if something
    /// could not be written; it is in the journal then.
    package func checkpoint() async throws(Problem) {
        // An empty append comes back when everything before it is with the shards.
        _ = try await journal.append([])
        for shard in shards { _ = await onShard(shard) { $0.sweep(before: .max) } }
        if let problem = shared.problem { throw problem }
    }

    // MARK: Figures

    package func stats() async -> HistorianStats {
        var stats = HistorianStats()
        let journalStats = journal.stats
        stats.points = pointsBefore + shared.pointsApplied.load(ordering: .relaxed)
        for (day, numbers) in shared.days.all() {
            for shard in numbers {
                for suffix in ["", "-wal"] {
                    stats.bytes += (try? shared.files.size(shared.days.path(day, shard) + suffix)) ?? nil ?? 0
                }
            }
        }
        stats.series = (try? shared.catalogue.count()) ?? 0
        let chunkPoints = shared.chunkPoints.load(ordering: .relaxed)
        stats.bytesPerPoint =
            chunkPoints > 0 ? Double(shared.chunkBytes.load(ordering: .relaxed)) / Double(chunkPoints) : 0
        stats.pointsAccepted = shared.pointsAccepted.load(ordering: .relaxed)
        stats.pointsRefused = shared.pointsRefused.load(ordering: .relaxed)
        stats.pointsLate = shared.pointsLate.load(ordering: .relaxed)
        stats.journalBytes = journalStats.bytesOnDisk
        stats.backlogPoints = shared.backlogPoints.load(ordering: .relaxed)
        stats.writeFailures = shared.writeFailures.load(ordering: .relaxed)
        stats.problem = shared.problem ?? journalStats.failure
        return stats
    }

    package func collect() async -> [MetricSample] {
        let stats = await stats()
        func sample(_ name: String, _ kind: MetricKind, _ help: String, _ value: Int) -> MetricSample {
            MetricSample("tundish_historian_\(name)", kind, help, Double(value))
        }
        return [
            sample("points_accepted_total", .counter, "Points made durable.", stats.pointsAccepted),
            sample(
                "points_refused_total", .counter, "Points refused: backlog or journal full, or failed.",
                stats.pointsRefused),
            sample(
                "points_late_total", .counter, "Points older than what was known of their series.", stats.pointsLate),
            sample(
                "write_failures_total", .counter, "Failed attempts to write chunks; tried again.", stats.writeFailures),
            sample(
                "queries_refused_total", .counter, "Queries refused because too many waited.",
                Int(queries.refused.count)),
            sample("points", .gauge, "Points on disk and in memory.", stats.points),
            sample("bytes", .gauge, "Size of the chunk files.", stats.bytes),
            sample("series", .gauge, "Series known.", stats.series),
            sample("backlog_points", .gauge, "Points accepted that wait for their shard.", stats.backlogPoints),
        ] + journal.stats.metrics(journal: "historian")
    }
}
