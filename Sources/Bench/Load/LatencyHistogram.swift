/// Counts of durations in buckets that are at most 1/32 of their value wide: 32 to every power of two.
struct LatencyHistogram {
    private static let bits = 5
    private static let perPower = 1 << bits
    private var counts = [Int](repeating: 0, count: (64 - bits) << bits)
    private(set) var count = 0
    private(set) var greatest: Int64 = 0

    init() {}

    private static func bucket(_ value: UInt64) -> Int {
        guard value >= UInt64(perPower) else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - bits
        return (shift + 1) << bits + Int(value >> UInt64(shift)) - perPower
    }

    /// The greatest value of a bucket.
    private static func ceiling(_ bucket: Int) -> Int64 {
        guard bucket >= perPower else { return Int64(bucket) }
        let shift = bucket >> bits - 1
        return Int64((UInt64(bucket & (perPower - 1) + perPower + 1) << UInt64(shift)) - 1)
    }

    /// Negative durations, of clocks that disagree, count as zero.
    @inline(__always)
    mutating func record(_ nanoseconds: Int64) {
        counts[Self.bucket(UInt64(max(nanoseconds, 0)))] += 1
        count += 1
        if nanoseconds > greatest { greatest = nanoseconds }
    }

    /// The least value that `fraction` of all do not exceed; 0 without any.
    func quantile(_ fraction: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, Int((Double(count) * min(max(fraction, 0), 1)).rounded(.up)))
        var seen = 0
        for bucket in counts.indices {
            seen += counts[bucket]
            if seen >= wanted { return min(Self.ceiling(bucket), greatest) }
        }
        return greatest
    }

    var summary: LatencySummary {
        LatencySummary(
            p50: Double(quantile(0.5)) / 1000, p99: Double(quantile(0.99)) / 1000, max: Double(greatest) / 1000)
    }
}
