import Model

/// Turns a group's batches into columns per tag: the step from rows to time series. One per shard; scratch space is
/// reused.
final class Drain {
    /// Tags transposed at once; 128 columns of 32 rows stay in the nearest cache.
    private static let tileTags = 128
    private var times: [Int64] = []
    private var slots: [UInt64] = []
    private var statuses: [UInt32] = []
    private var offsets: [Int] = []
    private var rows: [(entry: Int32, row: Int32)] = []

    /// Calls `body` once for each tag that has rows, in the order in which they came. `blob` gives the bytes of a row
    /// of a variable-length tag.
    func run(
        _ group: GroupHead, _ body: (_ tag: Int, _ points: PointColumns, _ blob: (Int) -> [UInt8]) -> Void
    ) {
        if group.isUniform { uniform(group, body) } else { general(group, body) }
    }

    private func uniform(
        _ group: GroupHead, _ body: (_ tag: Int, _ points: PointColumns, _ blob: (Int) -> [UInt8]) -> Void
    ) {
        let raw = group.raw
        let count = raw.count
        let tags = group.heads.count
        times.removeAll(keepingCapacity: true)
        for entry in raw { times.append(entry.batch.timestamp.nanoseconds) }
        let hasStatuses = raw.contains { $0.batch.statuses != nil }
        let size = Self.tileTags * count
        if slots.count < size { slots = [UInt64](repeating: 0, count: size) }
        if statuses.count < size { statuses = [UInt32](repeating: 0, count: size) }
        var tile = 0
        while tile < tags {
            let width = min(Self.tileTags, tags - tile)
            for (row, entry) in raw.enumerated() {
                entry.batch.slots.withUnsafeBufferPointer { source in
                    slots.withUnsafeMutableBufferPointer { target in
                        for tag in 0..<width { target[tag * count + row] = source[tile + tag] }
                    }
                }
                guard hasStatuses else { continue }
                for tag in 0..<width { statuses[tag * count + row] = entry.batch.statuses?[tile + tag] ?? 0 }
            }
            times.withUnsafeBufferPointer { times in
                slots.withUnsafeBufferPointer { slots in
                    statuses.withUnsafeBufferPointer { statuses in
                        guard let times = times.baseAddress, let slots = slots.baseAddress,
                            let statuses = statuses.baseAddress
                        else { return }
                        for tag in 0..<width {
                            let columns = PointColumns(
                                times: times, slots: slots + tag * count,
                                statuses: hasStatuses ? statuses + tag * count : nil, count: count)
                            body(tile + tag, columns) { Array(raw[$0].batch.blobBytes(tile + tag)) }
                        }
                    }
                }
            }
            tile += width
        }
    }

    /// Batches with some of the tags, several rows of a tag, or times of their own: sorted by tag first.
    private func general(
        _ group: GroupHead, _ body: (_ tag: Int, _ points: PointColumns, _ blob: (Int) -> [UInt8]) -> Void
    ) {
        let raw = group.raw
        let tags = group.heads.count
        offsets = [Int](repeating: 0, count: tags + 1)
        for entry in raw { for row in 0..<entry.batch.count { offsets[entry.batch.tagIndex(row) + 1] += 1 } }
        for tag in 0..<tags { offsets[tag + 1] += offsets[tag] }
        let total = offsets[tags]
        times = [Int64](repeating: 0, count: total)
        if slots.count < total { slots = [UInt64](repeating: 0, count: total) }
        if statuses.count < total { statuses = [UInt32](repeating: 0, count: total) }
        rows = [(Int32, Int32)](repeating: (0, 0), count: total)
        for (index, entry) in raw.enumerated() {
            let batch = entry.batch
            for row in 0..<batch.count {
                let tag = batch.tagIndex(row)
                let at = offsets[tag]
                offsets[tag] += 1
                times[at] = batch.time(row).nanoseconds
                slots[at] = batch.slots[row]
                statuses[at] = batch.quality(row).rawValue
                rows[at] = (Int32(index), Int32(row))
            }
        }
        times.withUnsafeBufferPointer { times in
            slots.withUnsafeBufferPointer { slots in
                statuses.withUnsafeBufferPointer { statuses in
                    guard let times = times.baseAddress, let slots = slots.baseAddress,
                        let statuses = statuses.baseAddress
                    else { return }
                    var start = 0
                    for tag in 0..<tags {
                        let end = offsets[tag]
                        defer { start = end }
                        if end == start { continue }
                        let from = start
                        let columns = PointColumns(
                            times: times + from, slots: slots + from, statuses: statuses + from, count: end - from)
                        body(tag, columns) { index in
                            let (entry, row) = rows[from + index]
                            return Array(raw[Int(entry)].batch.blobBytes(Int(row)))
                        }
                    }
                }
            }
        }
    }
}
