import Model
import NIOCore
import Synchronization

/// How the log becomes shorter: everything that is still needed of its older half is written once more, then that half
/// goes.
///
/// Shard 0 says before which block everything shall become unnecessary. In a round every shard writes anew what it
/// needs from before, then waits until all others have done so and everything they had sent it until then has come.
/// What a shard finds, or receives from another, makes the round an unclean one. After a clean round of all shards
/// nothing from before can be anywhere, on its way between two shards neither, and the blocks are released.
struct Compaction {
    /// What stands before this block is to become unnecessary.
    var before: UInt64
    var round: Int
    /// Something from before was here.
    var isDirty = false
    /// Its own part is written.
    var isWritten = false
    /// Messages that are being read back.
    var loading = 0
    var sessions: ArraySlice<String> = []
    var retained: ArraySlice<StoredMessage> = []
}

/// At shard 0: who has finished the round.
struct CompactionLead {
    var before: UInt64
    var round: Int
    var missing: Int
    var isDirty = false
    /// The next round begins at the next tick.
    var isWaiting = false
}

extension Shard {
    /// Entries looked at in one turn of the loop, about, and bytes written.
    private static let compactedPerTurn = 20_000
    private static let compactedBytesPerTurn = 4 << 20

    /// What would have to be written if everything were written anew, roughly.
    func reportLiveBytes() {
        let part =
            log.liveBytes + log.liveEntries * 16 + sessions.count * 256 + retained.byteCount + retained.count * 96
        liveLogBytes.store(part, ordering: .relaxed)
    }

    /// Twice a second, at shard 0: whether the log has become too long.
    func tickLog() {
        reportLiveBytes()
        guard index == 0, let store = log.store, !log.isRefusing else { return }
        if let lead = compactionLead {
            if lead.isWaiting { beginRound(lead.before, lead.round + 1) }
            return
        }
        let live = peers.reduce(0) { $0 + $1.liveLogBytes.load(ordering: .relaxed) }
        guard store.byteCount > max(limits.logBytesMin, live * 2), let half = store.block(behind: store.byteCount / 2)
        else { return }
        compact(before: half)
    }

    /// Begins to make everything before a block unnecessary. At shard 0.
    func compact(before block: UInt64) {
        guard compactionLead == nil else { return }
        beginRound(block, 1)
    }

    private func beginRound(_ before: UInt64, _ round: Int) {
        compactionLead = CompactionLead(before: before, round: round, missing: peers.count)
        for peer in peers { post(peer.index, .compact(before: before, round: round)) }
    }

    // MARK: At every shard

    func startCompaction(before: UInt64, round: Int) {
        // What is written from now on stands in a block with a later number.
        log.flush(always: true)
        log.horizon = max(log.horizon, before)
        compaction = Compaction(before: before, round: round)
        compaction?.sessions = Array(sessions.keys)[...]
        compaction?.retained = retained.all.filter { isOld($0) }[...]
        if index == 0 { log.owners(seed: hash.seed, shards: peers.count) }
        continueCompaction()
    }

    /// The message's record stands before what the compaction wants to release.
    func isOld(_ message: StoredMessage) -> Bool { message.id != 0 && message.place.block < log.horizon }

    /// Something came from another shard.
    func compactionMeets(_ message: StoredMessage) {
        if compaction != nil, isOld(message) { compaction?.isDirty = true }
    }

    private func continueCompaction() {
        guard compaction != nil else { return }
        _ = refreshNow()
        var work = 0
        let start = log.bytes
        while work < Self.compactedPerTurn, log.bytes - start < UInt64(Self.compactedBytesPerTurn) {
            if let clientID = compaction?.sessions.popFirst() {
                work += 8
                if let session = sessions[clientID] { work += compact(session) }
            } else if let message = compaction?.retained.popFirst() {
                work += 1
                compactRetained(message)
            } else {
                finishWriting()
                return
            }
            log.flushIfLong()
        }
        loop.execute { self.continueCompaction() }
    }

    private func compact(_ session: Session) -> Int {
        var missing: [StoredMessage] = []
        var count = 0
        func look(_ message: StoredMessage, _ group: SharedGroupKey?) {
            count += 1
            guard isOld(message), session.isRecorded || group != nil else { return }
            compaction?.isDirty = true
            if message.isLoaded {
                write(message, group: session.isRecorded ? nil : group)
            } else if !message.isLost {
                missing.append(message)
            }
        }
        for entry in session.inflight.unfinished { if let message = entry.message { look(message, entry.group) } }
        for index in 0..<session.queue.count {
            if let queued = session.queue[index] { look(queued.message, queued.group) }
        }
        for start in stride(from: 0, to: missing.count, by: Session.aheadMax) {
            compaction?.loading += 1
            let part = Array(missing[start..<min(missing.count, start + Session.aheadMax)])
            load(part) { [self] message in
                if isOld(message) { write(message, group: nil) }
                letGo(message)
            } done: { [self] in
                for message in part where isOld(message) && message.isLoaded { write(message, group: nil) }
                compaction?.loading -= 1
                finishWriting()
            }
        }
        guard session.number != 0, session.since < log.horizon else { return count }
        compaction?.isDirty = true
        // One that moves is written where it arrives, one that is claimed when it is settled.
        if session.isLeaving || session.isClaimed { return count }
        log.snapshot(session: session.number, session.recorded)
        session.since = log.position
        return count
    }

    private func write(_ message: StoredMessage, group: SharedGroupKey?) {
        log.published(message, type: .copied, now: now)
        if let group { log.assigned(group: group.text) }
        log.flushIfLong()
    }

    private func compactRetained(_ message: StoredMessage) {
        guard retained.find(message.topic) === message else { return }
        compaction?.isDirty = true
        // Other shards may have it too: what they see must not change.
        let copy = message.copy()
        copy.isShared = true
        log.published(copy, type: .copied, now: now)
        log.retained(copy.id)
        _ = retained.set(copy, countMax: .max)
    }

    private func finishWriting() {
        guard let compaction, !compaction.isWritten, compaction.loading == 0, compaction.sessions.isEmpty,
            compaction.retained.isEmpty
        else { return }
        self.compaction?.isWritten = true
        for peer in peers { postLate(peer.index, .compactWritten(round: compaction.round)) }
    }

    func peerCompacted(round: Int) {
        // The fastest of the others may be ahead of the call to begin.
        compactedPeers[round, default: 0] += 1
        guard compactedPeers[round] == peers.count, let compaction, compaction.round == round else { return }
        compactedPeers = [:]
        self.compaction = nil
        let isDirty = compaction.isDirty
        whenDurable(log.awaited) { [self] in post(0, .compactDone(round: round, isDirty: isDirty)) }
    }

    // MARK: At shard 0

    func compactionDone(round: Int, isDirty: Bool) {
        guard compactionLead?.round == round else { return }
        compactionLead?.missing -= 1
        if isDirty { compactionLead?.isDirty = true }
        guard let lead = compactionLead, lead.missing == 0 else { return }
        if lead.isDirty {
            compactionLead?.isWaiting = true
            return
        }
        compactionLead = nil
        counters.compactions += 1
        log.store?.release(before: lead.before)
    }
}
