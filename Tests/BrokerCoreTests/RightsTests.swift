import Bus
import Model
import Synchronization
import Testing

@testable import BrokerCore

/// Rules that a test changes while clients are connected.
private final class TestRules: Authoriser {
    struct Asked: Hashable {
        var topic: String
        var qos: UInt8
        var retain: Bool
    }

    let denied = Mutex<Set<Asked>>([])
    let deniedFilters = Mutex<Set<String>>([])
    let asked = Mutex<[Asked]>([])
    let refusedByGuard = Mutex<[String]>([])
    let isOpen = Mutex(false)

    func mayPublish(_ topic: Topic, qos: UInt8, retain: Bool, client: ClientIdentity) -> Bool {
        let question = Asked(topic: topic.string, qos: qos, retain: retain)
        asked.withLock { $0.append(question) }
        return !denied.withLock { $0.contains(question) }
    }

    func maySubscribe(_ filter: TopicFilter, qos: UInt8, client: ClientIdentity) -> Bool {
        !deniedFilters.withLock { $0.contains(filter.pattern) }
    }

    func allowsEverything(_ client: ClientIdentity) -> Bool { isOpen.withLock { $0 } }

    func noteRefused(_ topic: Topic, client: ClientIdentity) {
        refusedByGuard.withLock { $0.append(topic.string) }
    }
}

private struct Admit: Authenticator {
    var acceptance: Acceptance
    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision { .accept(acceptance) }
    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? { .accept(acceptance) }
}

/// Runs a task's parts on the thread that asks: the loops of a desk are of one thread.
private final class HandExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    func run() {
        while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// Set by a task, seen by the test.
private final class Flag: Sendable {
    let isSet = Atomic<Bool>(false)
}

@Suite("Rights of connected clients")
struct RightsTests {
    private func join(
        _ desk: Desk, _ id: String, _ acceptance: Acceptance, denied: DeniedAction = .ignore,
        version: ProtocolVersion = .v5, change: (inout ConnectPacket) -> Void = { _ in }
    ) -> TestClient {
        var limits = ConnectionLimits()
        limits.denied = denied
        let client = desk.client(limits: limits, authenticator: Admit(acceptance: acceptance))
        client.version = version
        var packet = ConnectPacket()
        packet.version = version
        packet.clientID = id
        change(&packet)
        client.send(.connect(packet))
        return client
    }

    private func acceptance(_ rules: TestRules, mayWriteDevices: Bool = false) -> Acceptance {
        Acceptance(username: "ali", mayWriteDevices: mayWriteDevices, authoriser: rules)
    }

    private func review(
        _ desk: Desk, _ body: @escaping @Sendable (ClientIdentity) -> ClientReview = { _ in .keep }
    ) {
        let (exchange, hand, done) = (desk.exchange, HandExecutor(), Flag())
        Task(executorPreference: hand) {
            await exchange.reviewClients(body)
            done.isSet.store(true, ordering: .releasing)
        }
        while !done.isSet.load(ordering: .acquiring) {
            hand.run()
            desk.settle()
        }
        desk.settle()
    }

    private func reasons(_ client: TestClient) -> [ReasonCode] {
        client.take().compactMap { packet in
            if case .puback(let answer) = packet { return answer.reason }
            return nil
        }
    }

    @Test("an answer about plain messages is not taken for one about retained ones, nor for another QoS")
    func retainAndQoS() {
        let (desk, rules) = (Desk(), TestRules())
        rules.denied.withLock { $0 = [.init(topic: "t", qos: 1, retain: true)] }
        let client = join(desk, "c", acceptance(rules))
        _ = client.take()
        client.publish("t", "a", qos: .atLeastOnce, id: 1)
        client.publish("t", "b", qos: .atLeastOnce, retain: true, id: 2)
        client.publish("t", "c", qos: .atLeastOnce, id: 3)
        client.publish("t", "d", qos: .atLeastOnce, retain: true, id: 4)
        #expect(reasons(client) == [.noMatchingSubscribers, .notAuthorized, .noMatchingSubscribers, .notAuthorized])
        // Each question once.
        #expect(rules.asked.withLock { $0.count } == 2)
        #expect(desk.exchange.shards[0].counters.publishDenied == 2)
    }

    @Test("answers are remembered across topics and asked anew after a review")
    func epochs() {
        let (desk, rules) = (Desk(), TestRules())
        let client = join(desk, "c", acceptance(rules))
        _ = client.take()
        for _ in 0..<3 { for topic in ["a", "b"] { client.publish(topic, "x", qos: .atLeastOnce) } }
        #expect(rules.asked.withLock { $0.count } == 2)
        rules.denied.withLock { $0 = [.init(topic: "a", qos: 1, retain: false)] }
        client.publish("a", "x", qos: .atLeastOnce)
        _ = client.take()
        review(desk)
        client.publish("a", "x", qos: .atLeastOnce)
        #expect(reasons(client) == [.notAuthorized])
    }

    @Test("who may do everything is not asked, until a review finds otherwise")
    func open() {
        let (desk, rules) = (Desk(), TestRules())
        rules.isOpen.withLock { $0 = true }
        let client = join(desk, "c", acceptance(rules))
        client.publish("a", "x", qos: .atLeastOnce)
        #expect(rules.asked.withLock { $0.isEmpty })
        rules.isOpen.withLock { $0 = false }
        rules.denied.withLock { $0 = [.init(topic: "a", qos: 1, retain: false)] }
        review(desk)
        _ = client.take()
        client.publish("a", "x", qos: .atLeastOnce)
        #expect(reasons(client) == [.notAuthorized])
    }

