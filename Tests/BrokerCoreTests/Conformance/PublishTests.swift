import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 3.3: PUBLISH")
struct PublishTests {
    @Test(
        "DUP towards a subscriber says only whether it was sent to it before [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-3.3.1-1 of 3.1.1] [MQTT-3.3.1-3 of 3.1.1] [MQTT-4.3.1-1 of 3.1.1]",
        arguments: allVersions, QoS.allCases)
    func duplicateFlag(version: ProtocolVersion, qos: QoS) {
        let desk = Desk()
        let subscriber = desk.sleeper("s", version: version)
        subscriber.subscribe("t")
        _ = subscriber.take()
        let publisher = desk.ready("p", version: version)
        publisher.send(
            .publish(
                PublishPacket(
                    topic: "t", payload: "x", qos: qos, isDuplicate: qos != .atMostOnce,
                    packetID: qos == .atMostOnce ? 0 : 5)))
        let first = subscriber.messages()
        #expect(first.map(\.isDuplicate) == [false] && first.map(\.qos) == [qos])
        subscriber.vanish()
        let again = desk.sleeper("s", version: version).messages()
        #expect(again.map(\.isDuplicate) == (qos == .atMostOnce ? [] : [true]))
        #expect(again.map(\.packetID) == (qos == .atMostOnce ? [] : first.map(\.packetID)))
    }

    @Test(
        "DUP with QoS 0, and QoS 3, are malformed [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.1-2 of 3.1.1] [MQTT-3.3.1-4 of 3.1.1]",
        arguments: allVersions)
    func badFlags(version: ProtocolVersion) {
        let desk = Desk()
        for flags in [0x08, 0x09, 0x06, 0x07, 0x0E, 0x0F] as [UInt8] {
            let client = desk.ready("c", version: version)
            client.send(Raw.publish(version, topic: [0x74], first: 0x30 | flags))
            #expect(client.wasClosed(with: .malformedPacket), "\(flags)")
        }
    }

    @Test(
        "a retained message replaces the one before, and comes with its QoS and RETAIN to new subscriptions [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT-3.3.1-5 of 3.1.1] [MQTT-3.3.1-6 of 3.1.1] [MQTT-3.3.1-7 of 3.1.1] [MQTT-3.3.1-8 of 3.1.1]",
        arguments: allVersions, QoS.allCases)
    func retained(version: ProtocolVersion, qos: QoS) {
        let desk = Desk(shards: 2)
        let publisher = desk.ready("p", version: version)
        publisher.publish("a/b", "old", qos: .exactlyOnce, retain: true, id: 1)
        publisher.publish("a/b", "new", qos: qos, retain: true, id: 2)
        for filter in ["a/b", "a/+", "#", "+/b", "a/b/#"] {
            let subscriber = desk.ready(filter, shard: 1, version: version)
            subscriber.subscribe(filter)
            let got = subscriber.messages()
            #expect(got.map { $0.payload.string } == ["new"], "\(filter)")
            #expect(got.map(\.qos) == [qos] && got.map(\.retain) == [true])
        }
    }

    @Test(
        "an empty retained payload removes the message, reaches those who listen, and is not kept [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-10 of 3.1.1] [MQTT-3.3.1-11 of 3.1.1]",
        arguments: allVersions)
    func retainedRemoved(version: ProtocolVersion) {
        let desk = Desk()
        let publisher = desk.ready("p", version: version)
        publisher.publish("t", "x", retain: true)
        let listening = desk.subscriber("t", qos: .atMostOnce, version: version)
        publisher.publish("t", "", retain: true)
        #expect(listening.payloads() == [""])
        let late = desk.ready("late", version: version)
        late.subscribe("t")
        #expect(late.payloads() == [])
        #expect(desk.exchange.shards[0].gauges.retained == 0)
    }

    @Test(
        "a message without RETAIN leaves the retained one alone, an empty one too [MQTT-3.3.1-8] [MQTT-3.3.1-12 of 3.1.1]",
        arguments: allVersions)
    func notRetained(version: ProtocolVersion) {
        let desk = Desk()
        let publisher = desk.ready("p", version: version)
        publisher.publish("t", "kept", retain: true)
        publisher.publish("t", "passing")
        publisher.publish("t", "")
        publisher.publish("u", "passing")
        let late = desk.ready("late", version: version)
        late.subscribe("#")
        #expect(late.payloads() == ["kept"])
    }

