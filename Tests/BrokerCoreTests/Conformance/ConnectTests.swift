import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 3.1: CONNECT")
struct ConnectTests {
    @Test(
        "the first packet must be CONNECT [MQTT-3.1.0-1] [MQTT-3.1.0-1 of 3.1.1]", arguments: bothVersions)
    func first(version: ProtocolVersion) {
        for packet in Samples.packets(version) {
            if case .connect = packet { continue }
            let client = Desk().raw(packet.encoded(version), version: version)
            #expect(client.isClosed && client.packets.isEmpty)
        }
        #expect(Desk().raw(Array("GET / HTTP/1.1\r\n\r\n".utf8)).isClosed)
    }

    @Test(
        "a second CONNECT closes the connection, and there is no second CONNACK [MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT-3.1.0-2 of 3.1.1]",
        arguments: allVersions)
    func second(version: ProtocolVersion) {
        let client = Desk().ready("c", version: version)
        var packet = ConnectPacket()
        packet.version = version
        packet.clientID = "c"
        client.send(.connect(packet))
        #expect(client.wasClosed(with: .protocolError))
    }

    @Test("another protocol name closes the connection without an answer [MQTT-3.1.2-1] [MQTT-3.1.2-1 of 3.1.1]")
    func name() {
        for name in ["MQTX", "mqtt", "", "MQTT ", "MQIsdP"] {
            let client = Desk().raw(Raw.connect(name: name))
            #expect(client.isClosed && client.received.isEmpty, "\(name)")
        }
    }

    @Test("an unknown level is answered 0x01 in the form that all versions read [MQTT-3.1.2-2] [MQTT-3.1.2-2 of 3.1.1]")
    func level() {
        for (name, level) in [("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 255), ("MQIsdp", 4), ("MQIsdp", 5)] {
            let client = Desk().raw(Raw.connect(name: name, level: UInt8(level)))
            #expect(client.isClosed && client.received == [0x20, 2, 0, 1], "\(name) \(level)")
        }
    }

    @Test("3.1, 3.1.1 and 5.0 are each spoken by their name and level", arguments: allVersions)
    func versions(version: ProtocolVersion) {
        let desk = Desk()
        let client = desk.raw(Raw.connect(version), version: version)
        #expect(client.connack?.reason == .success && !client.isClosed)
        client.subscribe("a")
        client.publish("a", "x", qos: .exactlyOnce)
        #expect(client.messages().map(\.qos) == [.exactlyOnce])
        #expect(desk.exchange.shards[0].sessions["raw"]?.version == version)
    }

    @Test("3.1 knows no empty client id and no code for a refused filter")
    func version31() {
        let desk = Desk()
        let empty = desk.connected("", version: .v31)
        #expect(empty.connack?.reason == .clientIdentifierNotValid && empty.isClosed)
        let client = desk.ready("c", version: .v31)
        client.subscribe([Array(repeating: "x", count: 300).joined(separator: "/")], qos: .atLeastOnce)
        #expect(client.suback?.reasons == [.grantedQoS1])
    }

    @Test("a bridge of 3.1.1 gets RETAIN as published and nothing of its own back, as with Mosquitto")
    func bridge() {
        let desk = Desk()
        let bridge = desk.ready("b", version: .v311) { $0.isBridge = true }
        bridge.subscribe(["t"])
        _ = bridge.take()
        bridge.publish("t", "own", retain: true)
        desk.ready("p").publish("t", "other", retain: true)
        let got = bridge.messages()
        #expect(got.map { $0.payload.string } == ["other"] && got.map(\.retain) == [true])
    }

    @Test(
        "a CONNECT that does not match its format closes without CONNACK [MQTT-3.1.2-3] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.4-1] [MQTT-3.14.0-1] [MQTT-3.1.2-3 of 3.1.1] [MQTT-3.1.2-9 of 3.1.1] [MQTT-3.1.2-11 of 3.1.1] [MQTT-3.1.2-13 of 3.1.1] [MQTT-3.1.2-14 of 3.1.1] [MQTT-3.1.2-15 of 3.1.1] [MQTT-3.1.2-18 of 3.1.1] [MQTT-3.1.2-19 of 3.1.1] [MQTT-3.1.2-20 of 3.1.1] [MQTT-3.1.2-21 of 3.1.1] [MQTT-3.1.3-1 of 3.1.1] [MQTT-3.1.3-3 of 3.1.1] [MQTT-3.1.4-1 of 3.1.1] [MQTT-3.2.2-6 of 3.1.1]",
        arguments: bothVersions)
    func format(version: ProtocolVersion) {
        let id = Raw.string("c")
        let none = Raw.properties(version)
        let will = none + Raw.string("t") + Raw.string("m")
        let cases: [(String, UInt8, [UInt8])] = [
            ("reserved flag", 0x03, id), ("will flag without a will", 0x06, id),
            ("will without payload", 0x06, id + none + Raw.string("t")),
            ("a will without its flag", 0x02, id + will), ("will QoS without a will", 0x0A, id),
            ("will retain without a will", 0x22, id), ("will QoS 3", 0x1E, id + will),
            ("no user name", 0x82, id), ("a user name without its flag", 0x02, id + Raw.string("u")),
            ("no password", 0xC2, id + Raw.string("u")),
            ("a password without its flag", 0x82, id + Raw.string("u") + Raw.string("p")), ("no client id", 0x02, []),
            ("half a client id", 0x02, [0, 5, 0x61]), ("bytes too many", 0x02, id + [0]),
            ("wildcard in the will topic", 0x06, id + none + Raw.string("a/+") + Raw.string("m")),
            ("empty will topic", 0x06, id + none + Raw.string("") + Raw.string("m")),
        ]
        for (what, flags, payload) in cases {
            let client = Desk().raw(Raw.connect(version, flags: flags, payload: payload), version: version)
            #expect(client.isClosed && client.received.isEmpty, "\(what)")
        }
        let full = id + will + Raw.string("u") + Raw.string("p")
        #expect(
            Desk().raw(Raw.connect(version, flags: 0xF6, payload: full), version: version).connack?.reason == .success)
    }

