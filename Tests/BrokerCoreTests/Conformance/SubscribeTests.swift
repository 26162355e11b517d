import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 3.8 to 3.11: SUBSCRIBE and UNSUBSCRIBE")
struct SubscribeTests {
    @Test(
        "SUBACK has a code for each filter, in their order: the QoS granted or a failure [MQTT-3.8.4-1] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-3.8.4-1 of 3.1.1] [MQTT-3.8.4-4 of 3.1.1] [MQTT-3.8.4-5 of 3.1.1] [MQTT-3.9.3-1 of 3.1.1] [MQTT-3.9.3-2 of 3.1.1]",
        arguments: bothVersions)
    func codes(version: ProtocolVersion) {
        let desk = Desk(shards: 2)
        let client = desk.ready("c", version: version)
        let deep = Array(repeating: "x", count: 300).joined(separator: "/")
        client.send(
            .subscribe(
                SubscribePacket(
                    packetID: 77,
                    entries: [
                        .init("a", SubscriptionOptions(qos: .exactlyOnce)),
                        .init(deep, SubscriptionOptions(qos: .atMostOnce)),
                        .init("b/#", SubscriptionOptions(qos: .atMostOnce)),
                        .init("$share/g/+", SubscriptionOptions(qos: .atLeastOnce)),
                    ])))
        let failure: ReasonCode = version == .v5 ? .topicFilterInvalid : .unspecifiedError
        #expect(client.suback?.reasons == [.grantedQoS2, failure, .success, .grantedQoS1])
        #expect(client.suback?.packetID == 77)
        _ = client.take()
        let publisher = desk.ready("p", shard: 1)
        for (index, topic) in ["a", "b/c", "d"].enumerated() {
            publisher.publish(topic, topic, qos: .exactlyOnce, id: UInt16(index + 1))
        }
        #expect(client.acknowledgeAll().map { $0.payload.string }.sorted() == ["a", "a", "b/c", "d"])
    }

    @Test(
        "a SUBSCRIBE or UNSUBSCRIBE without a filter is a protocol error [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT-3.8.3-3 of 3.1.1] [MQTT-3.10.3-2 of 3.1.1]",
        arguments: allVersions)
    func empty(version: ProtocolVersion) {
        let desk = Desk()
        for first in [UInt8(0x82), 0xA2] {
            let client = desk.ready("c", version: version)
            client.send(Raw.frame(first, [0, 1] + Raw.properties(version)))
            #expect(client.wasClosed(with: .protocolError))
        }
    }

    @Test(
        "reserved subscription options and QoS 3 are malformed [MQTT-3.8.3-5] [MQTT-3.8.3-4 of 3.1.1]",
        arguments: allVersions)
    func options(version: ProtocolVersion) {
        let desk = Desk()
        let bad: [UInt8] = version == .v5 ? [3, 0x40, 0x80, 0xC1] : [3, 4, 8, 0x10, 0x40, 0x81]
        for byte in bad {
            let client = desk.ready("c", version: version)
            client.send(Raw.subscribe(version, filter: [0x74], options: byte))
            #expect(client.wasClosed(with: .malformedPacket), "\(byte)")
        }
    }

    @Test("No Local keeps a client's own messages from it, on any shard and as a will [MQTT-3.8.3-3]")
    func noLocal() {
        let desk = Desk(shards: 2)
        let client = desk.sleeper("c")
        client.subscribe("t", SubscriptionOptions(qos: .atLeastOnce, noLocal: true))
        _ = client.take()
        client.publish("t", "own", qos: .atLeastOnce)
        desk.ready("d", shard: 1).publish("t", "other", qos: .atLeastOnce)
        #expect(client.acknowledgeAll().map { $0.payload.string } == ["other"])
    }