    @Test("Retain Handling: at every subscribe, at a new one, never [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]")
    func retainHandling() {
        let desk = Desk()
        desk.ready("p").publish("t", "x", retain: true)
        for (handling, expected) in [(UInt8(0), [1, 1, 1]), (1, [1, 0, 1]), (2, [0, 0, 0])] {
            let client = desk.ready("c\(handling)")
            let options = SubscriptionOptions(qos: .atMostOnce, retainHandling: handling)
            var seen: [Int] = []
            client.subscribe("t", options)
            seen.append(client.messages().count)
            client.subscribe("t", options)
            seen.append(client.messages().count)
            client.unsubscribe(["t"])
            client.subscribe("t", options)
            seen.append(client.messages().count)
            #expect(seen == expected)
        }
        let client = desk.ready("c")
        client.send(Raw.subscribe(.v5, filter: [0x74], options: 0x30))
        #expect(client.wasClosed(with: .protocolError))
    }

    @Test("shared subscriptions get no retained messages [MQTT-4.8.2-3]")
    func retainedNotShared() {
        let desk = Desk()
        desk.ready("p").publish("t", "x", retain: true)
        let client = desk.ready("c")
        client.subscribe("$share/g/t")
        #expect(client.messages().isEmpty)
    }

    @Test("RETAIN is passed on only where the subscription asks for it [MQTT-3.3.1-12] [MQTT-3.3.1-13]")
    func retainAsPublished() {
        let desk = Desk(shards: 2)
        let plain = desk.ready("plain", shard: 1)
        let exact = desk.ready("exact")
        plain.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        exact.subscribe("t", SubscriptionOptions(qos: .atLeastOnce, retainAsPublished: true))
        _ = (plain.take(), exact.take())
        let publisher = desk.ready("p")
        for (qos, retain) in [
            (QoS.atMostOnce, true), (.atMostOnce, false), (.atLeastOnce, true), (.atLeastOnce, false),
        ] {
            publisher.publish("t", "x", qos: qos, retain: retain)
            #expect(plain.acknowledgeAll().map(\.retain) == [false])
            #expect(exact.acknowledgeAll().map(\.retain) == [retain])
        }
    }

    @Test(
        "a standing subscription of 3.1.1 gets RETAIN 0 [MQTT-3.3.1-9 of 3.1.1]",
        arguments: [ProtocolVersion.v31, .v311])
    func retainCleared(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("t", version: version)
        desk.ready("p", version: version).publish("t", "x", retain: true)
        #expect(subscriber.messages().map(\.retain) == [false])
    }

    @Test(
        "topic names hold no wildcards, and are not empty without an alias [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-3.3.2-1 of 3.1.1] [MQTT-3.3.2-2 of 3.1.1] [MQTT-4.7.1-1 of 3.1.1] [MQTT-4.7.3-1 of 3.1.1]",
        arguments: allVersions)
    func topicNames(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("#")
        for topic in ["a/+", "#", "a+", "a/#/b", ""] {
            for first in [UInt8(0x30), 0x32, 0x34] {
                let client = desk.ready("c", version: version)
                client.send(Raw.publish(version, topic: Array(topic.utf8), first: first))
                #expect(client.wasClosed(with: .protocolError), "\(topic)")
            }
        }
        for body in [[], [0], [0, 5, 0x61]] as [[UInt8]] {
            let client = desk.ready("c", version: version)
            client.send(Raw.frame(0x30, body))
            #expect(client.wasClosed(with: .malformedPacket))
        }
        #expect(watcher.messages().isEmpty)
    }

    @Test(
        "a subscriber gets the topic as it was published, and only what its filter matches [MQTT-3.3.2-3] [MQTT-3.3.2-3 of 3.1.1]",
        arguments: allVersions)
    func matchingTopic(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("a/+/c", version: version)
        let publisher = desk.ready("p", version: version)
        for topic in ["a/b/c", "a//c", "a/b", "a/b/c/d", "b/b/c", "a/ /c"] { publisher.publish(topic, "x") }
        #expect(subscriber.messages().map(\.topic) == ["a/b/c", "a//c", "a/ /c"])
    }

