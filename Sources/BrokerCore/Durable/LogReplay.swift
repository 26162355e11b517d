import Bus
import Model

/// Rebuilds from blocks, oldest first, what the shards held when the last of them was written. Confined to the thread
/// that feeds it until it is done.
final class LogReplay: @unchecked Sendable {
    /// What is known of a message while its content stays on disk.
    struct Known {
        var place = RecordPlace.none
        var expiresAtWall: Int64 = .max
        var owedShards: UInt64 = 0
        /// Entries of sessions, and topics, that refer to it; obligations.
        var references: Int32 = 0
        var recordBytes: UInt32 = 0
        var flags: UInt8 = 0
        var retainer: UInt8 = 0
        var owesRetain = false
        /// Written anew, or meant by sessions whose beginning was released: it is not forgotten before the end, because
        /// what they have of it comes later, in their snapshots.
        var isPinned = false
    }

    private(set) var sessions: [UInt64: ReplaySession] = [:]
    private(set) var messages: [UInt64: Known] = [:]
    /// Topic to message.
    private(set) var retained: [Bytes: UInt64] = [:]
    /// Records of messages that are or may become retained.
    private(set) var retainedRecords: [UInt64: Bytes] = [:]
    /// Messages that a group must still give to a member.
    private(set) var owedGroups: [UInt64: [String]] = [:]
    /// In the order in which they were published.
    private(set) var owing: [UInt64] = []
    private var groupNumbers: [String: Int32] = [:]
    private(set) var newestBlock: UInt64 = 0
    private(set) var idMax: UInt64 = 0
    private(set) var seed: UInt64 = 0
    private(set) var shardCount = 1
    private(set) var blocks = 0
    private(set) var records = 0
    /// Blocks that ended in what is not a record.
    private(set) var damaged = 0
    private var newestOfShard: [UInt16: UInt64] = [:]

    // The block that is being read
    private var shard: UInt16 = 0
    private var number: UInt64 = 0
    private var wall: Int64 = 0
    private var current: UInt64 = 0
    /// What a restart decided stands in its first block; any shard's sessions are meant.
    private var isEpochBlock = false
    /// Messages whose obligation was met in this block, their reference given up when its records have been read.
    private var arrivals: [UInt64] = []

    func take(_ block: Bytes) {
        block.withUnsafeBytes { bytes in
            guard let header = BlockHeader(bytes) else {
                damaged += 1
                return
            }
            // A block whose fate was unknown was written again.
            if let newest = newestOfShard[header.shard], header.number <= newest { return }
            newestOfShard[header.shard] = header.number
            newestBlock = max(newestBlock, header.number)
            (shard, number, wall, current, isEpochBlock) = (header.shard, header.number, header.wall, 0, false)
            blocks += 1
            do throws(RecordError) {
                var reader = RecordReader(bytes, at: BlockHeader.byteCount)
                while !reader.isAtEnd {
                    try record(&reader, bytes)
                    records += 1
                }
            } catch {
                damaged += 1
            }
            settleArrivals()
        }
    }

    private func record(_ reader: inout RecordReader, _ bytes: UnsafeRawBufferPointer) throws(RecordError) {
        let start = reader.index
        guard let type = RecordType(rawValue: try reader.take()) else { throw RecordError() }
        switch type {
        case .published, .copied: try published(&reader, type, start, bytes)
        case .about:
            current = try reader.take()
            note(id: current)
            if try SnapshotCoding.flag(&reader) { arrived() }
        case .sentTo:
            let shards: UInt64 = try reader.take()
            let owes = try SnapshotCoding.flag(&reader)
            let owner: UInt8 = try reader.take()
            owe(shards, retainer: owes ? owner : nil)
        case .took: try took(&reader)
        case .assigned:
            oweGroup(current, try reader.text())
        case .groupDone:
            let id: UInt64 = try reader.take()
            settleGroup(id, try reader.text())
        case .retained, .notRetained:
            let id: UInt64 = try reader.take()
            note(id: id)
            settleRetained(id, isRetained: type == .retained)
        case .epoch:
            seed = try reader.take()
            shardCount = max(1, Int(try reader.take(UInt16.self)))
            beginEpoch()
        case .owners:
            seed = try reader.take()
            shardCount = max(1, Int(try reader.take(UInt16.self)))
        default: try session(type, &reader)
        }
    }

