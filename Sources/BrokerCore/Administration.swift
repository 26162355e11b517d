package import Model

/// One session, as an administrator sees it.
package struct ClientInfo: Sendable, Hashable {
    package var clientID: String
    package var username: String?
    /// `MQTT 3.1`, `MQTT 3.1.1` or `MQTT 5.0`
    package var protocolName: String
    /// `address:port`; nil while disconnected.
    package var peer: String?
    package var listener: String?
    package var isConnected: Bool
    package var connectedAt: Timestamp?
    package var keepAliveSeconds: Int
    package var cleanStart: Bool
    package var subscriptions: Int
    /// Messages received from the client.
    package var received: UInt64
    /// Messages sent to it.
    package var sent: UInt64
    /// Messages that wait for it, in flight included.
    package var queued: Int
    package var dropped: UInt64
    package var shard: Int
}

/// One subscription of a network client or of a component.
package struct SubscriptionInfo: Sendable, Hashable {
    package var clientID: String
    package var filter: String
    package var qos: UInt8
    /// Whether a component inside Tundish subscribes.
    package var isInternal: Bool
}
