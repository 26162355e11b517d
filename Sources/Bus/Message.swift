package import Model

/// How surely a message is delivered. MQTT 5.0, 4.3.
package enum QoS: UInt8, Sendable, Comparable, CaseIterable {
    case atMostOnce = 0
    case atLeastOnce = 1
    case exactlyOnce = 2

    @inlinable package static func < (a: QoS, b: QoS) -> Bool { a.rawValue < b.rawValue }
}

/// Who published a message. One object per client or component, shared by all its messages.
package final class Origin: Sendable {
    package enum Kind: String, Sendable {
        /// A network client.
        case client
        /// A device's group.
        case device
        case rule
        case console
        /// Tundish itself: `$SYS`, alarms, resource events.
        case system
    }

    package let kind: Kind
    /// The MQTT client id, or the name of the device, rule, ... that publishes.
    package let clientID: String
    package let username: String?
    /// `address:port` of a network client.
    package let peer: String?
    /// Whether the publisher may write to devices: everything inside may; a network client only where its listener
    /// and its access rules say so.
    package let mayWriteDevices: Bool

    package init(
        _ kind: Kind, clientID: String, username: String? = nil, peer: String? = nil, mayWriteDevices: Bool = true
    ) {
        self.kind = kind
        self.clientID = clientID
        self.username = username
        self.peer = peer
        self.mayWriteDevices = mayWriteDevices
    }
}

/// The PUBLISH properties that travel with a message. MQTT 5.0, 3.3.2.3. Absent on most messages.
package final class MessageProperties: Sendable {
    /// True: the payload is UTF-8 text. 3.3.2.3.2
    package let isUTF8Payload: Bool
    /// Seconds, from reception. 3.3.2.3.3
    package let expirySeconds: UInt32?
    package let contentType: Bytes?
    package let responseTopic: Bytes?
    package let correlationData: Bytes?
    /// In the publisher's order. 3.3.2.3.7
    package let user: [(name: Bytes, value: Bytes)]

    package init(
        isUTF8Payload: Bool = false, expirySeconds: UInt32? = nil, contentType: Bytes? = nil,
        responseTopic: Bytes? = nil, correlationData: Bytes? = nil, user: [(name: Bytes, value: Bytes)] = []
    ) {
        self.isUTF8Payload = isUTF8Payload
        self.expirySeconds = expirySeconds
        self.contentType = contentType
        self.responseTopic = responseTopic
        self.correlationData = correlationData
        self.user = user
    }
}

/// A message on its way: what a publisher sent, with what Tundish knows about it.
package struct Message: Sendable {
    package var topic: Topic
    package var payload: Payload
    package var qos: QoS
    /// From a publisher: store it as the topic's retained message. To a subscriber: it was stored before the
    /// subscription was made, or the subscription asked for the flag as published.
    package var retain: Bool
    package var receivedAt: Timestamp
    package var origin: Origin
    package var properties: MessageProperties?

    package init(
        topic: Topic, payload: Payload, qos: QoS = .atMostOnce, retain: Bool = false, receivedAt: Timestamp,
        origin: Origin, properties: MessageProperties? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.receivedAt = receivedAt
        self.origin = origin
        self.properties = properties
    }
}
