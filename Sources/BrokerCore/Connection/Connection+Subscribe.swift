import Bus
import Model

/// A SUBSCRIBE on its way: answered when every shard has installed every filter.
final class PendingSubscribe {
    let packetID: UInt16
    var reasons: [ReasonCode]
    /// Filters that some shard has not installed yet.
    var missing = 0
    /// Subscriptions whose retained messages are due after the SUBACK.
    var wantsRetained: [Subscription] = []
    var logPosition: UInt64 = 0

    init(packetID: UInt16, count: Int) {
        self.packetID = packetID
        reasons = Array(repeating: .success, count: count)
    }
}

extension Connection {
    func receiveSubscribe(_ packet: SubscribePacket) {
        guard let session else { return }
        let subscriptionID = packet.properties.subscriptionIdentifiers.first ?? 0
        let pending = PendingSubscribe(packetID: packet.packetID, count: packet.entries.count)
        // Counts as one until all entries have been looked at.
        pending.missing = 1
        for (index, entry) in packet.entries.enumerated() {
            guard let filter = check(entry, &pending.reasons[index]) else {
                if state == .closed { return }
                continue
            }
            pending.reasons[index] = ReasonCode(rawValue: entry.options.qosValue)
            pending.missing += 1
            let (subscription, isNew) = shard.subscribe(
                session, filter, entry.options, subscriptionID: subscriptionID
            ) { [self] in installed(pending) }
            let handling = entry.options.retainHandling
            if filter.shareName == nil, handling == 0 || (handling == 1 && isNew) {
                pending.wantsRetained.append(subscription)
            }
            if session.isPersistent {
                pending.logPosition = shard.log.append(
                    .subscribed(
                        clientID: session.clientID, filter: filter.text, options: entry.options,
                        subscriptionID: subscriptionID))
            }
        }
        installed(pending)
    }

    /// The filter, or nil and the reason why it is refused.
    private func check(_ entry: SubscribePacket.Entry, _ reason: inout ReasonCode) -> TopicFilter? {
        guard let filter = try? TopicFilter(entry.filter) else {
            // [MQTT-4.7.1-1]; the other filters of the packet are not the worse for it.
            reason = .topicFilterInvalid
            return nil
        }
        var pattern = filter.pattern
        let levels = pattern.withUTF8 { SubscriptionTree.levelCount(UnsafeRawBufferPointer($0)) }
        if levels > shard.limits.topicLevelsMax {
            reason = .topicFilterInvalid
            return nil
        }
        if filter.shareName != nil, entry.options.noLocal {
            // [MQTT-3.8.3-4]
            fail(.protocolError("no local on a shared subscription"))
            return nil
        }
        if let session, session.subscriptions[filter.text] == nil,
            session.subscriptions.count >= shard.limits.subscriptionsPerSessionMax
        {
            reason = .quotaExceeded
            return nil
        }
        if let authoriser, !authoriser.maySubscribe(filter, client: identity) {
            shard.counters.subscribeDenied += 1
            reason = .notAuthorized
            return nil
        }
        return filter
    }

    private func installed(_ pending: PendingSubscribe) {
        pending.missing -= 1
        guard pending.missing == 0, state == .connected, let session else { return }
        let frame = SubscribeAcknowledgePacket(packetID: pending.packetID, reasons: pending.reasons)
            .encoded(.suback, version)
        acknowledge(frame: frame, type: .suback, logPosition: pending.logPosition)
        for subscription in pending.wantsRetained where session.subscriptions[subscription.filter.text] === subscription
        {
            shard.sendRetained(to: session, subscription)
        }
    }

    func receiveUnsubscribe(_ packet: UnsubscribePacket) {
        guard let session else { return }
        var reasons: [ReasonCode] = []
        var position: UInt64 = 0
        for filter in packet.filters {
            if (try? TopicFilter(filter)) == nil {
                reasons.append(.topicFilterInvalid)
            } else if shard.unsubscribe(session, filter) {
                reasons.append(.success)
                if session.isPersistent {
                    position = shard.log.append(.unsubscribed(clientID: session.clientID, filter: filter))
                }
            } else {
                reasons.append(.noSubscriptionExisted)
            }
        }
        let frame = SubscribeAcknowledgePacket(packetID: packet.packetID, reasons: reasons).encoded(.unsuback, version)
        acknowledge(frame: frame, type: .unsuback, logPosition: position)
    }

    private func acknowledge(frame: [UInt8], type: PacketType, logPosition: UInt64) {
        if pendingAcknowledgements.isEmpty, logPosition <= shard.log.durable {
            write(frame: frame)
            return
        }
        pendingAcknowledgements.append(
            PendingAcknowledgement(position: logPosition, packetID: 0, type: type, reason: .success, frame: frame))
        shard.awaitsLog.insert(id)
    }
}
