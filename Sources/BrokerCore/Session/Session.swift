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
    /// As other shards are asked for it.
    let interest: InterestKey

    init(
        session: Session, filter: TopicFilter, options: SubscriptionOptions, subscriptionID: UInt32,
        groupKey: SharedGroupKey?
    ) {
        interest = InterestKey(filter: filter.pattern, isDurable: session.isRecorded)
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
    // It is the shard's, and shards live until their exchange is dissolved, after which nothing may be used.
    unowned(unsafe) let shard: Shard
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
    /// Its number in the log; 0: it is not there.
    var number: UInt64 = 0
    /// Block of its beginning or its newest snapshot.
    var since: UInt64 = 0
    /// Bytes of what waits in `queue`.
    var queueBytes = 0
    /// Messages of QoS 2 that wait for their packet identifier to become durable before they are sent.
    var waitingForLog = 0
    /// Content is being read back.
    var isLoading = false
    /// What was in flight must go out again before anything else, and is being read back.
    var isResuming = false
    /// Of a session that has shared subscriptions.
    private var load: MemberLoad?

    init(clientID: String, shard: Shard, serial: UInt64, version: ProtocolVersion) {
        self.clientID = clientID
        self.shard = shard
        self.serial = serial
        self.version = version
    }

    var isPersistent: Bool { expirySeconds > 0 }

    func makeLoad() -> MemberLoad {
        let load = load ?? MemberLoad()
        self.load = load
        return load
    }

    /// Says to shared subscriptions how much it has to do.
    @inline(__always)
    func tellLoad() { load?.set(inflight.count + queue.count) }

    /// What happens to its messages is written to the log: it began as a session that outlives its connection.
    var isRecorded = false

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
        if let connection, !isLeaving, queue.isEmpty, canSend, connection.isWritable {
            guard isRecorded else {
                // A group's message may have a record for the sake of its other members.
                let message = publication.kept ?? publication.store(shard)
                publication.isHeldOnline = true
                let id = inflight.add(message, flags: flags, subscriptionID: subscriptionID, group: group)
                let fits = connection.write(
                    &publication, qos: flags & 3, retain: flags & 4 != 0, packetID: id, subscriptionID: subscriptionID)
                if !fits { finish(id) }
                return
            }
            sendRecorded(&publication, flags: flags, subscriptionID: subscriptionID, group: group, on: connection)
            return
        }
        let byteCount = publication.topic.count + publication.payload.count + publication.properties.count
        guard makeRoom(byteCount) else {
            if let group, let kept = publication.kept { shard.log.groupDone(kept.id, group: group.text) }
            drop()
            return
        }
        let message = isRecorded ? publication.record(shard) : publication.kept ?? publication.store(shard)
        if isRecorded {
            shard.hold(message)
            shard.log.took(
                session: number, flags: flags, subscriptionID: subscriptionID, group: group?.text, packetID: 0)
            if connection == nil || queue.count > Session.aheadMax { publication.mayLetGo = true }
        } else {
            publication.isHeldOnline = true
        }
        queueBytes += byteCount
        queue.append(QueuedMessage(message: message, group: group, subscriptionID: subscriptionID, flags: flags))
    }

    private func sendRecorded(
        _ publication: inout Publication, flags: UInt8, subscriptionID: UInt32, group: SharedGroupKey?,
        on connection: Connection
    ) {
        let message = publication.record(shard)
        publication.isHeldOnline = true
        shard.hold(message)
        let id = inflight.add(message, flags: flags, subscriptionID: subscriptionID, group: group)
        shard.log.took(
            session: number, flags: flags, subscriptionID: subscriptionID, group: group?.text, packetID: id)
        // Whatever comes behind a message that waits for the log waits too: the order stays.
        if flags & 3 == 2 || waitingForLog > 0 {
            waitingForLog += 1
            connection.send(
                QueuedMessage(message: message, group: group, subscriptionID: subscriptionID, flags: flags),
                packetID: id, afterLog: shard.log.due())
            return
        }
        let fits = connection.write(
            &publication, qos: flags & 3, retain: flags & 4 != 0, packetID: id, subscriptionID: subscriptionID)
        if !fits { finish(id) }
    }

    /// Nothing may go ahead of what must go out again first.
    var canSend: Bool { resending.isEmpty && !isResuming && inflight.count < window && inflight.hasRoom }

    /// Whether the queue takes another message, after what its policy lets go for it.
    private func makeRoom(_ byteCount: Int) -> Bool {
        while queue.count >= shard.limits.sessionQueueMax
            || (queueBytes + byteCount > shard.limits.sessionQueueBytesMax && queueBytes > 0)
        {
            guard shard.limits.sessionQueueDropsOldest, let oldest = queue.popFirst() else { return false }
            forgetWaiting(oldest)
            drop()
        }
        return true
    }

    /// A message that was taken out of `queue` will not be sent.
    func forgetWaiting(_ queued: QueuedMessage) {
        queueBytes -= min(queueBytes, queued.message.byteCount)
        if isRecorded, queued.message.id != 0 { shard.log.removed(session: number, queued.message.id) }
        leave(queued.message, queued.group)
    }

    /// This session has no more to do with a message.
    private func leave(_ message: StoredMessage?, _ group: SharedGroupKey?) {
        guard let message, message.id != 0 else { return }
        if isRecorded {
            shard.unhold(message)
        } else if let group {
            shard.log.groupDone(message.id, group: group.text)
        }
    }

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
            queueBytes += queued.message.byteCount
            queue.append(queued)
        }
    }

    func drop() {
        dropped += 1
        shard.counters.dropped += 1
    }

    /// Sends what waits as far as the window and the transport allow.
    func pump() {
        guard let connection, !isLeaving, !isResuming else { return }
        if !resending.isEmpty { pumpResending(connection) }
        while connection.isWritable, let queued = replay.popFirst() {
            send(queued, packetID: 0, on: connection)
        }
        if queue.isEmpty { queueBytes = 0 }
        while connection.isWritable, canSend, let queued = queue.first {
            if queued.message.expiresAt <= shard.now {
                _ = queue.popFirst()
                shard.counters.expired += 1
                forgetWaiting(queued)
                continue
            }
            guard queued.message.isLoaded else {
                if !queued.message.isLost { break }
                // The disk has lost it: it is counted and passed over.
                _ = queue.popFirst()
                shard.counters.lost += 1
                forgetWaiting(queued)
                continue
            }
            _ = queue.popFirst()
            queueBytes -= min(queueBytes, queued.message.byteCount)
            let id = inflight.add(
                queued.message, flags: queued.flags, subscriptionID: queued.subscriptionID, group: queued.group)
            if mustWait(queued, packetID: id, on: connection) { continue }
            if !send(queued, packetID: id, on: connection) { finish(id) }
        }
        loadAhead()
    }

    /// Records that a waiting message is sent; true if that must be durable first.
    private func mustWait(_ queued: QueuedMessage, packetID: UInt16, on connection: Connection) -> Bool {
        guard isRecorded, queued.message.id != 0 else { return false }
        shard.log.sending(session: number, queued.message.id, packetID: packetID)
        if queued.flags & 3 != 2, waitingForLog == 0 { return false }
        waitingForLog += 1
        connection.send(queued, packetID: packetID, afterLog: shard.log.due())
        return true
    }

    /// What had to wait for the log.
    func sendNow(_ queued: QueuedMessage, packetID: UInt16, on connection: Connection) {
        waitingForLog = max(0, waitingForLog - 1)
        if !send(queued, packetID: packetID, on: connection) { finish(packetID) }
    }

    /// The message with this packet identifier is done with.
    func finish(_ packetID: UInt16) {
        guard let entry = inflight.remove(packetID) else { return }
        tellLoad()
        if isRecorded { shard.log.finished(session: number, packetID: packetID) }
        leave(entry.message, entry.group)
    }

    /// The client has the message of QoS 2. Where in the log that stands.
    func received(_ packetID: UInt16) -> UInt64 {
        let group = inflight.group(packetID)
        leave(inflight.markReceived(packetID), group)
        return isRecorded ? shard.log.received(session: number, packetID: packetID) : 0
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

    /// After a reconnect, all being in memory: what was not acknowledged goes out again with its packet identifiers. [MQTT-4.4.0-1]
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
            if !send(queued, packetID: id, isDuplicate: true, on: connection) { finish(id) }
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
    /// still waits. QoS 2 in flight stays. [MQTT-4.8.2-4] What would have to be read back first stays too.
    func takeShared() -> [QueuedMessage] {
        var taken: [QueuedMessage] = []
        for entry in inflight.unfinished where entry.group != nil && entry.state == .awaitingPuback {
            guard let message = entry.message, message.isLoaded else { continue }
            taken.append(
                QueuedMessage(
                    message: message, group: entry.group, subscriptionID: entry.subscriptionID, flags: entry.flags))
            inflight.remove(entry.packetID)
        }
        let waiting = queue.elements
        if waiting.contains(where: { $0.group != nil }) {
            queue.removeAll()
            for queued in waiting {
                if queued.group == nil || !queued.message.isLoaded {
                    queue.append(queued)
                } else {
                    queueBytes -= min(queueBytes, queued.message.byteCount)
                    taken.append(queued)
                }
            }
        }
        if isRecorded {
            for queued in taken where queued.message.id != 0 {
                if let group = queued.group {
                    shard.log.gaveBack(session: number, queued.message.id, group: group.text)
                }
                shard.unhold(queued.message)
            }
        }
        return taken
    }
}

