import Bus
import Model
import Testing

@testable import BrokerCore

/// What CONNACK says about the server, and what CONNECT says about the client.
@Suite("MQTT 3.1.2.11 and 3.2.2.3: what the two sides can take")
struct CapabilityTests {
    private var limited: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.maximumQoS = 1
        limits.retainAvailable = false
        limits.wildcardSubscriptionsAvailable = false
        limits.subscriptionIdentifiersAvailable = false
        limits.sharedSubscriptionsAvailable = false
        return limits
    }

    @Test("a listener's restrictions are told [MQTT-3.2.2-9]")
    func told() {
        let properties = Desk().connected("c", limits: limited).connack?.properties
        #expect(properties?.maximumQoS == 1)
        #expect(properties?.retainAvailable == 0)
        #expect(properties?.wildcardSubscriptionAvailable == 0)
        #expect(properties?.subscriptionIdentifierAvailable == 0)
        #expect(properties?.sharedSubscriptionAvailable == 0)
        let open = Desk().connected("c").connack?.properties
        #expect(open?.maximumQoS == nil && open?.retainAvailable == nil && open?.sharedSubscriptionAvailable == nil)
    }

    @Test("publications beyond them close the connection [MQTT-3.2.2-11] [MQTT-3.2.2-14]", arguments: bothVersions)
    func publications(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("t")
        let client = desk.ready("c", version: version, limits: limited)
        client.publish("t", "fine", qos: .atLeastOnce)
        _ = client.take()
        client.publish("t", "no", qos: .exactlyOnce)
        #expect(client.wasClosed(with: .qosNotSupported))
        let other = desk.ready("d", version: version, limits: limited)
        other.publish("t", "no", retain: true)
        #expect(other.wasClosed(with: .retainNotSupported))
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["fine"])
    }

    @Test("wills beyond them refuse the connection [MQTT-3.2.2-12] [MQTT-3.2.2-13]")
    func wills() {
        let desk = Desk()
        let high = desk.connected("c", limits: limited) {
            $0.will = WillPacket(topic: "t", payload: "", qos: .exactlyOnce)
        }
        #expect(high.connack?.reason == .qosNotSupported && high.isClosed)
        let kept = desk.connected("c", limits: limited) { $0.will = WillPacket(topic: "t", payload: "", retain: true) }
        #expect(kept.connack?.reason == .retainNotSupported && kept.isClosed)
    }

    @Test("subscriptions beyond them are refused one by one, QoS 2 is granted all the same [MQTT-3.2.2-10]")
    func subscriptions() {
        let client = Desk().ready("c", limits: limited)
        client.subscribe(["a", "a/+", "$share/g/a", "#"])
        #expect(
            client.suback?.reasons == [
                .grantedQoS2, .wildcardSubscriptionsNotSupported, .sharedSubscriptionsNotSupported,
                .wildcardSubscriptionsNotSupported,
            ])
        _ = client.take()
        var properties = Properties()
        properties.subscriptionIdentifiers = [1]
        client.subscribe(["b"], properties: properties)
        #expect(client.wasClosed(with: .subscriptionIdentifiersNotSupported))
    }

    @Test(
        "nothing larger than the client's Maximum Packet Size is sent; a message counts as delivered [MQTT-3.1.2-24] [MQTT-3.1.2-25]",
        arguments: QoS.allCases)
    func packetSize(qos: QoS) {
        let desk = Desk()
        let client = desk.ready("c") {
            $0.properties.maximumPacketSize = 60
            $0.properties.receiveMaximum = 1
        }
        client.subscribe("t")
        _ = client.take()
        let publisher = desk.ready("p")
        // 5 bytes of header and topic, 1 of properties, 2 of identifier above QoS 0: the largest that fits, then one more.
        let fits = 60 - 6 - (qos == .atMostOnce ? 0 : 2)
        for count in [fits, fits + 1, fits] {
            publisher.publish("t", String(repeating: "x", count: count), qos: qos)
            publisher.ack(.pubrel, 1)
            #expect(client.acknowledgeAll().map(\.payload.count) == (count == fits ? [fits] : []))
        }
        #expect(desk.exchange.shards[0].counters.dropped == 1)
        #expect(desk.exchange.shards[0].gauges.queued == 0)
    }

    @Test(
        "nor another packet: reason strings go first, then the connection [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]"
    )
    func otherPackets() {
        let desk = Desk()
        let deep = Array(repeating: "x", count: 300).joined(separator: "/")
        let client = desk.ready("c") { $0.properties.maximumPacketSize = 20 }
        client.subscribe(["a", deep])
        #expect(client.suback == SubscribeAcknowledgePacket(packetID: 1, reasons: [.grantedQoS2, .topicFilterInvalid]))
        client.send(Raw.subscribe(.v5, filter: Array("a/#/b".utf8)))
        #expect(client.disconnect == ReasonPacket(reason: .malformedPacket))
        let many = desk.ready("d") { $0.properties.maximumPacketSize = 20 }
        many.subscribe((0..<30).map { "t/\($0)" })
        #expect(many.wasClosed(with: .packetTooLarge) && many.suback == nil)
        // A CONNACK that the client could not take.
        let tiny = desk.connected("e") { $0.properties.maximumPacketSize = 10 }
        #expect(tiny.isClosed && tiny.received.isEmpty)
    }

    @Test(
        "acknowledgements carry neither reason strings nor user properties [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.11.2-1] [MQTT-3.11.2-2]"
    )
    func bareAcknowledgements() {
        let desk = Desk()
        let client = desk.ready("c") { $0.properties.maximumPacketSize = 20 }
        client.publish("$SYS/x", "x", qos: .atLeastOnce, id: 1)
        client.publish("$SYS/x", "x", qos: .exactlyOnce, id: 2)
        client.ack(.pubrel, 2)
        client.ack(.pubrec, 3)
        client.unsubscribe(["none"], id: 4)
        #expect(
            client.take() == [
                .puback(AcknowledgePacket(packetID: 1, reason: .notAuthorized)),
                .pubrec(AcknowledgePacket(packetID: 2, reason: .notAuthorized)),
                .pubcomp(AcknowledgePacket(packetID: 2)), .pubrel(AcknowledgePacket(packetID: 3)),
                .unsuback(SubscribeAcknowledgePacket(packetID: 4, reasons: [.noSubscriptionExisted])),
            ])
    }

    @Test(
        "a client's packet beyond the server's Maximum Packet Size is refused at its length [MQTT-3.2.2-15]",
        arguments: bothVersions)
    func inboundSize(version: ProtocolVersion) {
        let desk = Desk()
        let limits = ConnectionLimits(packetBytesMax: 100)
        let client = desk.connected("c", version: version, limits: limits)
        if version == .v5 { #expect(client.connack?.properties.maximumPacketSize == 100) }
        _ = client.take()
        let room = version == .v5 ? 94 : 95
        client.publish("t", String(repeating: "x", count: room))
        #expect(!client.isClosed)
        client.send([0x30, 0x63])
        #expect(client.wasClosed(with: .packetTooLarge))
    }

    @Test(
        "topic aliases to the client stay within what it allows, and are not used without [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-8] [MQTT-3.3.2-11]",
        arguments: [UInt16?.none, 0, 1, 3])
    func outboundAliases(maximum: UInt16?) {
        let desk = Desk()
        let client = desk.ready("c") { $0.properties.topicAliasMaximum = maximum }
        client.subscribe("#", SubscriptionOptions(qos: .atMostOnce))
        _ = client.take()
        let publisher = desk.ready("p")
        for _ in 0..<2 { for number in 0..<5 { publisher.publish("topic/\(number)", "\(number)") } }
        var names: [UInt16: String] = [:]
        var topics: [String] = []
        for message in client.messages() {
            if let alias = message.properties.topicAlias {
                #expect(alias > 0 && alias <= maximum ?? 0)
                if !message.topic.isEmpty { names[alias] = message.topic }
                topics.append(names[alias] ?? "?")
            } else {
                topics.append(message.topic)
            }
        }
        #expect(topics == (0..<10).map { "topic/\($0 % 5)" })
        #expect(names.count == Int(maximum ?? 0))
    }

    @Test(
        "every alias up to the server's maximum is taken, none beyond, none that is not set [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12]"
    )
    func inboundAliases() {
        let desk = Desk()
        let watcher = desk.subscriber("#", qos: .atMostOnce)
        let client = desk.ready("c", limits: ConnectionLimits(topicAliasMaximum: 40))
        var properties = Properties()
        for alias in UInt16(1)...40 {
            properties.topicAlias = alias
            client.publish("t/\(alias)", "first", properties: properties)
        }
        _ = watcher.take()
        for alias in UInt16(1)...40 {
            properties.topicAlias = alias
            client.publish("", "again", properties: properties)
        }
        #expect(watcher.messages().map(\.topic) == (1...40).map { "t/\($0)" })
        // An alias may be given a new topic.
        client.publish("new", "1", properties: properties)
        client.publish("", "2", properties: properties)
        #expect(watcher.messages().map(\.topic) == ["new", "new"])
        properties.topicAlias = 41
        client.publish("t", "x", properties: properties)
        #expect(client.wasClosed(with: .topicAliasInvalid))
        for (maximum, reason) in [(UInt16(0), ReasonCode.topicAliasInvalid), (5, .protocolError)] {
            let other = desk.ready("d", limits: ConnectionLimits(topicAliasMaximum: maximum))
            properties.topicAlias = 5
            other.publish("", "x", properties: properties)
            #expect(other.wasClosed(with: reason))
        }
    }

    @Test("aliases end with their connection [MQTT-3.3.2-7]")
    func aliasesEnd() {
        let desk = Desk()
        let publisher = desk.ready("p")
        func connect() -> TestClient {
            desk.connected("c", clean: false, expiry: 100) { $0.properties.topicAliasMaximum = 5 }
        }
        let first = connect()
        first.subscribe("t")
        publisher.publish("t", "1")
        var properties = Properties()
        properties.topicAlias = 1
        first.publish("x", "", properties: properties)
        first.vanish()
        let second = connect()
        _ = second.take()
        publisher.publish("t", "2")
        #expect(second.messages().map(\.topic) == ["t"])
        second.publish("", "", properties: properties)
        #expect(second.wasClosed(with: .protocolError))
    }
}