    @Test("a denied publication is dropped in 3.1.1, or ends the connection where the listener says so")
    func denied() {
        let (desk, rules) = (Desk(), TestRules())
        rules.denied.withLock { $0 = [.init(topic: "t", qos: 1, retain: false)] }
        let watcher = desk.connected("w")
        watcher.subscribe("t")
        _ = watcher.take()
        let patient = join(desk, "c", acceptance(rules), version: .v311)
        _ = patient.take()
        patient.publish("t", "x", qos: .atLeastOnce)
        #expect(reasons(patient) == [.success])
        #expect(!patient.isClosed)
        let strict = join(desk, "d", acceptance(rules), denied: .disconnect)
        _ = strict.take()
        strict.publish("t", "x", qos: .atLeastOnce)
        #expect(strict.isClosed)
        #expect(strict.packets == [.disconnect(ReasonPacket(reason: .notAuthorized))])
        #expect(watcher.payloads().isEmpty)
    }

    @Test("a rule that goes takes the subscription with it, and what waits because of it; the rest stays")
    func revocation() {
        let (desk, rules) = (Desk(), TestRules())
        let client = join(desk, "c", acceptance(rules)) { $0.properties.receiveMaximum = 1 }
        client.send(
            .subscribe(
                SubscribePacket(
                    packetID: 1,
                    entries: ["secret/#", "plain/#"].map { .init($0, SubscriptionOptions(qos: .atLeastOnce)) })))
        let publisher = desk.connected("p")
        for topic in ["plain/1", "secret/1", "plain/2", "secret/2"] {
            publisher.publish(topic, topic, qos: .atLeastOnce)
        }
        rules.deniedFilters.withLock { $0 = ["secret/#"] }
        review(desk)
        publisher.publish("secret/3", "secret/3", qos: .atLeastOnce)
        let messages = client.acknowledgeAll()
        #expect(messages.map { $0.payload.string } == ["plain/1", "plain/2"])
        let counters = desk.exchange.shards[0].counters
        #expect(counters.subscriptionsRevoked == 1)
        #expect(counters.messagesRevoked == 2)
        #expect(!client.isClosed)
    }

    @Test("what a session may not have any more is gone when its client comes back")
    func revocationWhileAway() {
        let (desk, rules) = (Desk(), TestRules())
        let first = join(desk, "c", acceptance(rules)) { $0.properties.sessionExpiryInterval = 3600 }
        first.subscribe("secret/#")
        first.vanish()
        desk.connected("p").publish("secret/1", "x", qos: .atLeastOnce)
        rules.deniedFilters.withLock { $0 = ["secret/#"] }
        let second = join(desk, "c", acceptance(rules)) {
            $0.cleanStart = false
            $0.properties.sessionExpiryInterval = 3600
        }
        #expect(second.payloads().isEmpty)
    }

    @Test("a will that may not be published any more is not")
    func will() {
        let (desk, rules) = (Desk(), TestRules())
        let watcher = desk.connected("w")
        watcher.subscribe("#")
        let client = join(desk, "c", acceptance(rules)) { $0.will = WillPacket(topic: "gone", payload: "x") }
        rules.denied.withLock { $0 = [.init(topic: "gone", qos: 0, retain: false)] }
        review(desk)
        client.vanish()
        #expect(watcher.payloads().isEmpty)
        let refused = join(desk, "d", acceptance(rules)) { $0.will = WillPacket(topic: "gone", payload: "x") }
        #expect(refused.packets == [.connack(ConnackPacket(reason: .notAuthorized))])
    }

    @Test("a review can change rights in place, and disconnect")
    func change() {
        let (desk, rules) = (Desk(), TestRules())
        let client = join(desk, "c", acceptance(rules))
        _ = client.take()
        client.publish("tundish/d/g/write", "{}", qos: .atLeastOnce)
        #expect(reasons(client) == [.notAuthorized])
        #expect(rules.refusedByGuard.withLock { $0 } == ["tundish/d/g/write"])
        review(desk) { identity in
            identity.username == "ali"
                ? .change(roles: ["operator"], isSuperuser: false, mayWriteDevices: true) : .keep
        }
        client.publish("tundish/d/g/write", "{}", qos: .atLeastOnce)
        #expect(reasons(client) == [.noMatchingSubscribers])
        review(desk) { _ in .disconnect(.notAuthorized) }
        #expect(client.isClosed)
    }

    @Test("the connection ends when the proof does")
    func expiry() {
        let (desk, rules) = (Desk(), TestRules())
        var acceptance = acceptance(rules)
        acceptance.expiresAt = Timestamp(nanoseconds: desk.time.now().nanoseconds + 60_000_000_000)
        let client = join(desk, "c", acceptance)
        _ = client.take()
        desk.advance(seconds: 59)
        #expect(!client.isClosed)
        desk.advance(seconds: 2)
        #expect(client.isClosed)
        #expect(client.packets == [.disconnect(ReasonPacket(reason: .notAuthorized))])
        #expect(desk.exchange.shards[0].counters.credentialsExpired == 1)
    }

    @Test("an AUTH that nobody has asked for is a protocol error [MQTT-4.12.0-6] [MQTT-4.12.0-7]")
    func strayAuth() {
        let desk = Desk()
        let client = desk.connected("c")
        guard case .connack(let connack)? = client.take().first else {
            Issue.record("no CONNACK")
            return
        }
        #expect(connack.properties.authenticationMethod == nil)
        var authentication = ReasonPacket(reason: .reauthenticate)
        authentication.properties.authenticationMethod = "SCRAM-SHA-256"
        client.send(.auth(authentication))
        #expect(client.isClosed)
        guard case .disconnect(let packet)? = client.packets.first else {
            Issue.record("no DISCONNECT")
            return
        }
        #expect(packet.reason == .protocolError && client.packets.count == 1)
    }
}