    @Test("No Local on a shared subscription is a protocol error, and nothing of the packet holds [MQTT-3.8.3-4]")
    func noLocalShared() {
        let desk = Desk()
        let client = desk.ready("c")
        client.send(
            .subscribe(
                SubscribePacket(
                    packetID: 1,
                    entries: [
                        .init("a", SubscriptionOptions(qos: .atMostOnce)),
                        .init("$share/g/t", SubscriptionOptions(qos: .atMostOnce, noLocal: true)),
                    ])))
        #expect(client.wasClosed(with: .protocolError))
        #expect(desk.exchange.shards[0].tree.subscribers(of: "a", create: false) == nil)
    }

    @Test("subscription identifiers are 1 to 268,435,455, one for a packet [MQTT-4.13.1-1]")
    func identifiers() {
        let desk = Desk()
        for (list, reason) in [
            ([0x0B, 0], ReasonCode.protocolError), ([0x0B, 1, 0x0B, 2], .protocolError),
            ([0x0B, 0xFF, 0xFF, 0xFF, 0xFF], .malformedPacket),
        ] as [([UInt8], ReasonCode)] {
            let client = desk.ready("c")
            client.send(Raw.frame(0x82, [0, 1] + Raw.properties(.v5, list) + Raw.string("t") + [0]))
            #expect(client.wasClosed(with: reason), "\(list)")
        }
    }

    @Test(
        "the same filter replaces the subscription: QoS, options and identifier; retained messages come again [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT-3.8.4-3 of 3.1.1]",
        arguments: bothVersions, ["t", "+", "$share/g/t"])
    func replaced(version: ProtocolVersion, filter: String) {
        let desk = Desk()
        let publisher = desk.ready("p")
        publisher.publish("t", "kept", retain: true)
        let client = desk.ready("c", version: version)
        let isShared = filter.hasPrefix("$share")
        for (qos, id) in [(QoS.atMostOnce, UInt32(1)), (.exactlyOnce, 2), (.atLeastOnce, 3)] {
            var properties = Properties()
            if version == .v5 { properties.subscriptionIdentifiers = [id] }
            client.subscribe([filter], qos: qos, properties: properties)
            #expect(client.acknowledgeAll().map { $0.payload.string } == (isShared ? [] : ["kept"]))
            publisher.publish("t", "x", qos: .exactlyOnce)
            publisher.ack(.pubrel, 1)
            let got = client.acknowledgeAll()
            #expect(got.map(\.qos) == [qos])
            if version == .v5 { #expect(got.map(\.properties.subscriptionIdentifiers) == [[id]]) }
        }
    }

    @Test("what waits is not lost when a subscription is replaced [MQTT-3.8.4-4]")
    func replacedWhileWaiting() {
        let desk = Desk()
        let client = desk.ready("c") { $0.properties.receiveMaximum = 1 }
        client.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        let publisher = desk.ready("p")
        for number in 0..<5 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        client.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        publisher.publish("t", "5", qos: .atLeastOnce)
        #expect(client.acknowledgeAll().map { $0.payload.string }.sorted() == (0...5).map { "\($0)" })
    }

    @Test(
        "messages come with the lower of the two QoS [MQTT-3.8.4-8] [MQTT-3.8.4-6 of 3.1.1]", arguments: QoS.allCases,
        QoS.allCases)
    func lowerQoS(published: QoS, granted: QoS) {
        let desk = Desk(shards: 2)
        let subscriber = desk.ready("s", shard: 1)
        subscriber.subscribe("t", SubscriptionOptions(qos: granted))
        _ = subscriber.take()
        desk.ready("p").publish("t", "x", qos: published, retain: true)
        let late = desk.ready("l")
        late.subscribe("t", SubscriptionOptions(qos: granted))
        #expect(subscriber.messages().map(\.qos) == [min(published, granted)])
        #expect(late.messages().map(\.qos) == [min(published, granted)])
    }

    @Test(
        "UNSUBSCRIBE removes exactly what it names and is answered whether or not there was anything [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-3.10.4-1 of 3.1.1] [MQTT-3.10.4-2 of 3.1.1] [MQTT-3.10.4-4 of 3.1.1] [MQTT-3.10.4-5 of 3.1.1] [MQTT-3.10.4-6 of 3.1.1]",
        arguments: bothVersions)
    func unsubscribe(version: ProtocolVersion) {
        let desk = Desk(shards: 2)
        let client = desk.ready("c", version: version)
        client.subscribe(["a/b", "a/+", "A/b", "$share/g/s"], qos: .atMostOnce)
        _ = client.take()
        client.unsubscribe(["a/#", "a/b", "a/b", "s", "$share/g/s"], id: 9)
        #expect(client.unsuback?.packetID == 9)
        #expect(
            client.unsuback?.reasons
                == (version == .v5
                    ? [.noSubscriptionExisted, .success, .noSubscriptionExisted, .noSubscriptionExisted, .success] : [])
        )
        _ = client.take()
        let publisher = desk.ready("p", shard: 1)
        for topic in ["a/b", "A/b", "s"] { publisher.publish(topic, topic) }
        #expect(client.payloads() == ["a/b", "A/b"])
        client.unsubscribe(["nothing"], id: 10)
        #expect(client.unsuback?.packetID == 10)
    }

