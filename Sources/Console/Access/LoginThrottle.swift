package import Model
import Synchronization

/// Slows down whoever guesses passwords: after some failures of an address or of a user name, each further one
/// doubles the wait. It also bounds how many password hashes are computed at a time, which are costly by intent.
package final class LoginThrottle: Sendable {
    package static let freeFailures = 5
    package static let waitMaxSeconds: Int64 = 300
    package static let atOnceMax = 4
    static let entriesMax = 10_000

    private struct Failures {
        var count: Int
        var blockedUntil: Int64
    }

    private struct State {
        var failures: [String: Failures] = [:]
        var running = 0
    }

    package enum Verdict: Sendable, Equatable {
        case go
        case wait(seconds: Int64)
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    package init(time: any TimeSource) { self.time = time }

    /// Asked before a password is checked; after `go` comes exactly one `finish`.
    package func begin(_ keys: [String]) -> Verdict {
        let now = time.monotonicNanoseconds()
        return state.withLock { state in
            let until = keys.compactMap { state.failures[$0]?.blockedUntil }.max() ?? 0
            if until > now { return .wait(seconds: (until - now + 999_999_999) / 1_000_000_000) }
            if state.running >= Self.atOnceMax { return .wait(seconds: 1) }
            state.running += 1
            return .go
        }
    }

    package func finish(_ keys: [String], succeeded: Bool) {
        let now = time.monotonicNanoseconds()
        state.withLock { state in
            state.running -= 1
            for key in keys {
                if succeeded {
                    state.failures[key] = nil
                    continue
                }
                var failures = state.failures[key] ?? Failures(count: 0, blockedUntil: 0)
                failures.count += 1
                if failures.count >= Self.freeFailures {
                    let wait = min(Self.waitMaxSeconds, 1 << min(Int64(failures.count - Self.freeFailures), 16))
                    failures.blockedUntil = now + wait * 1_000_000_000
                }
                if state.failures.count >= Self.entriesMax, state.failures[key] == nil {
                    state.failures = state.failures.filter { $0.value.blockedUntil > now }
                    if state.failures.count >= Self.entriesMax { state.failures.removeAll() }
                }
                state.failures[key] = failures
            }
        }
    }
}
