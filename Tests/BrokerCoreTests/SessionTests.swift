import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("Sessions")
struct SessionTests {
    private static let both: [ProtocolVersion] = [.v311, .v5]

    private func connack(_ client: TestClient) -> ConnackPacket? {
        for packet in client.take() { if case .connack(let answer) = packet { return answer } }
        return nil
    }

    @Test("delivers with the lower of the two QoS", arguments: both)
    func qos(version: ProtocolVersion) {
        for published in QoS.allCases {
            for wanted in QoS.allCases {
                let desk = Desk()
                let subscriber = desk.connected("s", version: version)
                let publisher = desk.connected("p", version: version)
                subscriber.subscribe("a/+", SubscriptionOptions(qos: wanted))
                _ = subscriber.take()
                publisher.publish("a/b", "x", qos: published)
                let got = subscriber.messages()
                #expect(got.map(\.qos) == [min(published, wanted)])
                #expect(got.first?.payload == "x")
                #expect((got.first?.packetID ?? 0) == (min(published, wanted) == .atMostOnce ? 0 : 1))
            }
        }
    }

    @Test("versions mix: properties reach 5.0 clients and are left out for 3.1.1")
    func versions() {
        let desk = Desk()
        let old = desk.connected("old", version: .v311)
        let new = desk.connected("new")
        let publisher = desk.connected("p")
        old.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        new.subscribe("t")
        _ = (old.take(), new.take())
        var properties = Properties()
        properties.contentType = "text/plain"
        properties.userProperties = [UserProperty("k", "v")]
        properties.responseTopic = "r"
        publisher.publish("t", "hello", properties: properties)
        #expect(old.messages().map(\.properties) == [Properties()])
        #expect(new.messages().map(\.properties) == [properties])
        old.publish("t", "back")
        #expect(new.payloads() == ["back"])
    }