    @Test(
        "message properties reach every subscriber unaltered and in order, live, queued and retained [MQTT-3.3.2-4] [MQTT-3.3.2-13] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]",
        arguments: QoS.allCases, [0, 1])
    func properties(qos: QoS, shard: Int) {
        let desk = Desk(shards: 2)
        var properties = Properties()
        properties.payloadFormatIndicator = 1
        properties.contentType = "text/plain; ü"
        properties.responseTopic = "answer/here"
        properties.correlationData = Bytes([0, 255, 0])
        properties.userProperties = ["b", "a", "b", ""].enumerated().map { UserProperty($1, "\($0)") }
        let live = desk.ready("live", shard: shard)
        let aliased = desk.ready("aliased", shard: shard) { $0.properties.topicAliasMaximum = 1 }
        let away = desk.sleeper("away", shard: shard)
        for client in [live, aliased, away] { client.subscribe("t") }
        away.vanish()
        _ = (live.take(), aliased.take())
        desk.ready("p").publish("t", "x", qos: qos, retain: true, properties: properties)
        let late = desk.ready("late", shard: shard)
        late.subscribe("t")
        let back = desk.sleeper("away", shard: shard)
        #expect(live.messages().map(\.properties) == [properties])
        #expect(late.messages().map(\.properties) == [properties])
        #expect(back.messages().map(\.properties) == (qos == .atMostOnce ? [] : [properties]))
        var withAlias = properties
        withAlias.topicAlias = 1
        #expect(aliased.messages().map(\.properties) == [withAlias])
    }

    @Test("a response topic is a string without wildcards [MQTT-3.3.2-13] [MQTT-3.3.2-14]")
    func responseTopic() {
        let desk = Desk()
        for (topic, reason) in [
            (Array("a/+".utf8), ReasonCode.protocolError), (Array("#".utf8), .protocolError),
            ([0xC0, 0xAF], .malformedPacket), ([0], .malformedPacket),
        ] as [([UInt8], ReasonCode)] {
            let client = desk.ready("c")
            client.send(Raw.publish(.v5, topic: [0x74], properties: [8] + Raw.string(topic)))
            #expect(client.wasClosed(with: reason))
        }
    }

    @Test("an expired message is not delivered; what is left of the interval is told [MQTT-3.3.2-5] [MQTT-3.3.2-6]")
    func expiry() {
        let desk = Desk(shards: 2)
        let away = desk.sleeper("s", shard: 1)
        away.subscribe("t")
        away.vanish()
        let publisher = desk.ready("p")
        var properties = Properties()
        for seconds in [UInt32(10), 30, 0, .max] {
            properties.messageExpiryInterval = seconds
            publisher.publish("t", "\(seconds)", qos: .atLeastOnce, properties: properties)
        }
        properties.messageExpiryInterval = 10
        publisher.publish("kept", "x", retain: true, properties: properties)
        desk.advance(seconds: 12)
        let got = desk.sleeper("s", shard: 1).messages()
        #expect(got.map { $0.payload.string } == ["30", "4294967295"])
        #expect(got.map(\.properties.messageExpiryInterval) == [18, 4_294_967_283])
        let late = desk.ready("late")
        late.subscribe("kept")
        #expect(late.messages().isEmpty)
        // At once, the interval is whole.
        late.subscribe("t")
        _ = late.take()
        publisher.publish("t", "now", properties: properties)
        #expect(late.messages().map(\.properties.messageExpiryInterval) == [10])
    }

    @Test(
        "a message that was sent does not expire any more [MQTT-4.3.3-7] [MQTT-4.3.3-13]",
        arguments: [QoS.atLeastOnce, .exactlyOnce])
    func sentDoesNotExpire(qos: QoS) {
        let desk = Desk()
        let first = desk.sleeper("s")
        first.subscribe("t")
        _ = first.take()
        var properties = Properties()
        properties.messageExpiryInterval = 5
        desk.ready("p").publish("t", "x", qos: qos, properties: properties)
        #expect(first.messages().count == 1)
        first.vanish()
        desk.advance(seconds: 60)
        let again = desk.sleeper("s")
        let got = again.acknowledgeAll()
        #expect(got.map { $0.payload.string } == ["x"] && got.map(\.isDuplicate) == [true])
        #expect(got.map(\.properties.messageExpiryInterval) == [0])
        #expect(desk.exchange.shards[0].gauges.queued == 0)
    }

