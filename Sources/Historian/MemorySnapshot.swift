import Model

/// What a shard has in memory of one series at one moment.
struct MemorySnapshot: Sendable {
    /// Chunks made later than this one hold nothing that is not in the snapshot, or points that came afterwards.
    var newestChunkID: Int64 = .max
    /// Their versions in the files are passed over.
    var chunks: [StoredChunk] = []
    /// Points that are in no chunk yet, in the order in which they came.
    var loose: [(type: ValueType, points: PointBuffer)] = []
}

/// A chunk's bytes on their way to a reader.
struct StoredChunk: Sendable {
    var id: Int64
    var day: Day
    var bytes: [UInt8]
}

extension Shard {
    /// Runs on the shard's thread.
    func snapshot(_ series: SeriesID) -> MemorySnapshot {
        var snapshot = MemorySnapshot(newestChunkID: shared.newestChunkID())
        for chunk in sealed where chunk.row.series == series {
            snapshot.chunks.append(StoredChunk(id: chunk.row.id, day: chunk.day, bytes: chunk.row.bytes))
        }
        for (key, points) in late where key.series == series { snapshot.loose.append((points.type, points.points)) }
        guard let place = index[series] else { return snapshot }
        let tag = Int(place.tag)
        let head = place.group.heads[tag]
        if !head.isEmpty {
            snapshot.chunks.append(StoredChunk(id: head.id, day: day(of: head.start), bytes: Array(head.bytes)))
        }
        let type = place.group.layout.descriptor.tags[tag].type
        var points = PointBuffer()
        for entry in place.group.raw {
            if let tagIndexes = entry.batch.tagIndexes {
                for row in tagIndexes.indices where tagIndexes[row] == UInt32(tag) {
                    points.append(entry.batch, row, type)
                }
            } else if tag < entry.batch.count {
                points.append(entry.batch, tag, type)
            }
        }
        if points.count > 0 { snapshot.loose.append((type, points)) }
        return snapshot
    }
}

extension PointBuffer {
    mutating func append(_ batch: SampleBatch, _ row: Int, _ type: ValueType) {
        var slot = batch.slots[row]
        if !type.isInline {
            let bytes = batch.blobBytes(row)
            slot = UInt64(blob.count) << 32 | UInt64(bytes.count)
            blob.append(contentsOf: bytes)
        }
        append(time: batch.time(row).nanoseconds, slot: slot, status: batch.quality(row).rawValue)
    }

    /// Appends points of `type` as points of `wanted`: a tag's type may have changed since. What cannot be said in
    /// the new type becomes a bad row.
    mutating func append(_ other: PointBuffer, of type: ValueType, as wanted: ValueType) {
        let offset = UInt64(blob.count) << 32
        if !wanted.isInline, type == wanted { blob.append(contentsOf: other.blob) }
        for row in 0..<other.count {
            if type == wanted {
                append(
                    time: other.times[row], slot: wanted.isInline ? other.slots[row] : other.slots[row] &+ offset,
                    status: other.status(row))
                continue
            }
            var columns = HistoryColumns(series: SeriesID(rawValue: 0), type: type)
            columns.slots = [other.slots[row]]
            columns.times = [0]
            columns.blob = type.isInline ? [] : other.blob
            if type.isInline, let slot = (try? columns.value(0).converted(to: wanted))?.slot {
                append(time: other.times[row], slot: slot, status: other.status(row))
            } else {
                let status =
                    Quality(rawValue: other.status(row)).isBad ? other.status(row) : Quality.badTypeMismatch.rawValue
                append(time: other.times[row], slot: wanted.isInline ? 0 : UInt64(blob.count) << 32, status: status)
            }
        }
    }
}