    // MARK: Messages

    private func note(id: UInt64) { idMax = max(idMax, id >> 8) }

    private func published(
        _ reader: inout RecordReader, _ type: RecordType, _ start: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(RecordError) {
        let record = try MessageRecord(&reader)
        _ = try reader.raw(record.contentCount)
        _ = try reader.raw(record.originCount)
        current = record.id
        note(id: current)
        var known = messages[current] ?? Known()
        known.place = RecordPlace(block: number, offset: start)
        known.expiresAtWall = record.expiresAtWall
        known.flags = record.flags
        known.recordBytes = UInt32(truncatingIfNeeded: reader.index - start)
        if type == .copied { known.isPinned = true }
        messages[current] = known
        if record.flags & 4 != 0 {
            retainedRecords[current] = Bytes(
                copying: UnsafeRawBufferPointer(rebasing: bytes[start..<reader.index]))
        }
    }

    private func refer(_ id: UInt64, _ change: Int32) {
        guard id != 0 else { return }
        if let index = messages.index(forKey: id) {
            messages.values[index].references += change
            let known = messages.values[index]
            if known.references <= 0, change < 0, !known.isPinned { forget(id) }
        } else if change > 0 {
            // Its copy comes later.
            var known = Known()
            known.references = change
            messages[id] = known
        }
    }

    private func pin(_ id: UInt64) {
        if let index = messages.index(forKey: id) { messages.values[index].isPinned = true }
    }

    private func forget(_ id: UInt64) {
        messages[id] = nil
        retainedRecords[id] = nil
    }

    private func owe(_ shards: UInt64, retainer: UInt8?) {
        guard let index = messages.index(forKey: current) else { return }
        messages.values[index].owedShards |= shards
        var count = Int32(shards.nonzeroBitCount)
        if let retainer {
            messages.values[index].owesRetain = true
            messages.values[index].retainer = retainer
            count += 1
        }
        messages.values[index].references += count
        if count > 0 { owing.append(current) }
        if owing.count > 4096 { sweepOwing() }
    }

    /// Obligations are met within a turn or two: few are open at any time.
    private func sweepOwing() {
        owing = owing.filter { id in
            guard let known = messages[id] else { return false }
            return known.owedShards != 0 || known.owesRetain || owedGroups[id] != nil
        }
    }

    private func arrived() {
        guard shard < 64, let index = messages.index(forKey: current) else { return }
        let bit: UInt64 = 1 << UInt64(shard)
        guard messages.values[index].owedShards & bit != 0 else { return }
        messages.values[index].owedShards &= ~bit
        arrivals.append(current)
    }

    /// Once, however often it goes back and forth.
    private func oweGroup(_ id: UInt64, _ group: String) {
        guard id != 0, owedGroups[id]?.contains(group) != true else { return }
        owedGroups[id, default: []].append(group)
        refer(id, 1)
        owing.append(id)
    }

    private func settleGroup(_ id: UInt64, _ group: String) {
        guard var groups = owedGroups[id], let index = groups.firstIndex(of: group) else { return }
        groups.remove(at: index)
        owedGroups[id] = groups.isEmpty ? nil : groups
        refer(id, -1)
    }

    private func settleRetained(_ id: UInt64, isRetained: Bool) {
        guard let index = messages.index(forKey: id) else { return }
        let owed = messages.values[index].owesRetain
        messages.values[index].owesRetain = false
        if isRetained, let record = retainedRecords[id] { retain(id, record) }
        if owed { refer(id, -1) }
    }

    /// Puts the message in its topic's place, or clears that if the payload is empty.
    func retain(_ id: UInt64, _ record: Bytes) {
        let (topic, isEmpty) = record.withUnsafeBytes { bytes -> (Bytes, Bool) in
            guard let content = MessageRecord.content(bytes, id: id) else { return (Bytes(), true) }
            return (Bytes(content.block, 0..<content.topicCount), content.payloadCount == 0)
        }
        if topic.isEmpty { return }
        if isEmpty {
            if let old = retained.removeValue(forKey: topic) { refer(old, -1) }
            return
        }
        let old = retained[topic]
        if old == id { return }
        // The key is a copy of its own: the record goes when the topic gets another message.
        retained[topic.withUnsafeBytes { Bytes(copying: $0) }] = id
        refer(id, 1)
        if let old { refer(old, -1) }
    }

    /// What the restarted shards do without records: everyone is disconnected, sessions are where their ids' hashes
    /// say, and what was owed is settled by what the block says next.
    private func beginEpoch() {
        isEpochBlock = true
        endConnections(at: wall)
        let hash = TopicHash(seed: seed)
        for session in sessions.values {
            session.settleStrangers()
            session.home = UInt16(hash.owner(of: session.recorded.clientID, among: shardCount))
        }
        clearOwed()
    }

    /// When a crash cut them off is not known: their sessions have all of their time from then on.
    private func endConnections(at wall: Int64) {
        for session in sessions.values where session.isConnected {
            session.isConnected = false
            session.recorded.disconnectedAt = wall
        }
    }

    private func clearOwed() {
        for id in owing {
            guard let index = messages.index(forKey: id) else { continue }
            var count = Int32(messages.values[index].owedShards.nonzeroBitCount)
            messages.values[index].owedShards = 0
            if messages.values[index].owesRetain { count += 1 }
            messages.values[index].owesRetain = false
            count += Int32(owedGroups.removeValue(forKey: id)?.count ?? 0)
            for _ in 0..<count { arrivals.append(id) }
        }
        owing = []
    }

    /// What is left at the end, which is at `wall`: everyone is disconnected, and what nobody refers to goes.
    func finish(at wall: Int64) {
        endConnections(at: wall)
        sweepOwing()
        for session in sessions.values { session.settleStrangers() }
        for (id, known) in messages where known.references <= 0 { forget(id) }
    }

    private func settleArrivals() {
        for id in arrivals { refer(id, -1) }
        arrivals.removeAll(keepingCapacity: true)
    }

    // MARK: Sessions

    private func took(_ reader: inout RecordReader) throws(RecordError) {
        let flags = try reader.take(UInt8.self)
        let number = try reader.number()
        var entry = RecordedSession.Entry(id: current)
        entry.flags = flags & 7
        if flags & 8 != 0 {
            entry.packetID = try reader.take()
            entry.state = entry.flags & 3 == 2 ? .awaitingPubrec : .awaitingPuback
        }
        if flags & 16 != 0 { entry.subscriptionID = try SnapshotCoding.uint32(&reader) }
        let group = flags & 32 != 0 ? try reader.text() : nil
        if let session = sessions[number], current != 0 {
            if let group { entry.group = session.groupNumber(group) }
            refer(current, 1)
            if isEpochBlock {
                session.insert(entry)
            } else if session.home == shard {
                session.append(entry)
            } else {
                session.strangers.append(entry)
            }
        } else {
            pin(current)
        }
        if let group { settleGroup(current, group) }
    }

    private func session(_ type: RecordType, _ reader: inout RecordReader) throws(RecordError) {
        let id = try reader.number()
        note(id: id)
        switch type {
        case .started:
            let session = ReplaySession(
                number: id, home: shard, since: number, RecordedSession(clientID: try reader.text()))
            try connected(session, &reader)
            sessions[id] = session
        case .snapshot:
            let recorded = try SnapshotCoding.session(&reader)
            for entry in recorded.entries { refer(entry.id, 1) }
            end(id)
            let session = ReplaySession(number: id, home: shard, since: number, recorded)
            session.isConnected = recorded.disconnectedAt == 0
            sessions[id] = session
        case .connected:
            // What is said of an unknown session is read all the same.
            let session =
                sessions[id] ?? ReplaySession(number: id, home: shard, since: number, RecordedSession(clientID: ""))
            try connected(session, &reader)
        case .ended: end(id)
        case .subscribed, .unsubscribed: try subscription(type, sessions[id], &reader)
        case .disconnected:
            let wall: Int64 = try reader.take()
            let expiry: UInt32 = try reader.take()
            let keepsWill = try SnapshotCoding.flag(&reader)
            guard let session = sessions[id] else { return }
            session.isConnected = false
            session.recorded.disconnectedAt = wall
            session.recorded.expirySeconds = expiry
            if !keepsWill { session.recorded.will = nil }
        case .willDone: sessions[id]?.recorded.will = nil
        default: try delivery(type, sessions[id], &reader)
        }
    }

    private func connected(_ session: ReplaySession, _ reader: inout RecordReader) throws(RecordError) {
        session.recorded.expirySeconds = try reader.take()
        session.recorded.version = try SnapshotCoding.protocolVersion(&reader)
        session.recorded.username = try SnapshotCoding.username(&reader)
        session.recorded.will = try SnapshotCoding.flag(&reader) ? try SnapshotCoding.will(&reader) : nil
        session.recorded.disconnectedAt = 0
        session.isConnected = true
    }

    private func subscription(
        _ type: RecordType, _ session: ReplaySession?, _ reader: inout RecordReader
    ) throws(RecordError) {
        let filter = try reader.text()
        let index = session?.subscriptionIndex(filter)
        if type == .unsubscribed {
            if let index { session?.recorded.subscriptions.remove(at: index) }
            return
        }
        let subscription = RecordedSession.Subscription(
            filter: filter, options: try reader.take(), subscriptionID: try SnapshotCoding.uint32(&reader))
        if let index {
            session?.recorded.subscriptions[index] = subscription
        } else {
            session?.recorded.subscriptions.append(subscription)
        }
    }

    private func delivery(
        _ type: RecordType, _ session: ReplaySession?, _ reader: inout RecordReader
    ) throws(RecordError) {
        switch type {
        case .sending, .removed, .gaveBack:
            let id: UInt64 = try reader.take()
            if type == .sending {
                let packetID: UInt16 = try reader.take()
                session?.send(id, packetID)
                return
            }
            let group = type == .gaveBack ? try reader.text() : nil
            if session == nil { pin(id) }
            if let group { oweGroup(id, group) }
            if session?.remove(id) == true { refer(id, -1) }
        case .received, .finished, .incomingTaken, .incomingReleased:
            let packetID: UInt16 = try reader.take()
            guard let session else { return }
            switch type {
            case .received: if let id = session.receive(packetID) { refer(id, -1) }
            case .finished: if let id = session.finish(packetID) { refer(id, -1) }
            case .incomingTaken: session.incoming.insert(packetID)
            default: session.incoming.remove(packetID)
            }
        default: throw RecordError()
        }
    }

    private func end(_ id: UInt64) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        for entry in session.recorded.entries where !entry.isGone { refer(entry.id, -1) }
        for entry in session.strangers { refer(entry.id, -1) }
    }

    // MARK: Decisions of a restart

    /// A session gets a message that was owed to it.
    func give(_ entry: RecordedSession.Entry, group: String?, to session: ReplaySession) {
        var entry = entry
        if let group { entry.group = session.groupNumber(group) }
        refer(entry.id, 1)
        session.insert(entry)
    }

    /// After all that was owed has been given.
    func settleOwed() {
        clearOwed()
        settleArrivals()
    }

    /// Ends the sessions whose time is over at `wall` and whose will was published.
    func dropExpired(at wall: Int64) -> [ReplaySession] {
        var ended: [ReplaySession] = []
        for session in sessions.values {
            let recorded = session.recorded
            if recorded.expirySeconds == .max || recorded.will != nil { continue }
            let (end, overflow) = recorded.disconnectedAt.addingReportingOverflow(
                Int64(recorded.expirySeconds) * 1_000_000_000)
            if !overflow, end <= wall { ended.append(session) }
        }
        for session in ended { end(session.number) }
        return ended
    }
}
