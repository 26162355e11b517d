import Journal
import Model

/// Reads chunks from the day files. One per reading thread; keeps connections open.
final class HistoryReader {
    private static let connectionsMax = 16
    private let shared: HistorianShared
    private var connections: [(path: String, connection: SQLiteConnection)] = []

    init(shared: HistorianShared) { self.shared = shared }

    /// The series' points in the range, day by day, each day in order. `body` returns false to stop.
    func each(
        _ series: SeriesID, _ type: ValueType, _ range: TimeRange, _ memory: [MemorySnapshot],
        newestFirst: Bool = false,
        _ body: (PointBuffer) -> Bool
    ) throws(Problem) {
        let from = range.from.nanoseconds
        let to = range.to.nanoseconds
        if from >= to { return }
        let loose = split(memory, type)
        let chunks = memory.flatMap(\.chunks)
        let newest = memory.map(\.newestChunkID).min() ?? .max
        var days = Set(loose.keys)
        for chunk in chunks { days.insert(chunk.day) }
        for (day, _) in shared.days.all() { days.insert(day) }
        let wanted = days.filter { $0 >= day(of: from) && $0 <= day(of: to &- 1) }.sorted()
        for day in newestFirst ? wanted.reversed() : wanted {
            var found = chunks.filter { $0.day == day }
            let inMemory = Set(found.map(\.id))
            for shard in shared.days.shards(of: day) {
                try read(day, shard, series, from, to, into: &found) { $0 <= newest && !inMemory.contains($0) }
            }
            // In order of arrival, because of points with the same time the last one stands: ids grow, and what is
            // in no chunk yet is the newest.
            found.sort { $0.id < $1.id }
            var points = PointBuffer()
            for chunk in found { try decode(chunk, series, type, into: &points) }
            if let more = loose[day] { points.append(more, of: type, as: type) }
            if points.count == 0 { continue }
            points = MergedPoints.sorted(points)
            points.cut(to: points.rows(from: from, to: to))
            if points.count > 0, !body(points) { return }
        }
    }

    var newestDay: Day? { shared.days.all().last?.day }

    /// A time of the day from which on the files have at least `count` points of the series, in whole chunks; nil if
    /// they have fewer.
    func threshold(_ series: SeriesID, _ day: Day, count: Int) throws(Problem) -> Int64? {
        var found = 0
        var start: Int64?
        for shard in shared.days.shards(of: day) {
            guard let connection = try connection(shared.days.path(day, shard)) else { continue }
            try connection.run("SELECT start, count FROM chunk WHERE series=? ORDER BY start DESC") { row in
                row.bind(1, Int64(bitPattern: series.rawValue))
            } row: { row in
                found += Int(row.integer(1))
                start = min(start ?? .max, row.integer(0))
                return found < count
            }
        }
        return found < count ? nil : start
    }

    private func read(
        _ day: Day, _ shard: Int, _ series: SeriesID, _ from: Int64, _ to: Int64, into found: inout [StoredChunk],
        isWanted: (Int64) -> Bool
    ) throws(Problem) {
        guard let connection = try connection(shared.days.path(day, shard)) else { return }
        var chunks: [StoredChunk] = []
        try connection.run("SELECT id, data FROM chunk WHERE series=? AND start<? AND finish>=?") { row in
            row.bind(1, Int64(bitPattern: series.rawValue))
            row.bind(2, to)
            row.bind(3, from)
        } row: { row in
            if isWanted(row.integer(0)) {
                chunks.append(StoredChunk(id: row.integer(0), day: day, bytes: Array(row.blob(1))))
            }
            return true
        }
        found += chunks
    }

    /// Appends the chunk's points, as `type`.
    private func decode(
        _ chunk: StoredChunk, _ series: SeriesID, _ type: ValueType, into points: inout PointBuffer
    ) throws(Problem) {
        var result = points
        points = PointBuffer()
        let isSound = chunk.bytes.withUnsafeBytes { bytes in
            do throws(ChunkDamage) {
                let chunkType = try ChunkReader.type(bytes)
                if chunkType == type {
                    try ChunkReader.read(bytes, into: &result)
                } else {
                    var other = PointBuffer()
                    try ChunkReader.read(bytes, into: &other)
                    result.append(other, of: chunkType, as: type)
                }
                return true
            } catch { return false }
        }
        points = result
        if !isSound {
            throw Problem(
                "historian.damaged", "chunk \(chunk.id) of series \(series.rawValue) is damaged",
                ["chunk": String(chunk.id), "series": String(series.rawValue)])
        }
    }