    @Test(
        "a PUBLISH is answered as its QoS asks: nothing, PUBACK, PUBREC and PUBCOMP [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.7.2-1] [MQTT-3.3.4-1 of 3.1.1] [MQTT-4.3.2-2 of 3.1.1]",
        arguments: allVersions)
    func answers(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("t", qos: .atMostOnce)
        let client = desk.ready("c", version: version)
        client.publish("t", "0")
        #expect(client.take() == [])
        client.publish("t", "1", qos: .atLeastOnce, id: 4)
        #expect(client.take() == [.puback(AcknowledgePacket(packetID: 4))])
        client.publish("t", "2", qos: .exactlyOnce, id: 4)
        #expect(client.take() == [.pubrec(AcknowledgePacket(packetID: 4))])
        client.ack(.pubrel, 4)
        #expect(client.take() == [.pubcomp(AcknowledgePacket(packetID: 4))])
        client.publish("nobody", "1", qos: .atLeastOnce, id: 5)
        let reason: ReasonCode = version == .v5 ? .noMatchingSubscribers : .success
        #expect(client.take() == [.puback(AcknowledgePacket(packetID: 5, reason: reason))])
        #expect(subscriber.payloads() == ["0", "1", "2"])
    }

    @Test("a client's PUBLISH has no subscription identifier [MQTT-3.3.4-6]")
    func noSubscriptionIdentifier() {
        let client = Desk().ready("c")
        var properties = Properties()
        properties.subscriptionIdentifiers = [1]
        client.publish("t", "x", properties: properties)
        #expect(client.wasClosed(with: .protocolError))
    }

    @Test(
        "overlapping subscriptions each get the message, with their QoS and identifier [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-5] [MQTT-3.3.5-1 of 3.1.1]",
        arguments: bothVersions)
    func overlapping(version: ProtocolVersion) {
        let desk = Desk()
        let client = desk.ready("s", version: version)
        for (id, filter, qos) in [
            (UInt32(1), "a/#", QoS.atMostOnce), (268_435_455, "a/+", .exactlyOnce), (0, "+/b", .atLeastOnce),
        ] {
            var properties = Properties()
            if version == .v5, id != 0 { properties.subscriptionIdentifiers = [id] }
            client.subscribe([filter], qos: qos, properties: properties)
        }
        _ = client.take()
        desk.ready("p").publish("a/b", "x", qos: .exactlyOnce)
        let got = client.messages()
        #expect(got.map(\.qos.rawValue).sorted() == [0, 1, 2])
        #expect(got.map(\.qos).max() == .exactlyOnce)
        guard version == .v5 else { return }
        for message in got {
            let expected: [UInt32] = [[1], [], [268_435_455]][Int(message.qos.rawValue)]
            #expect(message.properties.subscriptionIdentifiers == expected)
        }
    }

    @Test("a subscription identifier comes with retained and queued messages too [MQTT-3.3.4-3]")
    func identifierLater() {
        let desk = Desk(shards: 2)
        let publisher = desk.ready("p")
        publisher.publish("t", "kept", qos: .atLeastOnce, retain: true)
        let first = desk.sleeper("s", shard: 1)
        var properties = Properties()
        properties.subscriptionIdentifiers = [9]
        first.subscribe(["t"], properties: properties)
        #expect(first.acknowledgeAll().map(\.properties.subscriptionIdentifiers) == [[9]])
        first.vanish()
        publisher.publish("t", "queued", qos: .atLeastOnce)
        #expect(desk.sleeper("s", shard: 0).messages().map(\.properties.subscriptionIdentifiers) == [[9]])
    }

    @Test(
        "a message without permission is acknowledged, not delivered, and counted [MQTT-3.3.5-2 of 3.1.1]",
        arguments: allVersions)
    func denied(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("$SYS/#")
        let client = desk.ready("c", version: version)
        let reason: ReasonCode = version == .v5 ? .notAuthorized : .success
        client.publish("$SYS/x", "x")
        client.publish("$SYS/x", "x", qos: .atLeastOnce, id: 1)
        client.publish("$share/g/x", "x", qos: .exactlyOnce, id: 2)
        #expect(
            client.take() == [
                .puback(AcknowledgePacket(packetID: 1, reason: reason)),
                .pubrec(AcknowledgePacket(packetID: 2, reason: reason)),
            ])
        #expect(watcher.messages().isEmpty && desk.exchange.shards[0].counters.publishDenied == 3)
    }
}
