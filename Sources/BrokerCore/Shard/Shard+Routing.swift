import Bus
import Model

extension Shard {
    /// The subscribers of a topic that a client sent; nil if the bytes are not a topic's.
    @inline(__always)
    func route(_ topic: UnsafeRawBufferPointer) -> Route? {
        let topicHash = hash(topic)
        if let route = routes.find(topic, hash: topicHash) {
            refresh(route)
            return route
        }
        guard PublishFrame.isTopicName(topic), SubscriptionTree.levelCount(topic) <= limits.topicLevelsMax else {
            return nil
        }
        return makeRoute(Bytes(copying: topic), topicHash)
    }

    /// The subscribers of a topic that was checked before.
    func route(known topic: Bytes) -> Route {
        let topicHash = topic.withUnsafeBytes { hash($0) }
        if let route = topic.withUnsafeBytes({ routes.find($0, hash: topicHash) }) {
            refresh(route)
            return route
        }
        return makeRoute(topic, topicHash)
    }

    /// The subscribers of a topic that another shard has checked and hashed.
    private func route(checked topic: UnsafeRawBufferPointer, hash topicHash: UInt64) -> Route {
        if let route = routes.find(topic, hash: topicHash) {
            refresh(route)
            return route
        }
        return makeRoute(Bytes(copying: topic), topicHash)
    }

    private func makeRoute(_ topic: Bytes, _ topicHash: UInt64) -> Route {
        let places = topic.withUnsafeBytes { generations.places(of: $0, hash: topicHash) }
        let route = Route(topic: topic, hash: topicHash, places: places)
        routes.insert(route)
        resolve(route)
        return route
    }

    /// Makes sure that the route says what the tree says.
    @inline(__always)
    func refresh(_ route: Route) {
        if route.epoch == generations.epoch { return }
        if route.epoch != 0, route.sum == generations.sum(route.places) {
            route.epoch = generations.epoch
            return
        }
        resolve(route)
    }

    private func resolve(_ route: Route) {
        counters.routesResolved += 1
        route.targets.removeAll(keepingCapacity: true)
        route.components.removeAll(keepingCapacity: true)
        route.groups.removeAll(keepingCapacity: true)
        route.sampleComponents.removeAll(keepingCapacity: true)
        route.shards = 0
        route.sampleShards = 0
        route.durableShards = 0
        route.isKeptHere = false
        tree.forEachMatch(route.topic) { set in
            for subscription in set.sessions {
                if subscription.session.isRecorded { route.isKeptHere = true }
                route.targets.append(
                    RouteTarget(
                        session: subscription.session, subscriptionID: subscription.subscriptionID,
                        options: subscription.options))
            }
            // A component gets a message once, however many of its filters match.
            for component in set.components {
                if component.samplesOnly {
                    if !route.sampleComponents.contains(where: { $0 === component }) {
                        route.sampleComponents.append(component)
                    }
                } else if !route.components.contains(where: { $0 === component }) {
                    route.components.append(component)
                }
            }
            route.groups.append(contentsOf: set.groups)
            if set.groups.contains(where: \.isDurable) { route.isKeptHere = true }
            route.durableShards |= set.durableShards
            route.shards |= set.shards | set.durableShards
            route.sampleShards |= set.sampleShards
        }
        route.meters = RouteMeters(route.topic, meters)
        route.sum = generations.sum(route.places)
        route.epoch = generations.epoch
    }

    /// A message that was published on this shard, to everyone who wants it.
    func publish(_ publication: inout Publication, _ route: Route) -> ReasonCode {
        let isTyped = publication.message?.payload.isTyped ?? false
        if let meters = route.meters { meters.received(qos: publication.qos, bytes: publication.payload.count) }
        deliver(&publication, route, isTyped: isTyped)
        var bits = isTyped ? route.shards | route.sampleShards : route.shards
        if log.isOn, route.durableShards != 0 && publication.qos > 0 || publication.retain {
            recordForOthers(&publication, route)
        }
        if bits != 0, FrameBatch.takes(&publication) {
            while bits != 0 {
                post(bits.trailingZeroBitCount, frameOf: &publication)
                bits &= bits - 1
            }
        } else if bits != 0 {
            let stored = publication.share(
                self, durableShards: publication.isInLog && publication.qos > 0 ? route.durableShards : 0)
            while bits != 0 {
                post(bits.trailingZeroBitCount, .publish(stored))
                bits &= bits - 1
            }
        }
        if publication.retain { retain(&publication, route) }
        if publication.isInLog {
            if publication.qos > 0 { publication.logPosition = log.due() }
            letGo(publication)
            log.flushIfLong()
        }
        if route.hasSubscribers { return .success }
        let hasRecorder = isTyped && (route.sampleShards != 0 || !route.sampleComponents.isEmpty)
        if hasRecorder { return .success }
        if events.watches(.messageDropped) { tellDropped(publication, reason: "no_subscribers") }
        return .noMatchingSubscribers
    }

    /// To the subscribers of this shard.
    @inline(__always)
    func deliver(_ publication: inout Publication, _ route: Route, isTyped: Bool) {
        let dropped = counters.dropped
        route.targets.withUnsafeBufferPointer { targets in
            for target in targets {
                target.session.deliver(
                    &publication, options: target.options, subscriptionID: target.subscriptionID)
            }
        }
        if !route.components.isEmpty || (isTyped && !route.sampleComponents.isEmpty) {
            let message = publication.message ?? publication.store(self).message(retain: false, now: now)
            deliverToComponents(message, route, isTyped: isTyped)
        }
        for group in route.groups { dispatch(&publication, group) }
        if let meters = route.meters {
            meters.delivered(route.targets.count + route.groups.count, dropped: counters.dropped - dropped)
        }
    }

