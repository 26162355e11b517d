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
    /// Why the first of the refused filters was.
    var why: String?

    init(packetID: UInt16, count: Int) {
        self.packetID = packetID
        reasons = Array(repeating: .success, count: count)
    }
}

extension Connection {
    func receiveSubscribe(_ packet: SubscribePacket) throws(CodecError) {
        guard let session else { return }
        let subscriptionID = packet.properties.subscriptionIdentifiers.first ?? 0
        if subscriptionID != 0, !context.limits.subscriptionIdentifiersAvailable {
            throw CodecError(.subscriptionIdentifiersNotSupported, "subscription identifier")
        }
        // All of them before any takes effect.
        var filters: [TopicFilter] = []
        for entry in packet.entries {
            let filter = try Self.filter(entry.filter)
            if filter.shareName != nil, entry.options.noLocal {
                throw .protocolError("no local on a shared subscription")  // [MQTT-3.8.3-4]
            }
            filters.append(filter)
        }
        let pending = PendingSubscribe(packetID: packet.packetID, count: packet.entries.count)
        // Counts as one until all entries have been looked at.
        pending.missing = 1
        for (index, entry) in packet.entries.enumerated() {
            let filter = filters[index]
            var options = entry.options
            if let refusal = refusal(of: filter, qos: options.qosValue, session) {
                // 3.1 has no code for a failure.
                pending.reasons[index] = version == .v31 ? ReasonCode(rawValue: options.qosValue) : refusal.reason
                if pending.why == nil { pending.why = refusal.detail }
                continue
            }
            if isBridge, filter.shareName == nil { options.rawValue |= 0x0C }
            pending.reasons[index] = ReasonCode(rawValue: options.qosValue)
            pending.missing += 1
            let (subscription, isNew) = shard.subscribe(
                session, filter, options, subscriptionID: subscriptionID
            ) { [self] in installed(pending) }
            shard.tellSubscribed(session, filter.text, options, isNew: isNew)
            let handling = options.retainHandling
            if filter.shareName == nil, handling == 0 || (handling == 1 && isNew) {
                pending.wantsRetained.append(subscription)
            }
            if session.isRecorded {
                pending.logPosition = shard.log.subscribed(
                    session: session.number, filter: filter.text, options: options, subscriptionID: subscriptionID)
            }
        }
        installed(pending)
    }

    /// A filter that is none closes the connection, as with Mosquitto. [MQTT-4.7.1-1] [MQTT-4.8.2-1]
    private static func filter(_ text: String) throws(CodecError) -> TopicFilter {
        if text == "$share" { throw .malformed("a share name without a filter") }
        do { return try TopicFilter(text) } catch { throw .malformed("filter: \(error.reason)") }
    }

    /// Why a well-formed filter is not granted; nil: it is.
    private func refusal(of filter: TopicFilter, qos: UInt8, _ session: Session) -> CodecError? {
        var pattern = filter.pattern
        let levels = pattern.withUTF8 { SubscriptionTree.levelCount(UnsafeRawBufferPointer($0)) }
        if levels > shard.limits.topicLevelsMax {
            return CodecError(.topicFilterInvalid, "more than \(shard.limits.topicLevelsMax) levels")
        }
        let limits = context.limits
        if filter.shareName != nil, !limits.sharedSubscriptionsAvailable {
            return CodecError(.sharedSubscriptionsNotSupported, "shared subscriptions are switched off")
        }
        if !limits.wildcardSubscriptionsAvailable, filter.hasWildcard {
            return CodecError(.wildcardSubscriptionsNotSupported, "wildcards are switched off")
        }
        if session.subscriptions[filter.text] == nil,
            session.subscriptions.count >= shard.limits.subscriptionsPerSessionMax
        {
            return CodecError(.quotaExceeded, "too many subscriptions")
        }
        if !maySubscribe(filter, qos: qos) {
            shard.counters.subscribeDenied += 1
            return CodecError(.notAuthorized, "not authorised")
        }
        return nil
    }

    private func installed(_ pending: PendingSubscribe) {
        pending.missing -= 1
        guard pending.missing == 0, state == .connected, let session else { return }
        var packet = SubscribeAcknowledgePacket(packetID: pending.packetID, reasons: pending.reasons)
        // [MQTT-3.1.2-29]
        if wantsReasons { packet.properties.reasonString = pending.why }
        var frame = packet.encoded(.suback, version)
        if frame.count > packetBytesMax, pending.why != nil {
            packet.properties.reasonString = nil  // [MQTT-3.9.2-1]
            frame = packet.encoded(.suback, version)
        }
        acknowledge(frame: frame, type: .suback, logPosition: pending.logPosition)
        for subscription in pending.wantsRetained where session.subscriptions[subscription.filter.text] === subscription
        {
            shard.sendRetained(to: session, subscription)
        }
    }

    func receiveUnsubscribe(_ packet: UnsubscribePacket) throws(CodecError) {
        guard let session else { return }
        var reasons: [ReasonCode] = []
        var position: UInt64 = 0
        for filter in packet.filters { _ = try Self.filter(filter) }
        for filter in packet.filters {
            if shard.unsubscribe(session, filter) {
                shard.tellUnsubscribed(session, filter)
                reasons.append(.success)
                if session.isRecorded { position = shard.log.position }
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
        shard.awaitLog(self)
    }
}
