package import Model

/// One subscription with everything the client asked for.
package struct SubscriptionDetail: Sendable, Hashable {
    package var clientID: String
    /// As the client wrote it, `$share/...` included.
    package var filter: String
    package var qos: UInt8
    package var noLocal: Bool
    package var retainAsPublished: Bool
    /// 0: retained messages at once, 1: only if new, 2: none. MQTT 5.0, 3.8.3.1
    package var retainHandling: UInt8
    /// 0: none.
    package var subscriptionID: UInt32
    /// Nil unless it is shared.
    package var shareName: String?
    /// Whether a component inside Tundish subscribes.
    package var isInternal: Bool
}

/// One session with what an administrator looks at when a client is in trouble.
package struct ClientDetail: Sendable, Hashable {
    package var info: ClientInfo
    /// How long the session outlives its connection, in seconds; 0xFFFF_FFFF: for ever.
    package var expirySeconds: UInt32
    /// Messages sent and not acknowledged, and how many there may be.
    package var inflight: Int
    package var inflightMax: Int
    /// Messages that wait behind those, and how many may.
    package var waiting: Int
    package var waitingMax: Int
    /// Retained messages still to be sent.
    package var replaying: Int
    /// QoS 2 messages received and not released.
    package var awaitingRelease: Int
    /// Bytes written and not yet handed to the network.
    package var unsentBytes: Int
    /// False: the client reads more slowly than it is sent to.
    package var isWritable: Bool
    /// Nanoseconds since bytes last came from it; nil while disconnected.
    package var silentNanoseconds: Int64?
    package var willTopic: String?
    /// Greatest packet that it takes.
    package var packetBytesMax: Int?
    /// Of its certificate, where it came with one.
    package var certificateSubject: String?
    package var subscriptions: [SubscriptionDetail]
}

/// What topics that match a filter have carried since somebody asked to count them.
package struct TopicFigures: Sendable, Hashable {
    package var filter: String
    package var startedAt: Timestamp
    /// Messages published, by QoS, and their payloads' bytes.
    package var received: [UInt64] = [0, 0, 0]
    package var receivedBytes: UInt64 = 0
    /// Messages handed to sessions of clients.
    package var sent: UInt64 = 0
    /// Messages lost on the way to one: its queue was full, or it read too slowly.
    package var dropped: UInt64 = 0

    package var receivedTotal: UInt64 { received.reduce(0, &+) }
}