    @Test("QoS 2 is passed on once, however often it is sent [MQTT-4.3.3-10]")
    func exactlyOnceInbound() {
        let desk = Desk()
        let subscriber = desk.connected("s")
        let publisher = desk.connected("p")
        subscriber.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        _ = subscriber.take()
        publisher.publish("t", "x", qos: .exactlyOnce, id: 7)
        publisher.publish("t", "x", qos: .exactlyOnce, id: 7)
        #expect(subscriber.payloads() == ["x"])
        _ = publisher.take()
        publisher.send(.pubrel(AcknowledgePacket(packetID: 7)))
        publisher.send(.pubrel(AcknowledgePacket(packetID: 7)))
        #expect(
            publisher.take() == [
                .pubcomp(AcknowledgePacket(packetID: 7)),
                .pubcomp(AcknowledgePacket(packetID: 7)),
            ])
        publisher.publish("t", "y", qos: .exactlyOnce, id: 7)
        #expect(subscriber.payloads() == ["y"])
    }

    @Test("QoS 2 towards a client: PUBLISH, PUBREC, PUBREL, PUBCOMP")
    func exactlyOnceOutbound() {
        let desk = Desk()
        let subscriber = desk.connected("s")
        subscriber.subscribe("t")
        _ = subscriber.take()
        desk.connected("p").publish("t", "x", qos: .exactlyOnce)
        #expect(subscriber.messages().map(\.packetID) == [1])
        subscriber.send(.pubrec(AcknowledgePacket(packetID: 1)))
        #expect(subscriber.take() == [.pubrel(AcknowledgePacket(packetID: 1))])
        subscriber.send(.pubcomp(AcknowledgePacket(packetID: 1)))
        #expect(desk.exchange.shards[0].gauges.queued == 0)
    }

    @Test(
        "a persistent session gets what came while it was away, unacknowledged first and marked [MQTT-4.4.0-1]",
        arguments: both)
    func resume(version: ProtocolVersion) throws {
        let desk = Desk()
        let subscriber = desk.connected("s", version: version, clean: false, expiry: 1000)
        subscriber.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        let publisher = desk.connected("p")
        publisher.publish("t", "1", qos: .atLeastOnce)
        publisher.publish("t", "2", qos: .atLeastOnce)
        _ = subscriber.take()
        subscriber.send(.puback(AcknowledgePacket(packetID: 1)))
        subscriber.vanish()
        publisher.publish("t", "3", qos: .atLeastOnce)
        publisher.publish("t", "lost", qos: .atMostOnce)
        let again = desk.connected("s", version: version, clean: false, expiry: 1000)
        let packets = again.take()
        guard case .connack(let answer)? = packets.first else {
            Issue.record("no CONNACK")
            return
        }
        #expect(answer.sessionPresent)
        let messages = packets.compactMap { packet -> PublishPacket? in
            if case .publish(let message) = packet { return message }
            return nil
        }
        #expect(messages.map { $0.payload.string } == ["2", "3"])
        #expect(messages.map(\.isDuplicate) == [true, false])
        #expect(messages.map(\.packetID) == [2, 3])
        #expect(desk.connected("s", version: version, clean: true).take().first == .connack(connackFresh(version)))
    }

    private func connackFresh(_ version: ProtocolVersion) -> ConnackPacket {
        var packet = ConnackPacket()
        guard version == .v5 else { return packet }
        packet.properties.receiveMaximum = 1024
        packet.properties.topicAliasMaximum = 32
        packet.properties.maximumPacketSize = 1 << 20
        return packet
    }

    @Test("a session ends when its expiry interval has passed [MQTT-3.1.2-23]")
    func expiry() {
        let desk = Desk()
        desk.connected("s", clean: false, expiry: 10).vanish()
        desk.advance(seconds: 9)
        #expect(connack(desk.connected("s", clean: false, expiry: 10))?.sessionPresent == true)
        let second = desk.connected("s", clean: false, expiry: 10)
        #expect(connack(second)?.sessionPresent == true)
        second.vanish()
        desk.advance(seconds: 11)
        #expect(desk.exchange.shards[0].sessions.isEmpty)
        #expect(connack(desk.connected("s", clean: false, expiry: 10))?.sessionPresent == false)
    }

    @Test("a second connection of a client ends the first with 0x8E [MQTT-3.1.4-3]")
    func takeOver() {
        let desk = Desk()
        let first = desk.connected("s")
        _ = first.take()
        _ = desk.connected("s")
        #expect(first.take() == [.disconnect(ReasonPacket(reason: .sessionTakenOver))])
        #expect(first.isClosed)
        #expect(desk.exchange.shards[0].sessions.count == 1)
    }

    @Test("Receive Maximum bounds what is in flight; the rest follows the acknowledgements [MQTT-3.3.4-9]")
    func receiveMaximum() {
        let desk = Desk()
        let subscriber = desk.connected("s") { $0.properties.receiveMaximum = 3 }
        subscriber.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        _ = subscriber.take()
        let publisher = desk.connected("p")
        for number in 1...8 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(subscriber.payloads() == ["1", "2", "3"])
        subscriber.send(.puback(AcknowledgePacket(packetID: 2)))
        #expect(subscriber.payloads() == ["4"])
        for id in [1, 3, 4] { subscriber.send(.puback(AcknowledgePacket(packetID: UInt16(id)))) }
        #expect(subscriber.payloads() == ["5", "6", "7"])
    }

    @Test("a client that exceeds our Receive Maximum is disconnected with 0x93 [MQTT-3.3.4-7]")
    func ourReceiveMaximum() {
        let desk = Desk()
        let client = desk.connected("p", limits: ConnectionLimits(receiveMaximum: 2))
        for id in 1...3 { client.publish("t", "x", qos: .exactlyOnce, id: UInt16(id)) }
        #expect(client.disconnect?.reason == .receiveMaximumExceeded)
        #expect(client.isClosed)
    }

    @Test("the queue of an absent client is bounded, and what it loses is counted")
    func queueBound() {
        var limits = ExchangeLimits()
        limits.sessionQueueMax = 5
        let desk = Desk(limits: limits)
        let subscriber = desk.connected("s", clean: false, expiry: 100)
        subscriber.subscribe("t")
        subscriber.vanish()
        let publisher = desk.connected("p")
        for number in 1...9 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(desk.exchange.shards[0].counters.dropped == 4)
        #expect(desk.connected("s", clean: false, expiry: 100).payloads() == ["1", "2", "3", "4", "5"])
    }

    @Test("a slow client loses QoS 0 messages, counted, and no other")
    func slowClient() {
        var limits = ExchangeLimits()
        limits.unsentBytesMax = 1000
        let desk = Desk(limits: limits)
        let subscriber = desk.connected("s")
        subscriber.subscribe("t")
        _ = subscriber.take()
        subscriber.setWritable(false)
        let publisher = desk.connected("p")
        let text = String(repeating: "x", count: 100)
        for _ in 1...50 { publisher.publish("t", text) }
        for number in 1...3 { publisher.publish("t", "sure \(number)", qos: .atLeastOnce) }
        let dropped = desk.exchange.shards[0].counters.dropped
        #expect(dropped > 30)
        subscriber.setWritable(true)
        let got = subscriber.payloads()
        #expect(got.filter { $0.hasPrefix("sure") } == ["sure 1", "sure 2", "sure 3"])
        #expect(got.count == 53 - Int(dropped))
    }

    @Test(
        "retained messages come to new subscriptions, marked; an empty one removes them [MQTT-3.3.1-6] [MQTT-3.3.1-9]")
    func retained() {
        let desk = Desk()
        let publisher = desk.connected("p")
        publisher.publish("a/1", "one", qos: .atLeastOnce, retain: true)
        publisher.publish("a/2", "two", retain: true)
        let subscriber = desk.connected("s")
        subscriber.subscribe("a/#", SubscriptionOptions(qos: .atLeastOnce))
        let packets = subscriber.take()
        let suback = packets.firstIndex { if case .suback = $0 { true } else { false } }
        let first = packets.firstIndex { if case .publish = $0 { true } else { false } }
        #expect((suback ?? 9) < (first ?? 0))
        let got = packets.compactMap { packet -> PublishPacket? in
            if case .publish(let message) = packet { return message }
            return nil
        }
        #expect(got.map { $0.payload.string }.sorted() == ["one", "two"])
        #expect(got.map(\.retain) == [true, true])
        // Live ones are not marked unless asked for. [MQTT-3.3.1-12]
        publisher.publish("a/1", "", retain: true)
        #expect(subscriber.messages().map(\.retain) == [false])
        subscriber.subscribe("a/#", SubscriptionOptions(qos: .atLeastOnce, retainAsPublished: true, retainHandling: 2))
        _ = subscriber.take()
        publisher.publish("a/2", "new", retain: true)
        #expect(subscriber.messages().map(\.retain) == [true])
        let late = desk.connected("late")
        late.subscribe("a/#")
        #expect(late.payloads() == ["new"])
        // Only for a new subscription. [MQTT-3.3.1-10]
        late.subscribe("a/#", SubscriptionOptions(qos: .atMostOnce, retainHandling: 1))
        #expect(late.payloads() == [])
        late.subscribe("a/+", SubscriptionOptions(qos: .atMostOnce, retainHandling: 1))
        #expect(late.payloads() == ["new"])
    }

    @Test("subscription identifiers come with the message, one delivery per matching subscription, as Mosquitto")
    func identifiers() {
        let desk = Desk()
        let subscriber = desk.connected("s")
        for (id, filter) in [(1, "a/#"), (300, "a/+")] {
            var properties = Properties()
            properties.subscriptionIdentifiers = [UInt32(id)]
            subscriber.send(
                .subscribe(
                    SubscribePacket(
                        packetID: 1, entries: [.init(filter, SubscriptionOptions(qos: .atMostOnce))],
                        properties: properties)))
        }
        _ = subscriber.take()
        desk.connected("p").publish("a/b", "x")
        #expect(subscriber.messages().flatMap(\.properties.subscriptionIdentifiers).sorted() == [1, 300])
    }

    @Test("no local keeps a client's own messages from it [MQTT-3.8.3-3]")
    func noLocal() {
        let desk = Desk()
        let client = desk.connected("c")
        client.subscribe("t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))
        _ = client.take()
        client.publish("t", "own")
        desk.connected("d").publish("t", "other")
        #expect(client.payloads() == ["other"])
        client.send(
            .subscribe(
                SubscribePacket(
                    packetID: 2, entries: [.init("$share/g/t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))])))
        #expect(client.disconnect?.reason == .protocolError)
    }

    @Test(
        "a will is published when the client is lost and not when it says goodbye [MQTT-3.1.2-8] [MQTT-3.1.2-10]",
        arguments: both)
    func will(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.connected("w")
        watcher.subscribe("gone/#")
        _ = watcher.take()
        func mortal(_ id: String) -> TestClient {
            desk.connected(id, version: version) { $0.will = WillPacket(topic: "gone/\(id)", payload: Bytes(id)) }
        }
        mortal("a").vanish()
        #expect(watcher.payloads() == ["a"])
        mortal("b").send(.disconnect(ReasonPacket()))
        #expect(watcher.payloads() == [])
        mortal("c").send([0xFF, 0])
        #expect(watcher.payloads() == ["c"])
        if version == .v5 {
            mortal("d").send(.disconnect(ReasonPacket(reason: .disconnectWithWill)))
            #expect(watcher.payloads() == ["d"])
        }
    }

    @Test("a delayed will waits, and is dropped if the client comes back [MQTT-3.1.3-9]")
    func willDelay() {
        let desk = Desk()
        let watcher = desk.connected("w")
        watcher.subscribe("gone")
        _ = watcher.take()
        func mortal() -> TestClient {
            desk.connected("m", clean: false, expiry: 100) {
                $0.will = WillPacket(topic: "gone", payload: "m")
                $0.will?.properties.willDelayInterval = 10
            }
        }
        mortal().vanish()
        desk.advance(seconds: 9)
        #expect(watcher.payloads() == [])
        let back = mortal()
        desk.advance(seconds: 20)
        #expect(watcher.payloads() == [])
        back.vanish()
        desk.advance(seconds: 10)
        #expect(watcher.payloads() == ["m"])
    }

    @Test("closes the connection after 1.5 x keep alive [MQTT-3.1.2-22]")
    func keepAlive() {
        let desk = Desk()
        let client = desk.connected("c") { $0.keepAliveSeconds = 10 }
        desk.advance(seconds: 14)
        client.send(.pingreq)
        desk.advance(seconds: 14)
        #expect(!client.isClosed)
        _ = client.take()
        desk.advance(seconds: 1)
        #expect(client.take() == [.disconnect(ReasonPacket(reason: .keepAliveTimeout))])
        #expect(client.isClosed)
    }

    @Test("a connection without CONNECT is closed in time")
    func connectTimeout() {
        let desk = Desk()
        let client = desk.client()
        desk.advance(seconds: 9)
        #expect(!client.isClosed)
        desk.advance(seconds: 2)
        #expect(client.isClosed)
    }

    @Test(
        "a message expires in the queue, and otherwise arrives with what is left of its interval [MQTT-3.3.2-5] [MQTT-3.3.2-6]"
    )
    func messageExpiry() {
        let desk = Desk()
        let subscriber = desk.connected("s", clean: false, expiry: 1000)
        subscriber.subscribe("t")
        subscriber.vanish()
        let publisher = desk.connected("p")
        for (text, seconds) in [("short", UInt32(5)), ("long", 60)] {
            var properties = Properties()
            properties.messageExpiryInterval = seconds
            publisher.publish("t", text, qos: .atLeastOnce, properties: properties)
        }
        desk.advance(seconds: 20)
        let got = desk.connected("s", clean: false, expiry: 1000).messages()
        #expect(got.map { $0.payload.string } == ["long"])
        #expect(got.first?.properties.messageExpiryInterval == 40)
    }

    @Test("topic aliases work in both directions [MQTT-3.3.2-7]")
    func aliases() {
        let desk = Desk()
        let subscriber = desk.connected("s") { $0.properties.topicAliasMaximum = 1 }
        subscriber.subscribe("#", SubscriptionOptions(qos: .atMostOnce))
        _ = subscriber.take()
        let publisher = desk.connected("p")
        var properties = Properties()
        properties.topicAlias = 2
        publisher.publish("long/topic", "1", properties: properties)
        publisher.publish("", "2", properties: properties)
        publisher.publish("other", "3")
        let got = subscriber.messages()
        #expect(got.map(\.topic) == ["long/topic", "", "other"])
        #expect(got.map(\.properties.topicAlias) == [1, 1, nil])
        properties.topicAlias = 33
        publisher.publish("x", "4", properties: properties)
        #expect(publisher.disconnect?.reason == .topicAliasInvalid)
    }

    @Test("a message larger than the client takes is left out, as if delivered [MQTT-3.1.2-24] [MQTT-3.1.2-25]")
    func maximumPacketSize() {
        let desk = Desk()
        let subscriber = desk.connected("s") { $0.properties.maximumPacketSize = 50 }
        subscriber.subscribe("t")
        _ = subscriber.take()
        let publisher = desk.connected("p")
        publisher.publish("t", String(repeating: "x", count: 100), qos: .atLeastOnce)
        publisher.publish("t", "small", qos: .atLeastOnce)
        #expect(subscriber.payloads() == ["small"])
        #expect(desk.exchange.shards[0].gauges.queued == 1)
    }

    @Test("nobody matched: 0x10 in 5.0, plain in 3.1.1")
    func noSubscribers() {
        let desk = Desk()
        let new = desk.connected("n")
        let old = desk.connected("o", version: .v311)
        _ = (new.take(), old.take())
        new.publish("x", "1", qos: .atLeastOnce, id: 9)
        old.publish("x", "1", qos: .atLeastOnce, id: 9)
        #expect(new.take() == [.puback(AcknowledgePacket(packetID: 9, reason: .noMatchingSubscribers))])
        #expect(old.take() == [.puback(AcknowledgePacket(packetID: 9))])
    }

    @Test(
        "writing to devices is refused for clients from beyond this machine, $SYS and $share for all", arguments: both)
    func guarded(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.connected("w")
        watcher.subscribe("#")
        watcher.subscribe("$SYS/x")
        _ = watcher.take()
        let far = desk.connected("far", version: version, isLoopback: false)
        let near = desk.connected("near", version: version)
        _ = (far.take(), near.take())
        far.publish("tundish/press/fast/write", "{}", qos: .atLeastOnce)
        near.publish("$SYS/x", "fake", qos: .atLeastOnce)
        let answer = AcknowledgePacket(packetID: 1, reason: version == .v5 ? .notAuthorized : .success)
        #expect(far.take() == [.puback(answer)])
        #expect(near.take() == [.puback(answer)])
        #expect(watcher.payloads() == [])
        #expect(desk.exchange.shards[0].counters.publishDenied == 2)
        near.publish("tundish/press/fast/write", "{}")
        #expect(watcher.payloads() == ["{}"])
        // Nor as a will.
        let sly = desk.connected("sly", version: version, isLoopback: false) {
            $0.will = WillPacket(topic: "tundish/press/fast/write", payload: "{}")
        }
        #expect(connack(sly)?.reason == .notAuthorized)
    }

    @Test("the first packet must be CONNECT, and there is but one [MQTT-3.1.0-1] [MQTT-3.1.0-2]")
    func connectFirst() {
        let desk = Desk()
        let early = desk.client()
        early.send(.pingreq)
        #expect(early.isClosed)
        let twice = desk.connected("c")
        _ = twice.take()
        twice.send(.connect(ConnectPacket()))
        #expect(twice.disconnect?.reason == .protocolError)
    }

    @Test(
        "an empty client id is given one, or refused where a session could not be found again [MQTT-3.1.3-6] [MQTT-3.1.3-8 of 3.1.1]"
    )
    func emptyClientID() {
        let desk = Desk()
        #expect(connack(desk.connected(""))?.properties.assignedClientIdentifier?.isEmpty == false)
        #expect(connack(desk.connected("", version: .v311, clean: true))?.reason == .success)
        let refused = desk.connected("", version: .v311, clean: false)
        #expect(connack(refused)?.reason == .clientIdentifierNotValid)
        #expect(refused.isClosed)
    }

    @Test("a filter that is too deep is refused alone; the others of the SUBSCRIBE stand")
    func badFilter() {
        let desk = Desk()
        let client = desk.connected("c")
        _ = client.take()
        client.send(
            .subscribe(
                SubscribePacket(
                    packetID: 3,
                    entries: [
                        .init("ok", SubscriptionOptions(qos: .atLeastOnce)),
                        .init(
                            Array(repeating: "x", count: 300).joined(separator: "/"),
                            SubscriptionOptions(qos: .atMostOnce)),
                    ])))
        #expect(client.suback?.reasons == [.grantedQoS1, .topicFilterInvalid])
    }

    @Test("packets in pieces of any size do what they do in one")
    func pieces() {
        var stream: [UInt8] = []
        var connect = ConnectPacket()
        connect.clientID = "p"
        stream += connect.encoded()
        for number in 0..<20 {
            stream += PublishPacket(
                topic: "t/\(number % 3)", payload: Bytes(String(repeating: "\(number)", count: number * 7)),
                qos: number % 2 == 0 ? .atMostOnce : .atLeastOnce, packetID: number % 2 == 0 ? 0 : UInt16(number)
            ).encoded(.v5)
        }
        var random = SplitMix64(seed: 9)
        var outcomes: Set<[String]> = []
        for round in 0..<30 {
            let desk = Desk()
            let subscriber = desk.connected("s")
            subscriber.subscribe("t/#", SubscriptionOptions(qos: .atMostOnce))
            _ = subscriber.take()
            let client = desk.client()
            var rest = stream[...]
            while !rest.isEmpty {
                let count = round == 0 ? rest.count : round == 1 ? 1 : 1 + Int(random.next() % 40)
                client.push(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
                if random.next() % 2 == 0 { desk.settle() }
            }
            desk.settle()
            outcomes.insert(subscriber.payloads())
        }
        #expect(outcomes.count == 1)
        #expect(outcomes.first?.count == 20)
    }

    @Test("what a turn gathers leaves in one write per connection")
    func coalescing() {
        let desk = Desk()
        let subscriber = desk.connected("s")
        subscriber.subscribe("t")
        let publisher = desk.connected("p")
        let before = subscriber.sends
        var batch: [UInt8] = []
        for _ in 0..<50 { batch += PublishPacket(topic: "t", payload: "x").encoded(.v5) }
        publisher.send(batch)
        #expect(subscriber.sends == before + 1)
        #expect(subscriber.payloads().count == 50)
    }
}
