import Model

/// Decides which rows of a cycle are reported when a group reports only changes: those whose status changed or whose
/// value left the deadband around what was reported last.
struct ReportFilter {
    private let deadbands: [Deadband]
    private let heartbeatNanoseconds: Int64?
    private var last: [Reported?]
    private var lastFullAt: Int64?

    private struct Reported {
        var slot: UInt64
        var status: UInt32
        /// Of variable-length types.
        var bytes: [UInt8]
    }

    init(_ tags: [TagConfiguration], heartbeat: Duration?) {
        deadbands = tags.map(\.deadband)
        heartbeatNanoseconds = heartbeat?.nanoseconds
        last = [Reported?](repeating: nil, count: tags.count)
    }

    /// What of the batch is to be published; nil where nothing is. `monotonic` in nanoseconds.
    mutating func report(_ batch: SampleBatch, monotonic: Int64) -> SampleBatch? {
        let isFull =
            lastFullAt.map { last in heartbeatNanoseconds.map { monotonic - last >= $0 } ?? false }
            ?? (batch.tagIndexes == nil)
        var changed: [Int] = []
        for row in 0..<batch.count where isFull || isChanged(batch, row) {
            changed.append(row)
            let inline = batch.descriptor.tags[batch.tagIndex(row)].type.isInline
            last[batch.tagIndex(row)] = Reported(
                slot: batch.slots[row], status: batch.quality(row).rawValue,
                bytes: inline ? [] : Array(batch.blobBytes(row)))
        }
        if isFull { lastFullAt = monotonic }
        if changed.isEmpty { return nil }
        if changed.count == batch.count { return batch }
        let builder = SampleBatchBuilder(sparse: batch.descriptor, timestamp: batch.timestamp, capacity: changed.count)
        for row in changed {
            builder.copy(batch, row: row)
            if batch.sourceTimes != nil { builder.setSourceTime(tag: batch.tagIndex(row), batch.time(row)) }
        }
        return builder.finish()
    }

    private func isChanged(_ batch: SampleBatch, _ row: Int) -> Bool {
        let tag = batch.tagIndex(row)
        guard let old = last[tag] else { return true }
        let quality = batch.quality(row)
        if quality.rawValue != old.status { return true }
        if quality.isBad { return false }
        let type = batch.descriptor.tags[tag].type
        guard type.isInline else { return Array(batch.blobBytes(row)) != old.bytes }
        if batch.slots[row] == old.slot { return false }
        guard type.scalar.isNumber,
            let before = Value(slot: old.slot, type: type.scalar).double,
            let now = Value(slot: batch.slots[row], type: type.scalar).double
        else { return true }
        let deadband = deadbands[tag]
        if deadband == .none { return true }
        return deadband.isExceeded(from: before, to: now)
    }
}
