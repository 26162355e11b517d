import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("MQTT 1 and 2: representation and packet format")
struct Chapter1And2Tests {
    /// Every place where a client's string can stand.
    private static func placements(_ version: ProtocolVersion, _ bad: [UInt8]) -> [[UInt8]] {
        var packets = [
            Raw.publish(version, topic: bad), Raw.subscribe(version, filter: bad),
            Raw.unsubscribe(version, filter: bad),
        ]
        if version == .v5 {
            let pair: [UInt8] = Raw.string("k")
            packets.append(Raw.publish(.v5, topic: [0x74], properties: [0x26] + Raw.string(bad) + pair))
            packets.append(Raw.publish(.v5, topic: [0x74], properties: [0x26] + pair + Raw.string(bad)))
            packets.append(Raw.publish(.v5, topic: [0x74], properties: [0x03] + Raw.string(bad)))
        }
        return packets
    }

    @Test(
        "ill-formed UTF-8, surrogates and U+0000 are malformed in every string [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] [MQTT-1.5.3-1 of 3.1.1] [MQTT-1.5.3-2 of 3.1.1] [MQTT-3.8.3-1 of 3.1.1] [MQTT-3.10.3-1 of 3.1.1] [MQTT-4.7.3-2 of 3.1.1]",
        arguments: bothVersions)
    func badStrings(version: ProtocolVersion) {
        let desk = Desk()
        for bad in Raw.badStrings {
            for packet in Self.placements(version, bad) {
                let client = desk.ready("c", version: version)
                client.send(packet)
                #expect(client.wasClosed(with: .malformedPacket), "\(packet)")
            }
        }
    }

    @Test(
        "ill-formed strings in CONNECT close without an answer: client id, will topic, user name [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.1.3-4 of 3.1.1] [MQTT-3.1.3-10 of 3.1.1] [MQTT-3.1.3-11 of 3.1.1]",
        arguments: bothVersions)
    func badConnectStrings(version: ProtocolVersion) {
        let desk = Desk()
        let none = Raw.properties(version)
        for bad in Raw.badStrings {
            let payloads: [(UInt8, [UInt8])] = [
                (2, Raw.string(bad)), (6, Raw.string("c") + none + Raw.string(bad) + Raw.string("m")),
                (0x82, Raw.string("c") + Raw.string(bad)),
            ]
            for (flags, payload) in payloads {
                let client = desk.raw(Raw.connect(version, flags: flags, payload: payload), version: version)
                #expect(client.isClosed && client.packets.isEmpty)
            }
        }
    }

    @Test("EF BB BF is kept as the character it is [MQTT-1.5.4-3] [MQTT-1.5.3-3 of 3.1.1]", arguments: bothVersions)
    func byteOrderMark(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("\u{FEFF}a", version: version)
        let publisher = desk.ready("p", version: version)
        publisher.publish("\u{FEFF}a", "with")
        publisher.publish("a", "without")
        let got = subscriber.messages()
        #expect(got.map { $0.payload.string } == ["with"])
        #expect(got.map { Array($0.topic.utf8) } == [[0xEF, 0xBB, 0xBF, 0x61]])
    }

    @Test("variable byte integers are read and written in their shortest form only [MQTT-1.5.5-1]")
    func variableByteIntegers() {
        for (value, bytes) in [
            (0, [0]), (127, [0x7F]), (128, [0x80, 1]), (16_383, [0xFF, 0x7F]), (16_384, [0x80, 0x80, 1]),
            (2_097_151, [0xFF, 0xFF, 0x7F]), (2_097_152, [0x80, 0x80, 0x80, 1]),
            (268_435_455, [0xFF, 0xFF, 0xFF, 0x7F]),
        ] as [(Int, [UInt8])] {
            var writer = FieldWriter()
            writer.variable(value)
            #expect(writer.bytes == bytes)
        }
        let desk = Desk()
        // A property length, and an identifier of a subscription, longer than need be.
        for packet in [
            Raw.frame(0x30, Raw.string("t") + [0x80, 0]),
            Raw.frame(0x82, [0, 1, 3, 0x0B, 0x81, 0] + Raw.string("t") + [0]),
        ] {
            let client = desk.ready("c")
            client.send(packet)
            #expect(client.wasClosed(with: .malformedPacket))
        }
        // A remaining length is taken, and passed on in its shortest form.
        let subscriber = desk.subscriber("t")
        desk.ready("p").send([0x30, 0x84, 0x00] + Raw.string("t") + [0])
        #expect(subscriber.received.suffix(6) == [0x30, 0x04, 0, 1, 0x74, 0])
    }

