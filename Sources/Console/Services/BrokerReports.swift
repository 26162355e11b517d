package import Formats
package import Model

/// A session of the broker, connected or sleeping.
package struct ClientInfo: Sendable {
    package enum State: String, Sendable { case connected, disconnected }

    package var clientID: String
    package var username: String?
    /// `MQTT 3.1.1`, `MQTT 5.0`.
    package var `protocol`: String
    package var peer: String?
    package var connectedAt: Timestamp?
    package var keepAliveSeconds: Int
    package var cleanStart: Bool
    package var subscriptions: Int
    package var received: UInt64
    package var sent: UInt64
    package var queued: Int
    package var state: State

    package init(
        clientID: String, username: String?, protocol: String, peer: String?, connectedAt: Timestamp?,
        keepAliveSeconds: Int, cleanStart: Bool, subscriptions: Int, received: UInt64, sent: UInt64, queued: Int,
        state: State
    ) {
        self.clientID = clientID
        self.username = username
        self.protocol = `protocol`
        self.peer = peer
        self.connectedAt = connectedAt
        self.keepAliveSeconds = keepAliveSeconds
        self.cleanStart = cleanStart
        self.subscriptions = subscriptions
        self.received = received
        self.sent = sent
        self.queued = queued
        self.state = state
    }
}

package struct SubscriptionInfo: Sendable {
    package var clientID: String
    package var filter: String
    package var qos: UInt8

    package init(clientID: String, filter: String, qos: UInt8) {
        self.clientID = clientID
        self.filter = filter
        self.qos = qos
    }
}

package struct RetainedInfo: Sendable {
    package var topic: String
    package var payload: Bytes
    package var qos: UInt8
    package var receivedAt: Timestamp

    package init(topic: String, payload: Bytes, qos: UInt8, receivedAt: Timestamp) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.receivedAt = receivedAt
    }
}

/// The last message of an alarm.
package struct AlarmInfo: Sendable {
    package var id: String
    package var name: String
    package var device: String?
    /// ISA-18.2: `unacknowledged`, `acknowledged`, `returned`, `normal`, ...
    package var state: String
    package var severity: String
    package var message: String
    package var raisedAt: Timestamp
    /// What else the message says.
    package var details: [JSONMember]

    package init(
        id: String, name: String, device: String? = nil, state: String, severity: String, message: String,
        raisedAt: Timestamp, details: [JSONMember] = []
    ) {
        self.id = id
        self.name = name
        self.device = device
        self.state = state
        self.severity = severity
        self.message = message
        self.raisedAt = raisedAt
        self.details = details
    }
}
