import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 4.3, 4.4, 4.6 and 4.9: handshakes, resending, order, flow")
struct HandshakeTests {
    @Test(
        "QoS 1 from a client: after PUBACK the identifier is a new message, whatever DUP says [MQTT-4.3.2-5] [MQTT-4.3.2-2 of 3.1.1]",
        arguments: allVersions)
    func inboundOnce(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("t", qos: .atMostOnce)
        let client = desk.ready("c", version: version)
        for (text, isDuplicate) in [("1", false), ("2", true), ("3", false)] {
            client.send(
                .publish(
                    PublishPacket(
                        topic: "t", payload: Bytes(text), qos: .atLeastOnce, isDuplicate: isDuplicate, packetID: 7)))
        }
        #expect(subscriber.payloads() == ["1", "2", "3"])
        #expect(client.take().count == 3)
    }

    @Test(
        "QoS 2 from a client: the identifier stands for one message until PUBREL, across connections [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT-4.3.3-2 of 3.1.1]",
        arguments: allVersions)
    func inboundTwice(version: ProtocolVersion) {
        let desk = Desk(shards: 2)
        let subscriber = desk.subscriber("t", qos: .atMostOnce)
        let first = desk.sleeper("c", version: version)
        _ = first.take()
        func send(_ client: TestClient, _ text: String) {
            client.send(
                .publish(
                    PublishPacket(topic: "t", payload: Bytes(text), qos: .exactlyOnce, isDuplicate: true, packetID: 7)))
        }
        send(first, "x")
        send(first, "x")
        #expect(first.take() == [.pubrec(AcknowledgePacket(packetID: 7)), .pubrec(AcknowledgePacket(packetID: 7))])
        first.vanish()
        let second = desk.sleeper("c", shard: 1, version: version)
        _ = second.take()
        send(second, "x")
        #expect(second.take() == [.pubrec(AcknowledgePacket(packetID: 7))])
        second.ack(.pubrel, 7)
        second.ack(.pubrel, 7)
        // Known no more: answered all the same, as the answer may have been lost.
        #expect(second.take() == [.pubcomp(AcknowledgePacket(packetID: 7)), .pubcomp(AcknowledgePacket(packetID: 7))])
        send(second, "y")
        #expect(subscriber.payloads() == ["x", "y"])
    }

