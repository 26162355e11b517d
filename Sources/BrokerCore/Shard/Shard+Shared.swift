import Bus
import Model

/// Shared subscriptions: a group lives on the shard that owns its name, its members wherever they are connected.
extension Shard {
    // MARK: At a member's shard

    func join(
        _ session: Session, _ subscription: Subscription, _ key: SharedGroupKey, installed: @escaping () -> Void
    ) {
        let member = SharedGroup.Member(
            clientID: session.clientID, shard: index, options: subscription.options,
            subscriptionID: subscription.subscriptionID, isOnline: session.connection != nil,
            hash: hash(session.clientID), load: session.makeLoad(), isRecorded: session.isRecorded)
        let token = makeSerial()
        awaiting[token] = { _ in installed() }
        post(key.owner, .join(GroupJoin(group: key, member: member, token: token)))
    }

    func setGroupsOnline(_ session: Session, _ isOnline: Bool) {
        for subscription in session.subscriptions.values {
            guard let key = subscription.groupKey else { continue }
            post(key.owner, .online(key, clientID: session.clientID, isOnline))
        }
    }

    /// Gives what a leaving member has not acknowledged back to its groups. [MQTT-4.8.2-4]
    func giveBackShared(_ session: Session) { giveBack(takeShared(session), of: session) }

    func takeShared(_ session: Session) -> [QueuedMessage] {
        session.subscriptions.values.contains { $0.groupKey != nil } ? session.takeShared() : []
    }

    func giveBack(_ shared: [QueuedMessage], of session: Session) {
        for var queued in shared {
            guard let key = queued.group else { continue }
            if key.owner != index, queued.message.id != 0 {
                // Others here may keep it, and let its content go.
                let copy = queued.message.copy()
                copy.isShared = true
                queued.message = copy
            }
            post(key.owner, .giveBack(SharedDelivery(group: key, clientID: session.clientID, queued: queued)))
        }
    }

    func deliverShared(_ delivery: SharedDelivery) {
        guard let session = sessions[delivery.clientID],
            let subscription = session.subscriptions[delivery.group.text]
        else {
            // It has left meanwhile, and its farewell is on its way to the owner; another does no harm, and makes sure
            // that the message does not come back.
            post(delivery.group.owner, .leave(delivery.group, clientID: delivery.clientID))
            post(delivery.group.owner, .giveBack(delivery))
            return
        }
        let topicHash = delivery.queued.message.topic.withUnsafeBytes { hash($0) }
        Publication.with(delivery.queued.message, hash: topicHash) { publication in
            session.deliver(
                &publication, options: subscription.options, subscriptionID: subscription.subscriptionID,
                group: delivery.group)
            session.tellLoad()
            letGo(publication)
        }
    }

    // MARK: At the owner

    func ownerJoin(_ join: GroupJoin, from sender: Int) {
        let (key, token) = (join.group, join.token)
        if let group = groups[key.text] {
            group.join(join.member)
            changed(Bytes(key.pattern))
            if join.member.isRecorded, !group.isDurable {
                makeDurable(group) { [self] in postLate(sender, .joined(token: token)) }
            } else {
                post(sender, .joined(token: token))
            }
            return
        }
        let group = SharedGroup(key: key, strategy: limits.strategy(ofGroup: key.text))
        group.join(join.member)
        groups[key.text] = group
        let pattern = Bytes(key.pattern)
        tree.subscribers(of: pattern, create: true)?.groups.append(group)
        changed(pattern)
        addInterest(InterestKey(filter: key.pattern)) { [self] in
            if join.member.isRecorded, !group.isDurable {
                makeDurable(group) { [self] in postLate(sender, .joined(token: token)) }
            } else {
                postLate(sender, .joined(token: token))
            }
        }
    }

    /// From now on what the group gets is kept until a member has finished it.
    private func makeDurable(_ group: SharedGroup, _ installed: @escaping () -> Void) {
        group.isDurable = true
        changed(Bytes(group.key.pattern))
        addInterest(InterestKey(filter: group.key.pattern, isDurable: true), installed)
    }

    func ownerLeave(_ key: SharedGroupKey, clientID: String, shard: Int) {
        guard let group = groups[key.text] else { return }
        group.leave(clientID: clientID, shard: shard)
        guard group.members.isEmpty else { return }
        groups[key.text] = nil
        let pattern = Bytes(key.pattern)
        tree.subscribers(of: pattern, create: false)?.groups.removeAll { $0 === group }
        forget(pattern)
        removeInterest(InterestKey(filter: key.pattern))
        if group.isDurable { removeInterest(InterestKey(filter: key.pattern, isDurable: true)) }
    }

    private func choiceKey(_ strategy: SharedStrategy, topicHash: UInt64, origin: Origin) -> UInt64 {
        switch strategy {
        case .hashTopic: topicHash
        case .hashClient: hash(origin.clientID)
        case .random: random.next()
        case .roundRobin, .sticky, .leastInFlight: 0
        }
    }

    /// Gives a message to the member whose turn it is.
    func dispatch(_ publication: inout Publication, _ group: SharedGroup) {
        let key = choiceKey(group.strategy, topicHash: publication.topicHash, origin: publication.origin)
        guard let member = group.next(SharedGroup.Choice(key: key, qos: publication.qos)) else {
            counters.dropped += 1
            if let stored = publication.stored, stored.id != 0 { log.groupDone(stored.id, group: group.key.text) }
            return
        }
        member.load.add()
        let session = member.shard == index ? sessions[member.clientID] : nil
        // Until a member has finished it, or has it in a log of its own, the group owes the message to somebody.
        let isOwed = log.isOn && group.isDurable && min(publication.qos, member.options.qosValue) > 0
        if isOwed, session?.isRecorded != true {
            _ = publication.record(self)
            log.assigned(group: group.key.text)
            publication.isHeldOnline = true
        }
        if let session {
            session.deliver(
                &publication, options: member.options, subscriptionID: member.subscriptionID, group: group.key)
            session.tellLoad()
        } else {
            let queued = QueuedMessage(
                message: publication.share(self), group: group.key, subscriptionID: member.subscriptionID,
                flags: min(publication.qos, member.options.qosValue))
            post(
                member.shard, .shared(SharedDelivery(group: group.key, clientID: member.clientID, queued: queued)))
        }
    }

    /// A member did not take the message; the next one gets it.
    func redispatch(_ delivery: SharedDelivery) {
        let message = delivery.queued.message
        guard let group = groups[delivery.group.text], message.expiresAt > now else {
            if message.expiresAt <= now { counters.expired += 1 } else { counters.dropped += 1 }
            if message.id != 0 { log.groupDone(message.id, group: delivery.group.text) }
            return
        }
        let topicHash = message.topic.withUnsafeBytes { hash($0) }
        // Other sessions may be about to send it: its content stays.
        Publication.with(message, hash: topicHash) { dispatch(&$0, group) }
    }
}