    @Test("a password without a user name is malformed in 3.1.1 and allowed in 5.0 [MQTT-3.1.2-22 of 3.1.1]")
    func passwordAlone() {
        let payload = Raw.string("c") + Raw.string("p")
        let old = Desk().raw(Raw.connect(.v311, flags: 0x42, payload: payload), version: .v311)
        #expect(old.isClosed && old.received.isEmpty)
        #expect(Desk().raw(Raw.connect(.v5, flags: 0x42, payload: payload)).connack?.reason == .success)
    }

    @Test(
        "Clean Start discards the session; without it the session goes on or a new one is made [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.2-4 of 3.1.1] [MQTT-3.1.2-6 of 3.1.1] [MQTT-3.1.4-3 of 3.1.1] [MQTT-3.2.2-1 of 3.1.1] [MQTT-3.2.2-2 of 3.1.1] [MQTT-3.2.2-3 of 3.1.1]",
        arguments: allVersions)
    func cleanStart(version: ProtocolVersion) {
        let desk = Desk(shards: 2)
        let publisher = desk.ready("p", version: version)
        for shard in 0..<2 {
            let id = "s\(shard)"
            let first = desk.sleeper(id, shard: shard, version: version)
            // 3.1 has no Session Present: the bit is one that it reserves, and is sent all the same, as by Mosquitto.
            #expect(first.connack?.sessionPresent == false)
            first.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
            first.vanish()
            publisher.publish("t", "kept", qos: .atLeastOnce)
            let second = desk.sleeper(id, shard: 1 - shard, version: version)
            #expect(second.connack?.sessionPresent == true)
            #expect(second.payloads() == ["kept"])
            second.vanish()
            let clean = desk.connected(id, shard: shard, version: version, clean: true)
            #expect(clean.connack?.sessionPresent == false)
            _ = clean.take()
            publisher.publish("t", "unwanted", qos: .atLeastOnce)
            #expect(clean.payloads() == [])
            clean.vanish()
            #expect(desk.sleeper(id, shard: shard, version: version).connack?.sessionPresent == false)
        }
    }

    @Test(
        "QoS 1 and 2 messages are kept for a session whose client is away [MQTT-3.1.2-23] [MQTT-4.5.0-1] [MQTT-3.1.2-5 of 3.1.1] [MQTT-4.5.0-1 of 3.1.1] [MQTT-4.1.0-1 of 3.1.1]",
        arguments: allVersions)
    func kept(version: ProtocolVersion) {
        let desk = Desk()
        let away = desk.sleeper("s", version: version)
        away.subscribe("t")
        away.vanish()
        let publisher = desk.ready("p", version: version)
        for qos in QoS.allCases { publisher.publish("t", "\(qos.rawValue)", qos: qos, id: UInt16(qos.rawValue) + 1) }
        #expect(desk.sleeper("s", version: version).acknowledgeAll().map { $0.payload.string } == ["1", "2"])
    }

