package import Model

/// How the historian keeps what it is given.
package struct HistorianOptions: Sendable {
    /// Where everything lies: `journal/`, `catalogue.db`, and one SQLite file per shard and day.
    package var directory: String
    /// Threads that compress and write; a group belongs to one of them. 1 to 64. What is on disk is read whatever
    /// the number was when it was written.
    package var shards: Int
    /// Points accepted but not yet taken in by their shard. More are refused and counted.
    package var backlogPointsMax: Int
    /// Bytes of the intake journal. When it is full, points are refused (and counted) until chunks are written.
    package var journalBytesMax: Int
    /// The journal length after which heads that hold it back are written early, as partial chunks.
    package var journalBytesTarget: Int
    /// Days of data older than this are unlinked; nil keeps all.
    package var retention: Duration?
    /// Queries that wait for one of the two reading threads. More are refused.
    package var queriesMax: Int

    package init(
        directory: String, shards: Int = 2, backlogPointsMax: Int = 2_000_000, journalBytesMax: Int = 2 << 30,
        journalBytesTarget: Int = 256 << 20, retention: Duration? = nil, queriesMax: Int = 256
    ) {
        self.directory = directory
        self.shards = min(max(shards, 1), 64)
        self.backlogPointsMax = backlogPointsMax
        self.journalBytesMax = journalBytesMax
        self.journalBytesTarget = min(journalBytesTarget, journalBytesMax / 2)
        self.retention = retention
        self.queriesMax = queriesMax
    }
}

/// Figures of the store, for the overview and `/metrics`.
package struct HistorianStats: Sendable, Hashable {
    /// Points on disk and in memory.
    package var points: Int = 0
    /// Bytes of the files with chunks, their indexes included; without the journal.
    package var bytes: Int = 0
    package var series: Int = 0
    /// Compressed size of what was written as chunks since the start, per point; 0 before the first chunk.
    package var bytesPerPoint: Double = 0
    /// Since the start.
    package var pointsAccepted: Int = 0
    /// Refused because a bound was reached or the journal failed. Since the start.
    package var pointsRefused: Int = 0
    /// Older than what was known of their series when they came; kept in chunks of their own. Since the start.
    package var pointsLate: Int = 0
    package var journalBytes: Int = 0
    /// Points accepted that their shard has not taken in yet.
    package var backlogPoints: Int = 0
    /// Chunks that could not be written and are tried again.
    package var writeFailures: Int = 0
    /// The last thing that went wrong with writing; nil while all is well.
    package var problem: Problem?

    package init() {}
}
