import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 3.1.2.5, 3.14, 4.1, 4.12, 4.13: wills, ends, sessions, errors")
struct SessionConformanceTests {
    private func mortal(
        _ desk: Desk, _ id: String, _ version: ProtocolVersion = .v5, expiry: UInt32? = nil, clean: Bool = true,
        retain: Bool = false, qos: QoS = .atLeastOnce, delay: UInt32? = nil, properties: Properties = Properties()
    ) -> TestClient {
        desk.ready(id, version: version, clean: clean, expiry: expiry) {
            var will = WillPacket(
                topic: "will/\(id)", payload: Bytes(id), qos: qos, retain: retain, properties: properties)
            if version == .v5 { will.properties.willDelayInterval = delay }
            $0.will = will
        }
    }

    @Test(
        "the will is published when the connection ends without DISCONNECT, once, with its QoS [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-8 of 3.1.1] [MQTT-3.1.2-10 of 3.1.1]",
        arguments: allVersions, QoS.allCases)
    func will(version: ProtocolVersion, qos: QoS) {
        let desk = Desk()
        let watcher = desk.subscriber("will/#")
        let lost = mortal(desk, "lost", version, qos: qos)
        #expect(watcher.messages().isEmpty)
        lost.vanish()
        let got = watcher.acknowledgeAll()
        #expect(got.map { $0.payload.string } == ["lost"] && got.map(\.qos) == [qos])
        // A protocol error, and being replaced, are no goodbye either.
        mortal(desk, "wrong", version).send([0, 0])
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["wrong"])
        let replaced = mortal(desk, "twice", version)
        let second = desk.ready("twice", version: version)
        #expect(replaced.isClosed)
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["twice"])
        second.vanish()
        desk.advance(seconds: 100)
        #expect(watcher.acknowledgeAll().isEmpty)
    }

    @Test(
        "DISCONNECT discards the will; there is none without Will Flag [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT-3.14.4-3 of 3.1.1] [MQTT-3.1.2-12 of 3.1.1]",
        arguments: allVersions)
    func goodbye(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("#")
        let polite = mortal(desk, "polite", version)
        polite.send(.disconnect(ReasonPacket()))
        #expect(polite.isClosed)
        desk.ready("none", version: version).vanish()
        desk.advance(seconds: 100)
        #expect(watcher.messages().isEmpty)
    }

    @Test(
        "a DISCONNECT with another reason keeps the will [MQTT-3.1.2-8]",
        arguments: [ReasonCode.disconnectWithWill, .unspecifiedError])
    func disconnectWithWill(reason: ReasonCode) {
        let desk = Desk()
        let watcher = desk.subscriber("will/#")
        mortal(desk, "m").send(.disconnect(ReasonPacket(reason: reason)))
        #expect(watcher.messages().count == 1)
    }

    @Test(
        "Will Retain decides whether the will is retained [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-16 of 3.1.1] [MQTT-3.1.2-17 of 3.1.1]",
        arguments: allVersions, [false, true])
    func willRetain(version: ProtocolVersion, retain: Bool) {
        let desk = Desk()
        mortal(desk, "m", version, retain: retain).vanish()
        let late = desk.ready("late", version: version)
        late.subscribe("will/m")
        #expect(late.messages().map(\.retain) == (retain ? [true] : []))
    }

    @Test(
        "a delayed will comes after its delay or when the session ends, and not if the client is back [MQTT-3.1.2-8] [MQTT-3.1.3-9]",
        arguments: [0, 1])
    func willDelay(shard: Int) {
        let desk = Desk(shards: 2)
        let watcher = desk.subscriber("will/#")
        mortal(desk, "a", expiry: 1000, clean: false, delay: 10).vanish()
        mortal(desk, "b", expiry: 5, clean: false, delay: 10).vanish()
        mortal(desk, "c", expiry: 0, delay: 10).vanish()
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["c"])
        desk.advance(seconds: 6)
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["b"])
        desk.advance(seconds: 5)
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["a"])
        mortal(desk, "d", expiry: 1000, clean: false, delay: 10).vanish()
        desk.advance(seconds: 9)
        let back = desk.ready("d", shard: shard, clean: false, expiry: 1000)
        desk.advance(seconds: 100)
        back.vanish()
        desk.advance(seconds: 100)
        #expect(watcher.acknowledgeAll().isEmpty)
        // A clean start ends the old session, and with it the waiting.
        mortal(desk, "e", expiry: 1000, clean: false, delay: 10).vanish()
        _ = desk.ready("e", shard: shard)
        #expect(watcher.acknowledgeAll().map { $0.payload.string } == ["e"])
    }

    @Test("the will's properties go with it, user properties in order [MQTT-3.1.3-10] [MQTT-3.3.2-18]")
    func willProperties() {
        let desk = Desk()
        let watcher = desk.subscriber("will/#")
        var properties = Properties()
        properties.payloadFormatIndicator = 1
        properties.messageExpiryInterval = 60
        properties.contentType = "text"
        properties.responseTopic = "r"
        properties.correlationData = Bytes([1, 0])
        properties.userProperties = [UserProperty("z", "1"), UserProperty("a", "2"), UserProperty("z", "3")]
        mortal(desk, "m", properties: properties).vanish()
        #expect(watcher.messages().map(\.properties) == [properties])
    }

    @Test(
        "after DISCONNECT nothing more is sent, though messages come in the same moment [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.1-1] [MQTT-4.8.0-1 of 3.1.1]",
        arguments: allVersions, QoS.allCases)
    func silence(version: ProtocolVersion, qos: QoS) {
        let desk = Desk()
        let subscriber = desk.sleeper("s", version: version)
        subscriber.subscribe("t")
        let publisher = desk.ready("p")
        _ = subscriber.take()
        // Both before the loop has come round to end the connection.
        subscriber.push([0, 0])
        publisher.push(
            PublishPacket(topic: "t", payload: "x", qos: qos, packetID: qos == .atMostOnce ? 0 : 1).encoded(.v5))
        desk.settle()
        #expect(subscriber.isClosed)
        if version == .v5 {
            #expect(subscriber.packets.count == 1 && subscriber.disconnect?.reason == .malformedPacket)
        } else {
            #expect(subscriber.packets.isEmpty)
        }
        // What has a QoS waits for the next connection.
        let again = desk.sleeper("s", version: version).messages()
        #expect(again.map(\.qos) == (qos == .atMostOnce ? [] : [qos]))
    }

    @Test(
        "what a client sends after its DISCONNECT is not looked at [MQTT-3.14.4-1] [MQTT-3.14.4-2 of 3.1.1]",
        arguments: bothVersions)
    func afterGoodbye(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("#")
        let client = desk.ready("c", version: version)
        client.send([0xE0, 0] + PublishPacket(topic: "t", payload: "x").encoded(version))
        #expect(client.isClosed && client.packets.isEmpty && watcher.messages().isEmpty)
    }

    @Test("DISCONNECT's reason codes and properties are those of the table [MQTT-3.14.2-1] [MQTT-3.14.2-2]")
    func disconnectCodes() {
        let desk = Desk()
        for reason in [UInt8(0x01), 0x10, 0x18] {
            let client = desk.ready("c")
            client.send([0xE0, 2, reason, 0])
            #expect(client.wasClosed(with: .protocolError), "\(reason)")
        }
        let client = desk.ready("c")
        client.send([0xE0, 1, 0x04])
        #expect(client.isClosed && client.packets.isEmpty)
        // Ours: no session expiry, and a reference only where there is one.
        let moved = desk.ready("c")
        desk.exchange.shards[0].sessions["c"]?.connection?.disconnect(.serverMoved, serverReference: "other:1883")
        desk.settle()
        #expect(
            moved.disconnect?.reason == .serverMoved && moved.disconnect?.properties.serverReference == "other:1883")
        #expect(moved.disconnect?.properties.sessionExpiryInterval == nil)
    }

    @Test("DISCONNECT may change the session's expiry, but not give one to a session that had none [MQTT-4.1.0-2]")
    func expiryAtGoodbye() {
        let desk = Desk()
        func leave(_ expiry: UInt32, _ changed: UInt32) -> TestClient {
            let client = desk.ready("c", expiry: expiry)
            var packet = ReasonPacket()
            packet.properties.sessionExpiryInterval = changed
            client.send(.disconnect(packet))
            return client
        }
        _ = leave(100, 10)
        desk.advance(seconds: 11)
        #expect(desk.connected("c", clean: false).connack?.sessionPresent == false)
        _ = leave(10, 100)
        desk.advance(seconds: 50)
        #expect(desk.connected("c", clean: false).connack?.sessionPresent == true)
        _ = leave(100, 0)
        #expect(desk.connected("c", clean: false).connack?.sessionPresent == false)
        #expect(leave(0, 5).wasClosed(with: .protocolError))
        #expect(leave(0, 0).packets.isEmpty)
    }

    @Test(
        "a session lasts as long as its connection, then as long as its expiry [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT-4.1.0-1 of 3.1.1] [MQTT-4.1.0-2 of 3.1.1]",
        arguments: [UInt32(0), 1, 60, .max])
    func lifetime(expiry: UInt32) {
        let desk = Desk()
        let client = desk.ready("s", clean: false, expiry: expiry)
        client.subscribe("t")
        desk.advance(seconds: 1e6)
        _ = client.take()
        desk.ready("p").publish("t", "x")
        #expect(client.payloads() == ["x"])
        client.vanish()
        if expiry > 0 {
            desk.advance(seconds: expiry == .max ? 1e9 : Double(expiry) - 0.5)
            #expect(desk.exchange.shards[0].sessions["s"] != nil)
            desk.advance(seconds: 1)
        }
        #expect((desk.exchange.shards[0].sessions["s"] != nil) == (expiry == .max))
    }

    @Test(
        "any protocol violation closes the connection and harms nobody else [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-4.8.0-1 of 3.1.1] [MQTT-4.8.0-2 of 3.1.1]",
        arguments: bothVersions)
    func violations(version: ProtocolVersion) {
        let desk = Desk()
        let other = desk.ready("other", version: version)
        for bytes in [[0xFF], [0x30, 0xFF, 0xFF, 0xFF, 0xFF], [0xC0, 1, 0], [0x82, 0], [0x10, 0], [0x40, 1, 0]]
            as [[UInt8]]
        {
            let client = desk.ready("c", version: version)
            client.send(bytes)
            #expect(client.isClosed, "\(bytes)")
            if version == .v5 {
                #expect(client.disconnect?.reason.isError == true)
            } else {
                #expect(client.packets.isEmpty)
            }
        }
        other.send(.pingreq)
        #expect(other.take() == [.pingresp])
        #expect(desk.exchange.shards[0].counters.protocolErrors == 6)
    }

    @Test(
        "packets are the same in pieces of any size and in one [MQTT-4.2.0-1] [MQTT-7.1.1-1 of 3.1.1] [MQTT-7.0.0-2 of 3.1.1]",
        arguments: bothVersions)
    func pieces(version: ProtocolVersion) {
        var stream = Raw.connect(version)
        stream += Raw.subscribe(version, filter: Array("t".utf8), options: 1)
        stream += PublishPacket(topic: "t", payload: "x", qos: .atLeastOnce, packetID: 3).encoded(version)
        stream += [0xC0, 0, 0xE0, 0]
        func answer(_ size: Int) -> [UInt8] {
            let client = Desk().client()
            client.version = version
            var rest = stream[...]
            while !rest.isEmpty {
                client.send(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            return client.received
        }
        let whole = answer(stream.count)
        #expect(whole.count > 10)
        for size in 1...20 { #expect(answer(size) == whole) }
    }

    @Test(
        "without a method in CONNECT there is no AUTH, and one that is unknown is refused [MQTT-4.12.0-1] [MQTT-4.12.0-6] [MQTT-4.12.0-7] [MQTT-3.15.2-1]"
    )
    func authentication() {
        let desk = Desk()
        let plain = desk.connected("c")
        #expect(plain.connack?.properties.authenticationMethod == nil)
        _ = plain.take()
        plain.send([0xF0, 6, 0x19, 4, 0x15, 0, 1, 0x58])
        #expect(plain.wasClosed(with: .protocolError))
        let unknown = desk.connected("c") { $0.properties.authenticationMethod = "X" }
        #expect(unknown.connack?.reason == .badAuthenticationMethod && unknown.isClosed)
        #expect(unknown.connack?.properties.authenticationMethod == nil)
        for reason in [UInt8(0x01), 0x80, 0x8C] {
            let client = desk.ready("c")
            client.send([0xF0, 6, reason, 4, 0x15, 0, 1, 0x58])
            #expect(client.wasClosed(with: .protocolError))
        }
    }
}
