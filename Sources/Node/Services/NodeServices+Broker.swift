import Broker
import BrokerCore
import Bus
import Console
import Model

/// The broker in the console's shapes.
extension NodeServices {
    func clients() async -> [Console.ClientInfo] { await exchange.clients().map(Self.client) }

    func client(_ id: String) async -> ClientReport? {
        guard let found = await exchange.client(id) else { return nil }
        return ClientReport(
            info: Self.client(found.info), expirySeconds: found.expirySeconds, inflight: found.inflight,
            inflightMax: found.inflightMax, waiting: found.waiting + found.replaying, waitingMax: found.waitingMax,
            awaitingRelease: found.awaitingRelease, unsentBytes: found.unsentBytes, isWritable: found.isWritable,
            silentMilliseconds: found.silentNanoseconds.map { $0 / 1_000_000 }, willTopic: found.willTopic,
            packetBytesMax: found.packetBytesMax, certificateSubject: found.certificateSubject,
            subscriptions: found.subscriptions.map(Self.subscription))
    }

    func disconnect(client id: String, discarding: Bool) async -> Bool {
        if discarding { return await exchange.discardSession(clientID: id) }
        return await exchange.kick(clientID: id)
    }

    func subscriptions(client: String?) async -> [Console.SubscriptionInfo] {
        await exchange.subscriptionDetails(of: client).map(Self.subscription)
    }

    func retained(filter: TopicFilter?, limit: Int) async -> [RetainedInfo] {
        guard let wanted = filter ?? (try? TopicFilter("#")) else { return [] }
        return await exchange.retained(wanted, limit: limit).map { message in
            RetainedInfo(
                topic: message.topic.string, payload: message.payload.bytes, qos: message.qos.rawValue,
                receivedAt: message.receivedAt)
        }
    }

    func deleteRetained(topic: Topic, by username: String) async throws(Problem) -> Bool {
        guard let filter = try? TopicFilter(topic.string), await !exchange.retained(filter, limit: 1).isEmpty else {
            return false
        }
        let message = Message(
            topic: topic, payload: .bytes(Bytes()), qos: .atLeastOnce, retain: true, receivedAt: time.now(),
            origin: Origin(.console, clientID: "console", username: username))
        if case .refused(let problem)? = await publisher.publishConfirmed([message]).first { throw problem }
        return true
    }

    func listeners() async -> [ListenerReport] {
        await broker.listenerStatus().map { status in
            ListenerReport(
                name: status.name, protocol: status.transport.rawValue, address: status.address,
                connections: status.connections, halfOpen: status.halfOpen, accepted: status.accepted,
                refused: status.refused,
                closed: Dictionary(
                    status.closed.map { ($0.key.rawValue, $0.value) }, uniquingKeysWith: { first, _ in first }),
                certificateExpires: status.certificateExpires, problems: status.problems)
        }
    }

    private static let topicRates = ["received", "sent", "dropped"]

    func topicMetrics() async -> [TopicMetricsReport] {
        await exchange.topicMetrics().map { figures in
            func rate(_ name: String, _ count: UInt64) -> Double {
                rates.rate("topic \(name) \(figures.filter)", count)
            }
            return TopicMetricsReport(
                filter: figures.filter, startedAt: figures.startedAt, received: figures.received,
                receivedBytes: figures.receivedBytes, sent: figures.sent, dropped: figures.dropped,
                receivedPerSecond: rate("received", figures.receivedTotal), sentPerSecond: rate("sent", figures.sent),
                droppedPerSecond: rate("dropped", figures.dropped))
        }
    }

    func startTopicMetrics(_ filter: TopicFilter) async throws(Problem) {
        try await exchange.startTopicMetrics(filter)
        // From here on there is something to compare with: the first look shows a rate already.
        for name in Self.topicRates { _ = rates.rate("topic \(name) \(filter.text)", 0) }
    }

    func stopTopicMetrics(_ filter: String) async -> Bool {
        guard await exchange.stopTopicMetrics(filter) else { return false }
        for name in Self.topicRates { rates.forget("topic \(name) \(filter)") }
        return true
    }

    func refusals() async -> [AccessRefusal] {
        accessJournal.recent(limit: AccessJournal.entriesMax).map { refusal in
            let action: AccessRefusal.Action =
                switch refusal.cause {
                case .publishDenied: .publish
                case .subscribeDenied: .subscribe
                default: .connect
                }
            return AccessRefusal(
                at: refusal.at, action: action, clientID: refusal.clientID, username: refusal.username,
                peer: refusal.peer, listener: refusal.listener, cause: refusal.cause.rawValue, detail: refusal.detail,
                by: refusal.by)
        }
    }

    private static func client(_ client: BrokerCore.ClientInfo) -> Console.ClientInfo {
        Console.ClientInfo(
            clientID: client.clientID, username: client.username, protocol: client.protocolName, peer: client.peer,
            listener: client.listener, connectedAt: client.connectedAt, keepAliveSeconds: client.keepAliveSeconds,
            cleanStart: client.cleanStart, subscriptions: client.subscriptions, received: client.received,
            sent: client.sent, queued: client.queued, dropped: client.dropped,
            state: client.isConnected ? .connected : .disconnected)
    }

    private static func subscription(_ item: SubscriptionDetail) -> Console.SubscriptionInfo {
        Console.SubscriptionInfo(
            clientID: item.clientID, filter: item.filter, qos: item.qos, noLocal: item.noLocal,
            retainAsPublished: item.retainAsPublished, retainHandling: item.retainHandling,
            subscriptionID: item.subscriptionID, shareName: item.shareName)
    }
}