    @Test(
        "what is being sent is finished after UNSUBSCRIBE [MQTT-3.10.4-3] [MQTT-3.10.4-3 of 3.1.1]",
        arguments: bothVersions)
    func unsubscribeInFlight(version: ProtocolVersion) {
        let desk = Desk()
        let client = desk.sleeper("c", version: version)
        client.subscribe("t")
        _ = client.take()
        let publisher = desk.ready("p")
        publisher.publish("t", "1", qos: .atLeastOnce)
        publisher.publish("t", "2", qos: .exactlyOnce)
        let sent = client.messages()
        client.unsubscribe(["t"])
        client.ack(.pubrec, sent.last?.packetID ?? 0)
        #expect(client.take().last == .pubrel(AcknowledgePacket(packetID: sent.last?.packetID ?? 0)))
        client.vanish()
        let again = desk.sleeper("c", version: version).take()
        #expect(again.count == 3)
        #expect(again.contains(.pubrel(AcknowledgePacket(packetID: sent.last?.packetID ?? 0))))
    }

    @Test("PINGREQ is answered by PINGRESP [MQTT-3.12.4-1] [MQTT-3.12.4-1 of 3.1.1]", arguments: allVersions)
    func ping(version: ProtocolVersion) {
        let client = Desk().ready("c", version: version)
        client.send([0xC0, 0, 0xC0, 0])
        #expect(client.received.suffix(4) == [0xD0, 0, 0xD0, 0])
        client.send([0xC0, 1, 0])
        #expect(client.isClosed)
    }
}

@Suite("MQTT 4.7 and 4.8: topics and shared subscriptions")
struct TopicConformanceTests {
    @Test(
        "filters that are none close the connection; nothing of their packet holds [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.7.1-2 of 3.1.1] [MQTT-4.7.1-3 of 3.1.1] [MQTT-4.7.3-1 of 3.1.1]",
        arguments: bothVersions)
    func badFilters(version: ProtocolVersion) {
        let desk = Desk()
        for filter in [
            "", "a#", "#/a", "a/#/b", "##", "a+", "+a", "a/b+/c", "+#", "$share", "$share/", "$share/g", "$share/g/",
            "$share//t", "$share/g+/t", "$share/#/t", "$share/g/a+", "$share/g/#/a",
        ] {
            let client = desk.ready("c", version: version)
            client.subscribe(["good", filter])
            #expect(client.wasClosed(with: .malformedPacket), "\(filter)")
            let other = desk.ready("c", version: version)
            other.unsubscribe([filter])
            #expect(other.wasClosed(with: .malformedPacket), "\(filter)")
        }
        #expect(desk.exchange.shards[0].gauges.subscriptions == 0)
    }

