import Bus
import Model

/// What a connection remembers about its rights to one topic: for each QoS and retain flag whether it was asked
/// (bits 0-5) and what the answer was (bits 8-13).
struct TopicRights {
    private var bits: UInt16 = 0

    @inline(__always)
    static func place(qos: UInt8, retain: Bool) -> UInt16 { UInt16(qos & 3) << 1 | (retain ? 1 : 0) }

    /// Nil: not asked yet.
    @inline(__always)
    func answer(_ place: UInt16) -> Bool? {
        bits >> place & 1 == 0 ? nil : bits >> (place &+ 8) & 1 == 1
    }

    mutating func remember(_ place: UInt16, _ isAllowed: Bool) {
        bits |= 1 << place | (isAllowed ? 1 << (place + 8) : 0)
    }
}

extension Connection {
    /// Topics whose rights a connection remembers.
    private static let rightsMax = 1024

    /// Whether the client may publish there, by the topic's own guard and by the rules.
    @inline(__always)
    func mayPublish(_ route: Route, qos: UInt8, retain: Bool) -> Bool {
        if route.topicGuard != .none, !passes(route) { return false }
        if !checksAccess { return true }
        let place = TopicRights.place(qos: qos, retain: retain)
        if route === rightsRoute, let known = rights.answer(place) { return known }
        return ask(route, place, qos: qos, retain: retain)
    }

    private func passes(_ route: Route) -> Bool {
        let passes =
            switch route.topicGuard {
            case .none: true
            case .reserved: false
            case .deviceWrite: origin.mayWriteDevices
            }
        if !passes { authoriser?.noteRefused(Topic(unchecked: route.topic), client: identity) }
        return passes
    }

    private func ask(_ route: Route, _ place: UInt16, qos: UInt8, retain: Bool) -> Bool {
        guard let authoriser else { return true }
        var known = rightsByTopic[route.topic] ?? TopicRights()
        rightsRoute = route
        defer { rights = known }
        if let answer = known.answer(place) { return answer }
        let topic = Topic(unchecked: route.topic)
        let answer = authoriser.mayPublish(topic, qos: qos, retain: retain, client: identity)
        known.remember(place, answer)
        if rightsByTopic.count >= Self.rightsMax { rightsByTopic.removeAll(keepingCapacity: true) }
        rightsByTopic[route.topic] = known
        return answer
    }

    /// Whether the will may be published, as things are now.
    func mayPublish(_ will: Will) -> Bool {
        mayPublish(
            shard.route(known: will.message.topic.utf8), qos: will.message.qos.rawValue, retain: will.message.retain)
    }

    /// Rights may have changed: everything is asked anew.
    func forgetAccess() {
        rightsRoute = nil
        rights = TopicRights()
        rightsByTopic = [:]
        checksAccess = authoriser.map { !$0.allowsEverything(identity) } ?? false
    }

    func maySubscribe(_ filter: TopicFilter, qos: UInt8) -> Bool {
        guard checksAccess, let authoriser else { return true }
        return authoriser.maySubscribe(filter, qos: qos, client: identity)
    }

    /// Takes away the subscriptions that the client has no right to any more, and what waits because of them.
    func reviewSubscriptions(_ session: Session) {
        guard checksAccess, !session.subscriptions.isEmpty else { return }
        let revoked = session.subscriptions.values.filter { !maySubscribe($0.filter, qos: $0.options.qosValue) }
        guard !revoked.isEmpty else { return }
        for subscription in revoked {
            _ = shard.unsubscribe(session, subscription.filter.text)
        }
        shard.counters.subscriptionsRevoked += UInt64(revoked.count)
        session.discard(revoked.map(\.filter))
        if context.limits.denied == .disconnect { disconnect(.notAuthorized) }
    }

    /// What happens when the client publishes where it may not. False: it was disconnected.
    func publishRefused() -> Bool {
        shard.counters.publishDenied += 1
        guard context.limits.denied == .disconnect else { return true }
        disconnect(.notAuthorized)
        return false
    }
}

extension Session {
    /// Drops what waits only because of `filters`.
    func discard(_ filters: [TopicFilter]) {
        let kept = subscriptions.values.map(\.filter)
        func isUnwanted(_ queued: QueuedMessage) -> Bool {
            // What is on disk is not looked at.
            guard queued.message.isLoaded else { return false }
            let topic = Topic(unchecked: queued.message.topic)
            return filters.contains { $0.matches(topic) } && !kept.contains { $0.matches(topic) }
        }
        for waiting in [queue.elements, replay.elements] where waiting.contains(where: isUnwanted) {
            shard.counters.messagesRevoked += UInt64(waiting.filter(isUnwanted).count)
        }
        let (waiting, retained) = (queue.elements, replay.elements)
        queue.removeAll()
        replay.removeAll()
        for queued in waiting {
            if isUnwanted(queued) { forgetWaiting(queued) } else { queue.append(queued) }
        }
        for queued in retained where !isUnwanted(queued) { replay.append(queued) }
    }
}