    /// Points that are in no chunk yet, by day.
    private func split(_ memory: [MemorySnapshot], _ type: ValueType) -> [Day: PointBuffer] {
        var all = PointBuffer()
        for snapshot in memory {
            for (looseType, points) in snapshot.loose { all.append(points, of: looseType, as: type) }
        }
        var days: [Day: PointBuffer] = [:]
        var start = 0
        while start < all.count {
            let today = day(of: all.times[start])
            var end = start + 1
            while end < all.count, day(of: all.times[end]) == today { end += 1 }
            var part = all
            part.cut(to: start..<end)
            if days[today] == nil { days[today] = part } else { days[today]?.append(part, of: type, as: type) }
            start = end
        }
        return days
    }

    /// Nil if the file is gone: retention has removed it.
    private func connection(_ path: String) throws(Problem) -> SQLiteConnection? {
        if let at = connections.firstIndex(where: { $0.path == path }) {
            let entry = connections.remove(at: at)
            connections.append(entry)
            return entry.connection
        }
        guard try shared.files.size(path) != nil else { return nil }
        if connections.count >= Self.connectionsMax { connections.removeFirst().connection.close() }
        let connection = try SQLiteConnection(path, isReadOnly: true)
        connections.append((path, connection))
        return connection
    }

    /// Lets go of files that retention has unlinked, and of all when the store closes.
    func forget(keeping isThere: (String) -> Bool) {
        connections.removeAll { entry in
            if isThere(entry.path) { return false }
            entry.connection.close()
            return true
        }
    }
}

/// Gathers points into buckets.
struct BucketBuilder {
    private(set) var buckets: HistoryBuckets
    private let from: Int64
    private let width: Int64
    private let type: ValueType
    private var bucket = Int64.min
    private var sum = 0.0

    init(_ series: SeriesID, _ type: ValueType, from: Int64, width: Int64) {
        buckets = HistoryBuckets(series: series, type: type, widthNanoseconds: width)
        self.from = from
        self.width = width
        self.type = type
    }

    mutating func add(_ points: PointBuffer) {
        let isNumber = type.isInline && (type.scalar.isNumber || type.scalar == .bool)
        var nextStart = Int64.min
        for row in 0..<points.count {
            let time = points.times[row]
            if bucket == .min || time >= nextStart {
                let number = (time - from) / width
                if number != bucket {
                    finish()
                    bucket = number
                    open(from + number * width)
                }
                nextStart = (from + number * width).addingReportingOverflow(width).partialValue
                if nextStart < from { nextStart = .max }
            }
            let status = points.status(row)
            let last = buckets.times.count - 1
            if Self.isWorse(status, than: buckets.qualities[last]) { buckets.qualities[last] = status }
            if status >> 31 == 1 {
                buckets.badCounts[last] += 1
                continue
            }
            buckets.counts[last] += 1
            if isNumber { add(Self.double(points.slots[row], type.scalar), to: last) }
        }
    }

    private mutating func add(_ value: Double, to last: Int) {
        if buckets.counts[last] == 1 {
            buckets.firsts[last] = value
            buckets.minima[last] = value
            buckets.maxima[last] = value
        }
        buckets.lasts[last] = value
        if value < buckets.minima[last] { buckets.minima[last] = value }
        if value > buckets.maxima[last] { buckets.maxima[last] = value }
        sum += value
    }

    private mutating func open(_ time: Int64) {
        buckets.times.append(time)
        buckets.counts.append(0)
        buckets.badCounts.append(0)
        buckets.minima.append(.nan)
        buckets.maxima.append(.nan)
        buckets.averages.append(.nan)
        buckets.firsts.append(.nan)
        buckets.lasts.append(.nan)
        buckets.qualities.append(0)
        sum = 0
    }

    mutating func finish() {
        guard let last = buckets.times.indices.last, bucket != .min else { return }
        if buckets.counts[last] > 0, !buckets.minima[last].isNaN || sum != 0 {
            buckets.averages[last] = sum / Double(buckets.counts[last])
        }
    }

    private static func isWorse(_ a: UInt32, than b: UInt32) -> Bool { a >> 30 > b >> 30 }

    @inline(__always)
    static func double(_ slot: UInt64, _ scalar: ScalarType) -> Double {
        switch scalar {
        case .float64: Double(bitPattern: slot)
        case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: slot)))
        case .uint8, .uint16, .uint32, .uint64, .bool: Double(slot)
        default: Double(Int64(bitPattern: slot))
        }
    }
}
