import Bus
import Model

/// One subscription of a session; known to the tree by reference, so that leaving costs no search.
final class Subscription {
    // The session owns the subscription and takes it out of the tree before it ends.
    unowned(unsafe) let session: Session
    let filter: TopicFilter
    let pattern: Bytes
    var options: SubscriptionOptions
    var subscriptionID: UInt32
    /// Its place in its set's `sessions`.
    var position = 0
    let groupKey: SharedGroupKey?

    init(
        session: Session, filter: TopicFilter, options: SubscriptionOptions, subscriptionID: UInt32,
        groupKey: SharedGroupKey?
    ) {
        self.session = session
        self.filter = filter
        pattern = Bytes(filter.pattern)
        self.options = options
        self.subscriptionID = subscriptionID
        self.groupKey = groupKey
    }
}

/// A message that waits for its client.
struct QueuedMessage: Sendable {
    var message: StoredMessage
    var group: SharedGroupKey?
    var subscriptionID: UInt32
    /// QoS in bits 0-1, retain in bit 2.
    var flags: UInt8
}

/// What a client has with the server beyond one connection: subscriptions, messages in flight and waiting.
/// MQTT 5.0, 4.1. Lives on the shard of its connection, or of its last one.
final class Session {
    let clientID: String
    unowned let shard: Shard
    /// Distinguishes it from later sessions of the same client.
    let serial: UInt64
    var version: ProtocolVersion
    // The connection clears it before it ends.
    unowned(unsafe) var connection: Connection?
    var subscriptions: TextMap<Subscription> = [:]
    var inflight = InflightRing()
    var queue = RingQueue<QueuedMessage>()
    /// Retained messages of QoS 0 that wait until the client has read what was sent before.
    var replay = RingQueue<QueuedMessage>()
    /// Packet identifiers of messages in flight that are still to be sent again on this connection.
    var resending = RingQueue<UInt16>()
    /// Packet identifiers of QoS 2 messages received and not yet released.
    var incoming: Set<UInt16> = []
    /// 0xFFFF_FFFF: never; 0: ends with its connection. MQTT 5.0, 3.1.2.11.2
    var expirySeconds: UInt32 = 0
    var will: Will?
    var username: String?
    var cleanStart = true
    var received: UInt64 = 0
    var sent: UInt64 = 0
    var dropped: UInt64 = 0
    /// Messages in flight at most, as the client and the limits say.
    var window = 1024
    /// Monotonic nanoseconds at which its last connection ended.
    var disconnectedAt: Int64 = 0
    /// A connection has claimed it and waits for the log: it neither expires nor publishes its will meanwhile.
    var isClaimed = false
    /// Another shard is taking it over: nothing is sent, everything waits.
    var isLeaving = false

    init(clientID: String, shard: Shard, serial: UInt64, version: ProtocolVersion) {
        self.clientID = clientID
        self.shard = shard
        self.serial = serial
        self.version = version
    }

    var isPersistent: Bool { expirySeconds > 0 }

    /// Hands a message over as one subscription wants it.
    @inline(__always)
    func deliver(
        _ publication: inout Publication, options: SubscriptionOptions, subscriptionID: UInt32,
        group: SharedGroupKey? = nil
    ) {
        if options.noLocal, publication.origin.kind == .client,
            ExactText.areSame(publication.origin.clientID, clientID)
        {
            return
        }
        let qos = min(publication.qos, options.qosValue)
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        let retain = publication.retain && options.retainAsPublished
        if qos == 0 {
            guard let connection else { return }
            if !replay.isEmpty {
                enqueue(
                    QueuedMessage(
                        message: publication.store(shard), group: nil, subscriptionID: subscriptionID,
                        flags: retain ? 4 : 0), onReplay: true)
            } else if connection.canTake(publication.topic.count + publication.payload.count) {
                connection.write(
                    &publication, qos: 0, retain: retain, packetID: 0, subscriptionID: subscriptionID)
            } else {
                drop()
            }
        } else {
            deliverGuaranteed(
                &publication, flags: qos | (retain ? 4 : 0), subscriptionID: subscriptionID, group: group)
        }
    }

    private func deliverGuaranteed(
        _ publication: inout Publication, flags: UInt8, subscriptionID: UInt32, group: SharedGroupKey?
    ) {
        let message = publication.store(shard)
        if let connection, !isLeaving, queue.isEmpty, canSend, connection.isWritable {
            if isPersistent {
                publication.logPosition = shard.log.append(.queued(message, clientID: clientID, qos: flags & 3))
            }
            let id = inflight.add(message, flags: flags, subscriptionID: subscriptionID, group: group)
            if isPersistent, flags & 3 == 2 {
                let queued = QueuedMessage(
                    message: message, group: group, subscriptionID: subscriptionID, flags: flags)
                if mustWait(queued, packetID: id, on: connection) { return }
            }
            let fits = connection.write(
                &publication, qos: flags & 3, retain: flags & 4 != 0, packetID: id, subscriptionID: subscriptionID)
            if !fits { inflight.remove(id) }
            return
        }
        guard queue.count < shard.limits.sessionQueueMax else {
            drop()
            return
        }
        if isPersistent {
            publication.logPosition = shard.log.append(.queued(message, clientID: clientID, qos: flags & 3))
        }
        enqueue(
            QueuedMessage(message: message, group: group, subscriptionID: subscriptionID, flags: flags), onReplay: false
        )
    }

