package import Journal
package import Model

/// The embedded time-series store: compressed chunks per series in SQLite files per shard and day, with an intake
/// journal in front, so that what was acknowledged survives a power cut.
package final class Historian: MetricSource {
    private init() {}

    /// Opens the store and replays what the journal holds beyond the chunks. Blocks a thread of its own, not the
    /// caller. One process at a time: `file.locked` otherwise.
    package static func open(
        _ options: HistorianOptions, files: any FileSystem = SystemFiles(), time: any TimeSource = SystemTime()
    ) async throws(Problem) -> Historian {
        throw Problem("historian.missing", "not there yet")
    }

    /// Takes the points in; returns when they are on disk. Throws `historian.busy` (backlog full), `journal.full`,
    /// `journal.failed` or `historian.closed`; then none of them was taken.
    package func append(_ batches: [SampleBatch]) async throws(Problem) {}

    /// The same for the hot path: returns at once. `completion` is called once, with nil when the points are on
    /// disk, on a thread that must not be held up; it may be called before this returns.
    package func append(_ batches: [SampleBatch], completion: @escaping @Sendable (Problem?) -> Void) {}

    /// Writes everything that is in memory as chunks, and ends. Idempotent.
    package func close() async {}

    /// Series by name, in order of device, group and tag.
    package func series(
        _ filter: SeriesFilter = SeriesFilter(), limit: Int = 1000, offset: Int = 0
    ) async throws(Problem) -> [SeriesInfo] { [] }

    /// How many series the filter matches.
    package func seriesCount(_ filter: SeriesFilter = SeriesFilter()) async throws(Problem) -> Int { 0 }

    /// All points of the range, in order of time; the first `limit` of them. The newest are included.
    package func range(
        _ series: SeriesID, _ range: TimeRange, limit: Int = 1_000_000
    ) async throws(Problem) -> HistoryColumns { HistoryColumns(series: series, type: ValueType(.bool)) }

    /// The range in buckets of `width`, counted from the range's start; at most 1,000,000 buckets.
    package func buckets(
        _ series: SeriesID, _ range: TimeRange, width: Duration
    ) async throws(Problem) -> HistoryBuckets {
        HistoryBuckets(series: series, type: ValueType(.bool), widthNanoseconds: 1)
    }

    /// The newest points, at most `count`, oldest first.
    package func last(_ series: SeriesID, count: Int = 1) async throws(Problem) -> HistoryColumns {
        HistoryColumns(series: series, type: ValueType(.bool))
    }

    /// Writes what is in memory as chunks and shortens the journal. For backups and tests.
    package func checkpoint() async throws(Problem) {}

    package func stats() async -> HistorianStats { HistorianStats() }

    package func collect() async -> [MetricSample] { [] }
}
