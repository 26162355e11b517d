package import Model
import Synchronization

/// The one-time secret of the link that creates the first administrator. It is printed at the first start, lives in
/// memory, and is worth nothing after its use.
package final class SetupLink: Sendable {
    private let secret: Mutex<String?>

    package init(random: any RandomSource, isNeeded: Bool) {
        secret = Mutex(isNeeded ? Secrets.make(random) : nil)
    }

    package var token: String? { secret.withLock { $0 } }

    package func matches(_ token: String) -> Bool {
        secret.withLock { $0.map { Secrets.areEqual($0, token) } ?? false }
    }

    package func use() { secret.withLock { $0 = nil } }
}
