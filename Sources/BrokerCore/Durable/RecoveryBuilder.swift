import Bus
import Model

/// Turns what the log said into what the shards take up. Decides what a crash has left undone: messages on their way
/// between shards, retained messages on their way to their owners, what groups owe. The decisions are written down in
/// one block, so that the next start does not decide anew. On the store's worker thread.
struct RecoveryBuilder {
    let replay: LogReplay
    let store: any DurabilityStore
    let hash: TopicHash
    let shardCount: Int
    let wall: Int64

    /// A message that was owed, with its topic.
    private struct Owed {
        var id: UInt64
        var topic: Topic
        var content: MessageContent
        var flags: UInt8
    }

    func build(_ report: inout RecoveryReport) throws(Problem) -> RecoveryPlan {
        var buffer = RecordBuffer()
        let number = store.nextBlockNumber()
        buffer.put(BlockHeader.version)
        buffer.put(UInt8(0))
        buffer.put(UInt16(0))
        buffer.put(number)
        buffer.put(wall)
        buffer.put(RecordType.epoch.rawValue)
        buffer.put(hash.seed)
        buffer.put(UInt16(truncatingIfNeeded: shardCount))
        try completeOwed(&buffer, &report)
        replay.settleOwed()
        for session in replay.dropExpired(at: wall) {
            buffer.put(RecordType.ended.rawValue)
            buffer.number(session.number)
        }
        store.append(Bytes(copying: buffer.bytes), number: number, shard: 0)
        return divide(&report)
    }

    private func divide(_ report: inout RecoveryReport) -> RecoveryPlan {
        var sessions: [[RecoveredSession]] = Array(repeating: [], count: shardCount)
        for session in replay.sessions.values.sorted(by: { $0.number < $1.number })
        where !session.recorded.clientID.isEmpty {
            let owner = hash.owner(of: session.recorded.clientID, among: shardCount)
            sessions[owner].append(
                RecoveredSession(number: session.number, since: session.since, recorded: session.current))
            report.sessions += 1
        }
        var retained: [[(id: UInt64, record: Bytes, known: LogReplay.Known)]] = Array(repeating: [], count: shardCount)
        for (topic, id) in replay.retained {
            guard let record = replay.retainedRecords[id], let known = replay.messages[id], known.expiresAtWall > wall
            else { continue }
            let owner = shardCount == 1 ? 0 : Int((topic.withUnsafeBytes { hash($0) } >> 32) % UInt64(shardCount))
            retained[owner].append((id, record, known))
            report.retained += 1
        }
        report.messages = replay.messages.count
        report.blocks = replay.blocks
        report.records = replay.records
        report.damagedBlocks = replay.damaged
        return RecoveryPlan(
            sessions: sessions, retained: retained, known: replay.messages, firstID: replay.idMax + 1, wall: wall)
    }

    // MARK: What was owed

    private func completeOwed(_ buffer: inout RecordBuffer, _ report: inout RecoveryReport) throws(Problem) {
        var ids: [UInt64] = []
        var seen: Set<UInt64> = []
        for id in replay.owing where seen.insert(id).inserted && replay.messages[id] != nil { ids.append(id) }
        guard !ids.isEmpty else { return }
        report.completed = ids.count
        let places = ids.map { replay.messages[$0]?.place ?? .none }
        let found = try store.read(places)
        var owed: [Owed] = []
        for (id, bytes) in zip(ids, found) {
            guard let content = bytes?.withUnsafeBytes({ MessageRecord.content($0, id: id) }), content.topicCount > 0
            else { continue }
            owed.append(
                Owed(
                    id: id, topic: Topic(unchecked: Bytes(content.block, 0..<content.topicCount)), content: content,
                    flags: replay.messages[id]?.flags ?? 0))
        }
        let filters = OwedFilters(replay, owned: ownedGroups)
        for message in owed {
            buffer.put(RecordType.about.rawValue)
            buffer.put(message.id)
            buffer.put(UInt8(0))
            complete(message, filters, &buffer)
        }
    }

    /// The shard that owned a group before the restart.
    private var ownedGroups: (String) -> Int {
        let (hash, count) = (TopicHash(seed: replay.seed), replay.shardCount)
        return { hash.owner(of: $0, among: count) }
    }

