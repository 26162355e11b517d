/// A rate with a burst of one second. What is taken may exceed what is there: the debt is then waited for, so that
/// the rate holds on average whatever the size of a read.
package struct TokenBucket: Sendable {
    /// Tokens per second; 0: no limit.
    package private(set) var rate: Double
    private var tokens: Double
    private var updated: Int64

    package init(rate: Int, now: Int64) {
        self.rate = Double(rate)
        tokens = Double(rate)
        updated = now
    }

    package var isLimited: Bool { rate > 0 }

    /// What is there keeps its value up to the new burst.
    package mutating func setRate(_ newRate: Int, now: Int64) {
        let wasLimited = isLimited
        refill(now)
        rate = Double(newRate)
        tokens = wasLimited ? min(tokens, rate) : rate
    }

    package mutating func refill(_ now: Int64) {
        if now > updated { tokens = min(rate, tokens + Double(now - updated) / 1e9 * rate) }
        updated = now
    }

    package mutating func take(_ count: Int, now: Int64) {
        guard isLimited else { return }
        refill(now)
        tokens -= Double(count)
    }

    /// Whole tokens there are; `Int.max` without a limit.
    package var available: Int { isLimited ? Int(tokens.rounded(.down)) : .max }

    /// Until there are `count` tokens.
    package func nanoseconds(until count: Int) -> Int64 {
        guard isLimited, tokens < Double(count) else { return 0 }
        return Int64(((Double(count) - tokens) / rate * 1e9).rounded(.up))
    }
}
