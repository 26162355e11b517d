package import Bus
package import Model

extension Exchange {
    /// All sessions, connected or not, by client id.
    package func clients() async -> [ClientInfo] {
        var all: [ClientInfo] = []
        for shard in shards { all += await shard.run { $0.sessions.values.map(\.info) } }
        return all.sorted { $0.clientID < $1.clientID }
    }

    /// All subscriptions, those of components too, by client id and filter.
    package func subscriptions() async -> [SubscriptionInfo] {
        var all: [SubscriptionInfo] = []
        for shard in shards {
            all += await shard.run { shard in
                var found: [SubscriptionInfo] = []
                for session in shard.sessions.values {
                    for subscription in session.subscriptions.values {
                        found.append(
                            SubscriptionInfo(
                                clientID: session.clientID, filter: subscription.filter.text,
                                qos: subscription.options.qosValue, isInternal: false))
                    }
                }
                for component in shard.components.values {
                    for filter in component.filters {
                        found.append(
                            SubscriptionInfo(clientID: component.name, filter: filter.text, qos: 2, isInternal: true))
                    }
                }
                return found
            }
        }
        return all.sorted { ($0.clientID, $0.filter) < ($1.clientID, $1.filter) }
    }

    /// Retained messages that `filter` matches, by topic; at most `limit`.
    package func retained(_ filter: TopicFilter, limit: Int = 1000) async -> [Message] {
        var all: [Message] = []
        let pattern = Bytes(filter.pattern)
        for shard in shards {
            all += await shard.run { shard in
                let now = shard.refreshNow()
                return shard.retained.matching(pattern, now: now, limit: limit)
                    .map { $0.message(retain: true, now: now) }
            }
        }
        return Array(all.sorted { $0.topic.string < $1.topic.string }.prefix(limit))
    }

    /// Disconnects a client (MQTT 5.0: 0x98). False if it is not connected.
    package func kick(clientID: String) async -> Bool {
        var isFound = false
        for shard in shards {
            isFound =
                await shard.run { shard in
                    guard let connection = shard.sessions[clientID]?.connection else { return false }
                    connection.disconnect(.administrativeAction)
                    return true
                } || isFound
        }
        return isFound
    }

    /// Disconnects every client of a listener.
    package func disconnectAll(listener: String, reason: ReasonCode = .administrativeAction) async {
        for shard in shards {
            await shard.run { shard in
                for connection in shard.connections.values where connection.context.listener == listener {
                    connection.disconnect(reason)
                }
            }
        }
    }

    package func totals() async -> (counters: ShardCounters, gauges: ShardGauges) {
        var counters = ShardCounters()
        var gauges = ShardGauges()
        for shard in shards {
            let part = await shard.run { ($0.counters, $0.gauges) }
            counters.add(part.0)
            gauges.add(part.1)
        }
        return (counters, gauges)
    }
}

extension Session {
    var info: ClientInfo {
        ClientInfo(
            clientID: clientID, username: username, protocolName: version.name, peer: connection?.context.peer,
            listener: connection?.context.listener, isConnected: connection != nil,
            connectedAt: connection?.connectedAt, keepAliveSeconds: connection?.keepAliveSeconds ?? 0,
            cleanStart: cleanStart, subscriptions: subscriptions.count, received: received, sent: sent,
            queued: queue.count + inflight.count + replay.count, dropped: dropped, shard: shard.index)
    }
}

extension Shard {
    package var gauges: ShardGauges {
        var gauges = ShardGauges()
        gauges.sessions = sessions.count
        for session in sessions.values {
            if session.connection != nil { gauges.connections += 1 }
            gauges.subscriptions += session.subscriptions.count
            gauges.queued += session.queue.count + session.inflight.count
        }
        gauges.sharedSubscriptions = groups.count
        gauges.retained = retained.count
        gauges.retainedBytes = retained.byteCount
        return gauges
    }
}

