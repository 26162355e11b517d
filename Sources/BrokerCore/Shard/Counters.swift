/// What one shard counts. Plain integers of its event loop, read when metrics are asked for.
package struct ShardCounters: Sendable {
    package var bytesReceived: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var packetsReceived: UInt64 = 0
    package var packetsSent: UInt64 = 0
    package var publishReceived: UInt64 = 0
    package var publishSent: UInt64 = 0
    package var publishBytesReceived: UInt64 = 0
    package var publishBytesSent: UInt64 = 0
    /// Messages from inside the process.
    package var internalReceived: UInt64 = 0
    /// Messages handed to components inside the process.
    package var internalDelivered: UInt64 = 0
    /// Messages that a full queue or a slow client lost.
    package var dropped: UInt64 = 0
    package var expired: UInt64 = 0
    /// Messages refused because their publisher has no right to the topic.
    package var publishDenied: UInt64 = 0
    package var subscribeDenied: UInt64 = 0
    /// Subscriptions taken away because rules or rights changed, and what waited because of them.
    package var subscriptionsRevoked: UInt64 = 0
    package var messagesRevoked: UInt64 = 0
    /// Connections closed because their token or the like has expired.
    package var credentialsExpired: UInt64 = 0
    /// Retained messages refused because the store is full.
    package var retainedRefused: UInt64 = 0
    package var connected: UInt64 = 0
    package var connectionsRefused: UInt64 = 0
    package var protocolErrors: UInt64 = 0
    package var keepAliveTimeouts: UInt64 = 0
    package var connectTimeouts: UInt64 = 0
    package var sessionsExpired: UInt64 = 0
    package var takenOver: UInt64 = 0
    /// Messages handed to other shards, and in how many batches.
    package var handedOver: UInt64 = 0
    package var handOverBatches: UInt64 = 0
    /// Times that publishers had to wait because another shard was behind.
    package var congestions: UInt64 = 0
    package var routesResolved: UInt64 = 0
    /// Messages whose content went out of memory, came back from disk, or was not there any more.
    package var letGo: UInt64 = 0
    package var loaded: UInt64 = 0
    package var lost: UInt64 = 0
    package var loadFailures: UInt64 = 0
    /// Subscriptions and retained messages in the log that a start could not read.
    package var unreadable: UInt64 = 0
    /// Publications refused because nothing could be made durable.
    package var refusedByLog: UInt64 = 0
    /// Times that the older half of the log was made unnecessary and released.
    package var compactions: UInt64 = 0

    package init() {}

    package mutating func add(_ other: ShardCounters) {
        bytesReceived += other.bytesReceived
        bytesSent += other.bytesSent
        packetsReceived += other.packetsReceived
        packetsSent += other.packetsSent
        publishReceived += other.publishReceived
        publishSent += other.publishSent
        publishBytesReceived += other.publishBytesReceived
        publishBytesSent += other.publishBytesSent
        internalReceived += other.internalReceived
        internalDelivered += other.internalDelivered
        dropped += other.dropped
        expired += other.expired
        publishDenied += other.publishDenied
        subscribeDenied += other.subscribeDenied
        subscriptionsRevoked += other.subscriptionsRevoked
        messagesRevoked += other.messagesRevoked
        credentialsExpired += other.credentialsExpired
        retainedRefused += other.retainedRefused
        connected += other.connected
        connectionsRefused += other.connectionsRefused
        protocolErrors += other.protocolErrors
        keepAliveTimeouts += other.keepAliveTimeouts
        connectTimeouts += other.connectTimeouts
        sessionsExpired += other.sessionsExpired
        takenOver += other.takenOver
        handedOver += other.handedOver
        handOverBatches += other.handOverBatches
        congestions += other.congestions
        routesResolved += other.routesResolved
        letGo += other.letGo
        loaded += other.loaded
        lost += other.lost
        unreadable += other.unreadable
        loadFailures += other.loadFailures
        refusedByLog += other.refusedByLog
        compactions += other.compactions
    }
}

/// What a shard holds at the moment.
package struct ShardGauges: Sendable {
    package var connections = 0
    package var sessions = 0
    package var subscriptions = 0
    package var sharedSubscriptions = 0
    package var retained = 0
    package var retainedBytes = 0
    /// Messages in flight or waiting in sessions.
    package var queued = 0

    package mutating func add(_ other: ShardGauges) {
        connections += other.connections
        sessions += other.sessions
        subscriptions += other.subscriptions
        sharedSubscriptions += other.sharedSubscriptions
        retained += other.retained
        retainedBytes += other.retainedBytes
        queued += other.queued
    }
}
