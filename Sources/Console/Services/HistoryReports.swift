package import Model

/// Names a tag from outside: `device/group/tag`. The tag's name may contain `/`; the others cannot.
package struct TagPath: Sendable, Hashable, CustomStringConvertible {
    package var device: String
    package var group: String
    package var tag: String

    package init(device: String, group: String, tag: String) {
        self.device = device
        self.group = group
        self.tag = tag
    }

    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        self.init(device: String(parts[0]), group: String(parts[1]), tag: String(parts[2]))
    }

    package var description: String { "\(device)/\(group)/\(tag)" }
}

/// `GET|POST /api/v1/query`.
package struct HistoryQuery: Sendable {
    package enum Aggregate: String, Sendable, CaseIterable { case min, max, avg, first, last, count }

    /// How many points come back.
    package enum Resolution: Sendable, Equatable {
        /// Every sample.
        case raw
        /// The range in that many equal parts.
        case buckets(Int)
        /// Parts of that length, aligned to the Unix epoch.
        case bucket(nanoseconds: Int64)
    }

    package var tags: [TagPath]
    /// Inclusive.
    package var from: Timestamp
    /// Exclusive.
    package var to: Timestamp
    package var resolution: Resolution
    /// In the order of the answer's columns; empty for `raw`.
    package var aggregates: [Aggregate]
    /// Rows per series.
    package var limit: Int

    package init(
        tags: [TagPath], from: Timestamp, to: Timestamp, resolution: Resolution = .raw, aggregates: [Aggregate] = [],
        limit: Int = 10_000
    ) {
        self.tags = tags
        self.from = from
        self.to = to
        self.resolution = resolution
        self.aggregates = aggregates
        self.limit = limit
    }
}

package struct HistoryAnswer: Sendable {
    /// One for each tag of the query, in order.
    package var series: [Series]

    package init(series: [Series]) { self.series = series }

    package struct Series: Sendable {
        package var path: TagPath
        package var type: ValueType
        package var unit: String?
        /// `time, value, quality`, or `time` and the aggregates.
        package var columns: [String]
        package var rows: Rows
        /// True: there are more rows than the limit.
        package var isTruncated: Bool

        package init(
            path: TagPath, type: ValueType, unit: String?, columns: [String], rows: Rows, isTruncated: Bool = false
        ) {
            self.path = path
            self.type = type
            self.unit = unit
            self.columns = columns
            self.rows = rows
            self.isTruncated = isTruncated
        }
    }

    package enum Rows: Sendable {
        /// Samples; the code is nil when the quality is good, the value nil when it is bad.
        case samples([(time: Timestamp, value: Value?, code: String?)])
        /// Buckets: the aggregates in the order of the columns; nil for an empty bucket.
        case buckets([(start: Timestamp, values: [Value?])])
    }
}

/// One point of `POST /api/v1/points`.
package struct RecordedPoint: Sendable {
    package var path: TagPath
    /// Nil: when the request came.
    package var time: Timestamp?
    package var value: Value

    package init(path: TagPath, time: Timestamp?, value: Value) {
        self.path = path
        self.time = time
        self.value = value
    }
}
