import Bus
import Model

/// A filter as other shards are asked for it.
struct InterestKey: Hashable, Sendable {
    private let exact: ExactText
    /// Only messages with typed samples.
    let samplesOnly: Bool
    /// A session that outlives its connection wants it: what it gets of QoS 1 and 2 must be kept.
    let isDurable: Bool

    var filter: String { exact.text }

    init(filter: String, samplesOnly: Bool = false, isDurable: Bool = false) {
        exact = ExactText(filter)
        self.samplesOnly = samplesOnly
        self.isDurable = isDurable
    }
}

/// A filter that this shard's own subscribers want from the others.
struct Interest {
    /// Subscribers here.
    var count = 0
    var token: UInt64 = 0
    /// Shards that have not installed it yet.
    var missing = 0
    var waiters: [() -> Void] = []
}

extension Shard {
    /// Subscribes a session, or changes a subscription it has. `installed` is called when all shards know the filter.
    func subscribe(
        _ session: Session, _ filter: TopicFilter, _ options: SubscriptionOptions, subscriptionID: UInt32,
        installed: @escaping () -> Void
    ) -> (Subscription, isNew: Bool) {
        if let known = session.subscriptions[filter.text] {
            known.options = options
            known.subscriptionID = subscriptionID
            changed(known.pattern)
            if let key = known.groupKey {
                join(session, known, key, installed: installed)
            } else {
                whenInstalled(known.interest, installed)
            }
            return (known, false)
        }
        var key: SharedGroupKey?
        if filter.shareName != nil {
            key = SharedGroupKey(text: filter.text, pattern: filter.pattern, owner: owner(hash(filter.text)))
        }
        let subscription = Subscription(
            session: session, filter: filter, options: options, subscriptionID: subscriptionID, groupKey: key)
        session.subscriptions[filter.text] = subscription
        if let key {
            join(session, subscription, key, installed: installed)
        } else if let set = tree.subscribers(of: subscription.pattern, create: true) {
            subscription.position = set.sessions.count
            set.sessions.append(subscription)
            changed(subscription.pattern)
            addInterest(subscription.interest, installed)
        }
        return (subscription, true)
    }

    /// False if there was no such subscription.
    func unsubscribe(_ session: Session, _ filter: String) -> Bool {
        guard let subscription = session.subscriptions.removeValue(forKey: filter) else { return false }
        if session.isRecorded { _ = log.unsubscribed(session: session.number, filter: filter) }
        remove(subscription)
        return true
    }

    func remove(_ subscription: Subscription) {
        if let key = subscription.groupKey {
            post(key.owner, .leave(key, clientID: subscription.session.clientID))
            return
        }
        guard let set = tree.subscribers(of: subscription.pattern, create: false),
            subscription.position < set.sessions.count, set.sessions[subscription.position] === subscription
        else { return }
        let last = set.sessions.removeLast()
        if last !== subscription {
            set.sessions[subscription.position] = last
            last.position = subscription.position
        }
        forget(subscription.pattern)
        removeInterest(subscription.interest)
    }

    func changed(_ pattern: Bytes) {
        pattern.withUnsafeBytes { generations.changed(filter: $0) }
        eventFiltersChanged(pattern)
    }

    /// After a subscriber has gone.
    func forget(_ pattern: Bytes) {
        changed(pattern)
        tree.prune(pattern)
    }

    // MARK: Interest

    /// One more subscriber of this shard wants `filter`.
    func addInterest(_ key: InterestKey, _ installed: @escaping () -> Void) {
        guard peers.count > 1 else {
            installed()
            return
        }
        var interest = interests[key] ?? Interest()
        interest.count += 1
        if interest.count == 1 {
            interest.token = makeSerial()
            interest.missing = peers.count - 1
            for peer in peers where peer !== self { post(peer.index, .wants(key, token: interest.token)) }
        }
        if interest.missing > 0 { interest.waiters.append(installed) }
        let isReady = interest.missing == 0
        interests[key] = interest
        if isReady { installed() }
    }

    private func whenInstalled(_ key: InterestKey, _ installed: @escaping () -> Void) {
        if let interest = interests[key], interest.missing > 0 {
            interests[key]?.waiters.append(installed)
        } else {
            installed()
        }
    }

    func removeInterest(_ key: InterestKey) {
        guard peers.count > 1, var interest = interests[key] else { return }
        interest.count -= 1
        if interest.count > 0 {
            interests[key] = interest
            return
        }
        interests[key] = nil
        for peer in peers where peer !== self { post(peer.index, .wantsNoMore(key)) }
        for waiter in interest.waiters { waiter() }
    }

    func peerWants(_ key: InterestKey, token: UInt64, peer: Int) {
        let pattern = Bytes(key.filter)
        if let set = tree.subscribers(of: pattern, create: true) {
            set.add(peer: peer, key)
            changed(pattern)
        }
        // What this shard has sent to third shards must be there before the subscriber acts on the answer.
        postLate(peer, .installed(key, token: token))
    }

    func peerWantsNoMore(_ key: InterestKey, peer: Int) {
        let pattern = Bytes(key.filter)
        guard let set = tree.subscribers(of: pattern, create: false) else { return }
        set.remove(peer: peer, key)
        forget(pattern)
    }

    func installed(_ key: InterestKey, token: UInt64) {
        guard var interest = interests[key], interest.token == token, interest.missing > 0 else { return }
        interest.missing -= 1
        let waiters = interest.missing == 0 ? interest.waiters : []
        if interest.missing == 0 { interest.waiters = [] }
        interests[key] = interest
        for waiter in waiters { waiter() }
    }

    // MARK: Retained messages

    /// Sends the retained messages that match a new subscription. MQTT 5.0, 3.3.1.3
    func sendRetained(to session: Session, _ subscription: Subscription) {
        let (clientID, serial, filter) = (session.clientID, session.serial, subscription.filter.text)
        findRetained(subscription.filter.pattern) { [self] messages in
            guard let session = sessions[clientID], session.serial == serial,
                let subscription = session.subscriptions[filter]
            else { return }
            for message in messages {
                let qos = min(message.qos.rawValue, subscription.options.qosValue)
                if subscription.options.noLocal, message.origin.kind == .client,
                    ExactText.areSame(message.origin.clientID, clientID)
                {
                    continue
                }
                let queued = QueuedMessage(
                    message: message, group: nil, subscriptionID: subscription.subscriptionID, flags: qos | 4)
                session.enqueueRetained(queued)
            }
            session.pump()
        }
    }

    /// The retained messages of all shards that `filter` matches; `body` is called once for each shard that has some.
    func findRetained(_ filter: String, _ body: @escaping ([StoredMessage]) -> Void) {
        let hasWildcard = filter.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
        let targets = hasWildcard ? peers.map(\.index) : [owner(hash(filter))]
        for target in targets {
            if target == index {
                let found = retained.matching(Bytes(filter), now: now)
                if !found.isEmpty { body(found) }
            } else {
                let token = makeSerial()
                awaiting[token] = { message in
                    if case .foundRetained(let found, _) = message, !found.isEmpty { body(found) }
                }
                post(target, .findRetained(filter: filter, token: token))
            }
        }
    }
}
