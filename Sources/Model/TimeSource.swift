#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Synchronization

/// The wall clock and the monotonic clock, injected so that tests decide what time it is.
package protocol TimeSource: Sendable {
    /// The wall clock: for timestamps that people and other systems read. It may jump.
    func now() -> Timestamp
    /// Nanoseconds on a clock that never goes back: for durations, deadlines and rates.
    func monotonicNanoseconds() -> Int64
}

/// The operating system's clocks.
package struct SystemTime: TimeSource {
    package init() {}

    package func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    package func monotonicNanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Clocks that stand still until `advance` is called.
package final class ManualTime: TimeSource {
    private let state: Mutex<(wall: Int64, monotonic: Int64)>

    package init(_ start: Timestamp = Timestamp(milliseconds: 1_767_225_600_000)) {
        state = Mutex((start.nanoseconds, 0))
    }

    package func now() -> Timestamp { state.withLock { Timestamp(nanoseconds: $0.wall) } }
    package func monotonicNanoseconds() -> Int64 { state.withLock { $0.monotonic } }

    /// Moves both clocks.
    package func advance(nanoseconds: Int64) {
        state.withLock {
            $0.wall += nanoseconds
            $0.monotonic += nanoseconds
        }
    }
}

extension Duration {
    /// Saturates at the limits of Int64.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }
}
