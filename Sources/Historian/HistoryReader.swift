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
        _ series: SeriesID, _ type: ValueType, _ range: TimeRange, _ memory: [MemorySnapshot], newestFirst: Bool = false,
        _ body: (PointBuffer) -> Bool
    ) throws(Problem) {
        let from = range.from.nanoseconds
        let to = range.to.nanoseconds
        if from >= to { return }
        let inMemory = try decode(memory, series, type)
        var days = Set(inMemory.keys)
        for (day, _) in shared.days.all() { days.insert(day) }
        let wanted = days.filter { $0 >= day(of: from) && $0 <= day(of: to &- 1) }.sorted()
        for day in newestFirst ? wanted.reversed() : wanted {
            var points = PointBuffer()
            let newest = memory.map(\.newestChunkID).min() ?? .max
            let skipped = memory.reduce(into: Set<Int64>()) { $0.formUnion($1.ids) }
            for shard in shared.days.shards(of: day) {
                try read(day, shard, series, type, from, to, newest, skipped, into: &points)
            }
            if let more = inMemory[day] { points.append(more, of: type, as: type) }
            if points.count == 0 { continue }
            points = MergedPoints.sorted(points)
            points.cut(to: points.rows(from: from, to: to))
            if points.count > 0, !body(points) { return }
        }
    }

    private func read(
        _ day: Day, _ shard: Int, _ series: SeriesID, _ type: ValueType, _ from: Int64, _ to: Int64, _ newest: Int64,
        _ skipped: Set<Int64>, into points: inout PointBuffer
    ) throws(Problem) {
        guard let connection = try connection(shared.days.path(day, shard)) else { return }
        var damage = false
        var found = points
        points = PointBuffer()
        // In order of arrival: ids grow. The plus keeps SQLite from walking the whole table in that order.
        try connection.run(
            "SELECT id, data FROM chunk WHERE series=? AND start<? AND finish>=? ORDER BY +id"
        ) { row in
            row.bind(1, Int64(bitPattern: series.rawValue))
            row.bind(2, to)
            row.bind(3, from)
        } row: { row in
            let id = row.integer(0)
            if id > newest || skipped.contains(id) { return true }
            do throws(ChunkDamage) {
                let chunkType = try ChunkReader.type(row.blob(1))
                if chunkType == type {
                    try ChunkReader.read(row.blob(1), into: &found)
                } else {
                    var other = PointBuffer()
                    try ChunkReader.read(row.blob(1), into: &other)
                    found.append(other, of: chunkType, as: type)
                }
            } catch { damage = true }
            return true
        }
        points = found
        if damage {
            throw Problem(
                "historian.damaged", "\(shared.days.path(day, shard)): a chunk of series \(series.rawValue) is damaged",
                ["path": shared.days.path(day, shard), "series": String(series.rawValue)])
        }
    }

    private func decode(
        _ memory: [MemorySnapshot], _ series: SeriesID, _ type: ValueType
    ) throws(Problem) -> [Day: PointBuffer] {
        var all = PointBuffer()
        do throws(ChunkDamage) {
            for snapshot in memory {
                for chunk in snapshot.chunks {
                    var points = PointBuffer()
                    let result: Result<ValueType, ChunkDamage> = chunk.withUnsafeBytes { bytes in
                        do throws(ChunkDamage) {
                            try ChunkReader.read(bytes, into: &points)
                            return .success(try ChunkReader.type(bytes))
                        } catch { return .failure(error) }
                    }
                    all.append(points, of: try result.get(), as: type)
                }
                for (looseType, points) in snapshot.loose { all.append(points, of: looseType, as: type) }
            }
        } catch {
            throw Problem(
                "historian.damaged", "the newest points of series \(series.rawValue) cannot be read",
                ["series": String(series.rawValue)])
        }
        var days: [Day: PointBuffer] = [:]
        var start = 0
        while start < all.count {
            let today = day(of: all.times[start])
            var end = start + 1
            while end < all.count, day(of: all.times[end]) == today { end += 1 }
            var part = PointBuffer()
            part.times = Array(all.times[start..<end])
            part.slots = Array(all.slots[start..<end])
            if !all.statuses.isEmpty { part.statuses = Array(all.statuses[start..<end]) }
            part.blob = all.blob
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
