/// What happens to a client that does what its rights do not allow, beyond the reason code that MQTT 5 has for it.
package enum DeniedAction: String, Sendable, Hashable, CaseIterable {
    case ignore
    case disconnect
}

/// What a listener lets its clients do.
package struct ConnectionLimits: Sendable, Hashable {
    /// Greatest packet accepted, in bytes with its fixed header.
    package var packetBytesMax: Int
    /// QoS 1 and 2 messages that a client may have unacknowledged towards us. MQTT 5.0, 3.2.2.3.3
    package var receiveMaximum: UInt16
    /// Topic aliases a client may use. 3.2.2.3.8
    package var topicAliasMaximum: UInt16
    /// Longest keep alive, in seconds; 0: the client decides. 3.2.2.3.14
    package var keepAliveSecondsMax: UInt16
    /// How long a connection may take to send its CONNECT, in seconds.
    package var connectSeconds: UInt16
    /// Greatest first packet accepted, in bytes with its fixed header: what a client that nobody knows may make us hold.
    package var connectBytesMax: Int

    /// Highest QoS that clients may publish with, 0 to 2. 3.2.2.3.4
    package var maximumQoS: UInt8 = 2
    /// Whether clients may publish retained messages. 3.2.2.3.5
    package var retainAvailable = true
    /// Whether filters may have wildcards. 3.2.2.3.11
    package var wildcardSubscriptionsAvailable = true
    /// 3.2.2.3.12
    package var subscriptionIdentifiersAvailable = true
    /// 3.2.2.3.13
    package var sharedSubscriptionsAvailable = true
    /// Whether a denied publication or a revoked subscription ends the connection.
    package var denied = DeniedAction.ignore

    package init(
        packetBytesMax: Int = 1 << 20, receiveMaximum: UInt16 = 1024, topicAliasMaximum: UInt16 = 32,
        keepAliveSecondsMax: UInt16 = 0, connectSeconds: UInt16 = 10, connectBytesMax: Int = 64 << 10
    ) {
        self.packetBytesMax = packetBytesMax
        self.receiveMaximum = receiveMaximum
        self.topicAliasMaximum = topicAliasMaximum
        self.keepAliveSecondsMax = keepAliveSecondsMax
        self.connectSeconds = connectSeconds
        self.connectBytesMax = connectBytesMax
    }
}

/// The bounds of everything in a broker that could grow.
package struct ExchangeLimits: Sendable, Hashable {
    /// Messages that wait for one session beyond those in flight, and their bytes; more are dropped and counted.
    package var sessionQueueMax = 100_000
    package var sessionQueueBytesMax = 1 << 30
    /// Whether a full queue drops its oldest message instead of the newest.
    package var sessionQueueDropsOldest = false
    /// Bytes of waiting messages that a shard keeps in memory; what comes beyond is read back from the log when its
    /// client returns.
    package var keptBytesMax = 64 << 20
    /// The log is left alone while it is smaller, in bytes; beyond, and when half of it is dead, it is compacted.
    package var logBytesMin = 64 << 20
    /// Messages sent to one client and not yet acknowledged, if the client does not say less.
    package var inflightMax = 1024
    /// Unsent bytes of a client that reads too slowly, after which QoS 0 messages for it are dropped and counted.
    package var unsentBytesMax = 4 << 20
    /// Messages of one in-process publisher that wait for its shard.
    package var mailboxMax = 65_536
    /// Messages under way from all shards to one, after which the others stop reading from publishers.
    package var handOverMax = 65_536
    /// Topics whose subscribers a shard remembers.
    package var routeCacheMax = 65_536
    /// Levels of a topic or filter, as Mosquitto.
    package var topicLevelsMax = 200
    /// Retained messages of the whole broker; further topics are refused and counted.
    package var retainedMax = 10_000_000
    /// Subscriptions of one session.
    package var subscriptionsPerSessionMax = 100_000
    /// Aliases towards one client.
    package var outboundAliasMax = 64
    /// Connections that wait for one client id to be handed over.
    package var claimsPerClientMax = 16
    /// Longest Session Expiry Interval, in seconds; 0xFFFF_FFFF: the client decides.
    package var sessionExpirySecondsMax: UInt32 = 0xFFFF_FFFF
    /// What EMQX's system topics call this broker: `$SYS/brokers/{nodeName}/...`; one topic level.
    package var nodeName = "tundish"
    /// How members of shared subscriptions are chosen, and where it is otherwise, by the name of the group.
    package var sharedStrategy = SharedStrategy.roundRobin
    package var sharedStrategies: [String: SharedStrategy] = [:]
    /// How often the `$SYS` topics are published, in seconds; 0: never.
    package var sysIntervalSeconds = 10

    package init() {}

    /// Of `$share/{name}/{filter}`.
    func strategy(ofGroup text: String) -> SharedStrategy {
        guard !sharedStrategies.isEmpty else { return sharedStrategy }
        let name = text.dropFirst("$share/".count).prefix { $0 != "/" }
        return sharedStrategies[String(name)] ?? sharedStrategy
    }
}
