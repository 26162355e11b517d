/// The rates of one client, and when the packet that is under way began. Follows changes of the listener's bounds.
struct ClientMeter {
    private let listener: ListenerState
    private var generation: UInt64
    private var bytes: TokenBucket
    private var messages: TokenBucket
    /// When the packet began that has not come whole; monotonic nanoseconds.
    var partialBegan: Int64?
    /// Whether somebody looks after `partialBegan`.
    var isWatching = false

    init(_ listener: ListenerState, now: Int64) {
        self.listener = listener
        generation = listener.generation
        let bounds = listener.configuration.bounds
        bytes = TokenBucket(rate: bounds.bytesPerSecond, now: now)
        messages = TokenBucket(rate: bounds.messagesPerSecond, now: now)
    }

    /// Whether messages must be counted one by one.
    var isCounting: Bool { messages.isLimited }

    /// Whether anything is limited at all.
    var isLimiting: Bool { bytes.isLimited || messages.isLimited }

    mutating func received(_ count: Int, now: Int64) {
        let current = listener.generation
        if current != generation {
            generation = current
            let bounds = listener.configuration.bounds
            bytes.setRate(bounds.bytesPerSecond, now: now)
            messages.setRate(bounds.messagesPerSecond, now: now)
        }
        bytes.take(count, now: now)
    }

    /// Messages that may be taken now.
    mutating func messageBudget(now: Int64) -> Int {
        messages.refill(now)
        return max(0, messages.available)
    }

    mutating func published(_ count: Int, now: Int64) { messages.take(count, now: now) }

    /// How long not to read; 0: go on. `wantsMessage`: there is something that could be one.
    mutating func nanosecondsToWait(now: Int64, wantsMessage: Bool) -> Int64 {
        guard bytes.isLimited || messages.isLimited else { return 0 }
        bytes.refill(now)
        messages.refill(now)
        return max(bytes.nanoseconds(until: 0), wantsMessage ? messages.nanoseconds(until: 1) : 0)
    }
}
