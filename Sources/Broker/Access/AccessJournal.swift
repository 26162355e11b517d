package import BrokerCore
package import Model
import Synchronization

/// Why someone was refused.
package enum RefusalCause: String, Sendable, Hashable, CaseIterable {
    /// Nobody knows the user.
    case unknownUser = "unknown_user"
    case wrongPassword = "wrong_password"
    case disabledUser = "disabled_user"
    /// No user name, no password, no certificate, where one is wanted.
    case noCredentials = "no_credentials"
    /// Refused by an HTTP server, or by a token's claims.
    case rejected
    case expired
    case badToken = "bad_token"
    case badProof = "bad_proof"
    case malformed
    /// The authenticator could not be asked.
    case unavailable
    case tooManyFailures = "too_many_failures"
    case overloaded
    case publishDenied = "publish_denied"
    case subscribeDenied = "subscribe_denied"
}

/// One refusal, for the operator's eyes only.
package struct Refusal: Sendable, Hashable {
    package var at: Timestamp
    package var cause: RefusalCause
    package var listener: String
    package var peer: String
    package var clientID: String
    package var username: String?
    /// The topic or filter, or what was wrong.
    package var detail: String
    /// The authenticator or the rule.
    package var by: String

    package init(cause: RefusalCause, client: ClientIdentity, username: String? = nil, detail: String, by: String) {
        at = Timestamp(nanoseconds: 0)
        self.cause = cause
        listener = client.listener
        peer = client.peer
        clientID = Self.cut(client.clientID)
        self.username = (username ?? client.username).map(Self.cut)
        self.detail = Self.cut(detail)
        self.by = by
    }

    /// What strangers send is kept short.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= 256 ? text : String(text.prefix(64)) + "..."
    }
}

/// The last refusals and how many there were of each kind. What one client is refused again and again is written down
/// when its rules are asked, not each time; counters count that.
package final class AccessJournal: Sendable {
    package static let entriesMax = 1000

    private struct State {
        var entries: [Refusal] = []
        /// Where the next one goes once there are as many as there may be.
        var next = 0
        var counts: [RefusalCause: UInt64] = [:]
    }

    private let state = Mutex(State())
    private let time: any TimeSource

    package init(time: any TimeSource) { self.time = time }

    package func add(_ refusal: Refusal) {
        var refusal = refusal
        refusal.at = time.now()
        state.withLock { state in
            state.counts[refusal.cause, default: 0] += 1
            if state.entries.count < Self.entriesMax {
                state.entries.append(refusal)
            } else {
                state.entries[state.next] = refusal
                state.next = (state.next + 1) % Self.entriesMax
            }
        }
    }

    /// The newest first; at most `limit`.
    package func recent(
        limit: Int = 100, where isWanted: (Refusal) -> Bool = { _ in true }
    ) -> [Refusal] {
        let entries = state.withLock { state in Array(state.entries[state.next...] + state.entries[..<state.next]) }
        return Array(entries.reversed().lazy.filter(isWanted).prefix(max(0, limit)))
    }

    package var counts: [RefusalCause: UInt64] { state.withLock { $0.counts } }
}

extension AccessJournal: MetricSource {
    package func collect() async -> [MetricSample] {
        let counts = counts
        return RefusalCause.allCases.map { cause in
            MetricSample(
                "tundish_access_refusals_total", .counter, "Refusals of clients, publications and subscriptions.",
                labels: ["cause": cause.rawValue], Double(counts[cause] ?? 0))
        }
    }
}