    @Test(
        "reserved flags of every packet type must have their values [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT-2.2.2-1 of 3.1.1] [MQTT-2.2.2-2 of 3.1.1] [MQTT-3.6.1-1 of 3.1.1] [MQTT-3.8.1-1 of 3.1.1] [MQTT-3.10.1-1 of 3.1.1] [MQTT-3.14.1-1 of 3.1.1]",
        arguments: bothVersions)
    func reservedFlags(version: ProtocolVersion) {
        let desk = Desk()
        let types: [PacketType] = [
            .puback, .pubrec, .pubrel, .pubcomp, .subscribe, .unsubscribe, .pingreq, .disconnect, .auth,
        ]
        for type in types {
            for flags in UInt8(0)...15 where flags != type.requiredFlags {
                let client = desk.ready("c", version: version)
                client.send(Raw.frame(type.rawValue << 4 | flags, [0, 1]))
                #expect(client.wasClosed(with: .malformedPacket), "\(type) with flags \(flags)")
            }
        }
        for flags in UInt8(1)...15 {
            var bytes = Raw.connect(version)
            bytes[0] |= flags
            #expect(desk.raw(bytes).isClosed)
        }
    }

    @Test(
        "packet type 0, and types that only servers send, close the connection [MQTT-4.13.1-1]", arguments: bothVersions
    )
    func serverTypes(version: ProtocolVersion) {
        let desk = Desk()
        for (first, reason) in [
            (UInt8(0x00), ReasonCode.malformedPacket), (0x20, .protocolError), (0x90, .protocolError),
            (0xB0, .protocolError), (0xD0, .protocolError),
        ] {
            let client = desk.ready("c", version: version)
            client.send(Raw.frame(first, [0, 1]))
            #expect(client.wasClosed(with: reason))
        }
    }

    @Test(
        "a QoS 0 PUBLISH has no packet identifier, neither read nor written [MQTT-2.2.1-2] [MQTT-2.3.1-5 of 3.1.1]",
        arguments: bothVersions)
    func noIdentifier(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("t", qos: .atMostOnce, version: version)
        let publisher = desk.ready("p", version: version)
        // What would be an identifier is payload.
        publisher.send(Raw.publish(version, topic: [0x74], payload: [0, 9]))
        publisher.publish("t", "x", qos: .exactlyOnce, id: 300)
        let got = subscriber.messages()
        #expect(got.map(\.payload) == [Bytes([0, 9]), "x"])
        #expect(got.map(\.packetID) == [0, 0])
    }

    @Test(
        "packet identifier 0 is refused in PUBLISH, SUBSCRIBE, UNSUBSCRIBE and acknowledgements [MQTT-2.2.1-3] [MQTT-2.3.1-1 of 3.1.1]",
        arguments: bothVersions)
    func identifierZero(version: ProtocolVersion) {
        let desk = Desk()
        let none = Raw.properties(version)
        for packet in [
            Raw.frame(0x32, Raw.string("t") + [0, 0] + none), Raw.frame(0x34, Raw.string("t") + [0, 0] + none),
            Raw.frame(0x82, [0, 0] + none + Raw.string("t") + [0]), Raw.frame(0xA2, [0, 0] + none + Raw.string("t")),
            Raw.frame(0x40, [0, 0]), Raw.frame(0x62, [0, 0]),
        ] {
            let client = desk.ready("c", version: version)
            client.send(packet)
            #expect(client.wasClosed(with: .protocolError), "\(packet)")
        }
    }

