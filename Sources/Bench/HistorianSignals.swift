import Model

/// The signals of `bench historian`, seeded: what industrial tags look like to a store.
enum HistorianSignal: String, CaseIterable {
    /// A temperature: float32 with one digit behind the point, up to 0.3 up or down a second.
    case walk = "quantised walk"
    /// A meter: uint32 that grows by 0 to 4.
    case counter
    /// A recipe step or a mode: int16 that changes every 50 s or so.
    case steps
    /// A contact that changes every 20 s or so.
    case booleans
    /// A state's name, one of six, changing every 60 s or so.
    case strings
    /// float64 with all its digits, evenly spread: nothing to compress.
    case noise = "full-precision noise"

    var type: ValueType {
        switch self {
        case .walk: ValueType(.float32)
        case .counter: ValueType(.uint32)
        case .steps: ValueType(.int16)
        case .booleans: ValueType(.bool)
        case .strings: ValueType(.string)
        case .noise: ValueType(.float64)
        }
    }

    static let states = ["idle", "heating", "running", "cooling", "fault", "maintenance"].map { Array($0.utf8) }
    static let mix: [HistorianSignal] = [.walk, .counter, .steps, .booleans, .strings]
}

/// One tag's signal as it goes on.
struct HistorianSignalState {
    let signal: HistorianSignal
    private var random: SplitMix64
    private var tenths: Int
    private var count: UInt64
    private var level: Int

    init(_ signal: HistorianSignal, seed: UInt64) {
        self.signal = signal
        random = SplitMix64(seed: seed)
        tenths = Int(random.next() % 1000)
        count = random.next() % 1_000_000
        level = Int(random.next() % 6)
    }

    /// The next slot; for strings the number of the state.
    mutating func next() -> UInt64 {
        let draw = random.next()
        switch signal {
        case .walk:
            tenths += Int(draw % 7) - 3
            return UInt64(Float(Double(tenths) / 10).bitPattern)
        case .counter:
            count += draw % 5
            return count
        case .steps:
            if draw % 50 == 0 { level = Int(draw >> 32 % 20) }
            return UInt64(level)
        case .booleans:
            if draw % 20 == 0 { level ^= 1 }
            return UInt64(level & 1)
        case .strings:
            if draw % 60 == 0 { level = Int((draw >> 32) % 6) }
            return UInt64(level)
        case .noise: return Double(draw >> 11).bitPattern
        }
    }
}

/// Groups of tags with signals, cycle after cycle.
struct HistorianPlant {
    static let second: Int64 = 1_000_000_000
    /// 2026-01-01T00:00:00Z, so that a day of data is one day file.
    static let start = Timestamp(milliseconds: 1_767_225_600_000)

    let descriptors: [BatchDescriptor]
    private var states: [[HistorianSignalState]]

    init(groups: Int, tags: Int, signals: [HistorianSignal], seed: UInt64) {
        var descriptors: [BatchDescriptor] = []
        var states: [[HistorianSignalState]] = []
        for group in 0..<groups {
            let chosen = (0..<tags).map { signals[$0 % signals.count] }
            descriptors.append(
                BatchDescriptor(
                    device: "bench-\(group)", deviceUID: "bench-\(group)", group: "g",
                    tags: chosen.enumerated().map { Tag(name: "t\($0.offset)", type: $0.element.type) }))
            states.append(
                chosen.enumerated().map {
                    HistorianSignalState($0.element, seed: seed &+ UInt64(group * tags + $0.offset) &* 7919)
                })
        }
        self.descriptors = descriptors
        self.states = states
    }

    /// One batch of each group, `interval` nanoseconds a cycle; times in whole milliseconds, as the gateway gives them.
    mutating func cycle(_ number: Int, interval: Int64 = second) -> [SampleBatch] {
        let time = Self.start.advanced(nanoseconds: Int64(number) * interval)
        return descriptors.indices.map { group in
            let builder = SampleBatchBuilder(dense: descriptors[group], timestamp: time)
            for tag in states[group].indices {
                let slot = states[group][tag].next()
                if states[group][tag].signal == .strings {
                    builder.set(tag: tag, bytes: HistorianSignal.states[Int(slot)])
                } else {
                    builder.set(tag: tag, slot: slot)
                }
            }
            return builder.finish()
        }
    }
}