    private func complete(_ message: Owed, _ filters: OwedFilters, _ buffer: inout RecordBuffer) {
        guard let known = replay.messages[message.id] else { return }
        if known.owesRetain, let record = replay.retainedRecords[message.id] {
            replay.retain(message.id, record)
            buffer.put(RecordType.retained.rawValue)
            buffer.put(message.id)
        }
        if known.owedShards != 0 {
            for target in filters.targets(of: message.topic) {
                let home = UInt64(target.session.home)
                guard home < 64, known.owedShards >> home & 1 == 1, !target.session.holds(message.id) else { continue }
                give(message, target.subscription, group: nil, to: target.session, &buffer)
            }
        }
        var groups = replay.owedGroups[message.id] ?? []
        for group in filters.groups(of: message.topic) where !groups.contains(group.text) {
            // The shard that should have chosen a member never got the message.
            if group.owner < 64, known.owedShards >> UInt64(group.owner) & 1 == 1,
                !isHeld(message.id, by: group.text, filters)
            {
                groups.append(group.text)
            }
        }
        for group in groups {
            guard let member = filters.member(of: group) else { continue }
            give(message, member.subscription, group: group, to: member.session, &buffer)
        }
    }

    private func isHeld(_ id: UInt64, by group: String, _ filters: OwedFilters) -> Bool {
        filters.members(of: group).contains { $0.session.holds(id) }
    }

    private func give(
        _ message: Owed, _ subscription: RecordedSession.Subscription, group: String?, to session: ReplaySession,
        _ buffer: inout RecordBuffer
    ) {
        let options = SubscriptionOptions(rawValue: subscription.options)
        let qos = min(message.flags & 3, options.qosValue)
        guard qos > 0 else { return }
        if options.noLocal, message.content.origin.kind == .client,
            message.content.origin.clientID == session.recorded.clientID
        {
            return
        }
        var entry = RecordedSession.Entry(id: message.id, subscriptionID: subscription.subscriptionID)
        entry.flags = qos | (message.flags & 4 != 0 && options.retainAsPublished ? 4 : 0)
        replay.give(entry, group: group, to: session)
        buffer.put(RecordType.took.rawValue)
        buffer.put(entry.flags | (entry.subscriptionID != 0 ? 16 : 0) | (group != nil ? 32 : 0))
        buffer.number(session.number)
        if entry.subscriptionID != 0 { buffer.number(UInt64(entry.subscriptionID)) }
        if let group { buffer.text(group) }
    }
}

/// The subscriptions of all sessions that outlive their connections, to find those of one topic.
struct OwedFilters {
    struct Target {
        var session: ReplaySession
        var subscription: RecordedSession.Subscription
    }

    struct Group {
        var text: String
        var owner: Int
    }

    private var exact: [String: [Target]] = [:]
    private var wildcards: [(filter: TopicFilter, targets: [Target])] = []
    private var shared: [String: (filter: TopicFilter, owner: Int, members: [Target])] = [:]

    init(_ replay: LogReplay, owned: (String) -> Int) {
        var byPattern: [String: (filter: TopicFilter, targets: [Target])] = [:]
        for session in replay.sessions.values where session.recorded.expirySeconds > 0 {
            for subscription in session.recorded.subscriptions {
                // Counted when its session is taken up.
                guard let filter = try? TopicFilter(subscription.filter) else { continue }
                let target = Target(session: session, subscription: subscription)
                if filter.shareName != nil {
                    shared[filter.text, default: (filter, owned(filter.text), [])].members.append(target)
                } else if filter.pattern.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
                    byPattern[filter.pattern, default: (filter, [])].targets.append(target)
                } else {
                    exact[filter.pattern, default: []].append(target)
                }
            }
        }
        wildcards = Array(byPattern.values)
    }

    func targets(of topic: Topic) -> [Target] {
        var found = exact[topic.string] ?? []
        for (filter, targets) in wildcards where filter.matches(topic) { found += targets }
        return found.sorted { $0.session.number < $1.session.number }
    }

    func groups(of topic: Topic) -> [Group] {
        shared.values.filter { $0.filter.matches(topic) }.map { Group(text: $0.filter.text, owner: $0.owner) }
    }

    func members(of group: String) -> [Target] { shared[group]?.members ?? [] }

    /// The member with the least to do.
    func member(of group: String) -> Target? {
        members(of: group).filter { SubscriptionOptions(rawValue: $0.subscription.options).qosValue > 0 }
            .min {
                ($0.session.recorded.entries.count, $0.session.number) < (
                    $1.session.recorded.entries.count, $1.session.number
                )
            }
    }
}
