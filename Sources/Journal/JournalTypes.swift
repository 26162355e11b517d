package import Model

/// A place in a journal: the number of bytes of records, with their framing, that were ever appended before it.
/// Grows for ever, across segments and restarts.
@frozen
package struct JournalPosition: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (a: JournalPosition, b: JournalPosition) -> Bool { a.rawValue < b.rawValue }
    package static let zero = JournalPosition(rawValue: 0)
}

/// What happens to an append that would make the journal longer than `bytesMax`.
package enum JournalFullPolicy: String, Sendable, CaseIterable {
    /// The append fails with `journal.full`.
    case refuse
    /// The oldest segments go, read or not; what was not read is counted.
    case dropOldest
}

package struct JournalOptions: Sendable {
    /// Bound on the files' total size. One group of appends may exceed it under `dropOldest`.
    package var bytesMax: Int
    /// A segment is closed when it is at least this long. At most a quarter of `bytesMax`.
    package var segmentBytes: Int
    package var onFull: JournalFullPolicy
    /// Bound on one record, without its 8 bytes of framing.
    package var recordBytesMax: Int
    /// Bound on what waits in memory for the writer. More is refused with `journal.busy`, whatever the policy.
    package var pendingBytesMax: Int
    /// After any refusal nothing more is accepted until `reopen`, so that no later append overtakes one that was
    /// refused and comes again.
    package var stopsOnRefusal: Bool

    package init(
        bytesMax: Int = 1 << 30, segmentBytes: Int = 32 << 20, onFull: JournalFullPolicy = .refuse,
        recordBytesMax: Int = 16 << 20, pendingBytesMax: Int = 64 << 20, stopsOnRefusal: Bool = false
    ) {
        self.stopsOnRefusal = stopsOnRefusal
        self.bytesMax = max(bytesMax, 4096)
        self.segmentBytes = max(1024, min(segmentBytes, self.bytesMax / 4))
        self.onFull = onFull
        self.recordBytesMax = min(recordBytesMax, JournalFormat.payloadBytesMax)
        self.pendingBytesMax = pendingBytesMax
    }
}

/// One record as it was appended.
package struct JournalRecord: Sendable {
    /// What a record takes beside its bytes.
    package static let overheadBytes = JournalFormat.frameBytes

    package var position: JournalPosition
    package var bytes: Bytes
}

/// What one read found.
package struct JournalRead: Sendable {
    package var records: [JournalRecord] = []
    /// Where to read on; what to commit once all of `records` are dealt with.
    package var next: JournalPosition
    /// Bytes that were skipped because they were dropped (`onFull: dropOldest`) before they were read.
    package var droppedBytes: Int = 0
    /// Bytes that were skipped because the medium has damaged them.
    package var damagedBytes: Int = 0

    package init(next: JournalPosition) { self.next = next }
}

/// Where a reader that is new to the journal begins.
package enum JournalStart: Sendable {
    case oldest
    case newest
}

/// What a journal has done since it was opened, and how long it is.
package struct JournalStats: Sendable, Hashable {
    package var recordsAppended: UInt64 = 0
    package var bytesAppended: UInt64 = 0
    /// Groups made durable: each is one write and one sync, however many appends it carries.
    package var groupsSynced: UInt64 = 0
    package var syncNanoseconds: UInt64 = 0
    /// Records refused because of a bound, a full disk or a failure.
    package var recordsRefused: UInt64 = 0
    /// Records dropped unread under `dropOldest`.
    package var recordsDropped: UInt64 = 0
    /// Bytes cut off by recovery: the torn end that a crash leaves, never acknowledged.
    package var bytesTorn: UInt64 = 0
    /// Bytes that were durable once and are damaged or gone. Never 0 without a failing medium or a foreign hand.
    package var bytesDamaged: UInt64 = 0
    package var bytesOnDisk: Int = 0
    package var bytesPending: Int = 0
    package var failure: Problem?
    /// Something that cost no record, such as a segment that could not be removed.
    package var lastWarning: Problem?

    package init() {}

    /// Readings for `/metrics`, with a label that tells this journal from the others.
    package func metrics(journal: String) -> [MetricSample] {
        let labels = ["journal": journal]
        func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricSample {
            MetricSample("tundish_journal_\(name)", .counter, help, labels: labels, Double(value))
        }
        return [
            counter("records_appended_total", "Records made durable.", recordsAppended),
            counter("bytes_appended_total", "Bytes made durable, framing included.", bytesAppended),
            counter("syncs_total", "Groups made durable, one sync each.", groupsSynced),
            MetricSample(
                "tundish_journal_sync_seconds_total", .counter, "Time spent in syncs.", labels: labels,
                Double(syncNanoseconds) / 1e9),
            counter("records_refused_total", "Records refused: a bound, a full disk, a failure.", recordsRefused),
            counter("records_dropped_total", "Records dropped unread because the journal was full.", recordsDropped),
            counter("bytes_torn_total", "Bytes cut off after a crash; never acknowledged.", bytesTorn),
            counter("bytes_damaged_total", "Bytes lost to the medium.", bytesDamaged),
            MetricSample(
                "tundish_journal_bytes", .gauge, "Size of the journal's files.", labels: labels, Double(bytesOnDisk)),
            MetricSample(
                "tundish_journal_failed", .gauge, "1 after a failed sync, until reopened.", labels: labels,
                failure == nil ? 0 : 1),
        ]
    }
}