    @Test("retained messages outlive the session of their publisher [MQTT-3.1.2-7 of 3.1.1]", arguments: bothVersions)
    func retainedStay(version: ProtocolVersion) {
        let desk = Desk()
        let publisher = desk.ready("p", version: version)
        publisher.publish("t", "x", retain: true)
        publisher.send(.disconnect(ReasonPacket()))
        let subscriber = desk.ready("s", version: version)
        subscriber.subscribe("t")
        #expect(subscriber.payloads() == ["x"])
    }

    @Test(
        "a client id names its session, and two that differ name two [MQTT-3.1.3-2] [MQTT-3.1.3-5] [MQTT-3.1.3-2 of 3.1.1] [MQTT-3.1.3-5 of 3.1.1]",
        arguments: bothVersions)
    func clientIDs(version: ProtocolVersion) {
        let desk = Desk()
        let alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let ids = [
            "a", "A", String(alphabet.prefix(23)), String(alphabet.suffix(23)), "a b", "ä", "日本",
            String(repeating: "x", count: 60_000),
        ]
        for id in ids { #expect(desk.sleeper(id, version: version).connack?.sessionPresent == false) }
        for id in ids { #expect(desk.sleeper(id, version: version).connack?.sessionPresent == true) }
    }

    @Test(
        "an empty client id is replaced by one that nobody has, and 5.0 is told it [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT-3.1.3-6 of 3.1.1]"
    )
    func assigned() {
        let desk = Desk()
        var given: Set<String> = []
        for _ in 0..<50 {
            let client = desk.connected("", expiry: 100)
            given.insert(client.connack?.properties.assignedClientIdentifier ?? "")
        }
        #expect(given.count == 50 && !given.contains(""))
        // It is a client id like any other.
        let id = given.first ?? ""
        let again = desk.connected(id, clean: false)
        #expect(again.connack?.sessionPresent == true)
        #expect(again.connack?.properties.assignedClientIdentifier == nil)
        #expect(desk.connected("", clean: false).connack?.reason == .success)
        #expect(desk.connected("", version: .v311).connack?.reason == .success)
    }

    @Test(
        "3.1.1 refuses an empty client id without Clean Session by 0x02, and closes [MQTT-3.1.3-7 of 3.1.1] [MQTT-3.1.3-8 of 3.1.1] [MQTT-3.1.3-9 of 3.1.1]"
    )
    func emptyKept() {
        let client = Desk().connected("", version: .v311, clean: false)
        #expect(client.received == [0x20, 2, 0, 2] && client.isClosed)
    }

    @Test(
        "silence for one and a half times the keep alive closes, and publishes the will [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-3.1.2-24 of 3.1.1]",
        arguments: allVersions)
    func keepAlive(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("will")
        let client = desk.ready("c", version: version) {
            $0.keepAliveSeconds = 10
            $0.will = WillPacket(topic: "will", payload: "gone")
        }
        for _ in 0..<3 {
            desk.advance(seconds: 14)
            #expect(!client.isClosed)
            client.send(.pingreq)
            #expect(client.take() == [.pingresp])
        }
        desk.advance(seconds: 14.9)
        #expect(!client.isClosed)
        desk.advance(seconds: 0.2)
        #expect(client.wasClosed(with: .keepAliveTimeout))
        #expect(watcher.payloads() == ["gone"])
        // Keep alive 0: never.
        let patient = desk.ready("d", version: version)
        desk.advance(seconds: 1_000_000)
        #expect(!patient.isClosed)
    }

    @Test("a packet that never ends does not keep a connection alive [MQTT-3.1.2-22]")
    func dribble() {
        let desk = Desk()
        let client = desk.ready("c") { $0.keepAliveSeconds = 10 }
        client.send([0x30, 0xFF, 0x7F])
        for _ in 0..<3 {
            desk.advance(seconds: 4)
            client.send([0])
        }
        desk.advance(seconds: 4)
        #expect(client.isClosed)
        // A large one that comes along does.
        let busy = desk.ready("d") { $0.keepAliveSeconds = 10 }
        busy.send([0x30, 0xFF, 0x7F, 0, 1, 0x74])
        for _ in 0..<4 {
            desk.advance(seconds: 9)
            busy.send(Array(repeating: 0, count: 2000))
        }
        #expect(!busy.isClosed)
    }

    @Test(
        "a listener's cap on keep alive is told and kept [MQTT-3.1.2-21] [MQTT-3.2.2-21]",
        arguments: [UInt16(0), 5, 60])
    func serverKeepAlive(asked: UInt16) {
        let desk = Desk()
        let client = desk.connected("c", limits: ConnectionLimits(keepAliveSecondsMax: 20)) {
            $0.keepAliveSeconds = asked
        }
        #expect(client.connack?.properties.serverKeepAlive == (asked == 5 ? nil : 20))
        desk.advance(seconds: asked == 5 ? 7 : 29)
        #expect(!client.isClosed)
        desk.advance(seconds: 2)
        #expect(client.isClosed)
    }

    @Test(
        "an authenticator's refusal is answered and closes; what came after it is not looked at [MQTT-3.1.3-8] [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] [MQTT-3.1.4-5 of 3.1.1] [MQTT-3.2.2-4 of 3.1.1] [MQTT-3.2.2-5 of 3.1.1]",
        arguments: allVersions)
    func refused(version: ProtocolVersion) {
        let desk = Desk()
        let watcher = desk.subscriber("#")
        for (reason, code) in [
            (ReasonCode.badUserNameOrPassword, UInt8(4)), (.notAuthorized, 5), (.serverUnavailable, 3), (.banned, 5),
            (.clientIdentifierNotValid, 2),
        ] {
            let client = desk.client(authenticator: Refusal(reason: reason))
            client.version = version
            client.send(
                Raw.connect(version, flags: 0) + PublishPacket(topic: "t", payload: "x").encoded(version))
            #expect(client.isClosed)
            #expect(client.received == (version == .v5 ? [0x20, 3, 0, reason.rawValue, 0] : [0x20, 2, 0, code]))
        }
        #expect(watcher.payloads() == [])
    }

    @Test(
        "a second connection of a client ends the first, on any shard [MQTT-3.1.4-3] [MQTT-3.1.4-2 of 3.1.1]",
        arguments: allVersions, [0, 1])
    func takeOver(version: ProtocolVersion, shard: Int) {
        let desk = Desk(shards: 2)
        let first = desk.ready("c", version: version)
        let second = desk.ready("c", shard: shard, version: version)
        #expect(first.wasClosed(with: .sessionTakenOver))
        second.send(.pingreq)
        #expect(second.take() == [.pingresp])
    }

    @Test(
        "CONNACK comes first and once, its reserved flags are 0 [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.1.4-4 of 3.1.1] [MQTT-3.2.0-1 of 3.1.1]",
        arguments: allVersions)
    func connackFirst(version: ProtocolVersion) {
        let desk = Desk()
        let away = desk.sleeper("s", version: version)
        away.subscribe("t")
        away.vanish()
        desk.ready("p").publish("t", "x", qos: .atLeastOnce)
        let back = desk.client()
        back.version = version
        var packet = ConnectPacket()
        packet.version = version
        packet.clientID = "s"
        packet.cleanStart = false
        packet.properties.sessionExpiryInterval = version == .v5 ? 10 : nil
        // What the client already asks for is answered after it.
        back.send(packet.encoded() + [0xC0, 0])
        #expect(back.received.first == 0x20 && back.received[2] == 1)
        #expect(back.packets.count == 3)
        let connacks = back.packets.filter { if case .connack = $0 { true } else { false } }
        #expect(connacks.count == 1)
    }

    @Test(
        "Request Response Information is answered with nothing, asked or not [MQTT-3.1.2-28]", arguments: [UInt8(0), 1])
    func responseInformation(asked: UInt8) {
        let client = Desk().connected("c") { $0.properties.requestResponseInformation = asked }
        #expect(client.connack?.reason == .success)
        #expect(client.connack?.properties.responseInformation == nil)
    }

    @Test(
        "with Request Problem Information 0 there are no reason strings; without it they say why [MQTT-3.1.2-29] [MQTT-3.9.3-2]",
        arguments: [UInt8?.none, 0, 1])
    func problemInformation(asked: UInt8?) {
        let desk = Desk()
        let client = desk.ready("c") { $0.properties.requestProblemInformation = asked }
        client.subscribe(["ok", Array(repeating: "x", count: 300).joined(separator: "/")])
        #expect(client.suback?.reasons == [.grantedQoS2, .topicFilterInvalid])
        #expect((client.suback?.properties.reasonString != nil) == (asked != 0))
        client.send(Raw.subscribe(.v5, filter: Array("a/#/b".utf8)))
        #expect((client.disconnect?.properties.reasonString != nil) == (asked != 0))
    }
}

/// Lets nobody in.
struct Refusal: Authenticator {
    let reason: ReasonCode
    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision { .refuse(reason) }
    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? { .refuse(reason) }
}