    @Test(
        "wildcards match what the standard says they match [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-3.8.3-2 of 3.1.1] [MQTT-4.7.2-1 of 3.1.1]",
        arguments: [
            (
                "sport/tennis/player1/#",
                ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/a/b"]
            ),
            (
                "sport/#",
                ["sport", "sport/tennis/player1", "sport/", "sport/tennis/player1/ranking", "sport/tennis/player1/a/b"]
            ),
            ("sport/+", ["sport/"]), ("+", ["sport", "Sport"]), ("+/+", ["/finance", "sport/"]), ("/+", ["/finance"]),
            (
                "#",
                [
                    "sport", "Sport", "sport/", "/finance", "sport/tennis/player1", "sport/tennis/player1/ranking",
                    "sport/tennis/player1/a/b",
                ]
            ),
            ("$SYS/#", ["$SYS/own"]), ("$other/+", ["$other/x"]), ("+/x", []), ("+/own", []),
        ])
    func matching(filter: String, topics: [String]) {
        let desk = Desk()
        let all = [
            "sport", "Sport", "sport/", "/finance", "sport/tennis/player1", "sport/tennis/player1/ranking",
            "sport/tennis/player1/a/b", "$other/x", "$SYS/own",
        ]
        // From inside: clients may not publish to $SYS.
        let origin = Origin(.system, clientID: "test")
        let component = desk.exchange.publisher(origin)
        let subscriber = desk.ready("s")
        subscriber.subscribe(filter, SubscriptionOptions(qos: .atMostOnce))
        _ = subscriber.take()
        component.publish(
            all.map {
                Message(
                    topic: Topic(unchecked: Bytes($0)), payload: .bytes("x"), retain: true,
                    receivedAt: Timestamp(nanoseconds: 0), origin: origin)
            })
        desk.settle()
        #expect(subscriber.messages().map(\.topic).sorted() == topics.sorted())
        // The same among retained messages.
        let late = desk.ready("late")
        late.subscribe(filter, SubscriptionOptions(qos: .atMostOnce))
        #expect(late.messages().map(\.topic).sorted() == topics.sorted())
    }

    @Test(
        "topics are compared byte by byte, without normalising [MQTT-4.7.3-4] [MQTT-3.10.4-1] [MQTT-3.1.3-2] [MQTT-4.7.3-4 of 3.1.1] [MQTT-3.10.4-1 of 3.1.1]",
        arguments: bothVersions)
    func noNormalising(version: ProtocolVersion) {
        let desk = Desk(shards: 2)
        // The same character to a reader, in one code point and in two.
        let (one, two) = ("caf\u{E9}", "cafe\u{301}")
        let client = desk.ready("c", version: version)
        client.subscribe([one, two, "$share/\(one)/s", "$share/\(two)/s"], qos: .atMostOnce)
        _ = client.take()
        let publisher = desk.ready("p", shard: 1)
        publisher.publish(one, "1", retain: true)
        publisher.publish(two, "2", retain: true)
        publisher.publish("s", "s")
        #expect(client.messages().map { $0.payload.string }.sorted() == ["1", "2", "s", "s"])
        client.unsubscribe([one])
        publisher.publish(one, "1")
        publisher.publish(two, "2")
        #expect(client.messages().map { $0.payload.string } == ["2"])
        let late = desk.ready("late", version: version)
        late.subscribe([one, two])
        #expect(late.messages().map { $0.payload.string }.sorted() == ["1", "2"])
        // Client ids too.
        let first = desk.ready(one, version: version)
        let second = desk.ready(two, version: version)
        #expect(!first.isClosed && !second.isClosed)
    }

    @Test(
        "a topic of 65,535 bytes is carried; 200 levels are, 201 are not [MQTT-4.7.3-3] [MQTT-4.7.3-3 of 3.1.1]",
        arguments: bothVersions)
    func longest(version: ProtocolVersion) {
        let desk = Desk()
        let topic = String(repeating: "x", count: 65_535)
        let subscriber = desk.subscriber("#", version: version)
        let publisher = desk.ready("p", version: version)
        publisher.publish(topic, "x")
        publisher.publish(Array(repeating: "x", count: 200).joined(separator: "/"), "deep")
        #expect(subscriber.messages().map(\.topic.utf8.count) == [65_535, 399])
        publisher.publish(Array(repeating: "x", count: 201).joined(separator: "/"), "deeper")
        #expect(publisher.wasClosed(with: .topicNameInvalid))
    }