    private func deliverToComponents(_ message: Message, _ route: Route, isTyped: Bool) {
        for component in route.components { component.append(message, on: self) }
        counters.internalDelivered += UInt64(route.components.count)
        guard isTyped else { return }
        for component in route.sampleComponents { component.append(message, on: self) }
        counters.internalDelivered += UInt64(route.sampleComponents.count)
    }

    /// Whether a publication of QoS 1 or 2 would have to be in the log before it may be acknowledged.
    func mustKeep(_ route: Route, retain: Bool) -> Bool {
        log.isOn && (route.isKeptHere || route.durableShards != 0 || (retain && Self.isKeptRetained(route)))
    }

    /// What the server says about itself is said anew after a restart.
    private static func isKeptRetained(_ route: Route) -> Bool { route.topicGuard != .reserved }

    /// The log holds the message, and who else must deal with it, before they get it: were they never to, the next
    /// start would do it for them. So nobody's answer need be awaited.
    private func recordForOthers(_ publication: inout Publication, _ route: Route) {
        let shards = publication.qos > 0 ? route.durableShards : 0
        var owner: Int?
        if publication.retain, Self.isKeptRetained(route), !(publication.qos == 0 && log.isRefusing) {
            owner = self.owner(route.hash)
        }
        guard shards != 0 || owner != nil else { return }
        _ = publication.record(self)
        // This shard's own retained store is told in the same block.
        let other = owner == index ? nil : owner
        if shards != 0 || other != nil { log.sentTo(shards, retaining: other) }
    }

    private func retain(_ publication: inout Publication, _ route: Route) {
        let target = owner(route.hash)
        let stored = publication.share(self)
        if target == index { keepRetained(stored) } else { post(target, .retain(stored)) }
    }

    func keepRetained(_ stored: StoredMessage) {
        let isKept = retained.set(stored, countMax: limits.retainedMax / max(1, peers.count))
        if !isKept { counters.retainedRefused += 1 }
        guard log.isOn, stored.id != 0 else { return }
        if isKept { log.retained(stored.id) } else { log.notRetained(stored.id) }
    }

    /// A message from a component; refused if it had to be kept and nothing can be.
    func offer(_ message: Message) -> PublishOutcome {
        if message.qos != .atMostOnce, log.isRefusing,
            mustKeep(route(known: message.topic.utf8), retain: message.retain)
        {
            counters.refusedByLog += 1
            return .refused(log.store?.problem ?? Problem("broker.log", "the broker's log takes nothing at the moment"))
        }
        return publish(message)
    }

    /// A message from inside the process.
    func publish(_ message: Message) -> PublishOutcome {
        counters.internalReceived += 1
        let route = route(known: message.topic.utf8)
        let needsBytes = !route.targets.isEmpty || !route.groups.isEmpty
        let reason =
            needsBytes
            ? message.payload.bytes.withUnsafeBytes { publish(message, payload: $0, route) }
            : publish(message, payload: UnsafeRawBufferPointer(start: nil, count: 0), route)
        return reason == .success ? .accepted : .noSubscribers
    }

    private func publish(_ message: Message, payload: UnsafeRawBufferPointer, _ route: Route) -> ReasonCode {
        var stored: StoredMessage?
        if message.properties != nil { stored = StoredMessage(message, now: now) }
        let properties = stored?.wireProperties ?? Bytes()
        return properties.withUnsafeBytes { properties in
            route.topic.withUnsafeBytes { topic in
                var publication = Publication(
                    topic: topic, topicHash: route.hash, payload: payload, properties: properties,
                    qos: message.qos.rawValue, retain: message.retain, expiresAt: stored?.expiresAt ?? .max,
                    origin: message.origin, frame: UnsafeRawBufferPointer(start: nil, count: 0), stored: stored,
                    message: message)
                return publish(&publication, route)
            }
        }
    }

    /// Messages from another shard that it has not kept.
    func deliver(fromPeer batch: FrameBatch) {
        var last: Route?
        batch.forEach { publication in
            if publication.expiresAt <= now {
                counters.expired += 1
                return
            }
            let route: Route
            if let last, last.hash == publication.topicHash, last.isTopic(publication.topic) {
                route = last
                refresh(route)
            } else {
                route = self.route(checked: publication.topic, hash: publication.topicHash)
                last = route
            }
            deliver(&publication, route, isTyped: false)
            letGo(publication)
        }
        log.flushIfLong()
    }

    /// A message from another shard.
    func deliver(fromPeer stored: StoredMessage) {
        if stored.expiresAt <= now {
            counters.expired += 1
            return
        }
        let route = route(known: stored.topic)
        let isTyped = stored.payload.isTyped
        let isOwed = log.isOn && stored.durableShards >> UInt64(index) & 1 == 1
        if route.targets.isEmpty, route.groups.isEmpty {
            if isOwed { log.about(stored.id, arrived: true) }
            // Nobody here needs the bytes: samples stay unencoded.
            if !route.components.isEmpty || isTyped {
                deliverToComponents(stored.message(retain: false, now: now), route, isTyped: isTyped)
            }
            return
        }
        Publication.with(stored, hash: route.hash) { publication in
            if isOwed {
                log.about(stored.id, arrived: true)
                publication.isInLog = true
            }
            deliver(&publication, route, isTyped: isTyped)
            letGo(publication)
        }
        log.flushIfLong()
    }
}

extension Payload {
    @inline(__always)
    var isTyped: Bool {
        if case .samples = self { return true }
        return false
    }
}
