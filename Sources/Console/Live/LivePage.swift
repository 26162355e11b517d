import Bus
import Model

/// One open WebSocket with what its page shows. Belongs to the hub.
final class LivePage {
    static let subscriptionsMax = 64

    let socket: LiveSocket
    /// Whether the caller may still see anything: the session goes on, the token is not revoked.
    let isStillAdmitted: @Sendable () async -> Bool
    var tags: [Int64: TagSubscription] = [:]
    var status: Set<Int64> = []
    var devices: [Int64: DeviceSubscription] = [:]
    var topics: [Int64: TopicSubscription] = [:]

    init(_ socket: LiveSocket, isStillAdmitted: @escaping @Sendable () async -> Bool) {
        self.socket = socket
        self.isStillAdmitted = isStillAdmitted
    }

    var subscriptions: Int { tags.count + status.count + devices.count + topics.count }

    final class TagSubscription {
        struct Item {
            let group: LiveGroup
            let entry: LiveGroup.Entry
        }

        let items: [Item]
        let groups: [LiveGroup]
        let intervalNanoseconds: Int64
        var dueAt: Int64
        /// The page has every change up to this stamp.
        var seenStamp: UInt64 = 0

        init(items: [Item], groups: [LiveGroup], intervalNanoseconds: Int64, dueAt: Int64) {
            self.items = items
            self.groups = groups
            self.intervalNanoseconds = intervalNanoseconds
            self.dueAt = dueAt
        }
    }

    final class DeviceSubscription {
        let device: String
        /// It was told that there is no such device; once is enough.
        var isToldUnknown = false

        init(_ device: String) { self.device = device }
    }

    final class TopicSubscription {
        static let messagesMax = 1_000

        let inbox: MessageInbox
        /// Nil while the bus is being asked.
        var subscription: (any BusSubscription)?
        var droppedBefore: UInt64 = 0

        init() { inbox = MessageInbox(messagesMax: Self.messagesMax, wake: {}) }
    }
}
