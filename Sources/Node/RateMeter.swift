import Model
import Synchronization

/// Turns counters that only grow into rates, over the time between two looks of at least half a second.
final class RateMeter: Sendable {
    private struct Reading {
        var count: UInt64
        var at: Int64
        var rate: Double
    }

    private let time: any TimeSource
    private let readings = Mutex<[String: Reading]>([:])

    init(time: any TimeSource) { self.time = time }

    /// The rate per second of the counter named `name`, which now stands at `count`.
    func rate(_ name: String, _ count: UInt64) -> Double {
        let now = time.monotonicNanoseconds()
        return readings.withLock { readings in
            guard let last = readings[name] else {
                readings[name] = Reading(count: count, at: now, rate: 0)
                return 0
            }
            let elapsed = now - last.at
            if elapsed < 500_000_000 { return last.rate }
            let rate = count >= last.count ? Double(count - last.count) / (Double(elapsed) / 1e9) : 0
            readings[name] = Reading(count: count, at: now, rate: rate)
            return rate
        }
    }

    /// The counter is gone; one of the same name begins anew.
    func forget(_ name: String) { readings.withLock { _ = $0.removeValue(forKey: name) } }
}
