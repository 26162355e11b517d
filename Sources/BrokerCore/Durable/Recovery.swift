import Bus
package import Model
import NIOCore
import Synchronization

/// What a start found in the log.
package struct RecoveryReport: Sendable, Hashable {
    package var sessions = 0
    package var retained = 0
    /// Messages that wait for sessions, each counted once.
    package var messages = 0
    package var blocks = 0
    package var records = 0
    /// Blocks with a part that could not be read.
    package var damagedBlocks = 0
    /// Messages that a crash had left half way between shards.
    package var completed = 0
    package var seconds = 0.0
    package var problem: Problem?
}

/// One session as a shard takes it up.
struct RecoveredSession: Sendable {
    var number: UInt64
    var since: UInt64
    var recorded: RecordedSession
}

/// What the log holds, divided among the shards.
final class RecoveryPlan: Sendable {
    let sessions: [[RecoveredSession]]
    /// Records of retained messages, by owner.
    let retained: [[(id: UInt64, record: Bytes, known: LogReplay.Known)]]
    let known: [UInt64: LogReplay.Known]
    let firstID: UInt64
    let wall: Int64

    init(
        sessions: [[RecoveredSession]], retained: [[(id: UInt64, record: Bytes, known: LogReplay.Known)]],
        known: [UInt64: LogReplay.Known], firstID: UInt64, wall: Int64
    ) {
        self.sessions = sessions
        self.retained = retained
        self.known = known
        self.firstID = firstID
        self.wall = wall
    }
}

extension Exchange {
    /// What this start has found; nil while it is being taken up.
    package var recovered: RecoveryReport? { recovery.withLock { $0 } }

    /// Takes up what the log holds. Returns at once; `done` is called, on some thread, when every shard serves its
    /// clients. What cannot be read at all is in the report; then nobody is served, and it may be called again.
    package func recover(_ done: @escaping @Sendable (RecoveryReport) -> Void = { _ in }) {
        guard let store else {
            done(RecoveryReport())
            return
        }
        let begun = time.monotonicNanoseconds()
        store.onWorker { [self] in
            let replay = LogReplay()
            do throws(Problem) {
                try store.forEachBlock { replay.take($0) }
                let wall = time.now().nanoseconds
                replay.finish(at: wall)
                var report = RecoveryReport()
                let plan = try RecoveryBuilder(
                    replay: replay, store: store, hash: hash, shardCount: shards.count, wall: wall
                ).build(&report)
                install(plan, report, begun, done)
            } catch {
                var report = RecoveryReport()
                report.problem = error
                recovery.withLock { $0 = report }
                done(report)
            }
        }
    }

    private func install(
        _ plan: RecoveryPlan, _ report: RecoveryReport, _ begun: Int64,
        _ done: @escaping @Sendable (RecoveryReport) -> Void
    ) {
        let countdown = Countdown(left: shards.count) { [self] in
            var report = report
            report.seconds = Double(time.monotonicNanoseconds() - begun) / 1e9
            recovery.withLock { $0 = report }
            done(report)
        }
        for shard in shards {
            shard.loop.execute {
                shard.whenReady = { countdown.count() }
                shard.log.startIDs(at: plan.firstID)
                shard.install(plan, from: 0)
            }
        }
    }
}

/// Calls `body` when it has been counted down.
private final class Countdown: Sendable {
    private let left: Atomic<Int>
    private let body: @Sendable () -> Void

    init(left: Int, body: @escaping @Sendable () -> Void) {
        self.left = Atomic(left)
        self.body = body
    }

    func count() {
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { body() }
    }
}

extension Shard {
    /// Entries and subscriptions installed in one turn of the loop, about.
    private static let installedPerTurn = 20_000

    /// Takes up its sessions in slices, then its retained messages.
    func install(_ plan: RecoveryPlan, from start: Int) {
        _ = refreshNow()
        let mine = plan.sessions[index]
        var next = start
        var work = 0
        while next < mine.count, work < Self.installedPerTurn {
            install(mine[next], plan)
            work += 10 + mine[next].recorded.entries.count + mine[next].recorded.subscriptions.count * 4
            next += 1
        }
        if next < mine.count {
            loop.execute { self.install(plan, from: next) }
        } else {
            installRetained(plan, from: 0)
        }
    }

    private func installRetained(_ plan: RecoveryPlan, from start: Int) {
        let mine = plan.retained[index]
        let end = min(mine.count, start + Self.installedPerTurn)
        for item in mine[start..<end] {
            guard let content = item.record.withUnsafeBytes({ MessageRecord.content($0, id: item.id) }) else {
                counters.unreadable += 1
                continue
            }
            let message = makeMessage(item.id, item.known, plan.wall)
            message.putBack(content)
            message.isShared = true
            _ = retained.set(message, countMax: .max)
        }
        if end < mine.count {
            loop.execute { self.installRetained(plan, from: end) }
            return
        }
        for peer in peers { post(peer.index, .installedAll) }
    }

