package import Model
import Synchronization

/// The bounded queue between the bus and whoever consumes messages at leisure. One lock per batch, not per message.
///
/// When it is full the newest messages are refused and counted, so that what is queued stays in order.
package final class MessageInbox: Sendable {
    private struct State {
        var messages: [Message] = []
        var isWaked = false
    }

    package let messagesMax: Int
    /// Messages refused because the queue was full.
    package let dropped = Counter()
    private let state = Mutex(State())
    private let wake: @Sendable () -> Void

    /// `wake` is called once when messages wait and the consumer has taken all before; it must not block.
    package init(messagesMax: Int, wake: @escaping @Sendable () -> Void) {
        self.messagesMax = messagesMax
        self.wake = wake
    }

    package func offer(_ batch: [Message]) {
        let mustWake = state.withLock { state in
            let room = messagesMax - state.messages.count
            if room >= batch.count {
                state.messages.append(contentsOf: batch)
            } else {
                state.messages.append(contentsOf: batch.prefix(max(0, room)))
                dropped.add(batch.count - max(0, room))
            }
            if state.isWaked || state.messages.isEmpty { return false }
            state.isWaked = true
            return true
        }
        if mustWake { wake() }
    }

    /// All that waits; afterwards the next `offer` wakes again.
    package func takeAll() -> [Message] {
        state.withLock { state in
            state.isWaked = false
            var taken: [Message] = []
            swap(&taken, &state.messages)
            return taken
        }
    }

    package var count: Int { state.withLock { $0.messages.count } }
}
