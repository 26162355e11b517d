import Catalogue
import Console
import Historian
import Model

/// The console's questions about history, asked of the historian.
struct HistoryService: Sendable {
    /// A query for more tags than this is refused.
    static let tagsMax = 100
    static let rowsMax = 1_000_000

    let historian: Historian

    func answer(_ query: Console.HistoryQuery) async throws(Problem) -> HistoryAnswer {
        guard query.tags.count <= Self.tagsMax else {
            throw Problem("query.invalid", "at most \(Self.tagsMax) tags in one query; seen \(query.tags.count)")
        }
        var series: [HistoryAnswer.Series] = []
        for path in query.tags { series.append(try await answer(query, path)) }
        return HistoryAnswer(series: series)
    }

    private func answer(
        _ query: Console.HistoryQuery, _ path: TagPath
    ) async throws(Problem) -> HistoryAnswer.Series {
        let filter = SeriesFilter(device: path.device, group: path.group, tag: path.tag)
        // Devices that had the name one after another have a series each.
        let found = try await historian.series(filter, limit: 16)
        guard let newest = found.last else {
            throw Problem(
                "tag.unknown", "nothing is recorded of tag \"\(path)\"", ["tag": path.description])
        }
        switch query.resolution {
        case .raw: return try await samples(query, path, found, newest)
        case .buckets(let count):
            let span = max(1, query.to.nanoseconds - query.from.nanoseconds)
            return try await buckets(
                query, path, newest, from: query.from, width: max(1, (span + Int64(count) - 1) / Int64(max(1, count))))
        case .bucket(let width):
            let start = query.from.nanoseconds
            let aligned = start - ((start % width) + width) % width
            return try await buckets(query, path, newest, from: Timestamp(nanoseconds: aligned), width: width)
        }
    }

    private func samples(
        _ query: Console.HistoryQuery, _ path: TagPath, _ found: [SeriesInfo], _ newest: SeriesInfo
    ) async throws(Problem) -> HistoryAnswer.Series {
        let limit = min(query.limit, Self.rowsMax)
        var rows: [(time: Timestamp, value: Value?, code: String?)] = []
        var isCut = false
        for info in found {
            let columns = try await historian.range(info.id, TimeRange(from: query.from, to: query.to), limit: limit)
            isCut = isCut || columns.isCut
            rows.reserveCapacity(rows.count + columns.count)
            for row in 0..<columns.count {
                let quality = columns.quality(row)
                rows.append(
                    (
                        Timestamp(nanoseconds: columns.times[row]), quality.isBad ? nil : columns.value(row),
                        quality.isGood ? nil : quality.name(in: StatusDomains.all).code
                    ))
            }
        }
        if found.count > 1 { rows.sort { $0.time < $1.time } }
        if rows.count > limit {
            rows.removeLast(rows.count - limit)
            isCut = true
        }
        return HistoryAnswer.Series(
            path: path, type: newest.type, unit: newest.unit, columns: ["time", "value", "quality"],
            rows: .samples(rows), isTruncated: isCut)
    }

    private func buckets(
        _ query: Console.HistoryQuery, _ path: TagPath, _ info: SeriesInfo, from: Timestamp, width: Int64
    ) async throws(Problem) -> HistoryAnswer.Series {
        let span = query.to.nanoseconds - from.nanoseconds
        guard span / width < Int64(Self.rowsMax) else {
            throw Problem("query.invalid", "at most \(Self.rowsMax) buckets; the range has \(span / width)")
        }
        let found = try await historian.buckets(
            info.id, TimeRange(from: from, to: query.to), width: .nanoseconds(width))
        let limit = min(query.limit, Self.rowsMax)
        let rows = (0..<min(found.count, limit)).map { row in
            (
                start: Timestamp(nanoseconds: found.times[row]),
                values: query.aggregates.map { value(of: $0, found, row) }
            )
        }
        return HistoryAnswer.Series(
            path: path, type: info.type, unit: info.unit, columns: ["time"] + query.aggregates.map(\.rawValue),
            rows: .buckets(rows), isTruncated: found.count > limit)
    }

    private func value(
        of aggregate: Console.HistoryQuery.Aggregate, _ buckets: HistoryBuckets, _ row: Int
    ) -> Value? {
        let number: Double
        switch aggregate {
        case .count: return .int(Int64(buckets.counts[row]))
        case .min: number = buckets.minima[row]
        case .max: number = buckets.maxima[row]
        case .avg: number = buckets.averages[row]
        case .first: number = buckets.firsts[row]
        case .last: number = buckets.lasts[row]
        }
        return number.isNaN ? nil : .float64(number)
    }
}
