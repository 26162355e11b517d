package import Model

/// What the historian knows of one series: whose values they are and of what type.
package struct SeriesInfo: Sendable, Hashable {
    package var id: SeriesID
    package var device: String
    package var deviceUID: String
    package var group: String
    package var tag: String
    package var type: ValueType
    package var unit: String?

    package init(
        id: SeriesID, device: String, deviceUID: String, group: String, tag: String, type: ValueType, unit: String?
    ) {
        self.id = id
        self.device = device
        self.deviceUID = deviceUID
        self.group = group
        self.tag = tag
        self.type = type
        self.unit = unit
    }

    /// `device/group/tag`.
    package var path: String { "\(device)/\(group)/\(tag)" }
}

/// Which series; what is nil matches all. Several devices that had the same name one after another match together.
package struct SeriesFilter: Sendable, Hashable {
    package var device: String?
    package var group: String?
    package var tag: String?
    /// A part of device, group or tag name, case-insensitive.
    package var text: String?

    package init(device: String? = nil, group: String? = nil, tag: String? = nil, text: String? = nil) {
        self.device = device
        self.group = group
        self.tag = tag
        self.text = text
    }
}

/// A span of time: `from` included, `to` not.
package struct TimeRange: Sendable, Hashable {
    package var from: Timestamp
    package var to: Timestamp

    package init(from: Timestamp, to: Timestamp) {
        self.from = from
        self.to = to
    }
}

/// The points of one series in order of time, as columns. Where several points had the same time, the one that came
/// last stands.
package struct HistoryColumns: Sendable {
    package var series: SeriesID
    package var type: ValueType
    /// Nanoseconds since 1970.
    package var times: [Int64] = []
    /// As in a `SampleBatch`: for strings, bytes and arrays offset and length in `blob`.
    package var slots: [UInt64] = []
    /// Nil: all good.
    package var statuses: [UInt32]?
    package var blob: [UInt8] = []
    /// There were more points than the limit.
    package var isCut = false

    package init(series: SeriesID, type: ValueType) {
        self.series = series
        self.type = type
    }

    package var count: Int { times.count }

    package func quality(_ row: Int) -> Quality { Quality(rawValue: statuses?[row] ?? 0) }

    /// The row as a value, whatever its quality.
    package func value(_ row: Int) -> Value {
        guard !type.isInline else { return Value(slot: slots[row], type: type.scalar) }
        let offset = Int(slots[row] >> 32)
        let bytes = blob[offset..<offset + Int(slots[row] & 0xFFFF_FFFF)]
        if type.isArray {
            return .array(
                stride(from: bytes.startIndex, to: bytes.endIndex - 7, by: 8).map { start in
                    var slot: UInt64 = 0
                    for index in 0..<8 { slot |= UInt64(bytes[start + index]) << (8 * UInt64(index)) }
                    return Value(slot: slot, type: type.scalar)
                })
        }
        return type.scalar == .string ? .string(String(decoding: bytes, as: UTF8.self)) : .bytes(Array(bytes))
    }
}

/// Points of one series gathered into spans of equal length. Buckets without points are left out.
package struct HistoryBuckets: Sendable {
    package var series: SeriesID
    package var type: ValueType
    /// Length of a bucket.
    package var widthNanoseconds: Int64
    /// The start of each bucket: the query's start plus a multiple of the width.
    package var times: [Int64] = []
    /// Points with a value, that is, those that are not bad. Minimum, maximum and average are over these; NaN where
    /// there are none, or where the type is neither a number nor a bool (which counts as 0 and 1).
    package var counts: [Int] = []
    package var minima: [Double] = []
    package var maxima: [Double] = []
    package var averages: [Double] = []
    /// Over points with a value; NaN where there are none.
    package var firsts: [Double] = []
    package var lasts: [Double] = []
    /// Points of bad quality, which are in none of the above.
    package var badCounts: [Int] = []
    /// The worst quality in the bucket.
    package var qualities: [UInt32] = []

    package init(series: SeriesID, type: ValueType, widthNanoseconds: Int64) {
        self.series = series
        self.type = type
        self.widthNanoseconds = widthNanoseconds
    }

    package var count: Int { times.count }
}
