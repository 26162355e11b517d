import Bus
import Model
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import BrokerCore

@Suite("Shards")
struct ShardTests {
    @Test("a SUBACK comes only when the other shard has installed the filter")
    func subackWaits() {
        let desk = Desk(shards: 2)
        let subscriber = desk.connected("s", shard: 0)
        _ = subscriber.take()
        subscriber.push(
            SubscribePacket(packetID: 1, entries: [.init("t", SubscriptionOptions(qos: .atMostOnce))]).encoded(.v5))
        for _ in 0..<5 { desk.loops[0].run() }
        #expect(subscriber.take().isEmpty)
        desk.settle()
        #expect(subscriber.take() == [.suback(SubscribeAcknowledgePacket(packetID: 1, reasons: [.success]))])
    }

    @Test("messages cross shards for whoever subscribes, in one batch per turn, and cease when nobody does")
    func crossing() {
        let desk = Desk(shards: 3)
        let subscribers = (0..<3).map { desk.connected("s\($0)", shard: $0) }
        for subscriber in subscribers {
            subscriber.subscribe("a/+", SubscriptionOptions(qos: .atLeastOnce))
            _ = subscriber.take()
        }
        let publisher = desk.connected("p", shard: 1)
        let batches = desk.exchange.shards[1].counters.handOverBatches
        var bytes: [UInt8] = []
        for number in 0..<10 { bytes += PublishPacket(topic: "a/b", payload: Bytes("\(number)")).encoded(.v5) }
        publisher.send(bytes)
        for subscriber in subscribers { #expect(subscriber.payloads() == (0..<10).map(String.init)) }
        #expect(desk.exchange.shards[1].counters.handOverBatches == batches + 2)
        for subscriber in subscribers[1...] {
            subscriber.send(.unsubscribe(UnsubscribePacket(packetID: 5, filters: ["a/+"])))
        }
        subscribers[0].vanish()
        let handed = desk.exchange.shards[1].counters.handedOver
        publisher.publish("a/b", "x", qos: .atLeastOnce, id: 4)
        #expect(desk.exchange.shards[1].counters.handedOver == handed)
        #expect(publisher.take().last == .puback(AcknowledgePacket(packetID: 4, reason: .noMatchingSubscribers)))
        for shard in desk.exchange.shards { #expect(shard.tree.filterCount == 0) }
    }

    @Test("a session follows its client to another shard with all it has")
    func takeOver() throws {
        let desk = Desk(shards: 2)
        let first = desk.connected("s", shard: 0, clean: false, expiry: 100)
        first.subscribe("t", SubscriptionOptions(qos: .exactlyOnce))
        let publisher = desk.connected("p", shard: 1)
        for number in 1...3 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(first.payloads() == ["1", "2", "3"])
        first.send(.puback(AcknowledgePacket(packetID: 2)))
        let second = desk.connected("s", shard: 1, clean: false, expiry: 100)
        #expect(first.isClosed)
        #expect(first.take() == [.disconnect(ReasonPacket(reason: .sessionTakenOver))])
        #expect(second.payloads() == ["1", "3"])
        publisher.publish("t", "4", qos: .atLeastOnce)
        #expect(second.payloads() == ["4"])
        #expect(desk.exchange.shards[0].sessions["s"] == nil)
        #expect(desk.exchange.shards[1].sessions["s"]?.inflight.unfinished.map(\.packetID) == [1, 3, 4])
    }

    @Test("no message is lost or doubled while a session moves, at any step", arguments: 0..<24)
    func movingUnderFire(steps: Int) {
        for fire in 0..<3 {
            let desk = Desk(shards: 3)
            let away = desk.connected("s", shard: 0, clean: false, expiry: 100)
            away.subscribe("t", SubscriptionOptions(qos: .exactlyOnce))
            away.vanish()
            let publisher = desk.connected("p", shard: fire)
            let back = desk.client(shard: 1)
            var connect = ConnectPacket()
            connect.clientID = "s"
            connect.cleanStart = false
            connect.properties.sessionExpiryInterval = 100
            back.push(connect.encoded())
            var number = 0
            for step in 0..<24 {
                if step >= steps, step < steps + 6 {
                    number += 1
                    publisher.push(
                        PublishPacket(
                            topic: "t", payload: Bytes("\(number)"), qos: .atLeastOnce, packetID: UInt16(number)
                        )
                        .encoded(.v5))
                }
                desk.loops[(step + fire) % 3].run()
            }
            desk.settle()
            #expect(back.payloads().map { Int($0) ?? 0 } == Array(1..<(number + 1)), "publisher on \(fire)")
        }
    }

    @Test("many connections of one client at once leave one, on any shard")
    func stampede() {
        let desk = Desk(shards: 3)
        let clients = (0..<12).map { desk.client(shard: $0 % 3) }
        var connect = ConnectPacket()
        connect.clientID = "same"
        connect.cleanStart = false
        connect.properties.sessionExpiryInterval = 50
        for client in clients { client.push(connect.encoded()) }
        desk.settle()
        #expect(clients.filter { !$0.isClosed }.count == 1)
        #expect(desk.exchange.shards.map(\.sessions.count).reduce(0, +) == 1)
        clients.forEach { $0.vanish() }
        desk.advance(seconds: 60)
        #expect(desk.exchange.shards.map(\.sessions.count).reduce(0, +) == 0)
        #expect(desk.exchange.shards.map(\.holders.count).reduce(0, +) == 0)
    }

    @Test("retained messages are found from every shard")
    func retained() {
        let desk = Desk(shards: 3)
        for number in 0..<30 {
            desk.connected("p\(number % 3)", shard: number % 3).publish("r/\(number)", "\(number)", retain: true)
        }
        #expect(desk.exchange.shards.allSatisfy { $0.retained.count > 0 })
        for shard in 0..<3 {
            let subscriber = desk.connected("s", shard: shard)
            subscriber.subscribe("r/+", SubscriptionOptions(qos: .atMostOnce))
            #expect(subscriber.payloads().compactMap(Int.init).sorted() == Array(0..<30))
            subscriber.subscribe("r/7", SubscriptionOptions(qos: .atMostOnce))
            #expect(subscriber.payloads() == ["7"])
        }
    }

    @Test("a shared subscription spreads its messages evenly over members on all shards")
    func shared() {
        let desk = Desk(shards: 3)
        let members = (0..<3).map { desk.connected("m\($0)", shard: $0) }
        for member in members {
            member.subscribe("$share/g/t", SubscriptionOptions(qos: .atLeastOnce))
            _ = member.take()
        }
        let plain = desk.connected("plain", shard: 2)
        plain.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        _ = plain.take()
        let publisher = desk.connected("p", shard: 1)
        for number in 0..<30 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        let got = members.map { $0.payloads() }
        #expect(got.map(\.count) == [10, 10, 10])
        #expect(Set(got.joined()).count == 30)
        #expect(plain.payloads().count == 30)
    }

    @Test("never to an offline member while another is there; what a member leaves unacknowledged goes to another")
    func sharedMembersLeave() {
        let desk = Desk(shards: 2)
        let sleeper = desk.connected("sleeper", shard: 0, clean: false, expiry: 1000)
        let awake = desk.connected("awake", shard: 1)
        for member in [sleeper, awake] {
            member.subscribe("$share/g/t", SubscriptionOptions(qos: .atLeastOnce))
            _ = member.take()
        }
        let publisher = desk.connected("p", shard: 0)
        for number in 0..<4 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        let mine = Set(sleeper.payloads())
        let others = Set(awake.payloads())
        #expect(mine.count == 2)
        sleeper.vanish()
        #expect(Set(awake.payloads()) == mine)
        #expect(others.count == 2)
        for number in 4..<8 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(awake.payloads() == ["4", "5", "6", "7"])
        awake.vanish()
        publisher.publish("t", "8", qos: .atLeastOnce)
        let back = desk.connected("sleeper", shard: 0, clean: false, expiry: 1000).payloads()
        #expect(back.contains("8"))
    }

    @Test("components publish and subscribe on the same bus; samples reach them unencoded and clients encoded once")
    func components() async throws {
        final class Counting: PayloadEncoder {
            let calls = Counter()
            let contentType = "text/plain"
            func encode(_ batch: SampleBatch) -> Bytes {
                calls.add()
                return "encoded"
            }
        }
        let desk = Desk(shards: 2)
        let received = Mutex<[Message]>([])
        let recorder = Mutex<[Message]>([])
        let shard = desk.exchange.shards[0]
        let all = ComponentSubscription(name: "all", samplesOnly: false, shard: shard) { batch in
            received.withLock { $0 += batch }
        }
        let samples = ComponentSubscription(name: "samples", samplesOnly: true, shard: shard) { batch in
            recorder.withLock { $0 += batch }
        }
        shard.update(all, [try TopicFilter("d/#"), try TopicFilter("d/+")], wantsRetained: false) {}
        shard.update(samples, [try TopicFilter("#")], wantsRetained: false) {}
        desk.settle()
        let encoder = Counting()
        let typed = TypedPayload(
            SampleBatchBuilder(
                dense: BatchDescriptor(device: "press", deviceUID: "u", group: "fast", tags: []),
                timestamp: Timestamp(nanoseconds: 0)
            ).finish(), encoder: encoder)
        let origin = Origin(.device, clientID: "press")
        let message = Message(
            topic: try Topic("d/x"), payload: .samples(typed), receivedAt: Timestamp(nanoseconds: 0), origin: origin)
        #expect(desk.exchange.shards[1].publish(message) == .accepted)
        desk.settle()
        #expect(received.withLock { $0.count } == 1)
        #expect(recorder.withLock { $0.count } == 1)
        #expect(received.withLock { $0.first?.payload.samples } != nil)
        #expect(encoder.calls.count == 0)
        for number in 0..<4 {
            let client = desk.connected("c\(number)", shard: number % 2)
            client.subscribe("d/x", SubscriptionOptions(qos: .atLeastOnce))
        }
        #expect(desk.exchange.shards[1].publish(message) == .accepted)
        desk.settle()
        #expect(encoder.calls.count == 1)
        // What a network client sends reaches the one that wants bytes, and does not bother the other's shard.
        let client = desk.connected("net", shard: 1)
        client.publish("d/x", "bytes")
        #expect(received.withLock { $0.last?.payload.bytes.string } == "bytes")
        #expect(received.withLock { $0.last?.origin.clientID } == "net")
        #expect(recorder.withLock { $0.count } == 2)
        let handed = desk.exchange.shards[1].counters.handedOver
        client.publish("elsewhere", "bytes")
        #expect(desk.exchange.shards[1].counters.handedOver == handed)
    }

    @Test("an acknowledgement waits for the log and keeps its order")
    func durability() throws {
        let log = TestStore()
        let desk = Desk(store: log)
        log.isImmediate = false
        let exchange = desk.exchange
        let context = ConnectionContext(
            peer: "", isLoopback: true, listener: "", limits: ConnectionLimits(), authenticator: AllowAnonymous())
        func connect(_ id: String, expiry: UInt32) -> TestClient {
            let client = TestClient(desk, shard: exchange.shards[0], context)
            var packet = ConnectPacket()
            packet.clientID = id
            packet.properties.sessionExpiryInterval = expiry
            client.send(.connect(packet))
            return client
        }
        let subscriber = connect("s", expiry: 100)
        #expect(subscriber.take().isEmpty)
        log.sync()
        desk.settle()
        #expect(subscriber.take().count == 1)
        subscriber.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        #expect(subscriber.take().isEmpty)
        log.sync()
        desk.settle()
        let publisher = connect("p", expiry: 0)
        _ = publisher.take()
        publisher.publish("t", "1", qos: .atLeastOnce, id: 1)
        // Nothing is kept for this one, but it must not overtake.
        publisher.publish("nobody", "2", qos: .atLeastOnce, id: 2)
        #expect(publisher.take().isEmpty)
        log.sync()
        desk.settle()
        #expect(
            publisher.take() == [
                .puback(AcknowledgePacket(packetID: 1)),
                .puback(AcknowledgePacket(packetID: 2, reason: .noMatchingSubscribers)),
            ])
        subscriber.subscribe("exact")
        log.sync()
        desk.settle()
        _ = subscriber.take()
        publisher.publish("exact", "3", qos: .exactlyOnce, id: 3)
        #expect(subscriber.take().isEmpty)
        log.sync()
        desk.settle()
        #expect(subscriber.messages().map(\.packetID) == [2])
    }
}