extension Session {
    /// A retained message for a new subscription. Bounded by what the store may hold, not by the queue's limit: a
    /// subscriber gets all of them.
    func enqueueRetained(_ given: QueuedMessage) {
        var queued = given
        if queued.flags & 3 == 0 {
            guard connection != nil else { return }
            enqueue(queued, onReplay: true)
        } else if queue.count < shard.limits.retainedMax {
            if isRecorded {
                // The retained store keeps its own.
                queued.message = queued.message.copy()
                if queued.message.id == 0 {
                    shard.log.published(queued.message, type: .published, now: shard.now)
                } else {
                    shard.log.refer(to: queued.message, now: shard.now)
                }
                shard.hold(queued.message)
                shard.log.took(
                    session: number, flags: queued.flags, subscriptionID: queued.subscriptionID, group: nil,
                    packetID: 0)
            }
            queueBytes += queued.message.byteCount
            queue.append(queued)
        } else {
            drop()
        }
    }

    /// Everything that it keeps is given up.
    func leaveAll() {
        for queued in queue.elements where queued.message.id != 0 { leave(queued.message, queued.group) }
        for entry in inflight.unfinished { leave(entry.message, entry.group) }
        queue.removeAll()
        inflight = InflightRing()
        queueBytes = 0
    }
}