    var canSend: Bool { resending.isEmpty && inflight.count < window && inflight.hasRoom }

    func enqueue(_ queued: QueuedMessage, onReplay: Bool) {
        if onReplay {
            guard replay.count < shard.limits.retainedMax else {
                drop()
                return
            }
            replay.append(queued)
        } else {
            guard queue.count < shard.limits.sessionQueueMax else {
                drop()
                return
            }
            queue.append(queued)
        }
    }

    func drop() {
        dropped += 1
        shard.counters.dropped += 1
    }

    /// Sends what waits as far as the window and the transport allow.
    func pump() {
        guard let connection, !isLeaving else { return }
        if !resending.isEmpty { pumpResending(connection) }
        while connection.isWritable, let queued = replay.popFirst() {
            send(queued, packetID: 0, on: connection)
        }
        while connection.isWritable, canSend, let queued = queue.popFirst() {
            if queued.message.expiresAt <= shard.now {
                shard.counters.expired += 1
                continue
            }
            let id = inflight.add(
                queued.message, flags: queued.flags, subscriptionID: queued.subscriptionID, group: queued.group)
            if mustWait(queued, packetID: id, on: connection) { continue }
            if !send(queued, packetID: id, on: connection) { inflight.remove(id) }
        }
    }

    /// Records the packet identifier of a QoS 2 message; true if it is sent when that is durable.
    private func mustWait(_ queued: QueuedMessage, packetID: UInt16, on connection: Connection) -> Bool {
        guard isPersistent, queued.flags & 3 == 2 else { return false }
        let position = shard.log.append(.sending(queued.message, clientID: clientID, packetID: packetID))
        if position <= shard.log.durable { return false }
        connection.send(queued, packetID: packetID, afterLog: position)
        return true
    }

    /// What had to wait for the log.
    func sendNow(_ queued: QueuedMessage, packetID: UInt16, on connection: Connection) {
        if !send(queued, packetID: packetID, on: connection) { inflight.remove(packetID) }
    }

    @discardableResult
    private func send(_ queued: QueuedMessage, packetID: UInt16, isDuplicate: Bool = false, on connection: Connection)
        -> Bool
    {
        let hash = queued.message.topic.withUnsafeBytes { shard.hash($0) }
        return Publication.with(queued.message, hash: hash) { publication in
            connection.write(
                &publication, qos: queued.flags & 3, retain: queued.flags & 4 != 0, packetID: packetID,
                subscriptionID: queued.subscriptionID, isDuplicate: isDuplicate)
        }
    }

    /// After a reconnect: what was not acknowledged goes out again with its packet identifiers. [MQTT-4.4.0-1]
    func resend() {
        resending.removeAll()
        guard let connection else { return }
        for entry in inflight.unfinished {
            switch entry.state {
            case .awaitingPuback, .awaitingPubrec: resending.append(entry.packetID)
            case .awaitingPubcomp: connection.writeAcknowledgement(.pubrel, entry.packetID, .success)
            case .free: break
            }
        }
        pumpResending(connection)
    }

    /// Sends again what may be in flight to a client whose Receive Maximum has become smaller. [MQTT-3.3.4-9]
    private func pumpResending(_ connection: Connection) {
        while connection.isWritable, inflight.count - resending.count < window, let id = resending.popFirst() {
            guard let entry = inflight.entry(id), let message = entry.message else { continue }
            let queued = QueuedMessage(
                message: message, group: entry.group, subscriptionID: entry.subscriptionID, flags: entry.flags)
            if !send(queued, packetID: id, isDuplicate: true, on: connection) { inflight.remove(id) }
        }
    }

    /// A message in flight was answered: it is not sent again.
    func forgetResending(_ id: UInt16) {
        guard !resending.isEmpty else { return }
        let waiting = resending.elements
        guard waiting.contains(id) else { return }
        resending.removeAll()
        for other in waiting where other != id { resending.append(other) }
    }

    /// Takes out the shared subscriptions' messages that may go to another member: QoS 1 unacknowledged and whatever
    /// still waits. QoS 2 in flight stays. [MQTT-4.8.2-4]
    func takeShared() -> [QueuedMessage] {
        var taken: [QueuedMessage] = []
        for entry in inflight.unfinished where entry.group != nil && entry.state == .awaitingPuback {
            guard let message = entry.message else { continue }
            taken.append(
                QueuedMessage(
                    message: message, group: entry.group, subscriptionID: entry.subscriptionID, flags: entry.flags))
            inflight.remove(entry.packetID)
        }
        let waiting = queue.elements
        guard waiting.contains(where: { $0.group != nil }) else { return taken }
        queue.removeAll()
        for queued in waiting {
            if queued.group == nil { queue.append(queued) } else { taken.append(queued) }
        }
        return taken
    }
}

extension Session {
    /// A retained message for a new subscription. Bounded by what the store may hold, not by the queue's limit: a
    /// subscriber gets all of them.
    func enqueueRetained(_ queued: QueuedMessage) {
        if queued.flags & 3 == 0 {
            guard connection != nil else { return }
            enqueue(queued, onReplay: true)
        } else if queue.count < shard.limits.retainedMax {
            queue.append(queued)
        } else {
            drop()
        }
    }
}
