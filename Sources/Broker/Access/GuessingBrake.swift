package import Model
import Synchronization

/// Makes guessing slow: after some failures in a row each further attempt is refused, unheard, for a time that doubles.
package final class GuessingBrake: Sendable {
    package enum Scope: String, Sendable, Hashable, CaseIterable {
        /// One user name from one address: a colleague behind the same router is not punished.
        case addressAndUser
        /// Everyone from one address.
        case address
        case off
    }

    package struct Settings: Sendable, Hashable {
        package var scope = Scope.addressAndUser
        package var failuresMax = 5
        package var waitMin = Duration.seconds(1)
        package var waitMax = Duration.seconds(300)
        package init() {}
    }

    static let entriesMax = 20_000

    private struct Entry {
        var failures = 0
        var until: Int64 = 0
        var touched: Int64 = 0
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let settings: Settings
    private let time: any TimeSource

    package init(_ settings: Settings, time: any TimeSource) {
        self.settings = settings
        self.time = time
    }

    func isBlocked(_ address: String, _ username: String) -> Bool {
        guard settings.scope != .off else { return false }
        let now = time.monotonicNanoseconds()
        return entries.withLock { ($0[key(address, username)]?.until ?? .min) > now }
    }

    func failed(_ address: String, _ username: String) {
        guard settings.scope != .off else { return }
        let now = time.monotonicNanoseconds()
        entries.withLock { entries in
            let key = key(address, username)
            if entries.count >= Self.entriesMax, entries[key] == nil { Self.makeRoom(&entries) }
            var entry = entries[key] ?? Entry()
            // Failures of long ago are no guessing.
            if now - entry.touched > 2 * settings.waitMax.nanoseconds { entry.failures = 0 }
            entry.failures += 1
            entry.touched = now
            if entry.failures >= settings.failuresMax {
                let wait = settings.waitMin.nanoseconds << Int64(min(entry.failures - settings.failuresMax, 20))
                entry.until = now + min(wait, settings.waitMax.nanoseconds)
            }
            entries[key] = entry
        }
    }

    func succeeded(_ address: String, _ username: String) {
        guard settings.scope != .off else { return }
        entries.withLock { _ = $0.removeValue(forKey: key(address, username)) }
    }

    /// Half of them go, those that have been quiet longest.
    private static func makeRoom(_ entries: inout [String: Entry]) {
        let quiet = entries.sorted { $0.value.touched < $1.value.touched }.prefix(entries.count / 2)
        for entry in quiet { entries[entry.key] = nil }
    }

    private func key(_ address: String, _ username: String) -> String {
        settings.scope == .address ? address : address + "\u{0}" + username
    }
}
