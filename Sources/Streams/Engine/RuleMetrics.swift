package import Model

/// What a rule has done since it was started or replaced.
package struct RuleMetrics: Sendable, Equatable {
    /// Messages on its topics.
    package var matched: UInt64 = 0
    /// Messages whose WHERE was true.
    package var passed: UInt64 = 0
    /// Messages that could not be evaluated, or whose result could not be handed over.
    package var failed: UInt64 = 0
    /// Messages, batches and alarm changes handed over.
    package var emitted: UInt64 = 0
    /// Results dropped because who should take them was full.
    package var dropped: UInt64 = 0
    package var lastError: Problem?
    package var lastErrorAt: Timestamp?
    /// Matched messages per second, over the last seconds.
    package var perSecond: Double = 0

    package init() {}
}
