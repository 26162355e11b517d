import Model
import Synchronization

/// What is still missing before the node may be called ready.
final class ReadinessBook: Sendable {
    private let reasons: Mutex<[String: Problem]>

    init(parts: [String]) {
        reasons = Mutex(
            Dictionary(
                parts.map { ($0, Problem("node.starting", "\($0) is starting", ["part": $0])) },
                uniquingKeysWith: { first, _ in first }))
    }

    func isThere(_ part: String) { reasons.withLock { $0[part] = nil } }

    var missing: [Problem] { reasons.withLock { reasons in reasons.sorted { $0.key < $1.key }.map(\.value) } }
}
