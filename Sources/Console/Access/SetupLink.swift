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

    /// Uses the link if the token is right; two at the same time do not both succeed.
    package func take(_ token: String) -> Bool {
        secret.withLock { secret in
            guard let wanted = secret, Secrets.areEqual(wanted, token) else { return false }
            secret = nil
            return true
        }
    }

    /// After a use that came to nothing.
    package func giveBack(_ token: String) { secret.withLock { $0 = token } }
}
