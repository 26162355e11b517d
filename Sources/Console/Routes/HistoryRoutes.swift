import Formats
import HTTPTypes
import Model

/// What tags were: samples and buckets from the historian.
extension API {
    static let queryTagsMax = 64
    static let queryRowsMax = 100_000
    static let bucketsMax = 10_000

    func historyRoutes() -> [Route] {
        let path = "\(API.base)/query"
        return [
            Route(.post, path, "data", "History of tags, raw or in buckets", answer: "QueryAnswer") { request in
                try await query(QueryReader(body: try request.jsonObject()))
            }.with {
                $0.access = .needs(.read)
                $0.requestBody = RouteBody("Query")
            },
            Route(.get, path, "data", "The same with lists separated by commas", answer: "QueryAnswer") { request in
                try await query(QueryReader(items: request.query))
            }.with {
                $0.access = .needs(.read)
                $0.query = [
                    RouteParameter("tags", "string", "device/group/tag, separated by commas"),
                    RouteParameter("from", "string", "Unix milliseconds or RFC 3339"),
                    RouteParameter("to", "string", "Unix milliseconds or RFC 3339; now by default"),
                    RouteParameter("last", "string", "Instead of from and to: a duration, such as 24h"),
                    RouteParameter("buckets", "integer", "Number of equal parts"),
                    RouteParameter("bucket", "string", "Length of a part, such as 1m"),
                    RouteParameter("aggregates", "string", "min, max, avg, first, last, count; separated by commas"),
                    RouteParameter("limit", "integer", "Rows per tag, 10000 by default"),
                ]
            },
        ]
    }

    private func query(_ reader: QueryReader) async throws -> ConsoleResponse {
        let query = try reader.query(now: options.time.now())
        let answer = try await services.query(query)
        var writer = JSONWriter(capacity: 64 << 10)
        writer.raw("{\"from\":")
        writer.integer(query.from.milliseconds)
        writer.raw(",\"to\":")
        writer.integer(query.to.milliseconds)
        writer.raw(",\"series\":[")
        for (index, series) in answer.series.enumerated() {
            if index > 0 { writer.byte(UInt8(ascii: ",")) }
            writer.series(series)
        }
        writer.raw("]}")
        return .json(writer)
    }
}

/// Reads a query from a body or from a query string: both have the same members.
private struct QueryReader {
    let tags: [String]
    let from: JSONValue?
    let to: JSONValue?
    let last: String?
    let buckets: Int64?
    let bucket: String?
    let aggregates: [String]?
    let limit: Int64?

    init(body: JSONValue) throws(Refusal) {
        tags = try body.optionalTexts("tags", max: API.queryTagsMax) ?? []
        from = body["from"]
        to = body["to"]
        last = try body.optionalText("last", max: 64)
        buckets = try body.optionalInteger("buckets", in: 1...Int64(API.bucketsMax))
        bucket = try body.optionalText("bucket", max: 64)
        aggregates = try body.optionalTexts("aggregates", max: 16)
        limit = try body.optionalInteger("limit", in: 1...Int64(API.queryRowsMax))
    }

    init(items: QueryItems) throws(Refusal) {
        func list(_ name: String) -> [String]? {
            items.text(name).map { $0.split(separator: ",").map { String($0) } }
        }
        tags = list("tags") ?? []
        from = items.text("from").map(Self.time)
        to = items.text("to").map(Self.time)
        last = items.text("last")
        let parts = try items.integer("buckets", in: 0...API.bucketsMax, default: 0)
        buckets = parts == 0 ? nil : Int64(parts)
        bucket = items.text("bucket")
        aggregates = list("aggregates")
        limit = Int64(try items.integer("limit", in: 1...API.queryRowsMax, default: 10_000))
    }

    private static func time(_ text: String) -> JSONValue { Int64(text).map(JSONValue.integer) ?? .string(text) }

    func query(now: Timestamp) throws(Refusal) -> HistoryQuery {
        guard (1...API.queryTagsMax).contains(tags.count) else {
            throw Refusal(
                .unprocessableContent, "query.tags",
                "\"tags\" must name from 1 to \(API.queryTagsMax) tags as device/group/tag",
                ["allowed": "1...\(API.queryTagsMax)"])
        }
        var paths: [TagPath] = []
        for tag in tags {
            guard let path = TagPath(tag) else {
                throw JSONValue.wrong("tags", .string(tag), "a path device/group/tag")
            }
            paths.append(path)
        }
        let (from, to) = try range(now)
        let resolution = try resolution(from, to)
        return HistoryQuery(
            tags: paths, from: from, to: to, resolution: resolution, aggregates: try aggregates(resolution),
            limit: Int(limit ?? 10_000))
    }