extension Exchange: MetricSource {
    package func collect() async -> [MetricSample] {
        let (counters, gauges) = await totals()
        func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricSample {
            MetricSample("tundish_broker_" + name, .counter, help, Double(value))
        }
        func gauge(_ name: String, _ help: String, _ value: Int) -> MetricSample {
            MetricSample("tundish_broker_" + name, .gauge, help, Double(value))
        }
        return [
            gauge("connections", "Clients connected.", gauges.connections),
            gauge("sessions", "Sessions, connected or not.", gauges.sessions),
            gauge("subscriptions", "Subscriptions of network clients.", gauges.subscriptions),
            gauge("shared_subscriptions", "Shared subscriptions.", gauges.sharedSubscriptions),
            gauge("retained_messages", "Retained messages.", gauges.retained),
            gauge("retained_bytes", "Payload bytes of retained messages.", gauges.retainedBytes),
            gauge("queued_messages", "Messages in flight or waiting for clients.", gauges.queued),
            counter("received_bytes_total", "Bytes received from clients.", counters.bytesReceived),
            counter("sent_bytes_total", "Bytes sent to clients.", counters.bytesSent),
            counter("packets_received_total", "Packets received.", counters.packetsReceived),
            counter("packets_sent_total", "Packets sent.", counters.packetsSent),
            counter("messages_received_total", "Messages published by clients.", counters.publishReceived),
            counter("messages_sent_total", "Messages sent to clients.", counters.publishSent),
            counter("internal_messages_total", "Messages published inside the process.", counters.internalReceived),
            counter("internal_deliveries_total", "Messages handed to components.", counters.internalDelivered),
            counter("messages_dropped_total", "Messages lost by a full queue or a slow client.", counters.dropped),
            counter("messages_expired_total", "Messages whose expiry interval had passed.", counters.expired),
            counter("publish_denied_total", "Messages refused for lack of rights.", counters.publishDenied),
            counter("subscribe_denied_total", "Subscriptions refused for lack of rights.", counters.subscribeDenied),
            counter(
                "subscriptions_revoked_total", "Subscriptions taken away by changed rules.",
                counters.subscriptionsRevoked),
            counter(
                "messages_revoked_total", "Waiting messages dropped with a revoked subscription.",
                counters.messagesRevoked),
            counter(
                "credentials_expired_total", "Connections closed because their token expired.",
                counters.credentialsExpired),
            counter(
                "retained_refused_total", "Retained messages refused: the store is full.", counters.retainedRefused),
            counter("connects_total", "Connections accepted.", counters.connected),
            counter("connects_refused_total", "Connections refused.", counters.connectionsRefused),
            counter(
                "protocol_errors_total", "Connections closed for bytes against the standard.", counters.protocolErrors),
            counter("keep_alive_timeouts_total", "Connections closed for silence.", counters.keepAliveTimeouts),
            counter("connect_timeouts_total", "Connections closed without CONNECT.", counters.connectTimeouts),
            counter("sessions_expired_total", "Sessions ended by their expiry.", counters.sessionsExpired),
            counter(
                "sessions_taken_over_total", "Connections replaced by another of the same client.", counters.takenOver),
            counter("shard_messages_total", "Messages handed to other shards.", counters.handedOver),
            counter("shard_batches_total", "Batches handed to other shards.", counters.handOverBatches),
            counter("congestions_total", "Times that publishers waited for another shard.", counters.congestions),
            counter("routes_resolved_total", "Topics looked up in the subscription tree.", counters.routesResolved),
            counter(
                "log_refused_total", "Publications refused because nothing could be made durable.",
                counters.refusedByLog),
            counter("log_compactions_total", "Times that the log was shortened.", counters.compactions),
            counter("log_let_go_total", "Waiting messages whose content went out of memory.", counters.letGo),
            counter("log_read_back_total", "Waiting messages read back from disk.", counters.loaded),
            counter("log_read_failures_total", "Times that the disk refused to be read.", counters.loadFailures),
            counter(
                "log_unreadable_total", "Subscriptions and retained messages in the log that a start could not read.",
                counters.unreadable),
            counter("messages_lost_total", "Waiting messages that the disk had no more.", counters.lost),
        ]
    }
}
