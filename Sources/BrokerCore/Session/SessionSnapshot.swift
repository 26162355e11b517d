import Model

/// A session on its way from one shard to another. `RecordedSession` is the same as bytes, with the messages by id.
struct SessionSnapshot: Sendable {
    struct Subscription: Sendable {
        var filter: String
        var options: SubscriptionOptions
        var subscriptionID: UInt32
    }

    var clientID: String
    /// In the log; 0: it is not there.
    var number: UInt64
    var isRecorded: Bool
    var subscriptions: [Subscription]
    var inflight: [InflightEntry]
    var nextPacketID: UInt16
    var queue: [QueuedMessage]
    var incoming: Set<UInt16>
    var expirySeconds: UInt32
    var received: UInt64
    var sent: UInt64
    var dropped: UInt64
}

extension Session {
    /// `withMessages`: not those that wait or are in flight. What stands in the log goes as copies of its own, because
    /// other sessions of this shard may keep the same message.
    func snapshot(withMessages: Bool) -> SessionSnapshot {
        var snapshot = SessionSnapshot(
            clientID: clientID, number: number, isRecorded: isRecorded,
            subscriptions: subscriptions.values.map {
                SessionSnapshot.Subscription(
                    filter: $0.filter.text, options: $0.options, subscriptionID: $0.subscriptionID)
            }, inflight: [], nextPacketID: inflight.nextPacketID, queue: [], incoming: incoming,
            expirySeconds: expirySeconds, received: received, sent: sent, dropped: dropped)
        guard withMessages else { return snapshot }
        snapshot.inflight = inflight.unfinished
        snapshot.queue = queue.elements
        guard isRecorded else { return snapshot }
        for index in snapshot.inflight.indices {
            snapshot.inflight[index].message = snapshot.inflight[index].message?.copy()
        }
        for index in snapshot.queue.indices { snapshot.queue[index].message = snapshot.queue[index].message.copy() }
        return snapshot
    }

    /// Takes over what the session had on another shard. What arrived here meanwhile and there too is kept once.
    func restore(_ snapshot: SessionSnapshot) {
        let arrived = queue.elements
        inflight.restore(snapshot.inflight, nextPacketID: snapshot.nextPacketID)
        queue.removeAll()
        queueBytes = 0
        var known: Set<ObjectIdentifier> = []
        var ids: Set<UInt64> = []
        for entry in snapshot.inflight {
            guard let message = entry.message else { continue }
            if isRecorded { shard.hold(message) }
            if message.id != 0 { ids.insert(message.id) }
        }
        for queued in snapshot.queue {
            if isRecorded { shard.hold(queued.message) }
            if queued.message.id != 0 { ids.insert(queued.message.id) }
            known.insert(ObjectIdentifier(queued.message))
            queueBytes += queued.message.byteCount
            queue.append(queued)
        }
        for queued in arrived {
            let message = queued.message
            if message.id != 0 ? ids.contains(message.id) : known.contains(ObjectIdentifier(message)) {
                if isRecorded { shard.unhold(message) }
                continue
            }
            enqueue(queued, onReplay: false)
        }
        incoming = snapshot.incoming
        received += snapshot.received
        sent += snapshot.sent
        dropped += snapshot.dropped
    }

    /// As it is written down.
    var recorded: RecordedSession {
        var recorded = RecordedSession(clientID: clientID)
        recorded.expirySeconds = expirySeconds
        recorded.version = version
        recorded.username = username
        recorded.nextPacketID = inflight.nextPacketID
        recorded.incoming = incoming.sorted()
        recorded.will = will
        recorded.dropped = dropped
        if connection == nil {
            recorded.disconnectedAt = shard.wallTime.nanoseconds &- (shard.now &- disconnectedAt)
        }
        for subscription in subscriptions.values {
            recorded.subscriptions.append(
                RecordedSession.Subscription(
                    filter: subscription.filter.text, options: subscription.options.rawValue,
                    subscriptionID: subscription.subscriptionID))
        }
        guard isRecorded else { return recorded }
        var groups: [String: Int32] = [:]
        func group(_ key: SharedGroupKey?) -> Int32 {
            guard let key else { return -1 }
            if let known = groups[key.text] { return known }
            let number = Int32(recorded.groups.count)
            groups[key.text] = number
            recorded.groups.append(key.text)
            return number
        }
        let waiting = queue.elements
        recorded.entries.reserveCapacity(inflight.count + waiting.count)
        for entry in inflight.unfinished {
            let number = group(entry.group)
            recorded.entries.append(
                RecordedSession.Entry(
                    id: entry.message?.id ?? 0, subscriptionID: entry.subscriptionID, group: number,
                    packetID: entry.packetID, state: entry.state, flags: entry.flags))
        }
        for queued in waiting where queued.message.id != 0 {
            let number = group(queued.group)
            recorded.entries.append(
                RecordedSession.Entry(
                    id: queued.message.id, subscriptionID: queued.subscriptionID, group: number, flags: queued.flags))
        }
        return recorded
    }
}
