import Bus

/// What must outlive the process before it may be acknowledged.
package enum DurableRecord: Sendable {
    case sessionStarted(clientID: String, expirySeconds: UInt32)
    case sessionEnded(clientID: String)
    case subscribed(clientID: String, filter: String, options: SubscriptionOptions, subscriptionID: UInt32)
    case unsubscribed(clientID: String, filter: String)
    /// A message that waits for a session.
    case queued(StoredMessage, clientID: String, qos: UInt8)
    /// A QoS 2 message towards a client got its packet identifier.
    case sending(StoredMessage, clientID: String, packetID: UInt16)
    /// A message towards a client changed its state: received, finished.
    case outgoing(clientID: String, packetID: UInt16, isFinished: Bool)
    /// A QoS 2 packet identifier of a client was taken or released.
    case incoming(clientID: String, packetID: UInt16, isReleased: Bool)
    case retained(StoredMessage)
}

/// Where a shard's state machines put what must be durable. They go on at once and acknowledge when `durable` has
/// reached the position that `append` gave. One per shard, used on its event loop only.
package protocol DurabilityLog: AnyObject {
    /// Takes a record; returns its position, which grows.
    func append(_ record: DurableRecord) -> UInt64
    /// Everything up to this position is durable.
    var durable: UInt64 { get }
    /// Called on the shard's event loop when `durable` has moved other than during `append`.
    var onDurable: (() -> Void)? { get set }
}

/// Says at once that everything is durable: sessions and retained messages live as long as the process.
package final class ImmediateLog: DurabilityLog {
    package private(set) var durable: UInt64 = 0
    package var onDurable: (() -> Void)?
    package init() {}
    package func append(_ record: DurableRecord) -> UInt64 {
        durable += 1
        return durable
    }
}
