import Synchronization
import Model

/// Makes guessing passwords slow: after five failures in a row from one place for one name, each further attempt has
/// to wait, twice as long each time, up to five minutes.
final class GuessingGuard: Sendable {
    static let freeAttempts = 5
    static let waitMin: Int64 = 1_000_000_000
    static let waitMax: Int64 = 300_000_000_000
    static let entriesMax = 10_000

    private struct Entry {
        var failures = 0
        var until: Int64 = 0
        var touched: Int64 = 0
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// Fails with `login.wait`.
    func check(_ name: String, _ peer: String) throws(Problem) {
        let now = time.monotonicNanoseconds()
        let until = entries.withLock { $0[Self.key(name, peer)]?.until ?? 0 }
        guard now < until else { return }
        let seconds = (until - now + 999_999_999) / 1_000_000_000
        throw Problem(
            "login.wait", "too many failed attempts: try again in \(seconds) s", ["seconds": String(seconds)])
    }

    func failed(_ name: String, _ peer: String) {
        let now = time.monotonicNanoseconds()
        entries.withLock { entries in
            let key = Self.key(name, peer)
            if entries.count >= Self.entriesMax, entries[key] == nil {
                // Make room: half of them, those that have been quiet longest.
                let quiet = entries.sorted { $0.value.touched < $1.value.touched }.prefix(entries.count / 2)
                for entry in quiet { entries[entry.key] = nil }
            }
            var entry = entries[key] ?? Entry()
            entry.failures += 1
            entry.touched = now
            if entry.failures >= Self.freeAttempts {
                let wait = Self.waitMin << Int64(min(entry.failures - Self.freeAttempts, 20))
                entry.until = now + min(wait, Self.waitMax)
            }
            entries[key] = entry
        }
    }

    func succeeded(_ name: String, _ peer: String) {
        entries.withLock { _ = $0.removeValue(forKey: Self.key(name, peer)) }
    }

    private static func key(_ name: String, _ peer: String) -> String { peer + "\u{0}" + name }
}
