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

    /// From a spec's `batch`; what it leaves out is as the kind of sink has it.
    package init(_ value: ConfigValue?, standard: BatchPolicy) {
        self = standard
        if let rows = value?["rowsMax"]?.integer { rowsMax = Int(rows) }
        if let bytes = value?["bytesMax"]?.integer { bytesMax = Int(bytes) }
        if let delay = value?["delayMax"]?.duration { delayMax = delay }
    }

    package static let schema = Schema([
        Field(
            "rowsMax", .integer(1...1_000_000), help: "Rows of a batch at most.",
            chinese: "每批最多行数。"),
        Field(
            "bytesMax", .size(1024...1 << 30), help: "Bytes of a batch at most.",
            chinese: "每批最多字节数。"),
        Field(
            "delayMax", .duration(.milliseconds(1)...(.seconds(3600))),
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

    /// From a spec's `buffer`.
    package init(_ value: ConfigValue?) {
        self.init()
        if let bytes = value?["bytesMax"]?.integer { bytesMax = Int(bytes) }
        if let policy = value?["onFull"]?.string.flatMap({ OnFull(rawValue: $0) }) { onFull = policy }
    }

    /// The journal that holds the rows.
    package var journalOptions: JournalOptions {
        JournalOptions(bytesMax: bytesMax, onFull: onFull == .dropOldest ? .dropOldest : .refuse)
    }
}

/// Side by side, each in order: rows with the same key are always in the same lane. Of each lane one batch is under
/// way at a time, which is what keeps its order when a batch must be written again.
package struct LanePolicy: Sendable, Hashable {
    package var lanes: Int
    /// The field of the row whose value chooses the lane; nil: its `device`, else its `topic`.
    package var key: String?

    package init(lanes: Int = 1, key: String? = nil) {
        self.lanes = lanes
        self.key = key
    }

    package static let schema = Schema([
        Field(
            "lanes", .integer(1...256), default: .integer(1),
            help: "Connections side by side; rows of one key keep their order.", chinese: "并行连接数。"),
        Field(
            "key", .string, help: "Field of the row that chooses the lane; without it device, else topic.",
            chinese: "选择通道的字段；缺省为 device，其次 topic。"),
    ])

    /// From a spec's `lanes`.
    package init(_ value: ConfigValue?) {
        self.init(lanes: Int(value?["lanes"]?.integer ?? 1), key: value?["key"]?.string)
    }

    /// Names the division of rows into lanes, for `SinkMark`.
    package var division: String { "\(lanes):\(key ?? "")" }

    /// The policy that a division names; nil for a text that is none.
    package init?(division: String) {
        guard let colon = division.firstIndex(of: ":"), let lanes = Int(division[..<colon]), lanes > 0 else {
            return nil
        }
        let key = division[division.index(after: colon)...]
        self.init(lanes: lanes, key: key.isEmpty ? nil : String(key))
    }

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

    package static let schema = Schema([
        Field(
            "first", .duration(.milliseconds(1)...(.seconds(3600))), default: .duration(500_000_000),
            help: "Wait before the first repetition.", chinese: "首次重试前的等待时间。"),
        Field(
            "longest", .duration(.milliseconds(1)...(.seconds(86_400))), default: .duration(30_000_000_000),
            help: "Longest wait between repetitions.", chinese: "两次重试之间的最长等待时间。"),
    ])

    /// From a spec's `retry`.
    package init(_ value: ConfigValue?) {
        self.init()
        if let first = value?["first"]?.duration { self.first = first }
        if let longest = value?["longest"]?.duration { self.longest = max(longest, first) }
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