    @Test(
        "a shared subscription delivers with the QoS granted to the member it chose [MQTT-4.8.2-3]",
        arguments: QoS.allCases)
    func sharedQoS(qos: QoS) {
        let desk = Desk(shards: 2)
        let member = desk.ready("m", shard: 1)
        member.subscribe("$share/g/t", SubscriptionOptions(qos: qos))
        _ = member.take()
        desk.ready("p").publish("t", "x", qos: .exactlyOnce)
        #expect(member.messages().map(\.qos) == [qos])
    }

    @Test(
        "a QoS 2 message begun for a member is finished with it, and goes to nobody else if its session ends [MQTT-4.8.2-4] [MQTT-4.8.2-5]"
    )
    func sharedExactlyOnce() {
        let desk = Desk()
        let first = desk.connected("a", clean: false, expiry: 100)
        first.subscribe("$share/g/t")
        _ = first.take()
        desk.ready("p").publish("t", "x", qos: .exactlyOnce)
        #expect(first.messages().count == 1)
        first.vanish()
        let other = desk.ready("b")
        other.subscribe("$share/g/t")
        _ = other.take()
        let again = desk.connected("a", clean: false, expiry: 100)
        #expect(again.messages().map(\.isDuplicate) == [true])
        again.vanish()
        desk.advance(seconds: 200)
        #expect(other.messages().isEmpty)
    }

    @Test(
        "a message that a member refuses goes to no other member [MQTT-4.8.2-6]",
        arguments: [PacketType.puback, .pubrec])
    func sharedRefused(type: PacketType) {
        let desk = Desk()
        let members = ["a", "b"].map { desk.ready($0) }
        for member in members {
            member.subscribe("$share/g/t")
            _ = member.take()
        }
        desk.ready("p").publish("t", "x", qos: type == .puback ? .atLeastOnce : .exactlyOnce)
        var deliveries = 0
        for member in members {
            for message in member.messages() {
                deliveries += 1
                member.ack(type, message.packetID, .unspecifiedError)
            }
        }
        #expect(deliveries == 1 && members.allSatisfy { $0.messages().isEmpty })
    }

    @Test(
        "the last member of a group goes for good with an unacknowledged message: it is dropped and counted",
        arguments: [1, 2])
    func lastMember(shards: Int) {
        let desk = Desk(shards: shards)
        let member = desk.ready("m", shard: shards - 1)
        member.subscribe("$share/g/t", SubscriptionOptions(qos: .atLeastOnce))
        let publisher = desk.ready("p")
        for _ in 0..<3 { publisher.publish("t", "x", qos: .atLeastOnce) }
        #expect(member.messages().count == 3)
        member.vanish()
        #expect(desk.exchange.shards.map(\.counters.dropped).reduce(0, +) == 3)
        #expect(desk.exchange.shards.map(\.gauges.sharedSubscriptions).reduce(0, +) == 0)
    }

    @Test("each group gets a message once, and an ordinary subscription of the same client too")
    func groups() {
        let desk = Desk(shards: 2)
        let members = (0..<4).map { desk.ready("m\($0)", shard: $0 % 2) }
        for (index, member) in members.enumerated() {
            member.subscribe([index < 2 ? "$share/g/t" : "$share/h/t", "t"], qos: .atMostOnce)
            _ = member.take()
        }
        let publisher = desk.ready("p")
        for _ in 0..<10 { publisher.publish("t", "x") }
        let counts = members.map { $0.messages().count }
        #expect(counts.reduce(0, +) == 60)
        #expect(counts.allSatisfy { $0 == 15 })
    }
}
