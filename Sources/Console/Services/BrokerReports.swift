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
    package var listener: String?
    package var connectedAt: Timestamp?
    package var keepAliveSeconds: Int
    package var cleanStart: Bool
    package var subscriptions: Int
    package var received: UInt64
    package var sent: UInt64
    package var queued: Int
    package var dropped: UInt64
    package var state: State

    package init(
        clientID: String, username: String? = nil, protocol: String = "MQTT 5.0", peer: String? = nil,
        listener: String? = nil, connectedAt: Timestamp? = nil, keepAliveSeconds: Int = 60, cleanStart: Bool = true,
        subscriptions: Int = 0, received: UInt64 = 0, sent: UInt64 = 0, queued: Int = 0, dropped: UInt64 = 0,
        state: State = .connected
    ) {
        self.clientID = clientID
        self.username = username
        self.protocol = `protocol`
        self.peer = peer
        self.listener = listener
        self.connectedAt = connectedAt
        self.keepAliveSeconds = keepAliveSeconds
        self.cleanStart = cleanStart
        self.subscriptions = subscriptions
        self.received = received
        self.sent = sent
        self.queued = queued
        self.dropped = dropped
        self.state = state
    }
}

/// What is looked at when one client is in trouble.
package struct ClientReport: Sendable {
    package var info: ClientInfo
    /// 0xFFFF_FFFF: for ever.
    package var expirySeconds: UInt32
    package var inflight: Int
    package var inflightMax: Int
    package var waiting: Int
    package var waitingMax: Int
    package var awaitingRelease: Int
    package var unsentBytes: Int
    /// False: it reads more slowly than it is sent to.
    package var isWritable: Bool
    package var silentMilliseconds: Int64?
    package var willTopic: String?
    package var packetBytesMax: Int?
    package var certificateSubject: String?
    package var subscriptions: [SubscriptionInfo]

    package init(
        info: ClientInfo, expirySeconds: UInt32, inflight: Int, inflightMax: Int, waiting: Int, waitingMax: Int,
        awaitingRelease: Int, unsentBytes: Int, isWritable: Bool, silentMilliseconds: Int64?, willTopic: String?,
        packetBytesMax: Int?, certificateSubject: String?, subscriptions: [SubscriptionInfo]
    ) {
        self.info = info
        self.expirySeconds = expirySeconds
        self.inflight = inflight
        self.inflightMax = inflightMax
        self.waiting = waiting
        self.waitingMax = waitingMax
        self.awaitingRelease = awaitingRelease
        self.unsentBytes = unsentBytes
        self.isWritable = isWritable
        self.silentMilliseconds = silentMilliseconds
        self.willTopic = willTopic
        self.packetBytesMax = packetBytesMax
        self.certificateSubject = certificateSubject
        self.subscriptions = subscriptions
    }
}

package struct SubscriptionInfo: Sendable {
    package var clientID: String
    package var filter: String
    package var qos: UInt8
    package var noLocal: Bool
    package var retainAsPublished: Bool
    package var retainHandling: UInt8
    /// 0: none.
    package var subscriptionID: UInt32
    /// Nil unless it is shared.
    package var shareName: String?

    package init(
        clientID: String, filter: String, qos: UInt8, noLocal: Bool = false, retainAsPublished: Bool = false,
        retainHandling: UInt8 = 0, subscriptionID: UInt32 = 0, shareName: String? = nil
    ) {
        self.clientID = clientID
        self.filter = filter
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
        self.subscriptionID = subscriptionID
        self.shareName = shareName
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

/// A listener as it runs.
package struct ListenerReport: Sendable {
    package var name: String
    /// `mqtt`, `mqtts`, `ws`, ...
    package var `protocol`: String
    /// As bound, which differs from the resource where the command line says so.
    package var address: String
    package var connections: Int
    /// Of these, those that have not sent their CONNECT.
    package var halfOpen: Int
    package var accepted: UInt64
    /// Turned away at the door.
    package var refused: UInt64
    /// Every connection that ended or was refused, by cause.
    package var closed: [String: UInt64]
    package var certificateExpires: Timestamp?
    package var problems: [Problem]

    package init(
        name: String, protocol: String, address: String, connections: Int, halfOpen: Int, accepted: UInt64,
        refused: UInt64, closed: [String: UInt64], certificateExpires: Timestamp? = nil, problems: [Problem] = []
    ) {
        self.name = name
        self.protocol = `protocol`
        self.address = address
        self.connections = connections
        self.halfOpen = halfOpen
        self.accepted = accepted
        self.refused = refused
        self.closed = closed
        self.certificateExpires = certificateExpires
        self.problems = problems
    }
}

/// What topics of one filter have carried since somebody asked to count them.
package struct TopicMetricsReport: Sendable {
    package var filter: String
    package var startedAt: Timestamp
    /// Messages published, by QoS 0, 1, 2.
    package var received: [UInt64]
    package var receivedBytes: UInt64
    /// Messages handed to sessions of clients.
    package var sent: UInt64
    package var dropped: UInt64
    package var receivedPerSecond: Double
    package var sentPerSecond: Double
    package var droppedPerSecond: Double

    package init(
        filter: String, startedAt: Timestamp, received: [UInt64], receivedBytes: UInt64, sent: UInt64, dropped: UInt64,
        receivedPerSecond: Double, sentPerSecond: Double, droppedPerSecond: Double
    ) {
        self.filter = filter
        self.startedAt = startedAt
        self.received = received
        self.receivedBytes = receivedBytes
        self.sent = sent
        self.dropped = dropped
        self.receivedPerSecond = receivedPerSecond
        self.sentPerSecond = sentPerSecond
        self.droppedPerSecond = droppedPerSecond
    }
}

/// Somebody who was not let in, or not let do something.
package struct AccessRefusal: Sendable {
    package enum Action: String, Sendable { case connect, publish, subscribe }

    package var at: Timestamp
    package var action: Action
    package var clientID: String
    package var username: String?
    package var peer: String
    package var listener: String
    /// A stable word: `wrong_password`, `unknown_user`, `publish_denied`, ...
    package var cause: String
    /// The topic or filter, or what was wrong; for the operator, not for the client.
    package var detail: String
    /// The authenticator or the rule that said no.
    package var by: String

    package init(
        at: Timestamp, action: Action, clientID: String, username: String?, peer: String, listener: String,
        cause: String, detail: String, by: String
    ) {
        self.at = at
        self.action = action
        self.clientID = clientID
        self.username = username
        self.peer = peer
        self.listener = listener
        self.cause = cause
        self.detail = detail
        self.by = by
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