    /// A message whose content is on disk.
    private func makeMessage(_ id: UInt64, _ known: LogReplay.Known, _ wall: Int64) -> StoredMessage {
        let expires = known.expiresAtWall == .max ? Int64.max : now &+ (known.expiresAtWall &- wall)
        let message = StoredMessage(
            block: nil, topicCount: 0, payloadCount: Int(known.recordBytes), propertyCount: 0,
            qos: QoS(rawValue: known.flags & 3) ?? .atLeastOnce, retain: known.flags & 4 != 0,
            receivedAt: Timestamp(nanoseconds: 0), expiresAt: expires, origin: StoredMessage.unknownOrigin)
        message.id = id
        message.place = known.place
        message.recordBytes = known.recordBytes
        return message
    }

    private func install(_ recovered: RecoveredSession, _ plan: RecoveryPlan) {
        let recorded = recovered.recorded
        let session = Session(clientID: recorded.clientID, shard: self, serial: makeSerial(), version: recorded.version)
        session.number = recovered.number
        session.since = recovered.since
        session.expirySeconds = recorded.expirySeconds
        session.isRecorded = recorded.expirySeconds > 0
        session.username = recorded.username
        session.cleanStart = false
        session.will = recorded.will
        session.dropped = recorded.dropped
        session.incoming = Set(recorded.incoming)
        session.disconnectedAt = now &- max(0, plan.wall &- recorded.disconnectedAt)
        sessions[session.clientID] = session
        holders[session.clientID] = Holder(shard: index, isBusy: false)
        var keys: [SharedGroupKey?] = Array(repeating: nil, count: recorded.groups.count)
        for (place, text) in recorded.groups.enumerated() {
            guard let filter = try? TopicFilter(text) else {
                counters.unreadable += 1
                continue
            }
            keys[place] = SharedGroupKey(text: text, pattern: filter.pattern, owner: owner(hash(text)))
        }
        var inflight: [InflightEntry] = []
        for entry in recorded.entries {
            let group = entry.group >= 0 ? keys[Int(entry.group)] : nil
            var message: StoredMessage?
            if entry.state != .awaitingPubcomp {
                guard let found = recoveredMessage(entry.id, plan) else { continue }
                message = found
                hold(found)
            }
            if entry.state != .free {
                inflight.append(
                    InflightEntry(
                        message: message, group: group, subscriptionID: entry.subscriptionID,
                        packetID: entry.packetID, state: entry.state, flags: entry.flags))
            } else if let message {
                session.queueBytes += message.byteCount
                session.queue.append(
                    QueuedMessage(
                        message: message, group: group, subscriptionID: entry.subscriptionID, flags: entry.flags))
            }
        }
        session.inflight.restore(inflight, nextPacketID: recorded.nextPacketID)
        for saved in recorded.subscriptions {
            guard let filter = try? TopicFilter(saved.filter) else {
                counters.unreadable += 1
                continue
            }
            _ = subscribe(
                session, filter, SubscriptionOptions(rawValue: saved.options), subscriptionID: saved.subscriptionID
            ) {}
        }
        if let will = session.will {
            let due = session.disconnectedAt &+ Int64(min(will.delaySeconds, session.expirySeconds)) * 1_000_000_000
            timers.insert(due, .will(session.clientID, session.serial))
        }
        if session.expirySeconds != .max {
            let due = session.disconnectedAt &+ Int64(session.expirySeconds) * 1_000_000_000
            timers.insert(due, .expiry(session.clientID, session.serial))
        }
    }

    /// One object for each message on this shard, however many sessions wait for it.
    private func recoveredMessage(_ id: UInt64, _ plan: RecoveryPlan) -> StoredMessage? {
        if let made = recoveredMessages[id] { return made }
        guard let known = plan.known[id], known.place != .none else {
            counters.lost += 1
            return nil
        }
        let message = makeMessage(id, known, plan.wall)
        recoveredMessages[id] = message
        return message
    }

    // MARK: Going into service together

    /// Filters of a peer came before this; all its filters are known here now.
    func peerInstalledAll() {
        installedPeers += 1
        guard installedPeers == peers.count else { return }
        for peer in peers { postLate(peer.index, .ready) }
    }

    func peerReady() {
        readyPeers += 1
        guard readyPeers == peers.count else { return }
        recoveredMessages = [:]
        isReady = true
        let waiting = waitingForStart
        waitingForStart = []
        for connection in waiting where connection.state == .connecting {
            guard let pending = connection.pendingConnect else { continue }
            claim(for: connection, clientID: connection.identity.clientID, cleanStart: pending.packet.cleanStart)
        }
        let deferred = atReady
        atReady = []
        for body in deferred { body() }
        resumePublishers()
        whenReady?()
        whenReady = nil
    }
}