    private func range(_ now: Timestamp) throws(Refusal) -> (Timestamp, Timestamp) {
        if let last {
            guard let length = DurationText.read(last) else {
                throw JSONValue.wrong("last", .string(last), "a duration such as 24h")
            }
            return (now.advanced(nanoseconds: -length), now)
        }
        guard let from else {
            throw Refusal(
                .unprocessableContent, "request.missing", "\"from\" is missing; \"last\" would do too", ["name": "from"]
            )
        }
        let start = try instant("from", from)
        let end = if let to { try instant("to", to) } else { now }
        guard start < end else { throw JSONValue.wrong("to", .string(end.description), "after \(start)") }
        return (start, end)
    }

    private func instant(_ name: String, _ value: JSONValue) throws(Refusal) -> Timestamp {
        if let milliseconds = value.integer { return Timestamp(milliseconds: milliseconds) }
        if let number = value.number, number.isFinite, abs(number) < 9e15 {
            return Timestamp(milliseconds: Int64(number))
        }
        if let text = value.string, let time = Timestamp(rfc3339: text) { return time }
        throw JSONValue.wrong(name, value, "Unix milliseconds or an RFC 3339 time")
    }

    private func resolution(_ from: Timestamp, _ to: Timestamp) throws(Refusal) -> HistoryQuery.Resolution {
        if let buckets { return .buckets(Int(buckets)) }
        guard let bucket else { return aggregates == nil ? .raw : .buckets(1) }
        guard let length = DurationText.read(bucket) else {
            throw JSONValue.wrong("bucket", .string(bucket), "a duration such as 1m")
        }
        guard (to.nanoseconds - from.nanoseconds) / length < API.bucketsMax else {
            throw JSONValue.wrong(
                "bucket", .string(bucket), "so long that the range has at most \(API.bucketsMax) parts")
        }
        return .bucket(nanoseconds: length)
    }

    private func aggregates(_ resolution: HistoryQuery.Resolution) throws(Refusal) -> [HistoryQuery.Aggregate] {
        if resolution == .raw { return [] }
        guard let aggregates else { return [.min, .max, .avg] }
        var chosen: [HistoryQuery.Aggregate] = []
        for name in aggregates {
            guard let aggregate = HistoryQuery.Aggregate(rawValue: name) else {
                let known = HistoryQuery.Aggregate.allCases.map(\.rawValue).joined(separator: ", ")
                throw JSONValue.wrong("aggregates", .string(name), "one of \(known)")
            }
            if !chosen.contains(aggregate) { chosen.append(aggregate) }
        }
        return chosen
    }
}

extension JSONWriter {
    fileprivate mutating func series(_ series: HistoryAnswer.Series) {
        raw("{\"tag\":")
        string(series.path.description)
        raw(",\"type\":")
        string(series.type.description)
        raw(",\"unit\":")
        if let unit = series.unit { string(unit) } else { null() }
        raw(",\"columns\":[")
        for (index, column) in series.columns.enumerated() {
            if index > 0 { byte(UInt8(ascii: ",")) }
            string(column)
        }
        raw("],\"truncated\":")
        bool(series.isTruncated)
        raw(",\"rows\":[")
        switch series.rows {
        case .samples(let rows):
            for (index, row) in rows.enumerated() {
                raw(index > 0 ? ",[" : "[" as StaticString)
                integer(row.time.milliseconds)
                byte(UInt8(ascii: ","))
                if let value = row.value { self.value(value) } else { null() }
                byte(UInt8(ascii: ","))
                string(row.code ?? "good")
                byte(UInt8(ascii: "]"))
            }
        case .buckets(let rows):
            for (index, row) in rows.enumerated() {
                raw(index > 0 ? ",[" : "[" as StaticString)
                integer(row.start.milliseconds)
                for value in row.values {
                    byte(UInt8(ascii: ","))
                    if let value { self.value(value) } else { null() }
                }
                byte(UInt8(ascii: "]"))
            }
        }
        raw("]}")
    }
}
