package import Journal
package import Model

/// When a batch is complete: at the first of these.
package struct BatchPolicy: Sendable, Hashable {
    package var rowsMax: Int
    package var bytesMax: Int
    /// Since the first row of the batch.
    package var delayMax: Duration

    package init(rowsMax: Int = 5000, bytesMax: Int = 4 << 20, delayMax: Duration = .milliseconds(200)) {
        self.rowsMax = rowsMax
        self.bytesMax = bytesMax
        self.delayMax = delayMax
    }

    package static let schema = Schema([
        Field(
            "rowsMax", .integer(1...1_000_000), default: .integer(5000), help: "Rows of a batch at most.",
            chinese: "每批最多行数。"),
        Field(
            "bytesMax", .size(1024...1 << 30), default: .size(4 << 20), help: "Bytes of a batch at most.",
            chinese: "每批最多字节数。"),
        Field(
            "delayMax", .duration(.milliseconds(1)...(.seconds(3600))), default: .duration(200_000_000),
            help: "A batch goes at the latest so long after its first row.", chinese: "首行之后最长等待时间。"),
    ])
}

/// How many rows wait, and what happens when there are more. Rows are journaled before anything else; memory is only
/// a cache of the journal.
package struct BufferPolicy: Sendable, Hashable {
    package enum OnFull: String, Sendable, CaseIterable {
        /// The oldest rows go; each is counted.
        case dropOldest
        /// The newest are refused; each is counted.
        case refuse
        /// Whoever brings rows is held up (a rule stops reading its topics; durable queues fill up behind it).
        case block
    }

    package var bytesMax: Int
    package var onFull: OnFull

    package init(bytesMax: Int = 1 << 30, onFull: OnFull = .dropOldest) {
        self.bytesMax = bytesMax
        self.onFull = onFull
    }

    package static let schema = Schema([
        Field(
            "bytesMax", .size(1 << 20...1 << 44), default: .size(1 << 30), help: "Bytes on disk that may wait.",
            chinese: "磁盘缓冲上限。"),
        Field(
            "onFull", .choice(OnFull.allCases.map(\.rawValue)), default: .string(OnFull.dropOldest.rawValue),
            help: "What happens when the buffer is full.", chinese: "缓冲区已满时的处理方式。"),
    ])

    /// The journal that holds the rows. `block` refuses in the journal; the host then holds up its source.
    package var journalOptions: JournalOptions {
        JournalOptions(bytesMax: bytesMax, onFull: onFull == .dropOldest ? .dropOldest : .refuse)
    }
}

/// Side by side, each in order: rows with the same key are always in the same lane.
package struct LanePolicy: Sendable, Hashable {
    package var lanes: Int
    /// Batches of a lane that have not been confirmed yet. More than 1 only where the other side keeps their order.
    package var inFlightMax: Int
    /// The column whose value chooses the lane; nil: whatever the rows came from (device or topic).
    package var key: String?

    package init(lanes: Int = 1, inFlightMax: Int = 1, key: String? = nil) {
        self.lanes = lanes
        self.inFlightMax = inFlightMax
        self.key = key
    }

    package static let schema = Schema([
        Field(
            "lanes", .integer(1...256), default: .integer(1),
            help: "Connections side by side; rows of one key keep their order.", chinese: "并行连接数。"),
        Field(
            "inFlightMax", .integer(1...1024), default: .integer(1), help: "Unconfirmed batches of a lane.",
            chinese: "每个通道未确认批次数。"),
        Field("key", .string, help: "Column that chooses the lane.", chinese: "选择通道的列。"),
    ])

    /// The lane of a key: FNV-1a, so that a restart finds the same one.
    package func lane(of key: some Sequence<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return Int((hash ^ hash >> 32) % UInt64(max(lanes, 1)))
    }
}

/// How long to wait before trying again: doubling, with jitter so that lanes do not knock together.
package struct RetryPolicy: Sendable, Hashable {
    package var first: Duration
    package var longest: Duration

    package init(first: Duration = .milliseconds(500), longest: Duration = .seconds(30)) {
        self.first = first
        self.longest = longest
    }

    /// The wait before attempt number `attempt` (1 is the first repetition), between half and all of the doubled
    /// time; at least what the other side has asked for.
    package func delay(attempt: Int, retryAfter: Duration?, random: some RandomSource) -> Duration {
        let doublings = min(max(attempt - 1, 0), 20)
        let full = min(Double(first.nanoseconds) * Double(1 << doublings), Double(longest.nanoseconds))
        let jittered = Duration.nanoseconds(Int64(full * (0.5 + random.unit() / 2)))
        return max(jittered, retryAfter ?? .zero)
    }
}