    @Test(
        "what the server sends has identifiers that nothing in flight has, also after 65,535 of them [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-2.3.1-4 of 3.1.1] [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1]",
        arguments: bothVersions)
    func freshIdentifiers(version: ProtocolVersion) {
        let desk = Desk()
        let subscriber = desk.subscriber("t", qos: .exactlyOnce, version: version)
        let publisher = desk.ready("p", version: version)
        publisher.publish("t", "held", qos: .atLeastOnce)
        let held = subscriber.messages().map(\.packetID)
        #expect(held == [1])
        var inFlight: Set<UInt16> = []
        for round in 0..<700 {
            publisher.send(
                (1...100).flatMap {
                    PublishPacket(topic: "t", payload: "x", qos: .atLeastOnce, packetID: $0).encoded(version)
                })
            let got = subscriber.messages()
            // The window stays open only as wide as the identifiers between the held one and the newest allow.
            inFlight = Set(got.map(\.packetID))
            #expect(inFlight.count == got.count && !inFlight.contains(0) && !inFlight.contains(1))
            for id in inFlight { subscriber.ack(.puback, id) }
            if got.isEmpty {
                #expect(round > 300)
                break
            }
            _ = publisher.take()
        }
    }

    @Test(
        "acknowledgements repeat the identifier of what they answer [MQTT-2.2.1-5] [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.10.4-5] [MQTT-2.3.1-6 of 3.1.1] [MQTT-2.3.1-7 of 3.1.1] [MQTT-3.8.4-2 of 3.1.1] [MQTT-3.10.4-4 of 3.1.1]",
        arguments: bothVersions, [UInt16(1), 255, 256, 65_535])
    func sameIdentifier(version: ProtocolVersion, id: UInt16) {
        let desk = Desk()
        let client = desk.ready("c", version: version)
        client.publish("t", "x", qos: .atLeastOnce, id: id)
        client.publish("t", "x", qos: .exactlyOnce, id: id)
        client.ack(.pubrel, id)
        client.subscribe(["t"], id: id)
        client.unsubscribe(["t"], id: id)
        let ids = client.take().map { packet -> UInt16 in
            switch packet {
            case .puback(let answer), .pubrec(let answer), .pubcomp(let answer): answer.packetID
            case .suback(let answer), .unsuback(let answer): answer.packetID
            default: 0
            }
        }
        #expect(ids == [id, id, id, id, id])
    }

    @Test("a packet without properties has property length 0 [MQTT-2.2.2-1]")
    func noProperties() {
        let desk = Desk()
        let subscriber = desk.subscriber("t")
        desk.ready("p").publish("t", "x")
        #expect(subscriber.received.suffix(7) == [0x30, 0x05, 0, 1, 0x74, 0, 0x78])
        subscriber.unsubscribe(["t"], id: 7)
        #expect(subscriber.received.suffix(6) == [0xB0, 4, 0, 7, 0, 0])
    }

    @Test("a property is allowed in its packets only, once, with its values [MQTT-4.13.1-1]")
    func propertyRules() {
        let desk = Desk()
        // Unknown, of another packet, twice, a flag that is neither 0 nor 1.
        for (list, reason) in [
            ([0x7E, 0], ReasonCode.malformedPacket), ([0x21, 0, 1], .protocolError), ([1, 1, 1, 1], .protocolError),
            ([1, 2], .protocolError), ([0x23, 0, 0], .topicAliasInvalid), ([2, 0, 0], .malformedPacket),
        ] as [([UInt8], ReasonCode)] {
            let client = desk.ready("c")
            client.send(Raw.publish(.v5, topic: [0x74], properties: list))
            #expect(client.wasClosed(with: reason), "\(list)")
        }
        for list in [[0x21, 0, 0], [0x27, 0, 0, 0, 0], [0x17, 2], [0x23, 0, 1], [0x16, 0, 0]] as [[UInt8]] {
            let client = desk.raw(Raw.connect(properties: list))
            #expect(client.isClosed && client.packets.isEmpty, "\(list)")
        }
    }
}