    @Test("a PUBREC with an error frees the identifier [MQTT-4.3.3-9]")
    func inboundRefused() {
        let desk = Desk()
        let subscriber = desk.subscriber("t", qos: .atMostOnce)
        let client = desk.ready("c")
        client.publish("$SYS/x", "no", qos: .exactlyOnce, id: 7)
        client.publish("t", "yes", qos: .exactlyOnce, id: 7)
        #expect(
            client.take() == [
                .pubrec(AcknowledgePacket(packetID: 7, reason: .notAuthorized)),
                .pubrec(AcknowledgePacket(packetID: 7)),
            ])
        #expect(subscriber.payloads() == ["yes"])
    }

    @Test(
        "QoS 1 to a client is unacknowledged until PUBACK, and sent again on a new connection only [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1]",
        arguments: allVersions, [0, 1])
    func outboundOnce(version: ProtocolVersion, shard: Int) {
        let desk = Desk(shards: 2)
        let first = desk.sleeper("s", version: version)
        first.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        _ = first.take()
        desk.ready("p").publish("t", "x", qos: .atLeastOnce)
        let ids = first.messages().map(\.packetID)
        #expect(ids.count == 1)
        desk.advance(seconds: 3600)
        #expect(first.take() == [])
        first.vanish()
        let second = desk.sleeper("s", shard: shard, version: version)
        let got = second.messages()
        #expect(got.map(\.packetID) == ids && got.map(\.isDuplicate) == [true])
        second.ack(.puback, ids.first ?? 0)
        second.vanish()
        #expect(desk.sleeper("s", version: version).messages() == [])
    }

    @Test(
        "QoS 2 to a client: PUBLISH until PUBREC, then PUBREL and never PUBLISH until PUBCOMP [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-3.6.2-1] [MQTT-4.4.0-1] [MQTT-4.3.3-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1]",
        arguments: allVersions, [0, 1])
    func outboundTwice(version: ProtocolVersion, shard: Int) {
        let desk = Desk(shards: 2)
        let first = desk.sleeper("s", version: version)
        first.subscribe("t")
        _ = first.take()
        desk.ready("p").publish("t", "x", qos: .exactlyOnce)
        let id = first.messages().first?.packetID ?? 0
        #expect(id != 0)
        first.vanish()
        let second = desk.sleeper("s", shard: shard, version: version)
        let again = second.messages()
        #expect(again.map(\.packetID) == [id] && again.map(\.isDuplicate) == [true])
        second.ack(.pubrec, id)
        #expect(second.take() == [.pubrel(AcknowledgePacket(packetID: id))])
        second.ack(.pubrec, id)
        #expect(second.take() == [.pubrel(AcknowledgePacket(packetID: id))])
        second.vanish()
        let third = desk.sleeper("s", shard: shard, version: version)
        #expect(third.take().dropFirst() == [.pubrel(AcknowledgePacket(packetID: id))])
        third.ack(.pubcomp, id)
        third.vanish()
        #expect(desk.sleeper("s", version: version).take().count == 1)
    }

    @Test(
        "an answer with an error ends the message; it is not sent again [MQTT-4.4.0-2] [MQTT-4.8.2-6]",
        arguments: [PacketType.puback, .pubrec])
    func outboundRefused(type: PacketType) {
        let desk = Desk()
        let first = desk.sleeper("s")
        first.subscribe("t")
        _ = first.take()
        desk.ready("p").publish("t", "x", qos: type == .puback ? .atLeastOnce : .exactlyOnce)
        first.ack(type, first.messages().first?.packetID ?? 0, .unspecifiedError)
        #expect(first.take() == [])
        first.vanish()
        #expect(desk.sleeper("s").messages() == [])
        #expect(desk.exchange.shards[0].gauges.queued == 0)
    }

    @Test(
        "answers to nothing are ignored or answered; to something else they are a protocol error, as with Mosquitto",
        arguments: bothVersions)
    func strayAnswers(version: ProtocolVersion) {
        let desk = Desk()
        let client = desk.ready("c", version: version)
        for type in [PacketType.puback, .pubcomp] { client.ack(type, 9) }
        #expect(client.take() == [])
        client.ack(.pubrec, 9)
        client.ack(.pubrel, 9)
        #expect(client.take() == [.pubrel(AcknowledgePacket(packetID: 9)), .pubcomp(AcknowledgePacket(packetID: 9))])
        if version == .v5 {
            client.ack(.pubrec, 9, .unspecifiedError)
            #expect(client.take() == [])
        }
        for (qos, type) in [
            (QoS.atLeastOnce, PacketType.pubrec), (.atLeastOnce, .pubcomp), (.exactlyOnce, .puback),
            (.exactlyOnce, .pubcomp),
        ] {
            let subscriber = desk.subscriber("t", version: version)
            desk.ready("p").publish("t", "x", qos: qos)
            let id = subscriber.messages().first?.packetID ?? 0
            subscriber.ack(type, id)
            #expect(subscriber.wasClosed(with: .protocolError), "\(type) for \(qos)")
        }
    }

    @Test(
        "reason codes that an acknowledgement cannot have are refused [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]"
    )
    func badReasons() {
        let desk = Desk()
        for type in [PacketType.puback, .pubrec, .pubrel, .pubcomp] {
            for reason in [UInt8(0x01), 0x04, 0x18, 0x81, 0x8E, 0xA2] {
                let client = desk.ready("c")
                client.ack(type, 1, ReasonCode(rawValue: reason))
                #expect(client.wasClosed(with: .protocolError), "\(type) \(reason)")
            }
        }
    }

    @Test(
        "what is sent again, and what waited, keeps its order [MQTT-4.6.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.6.0-1 of 3.1.1] [MQTT-4.6.0-5 of 3.1.1] [MQTT-4.6.0-6 of 3.1.1]",
        arguments: allVersions, [0, 1])
    func order(version: ProtocolVersion, shard: Int) {
        let desk = Desk(shards: 2)
        let first = desk.sleeper("s", shard: shard, version: version)
        first.subscribe("t/#")
        _ = first.take()
        let publisher = desk.ready("p", version: version)
        for number in 1...20 {
            publisher.publish(
                "t/\(number % 2)", "\(number)", qos: number % 3 == 0 ? .exactlyOnce : .atLeastOnce, id: UInt16(number))
        }
        let sent = first.messages()
        #expect(sent.map { $0.payload.string } == (1...20).map { "\($0)" })
        // Some are answered, out of order.
        for message in sent where [5, 2, 11].contains(Int(message.packetID)) && message.qos == .atLeastOnce {
            first.ack(.puback, message.packetID)
        }
        first.vanish()
        publisher.publish("t/1", "21", qos: .atLeastOnce, id: 50)
        let again = desk.sleeper("s", shard: 1 - shard, version: version).messages()
        let numbers = again.compactMap { Int($0.payload.string) }
        #expect(numbers == numbers.sorted() && numbers.last == 21)
        #expect(numbers == (1...21).filter { ![2, 5, 11].contains($0) })
    }

    @Test(
        "acknowledgements keep the order of what they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT-4.6.0-2 of 3.1.1] [MQTT-4.6.0-3 of 3.1.1] [MQTT-4.6.0-4 of 3.1.1]",
        arguments: bothVersions)
    func answersInOrder(version: ProtocolVersion) {
        let desk = Desk()
        let client = desk.ready("c", version: version)
        let subscriber = desk.subscriber("t", version: version)
        let ids: [UInt16] = [9, 3, 65_535, 1, 20]
        for id in ids { client.publish("t", "x", qos: .exactlyOnce, id: id) }
        #expect(client.take() == ids.map { .pubrec(AcknowledgePacket(packetID: $0)) })
        for id in ids.reversed() { client.ack(.pubrel, id) }
        #expect(client.take() == ids.reversed().map { .pubcomp(AcknowledgePacket(packetID: $0)) })
        for id in ids { client.publish("t", "x", qos: .atLeastOnce, id: id) }
        #expect(client.take() == ids.map { .puback(AcknowledgePacket(packetID: $0)) })
        let received = subscriber.messages().filter { $0.qos == .exactlyOnce }.map(\.packetID)
        for id in received.reversed() { subscriber.ack(.pubrec, id) }
        #expect(subscriber.take() == received.reversed().map { .pubrel(AcknowledgePacket(packetID: $0)) })
    }

    @Test(
        "no more than the client's Receive Maximum is in flight; acknowledgements open it, other packets do not wait [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]",
        arguments: [UInt16(1), 2, 10])
    func receiveMaximum(maximum: UInt16) {
        let desk = Desk()
        let client = desk.ready("s") { $0.properties.receiveMaximum = maximum }
        client.subscribe("t")
        _ = client.take()
        let publisher = desk.ready("p")
        for number in 0..<30 {
            publisher.publish(
                "t", "\(number)", qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce, id: UInt16(number + 1))
        }
        publisher.publish("t", "zero")
        var open: [UInt16: QoS] = [:]
        var texts: [String] = []
        var rounds = 0
        while rounds < 200 {
            rounds += 1
            for packet in client.take() {
                switch packet {
                case .publish(let message):
                    texts.append(message.payload.string)
                    if message.qos != .atMostOnce { open[message.packetID] = message.qos }
                case .pubrel(let release):
                    client.ack(.pubcomp, release.packetID)
                    open[release.packetID] = nil
                default: break
                }
            }
            #expect(open.count <= Int(maximum))
            client.send(.pingreq)
            #expect(client.packets.contains(.pingresp))
            guard let (id, qos) = open.min(by: { $0.key < $1.key }) else {
                if client.packets == [.pingresp] { break }
                continue
            }
            if qos == .atLeastOnce {
                client.ack(.puback, id)
                open[id] = nil
            } else {
                client.ack(.pubrec, id)
                // Still counts until PUBCOMP, which follows in the next round.
            }
        }
        #expect(texts.filter { $0 != "zero" } == (0..<30).map { "\($0)" })
        #expect(texts.contains("zero"))
    }

    @Test(
        "a smaller Receive Maximum on the next connection also bounds what is sent again [MQTT-3.3.4-9] [MQTT-4.4.0-1]")
    func smallerReceiveMaximum() {
        let desk = Desk()
        let first = desk.sleeper("s")
        first.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        _ = first.take()
        let publisher = desk.ready("p")
        for number in 0..<10 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(first.messages().count == 10)
        first.vanish()
        publisher.publish("t", "10", qos: .atLeastOnce)
        let second = desk.connected("s", clean: false, expiry: 1000) { $0.properties.receiveMaximum = 3 }
        var texts: [String] = []
        while true {
            let got = second.messages()
            #expect(got.count <= 3)
            if got.isEmpty { break }
            texts += got.map { $0.payload.string }
            #expect(got.allSatisfy { $0.isDuplicate == ($0.payload.string != "10") })
            for message in got { second.ack(.puback, message.packetID) }
        }
        #expect(texts == (0...10).map { "\($0)" })
    }

    @Test("a client that sends more than the server's Receive Maximum is disconnected by 0x93 [MQTT-3.3.4-7]")
    func inboundMaximum() {
        let desk = Desk()
        let client = desk.connected("c", limits: ConnectionLimits(receiveMaximum: 3))
        #expect(client.connack?.properties.receiveMaximum == 3)
        _ = client.take()
        for id in UInt16(1)...3 { client.publish("t", "x", qos: .exactlyOnce, id: id) }
        // Sent again it is not one more; QoS 0 does not count; a finished one makes room.
        client.publish("t", "x", qos: .exactlyOnce, id: 2)
        client.publish("t", "x")
        client.ack(.pubrel, 1)
        client.publish("t", "x", qos: .exactlyOnce, id: 4)
        #expect(!client.isClosed)
        client.publish("t", "x", qos: .atLeastOnce, id: 5)
        #expect(client.wasClosed(with: .receiveMaximumExceeded))
    }

    @Test("while the log is behind nothing is acknowledged; then everything is, in order [MQTT-4.6.0-2] [MQTT-4.6.0-3]")
    func answersAfterTheLog() {
        let log = TestStore()
        log.isImmediate = false
        let desk = Desk(store: log)
        let client = desk.connected("c", clean: false, expiry: 100, limits: ConnectionLimits(receiveMaximum: 4))
        #expect(client.packets.isEmpty)
        log.sync()
        desk.settle()
        client.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        _ = client.take()
        // As many as Receive Maximum allows; other answers that wait do not count.
        client.publish("t", "1", qos: .atLeastOnce, id: 9)
        client.publish("t", "2", qos: .exactlyOnce, id: 3)
        client.publish("t", "3", qos: .atLeastOnce, id: 7)
        client.publish("t", "4", qos: .exactlyOnce, id: 1)
        #expect(!client.isClosed)
        func acknowledgements() -> [Packet] {
            client.take().filter { packet in
                switch packet {
                case .puback, .pubrec, .suback: true
                default: false
                }
            }
        }
        #expect(acknowledgements() == [])
        log.sync()
        desk.settle()
        let answers = acknowledgements()
        #expect(answers.first == .suback(SubscribeAcknowledgePacket(packetID: 1, reasons: [.grantedQoS1])))
        #expect(
            answers.dropFirst() == [
                .puback(AcknowledgePacket(packetID: 9)), .pubrec(AcknowledgePacket(packetID: 3)),
                .puback(AcknowledgePacket(packetID: 7)), .pubrec(AcknowledgePacket(packetID: 1)),
            ])
    }

    @Test("a session whose client is back, and waits for the log, does not expire meanwhile [MQTT-4.1.0-1]")
    func claimedSession() {
        let log = TestStore()
        log.isImmediate = false
        let desk = Desk(store: log)
        let first = desk.connected("c", clean: false, expiry: 10)
        log.sync()
        desk.settle()
        #expect(first.connack?.reason == .success)
        first.vanish()
        desk.advance(seconds: 9)
        let second = desk.connected("c", clean: false, expiry: 10)
        desk.advance(seconds: 5)
        log.sync()
        desk.settle()
        #expect(second.connack?.sessionPresent == true)
        #expect(desk.exchange.shards[0].sessions["c"]?.connection != nil)
    }
}
