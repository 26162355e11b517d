import Bus
import Model
import Testing

@testable import BrokerCore

/// One packet of every type with every property it may carry.
enum Samples {
    static func properties(_ context: PropertyContext) -> Properties {
        var all = Properties()
        func has(_ id: PropertyID) -> Bool { id.allowedContexts & context.bit != 0 }
        if has(.payloadFormatIndicator) { all.payloadFormatIndicator = 1 }
        if has(.messageExpiryInterval) { all.messageExpiryInterval = 77 }
        if has(.contentType) { all.contentType = "text/plain" }
        if has(.responseTopic) { all.responseTopic = "reply/here" }
        if has(.correlationData) { all.correlationData = Bytes([0, 1, 255]) }
        if has(.subscriptionIdentifier) { all.subscriptionIdentifiers = [context == .publish ? 1 : 268_435_455] }
        if has(.sessionExpiryInterval) { all.sessionExpiryInterval = .max }
        if has(.assignedClientIdentifier) { all.assignedClientIdentifier = "given" }
        if has(.serverKeepAlive) { all.serverKeepAlive = 30 }
        if has(.authenticationMethod) { all.authenticationMethod = "SCRAM" }
        if has(.authenticationData) { all.authenticationData = Bytes([9]) }
        if has(.requestProblemInformation) { all.requestProblemInformation = 0 }
        if has(.willDelayInterval) { all.willDelayInterval = 5 }
        if has(.requestResponseInformation) { all.requestResponseInformation = 1 }
        if has(.responseInformation) { all.responseInformation = "info" }
        if has(.serverReference) { all.serverReference = "other:1883" }
        if has(.reasonString) { all.reasonString = "weil — nun" }
        if has(.receiveMaximum) { all.receiveMaximum = 20 }
        if has(.topicAliasMaximum) { all.topicAliasMaximum = 10 }
        if has(.topicAlias) { all.topicAlias = 3 }
        if has(.maximumQoS) { all.maximumQoS = 1 }
        if has(.retainAvailable) { all.retainAvailable = 0 }
        all.userProperties = [UserProperty("a", "1"), UserProperty("a", "2")]
        if has(.maximumPacketSize) { all.maximumPacketSize = 1000 }
        if has(.wildcardSubscriptionAvailable) { all.wildcardSubscriptionAvailable = 1 }
        if has(.subscriptionIdentifierAvailable) { all.subscriptionIdentifierAvailable = 0 }
        if has(.sharedSubscriptionAvailable) { all.sharedSubscriptionAvailable = 1 }
        return all
    }

    static func packets(_ version: ProtocolVersion) -> [Packet] {
        func with(_ context: PropertyContext) -> Properties { version == .v5 ? properties(context) : Properties() }
        var connect = ConnectPacket()
        connect.version = version
        connect.clientID = "client-Ω"
        connect.keepAliveSeconds = 300
        connect.cleanStart = false
        connect.username = "user"
        connect.password = Bytes([0, 200])
        connect.properties = with(.connect)
        connect.will = WillPacket(
            topic: "will/topic", payload: "bye", qos: .exactlyOnce, retain: true, properties: with(.will))
        let acknowledge = AcknowledgePacket(
            packetID: 65_535, reason: version == .v5 ? .quotaExceeded : .success, properties: with(.puback))
        let release = AcknowledgePacket(
            packetID: 1, reason: version == .v5 ? .packetIdentifierNotFound : .success, properties: with(.pubrel))
        var packets: [Packet] = [
            .connect(connect),
            .connack(ConnackPacket(sessionPresent: true, reason: .success, properties: with(.connack))),
            .publish(PublishPacket(topic: "a/b", payload: Bytes(), properties: with(.publish))),
            .publish(
                PublishPacket(
                    topic: "ä/b", payload: Bytes(Array(repeating: 7, count: 300)), qos: .exactlyOnce, retain: true,
                    isDuplicate: true, packetID: 258, properties: with(.publish))),
            .puback(acknowledge), .pubrec(acknowledge), .pubrel(release), .pubcomp(release),
            .subscribe(
                SubscribePacket(
                    packetID: 10,
                    entries: [
                        .init("a/#", SubscriptionOptions(qos: .exactlyOnce)),
                        .init(
                            "$share/g/+",
                            version == .v5
                                ? SubscriptionOptions(qos: .atLeastOnce, retainAsPublished: true, retainHandling: 2)
                                : SubscriptionOptions(qos: .atLeastOnce)),
                    ], properties: with(.subscribe))),
            .suback(
                SubscribeAcknowledgePacket(
                    packetID: 10, reasons: [.grantedQoS2, .unspecifiedError], properties: with(.suback))),
            .unsubscribe(UnsubscribePacket(packetID: 11, filters: ["a/#", "b"], properties: with(.unsubscribe))),
            .unsuback(
                SubscribeAcknowledgePacket(
                    packetID: 11, reasons: version == .v5 ? [.success, .noSubscriptionExisted] : [],
                    properties: with(.unsuback))),
            .pingreq, .pingresp,
            .disconnect(
                ReasonPacket(reason: version == .v5 ? .serverMoved : .success, properties: with(.disconnect))),
        ]
        if version == .v5 {
            packets.append(.auth(ReasonPacket(reason: .continueAuthentication, properties: with(.auth))))
        }
        return packets
    }
}

func decode(_ bytes: [UInt8], _ version: ProtocolVersion = .v5, max: Int = 1 << 20) throws(CodecError) -> (Packet, Int)?
{
    var failure: CodecError?
    let result = bytes.withUnsafeBytes { raw -> (Packet, Int)? in
        do throws(CodecError) { return try Packet.decode(raw, version: version, packetBytesMax: max) } catch {
            failure = error
            return nil
        }
    }
    if let failure { throw failure }
    return result
}

func reason(_ bytes: [UInt8], _ version: ProtocolVersion = .v5, max: Int = 1 << 20) -> ReasonCode? {
    do throws(CodecError) {
        _ = try decode(bytes, version, max: max)
        return nil
    } catch { return error.reason }
}

@Suite("MQTT codec")
struct CodecTests {
    @Test(
        "every packet with every property reads back as it was written", arguments: [ProtocolVersion.v311, .v31, .v5])
    func roundTrip(version: ProtocolVersion) throws {
        for packet in Samples.packets(version) {
            let bytes = packet.encoded(version)
            let (read, count) = try #require(try decode(bytes, version))
            #expect(read == packet)
            #expect(count == bytes.count)
        }
    }

    @Test("a packet cut off at any length is incomplete, never read and never beyond its end")
    func truncation() throws {
        for version in [ProtocolVersion.v311, .v5] {
            for packet in Samples.packets(version) {
                let bytes = packet.encoded(version)
                for length in 0..<bytes.count { #expect(try decode(Array(bytes[..<length]), version) == nil) }
            }
        }
    }

    @Test("a body cut off while its length says so is refused or a shorter packet, and never a crash")
    func shortBodies() {
        for version in [ProtocolVersion.v311, .v5] {
            for packet in Samples.packets(version) {
                var body = packet.encoded(version)
                let first = body[0]
                body.removeFirst(1 + FixedHeader.lengthCount(body.count - 2 < 128 ? body.count - 2 : body.count - 3))
                for length in 0..<body.count {
                    var writer = FieldWriter()
                    writer.byte(first)
                    writer.variable(length)
                    _ = reason(writer.bytes + body[..<length], version)
                }
            }
        }
    }

    @Test("flags that the standard fixes must be so [MQTT-2.1.3-1]")
    func fixedFlags() {
        #expect(reason([0x10 | 1, 0]) == .malformedPacket)
        #expect(reason([0x62, 2, 0, 1]) == nil)
        #expect(reason([0x60, 2, 0, 1]) == .malformedPacket)
        #expect(reason([0x80, 6, 0, 1, 0, 1, 97, 0]) == .malformedPacket)
        #expect(reason([0xC1, 0]) == .malformedPacket)
        #expect(reason([0x00, 0]) == .malformedPacket)
    }

    @Test("QoS 3 and DUP with QoS 0 are malformed [MQTT-3.3.1-4] [MQTT-3.3.1-2]")
    func publishFlags() {
        #expect(reason([0x36, 6, 0, 1, 97, 0, 1, 0]) == .malformedPacket)
        #expect(reason([0x38, 4, 0, 1, 97, 0]) == .malformedPacket)
    }

    @Test("a remaining length of more than four bytes is malformed, one beyond the limit too large")
    func lengths() {
        #expect(reason([0x30, 0x80, 0x80, 0x80, 0x80, 1]) == .malformedPacket)
        #expect(reason([0x30, 0xFF, 0xFF, 0xFF, 0x7F], max: 1000) == .packetTooLarge)
        #expect(reason([0x30, 0xE8, 0x07], max: 1003) == nil)
        #expect(reason([0x30, 0xE9, 0x07], max: 1003) == .packetTooLarge)
    }

    @Test("packet identifier 0 is refused [MQTT-2.2.1-3]")
    func packetIDs() {
        #expect(reason([0x32, 6, 0, 1, 97, 0, 0, 0]) == .protocolError)
        #expect(reason([0x40, 2, 0, 0]) == .protocolError)
        #expect(reason([0x82, 7, 0, 0, 0, 0, 1, 97, 0]) == .protocolError)
    }

    @Test("strings must be UTF-8 without U+0000 and surrogates [MQTT-1.5.4-1] [MQTT-1.5.4-2]")
    func strings() {
        func publish(_ topic: [UInt8]) -> ReasonCode? {
            reason([0x30, UInt8(topic.count + 3), 0, UInt8(topic.count)] + topic + [0])
        }
        #expect(publish(Array("grün/日本/🙂 and some more text".utf8)) == nil)
        #expect(publish([97, 0]) == .malformedPacket)
        #expect(publish([97, 98, 99, 100, 101, 102, 103, 0, 104]) == .malformedPacket)
        #expect(publish([0xED, 0xA0, 0x80]) == .malformedPacket)
        #expect(publish([0xC0, 0x80]) == .malformedPacket)
        #expect(publish([0xE0, 0x9F, 0xBF]) == .malformedPacket)
        #expect(publish([0xF4, 0x90, 0x80, 0x80]) == .malformedPacket)
        #expect(publish([0xE2, 0x82]) == .malformedPacket)
        #expect(publish([0xFF]) == .malformedPacket)
    }

    @Test("UTF-8 is judged as the standard library judges it")
    func utf8AgainstLibrary() {
        var random = SplitMix64(seed: 11)
        for _ in 0..<20_000 {
            let count = Int(random.next() % 12)
            let bytes = (0..<count).map { _ -> UInt8 in
                let pick = random.next()
                return pick % 3 == 0 ? UInt8(pick >> 8 & 0x7F) | 1 : UInt8(truncatingIfNeeded: pick >> 16)
            }
            let expected = !bytes.contains(0) && String(validating: bytes, as: UTF8.self) != nil
            #expect(bytes.withUnsafeBytes { UTF8Check.isValid($0, allowsNull: false) } == expected)
        }
    }

    @Test("a topic with a wildcard cannot be published to [MQTT-3.3.2-2]")
    func wildcardTopic() {
        #expect(reason([0x30, 4, 0, 1, UInt8(ascii: "#"), 0]) == .malformedPacket)
        #expect(reason([0x30, 4, 0, 1, UInt8(ascii: "+"), 0]) == .malformedPacket)
    }

    @Test("a property is refused where it does not belong, and accepted where it does")
    func propertyPlaces() {
        for context in PropertyContext.allCases {
            for id in PropertyID.allCases {
                let result = read(Self.encoded(id), context)
                if id.allowedContexts & context.bit != 0 {
                    // Two depend on another one.
                    let dependent = id == .authenticationData || (context == .auth && id != .authenticationMethod)
                    #expect(result == (dependent ? .protocolError : nil), "\(id) in \(context)")
                } else {
                    #expect(result == .protocolError, "\(id) in \(context)")
                }
            }
        }
    }

    @Test("a second property is refused unless it may repeat")
    func propertyTwice() {
        for context in PropertyContext.allCases where context != .auth {
            for id in PropertyID.allCases where id.allowedContexts & context.bit != 0 && id != .authenticationData {
                let twice = Self.encoded(id) + Self.encoded(id)
                #expect(
                    read(twice, context) == (id.mayRepeat(in: context) ? nil : .protocolError), "\(id) in \(context)")
            }
        }
    }

    @Test("an unknown property is malformed; values that are not allowed are protocol errors")
    func propertyValues() {
        #expect(read([0x7E, 1], .publish) == .malformedPacket)
        #expect(read([0x01, 2], .publish) == .protocolError)
        #expect(read([0x21, 0, 0], .connect) == .protocolError)
        #expect(read([0x27, 0, 0, 0, 0], .connect) == .protocolError)
        #expect(read([0x0B, 0], .subscribe) == .protocolError)
        #expect(read([0x23, 0, 0], .publish) == .topicAliasInvalid)
        #expect(read([0x24, 2], .connack) == .protocolError)
        #expect(read([0x08, 0, 1, UInt8(ascii: "#")], .publish) == .protocolError)
        #expect(read([0x02, 0, 0], .publish) == .malformedPacket)
    }

    @Test("CONNECT is checked: name, version, reserved flag, will flags, password")
    func connect() {
        func connect(name: String = "MQTT", level: UInt8 = 4, flags: UInt8 = 2, tail: [UInt8] = []) -> ReasonCode? {
            var writer = FieldWriter()
            writer.string(name)
            writer.byte(level)
            writer.byte(flags)
            writer.uint16(0)
            if level == 5 { writer.byte(0) }
            writer.string("id")
            writer.raw(tail)
            return reason(writer.frame(.connect))
        }
        #expect(connect() == nil)
        #expect(connect(level: 5) == nil)
        #expect(connect(name: "MQIsdp", level: 3) == nil)
        #expect(connect(level: 6) == .unsupportedProtocolVersion)
        #expect(connect(name: "MQTX") == .protocolError)
        #expect(connect(flags: 3) == .malformedPacket)
        #expect(connect(flags: 0x1C | 2) == .malformedPacket)
        #expect(connect(flags: 0x08 | 2) == .malformedPacket)
        #expect(connect(flags: 0x42) == .malformedPacket)
        #expect(connect(tail: [1]) == .malformedPacket)
    }

    @Test("SUBSCRIBE needs a filter and options without reserved bits [MQTT-3.8.3-2] [MQTT-3.8.3-5]")
    func subscribe() {
        #expect(reason([0x82, 3, 0, 1, 0]) == .protocolError)
        #expect(reason([0x82, 7, 0, 1, 0, 0, 1, 97, 0x40]) == .malformedPacket)
        #expect(reason([0x82, 7, 0, 1, 0, 0, 1, 97, 3]) == .malformedPacket)
        #expect(reason([0x82, 7, 0, 1, 0, 0, 1, 97, 0x30]) == .protocolError)
        #expect(reason([0x82, 6, 0, 1, 0, 1, 97, 4], .v311) == .malformedPacket)
        #expect(reason([0xA2, 3, 0, 1, 0]) == .protocolError)
    }

    @Test("an acknowledgement may leave out reason and properties, and refuses reasons of other packets")
    func acknowledgements() throws {
        #expect(try decode([0x40, 2, 0, 5])?.0 == .puback(AcknowledgePacket(packetID: 5)))
        #expect(
            try decode([0x40, 3, 0, 5, 0x10])?.0
                == .puback(AcknowledgePacket(packetID: 5, reason: .noMatchingSubscribers)))
        #expect(reason([0x40, 3, 0, 5, 0x8E]) == .protocolError)
        #expect(reason([0x62, 3, 0, 5, 0x10]) == .protocolError)
        #expect(reason([0x40, 3, 0, 5, 0], .v311) == .malformedPacket)
        #expect(try decode([0xE0, 0])?.0 == .disconnect(ReasonPacket()))
        #expect(reason([0xF0, 0], .v311) == .protocolError)
    }

    private func read(_ properties: [UInt8], _ context: PropertyContext) -> ReasonCode? {
        var writer = FieldWriter()
        writer.variable(properties.count)
        writer.raw(properties)
        return writer.bytes.withUnsafeBytes { bytes in
            var reader = FieldReader(bytes)
            do throws(CodecError) {
                _ = try Properties(&reader, in: context)
                return nil
            } catch { return error.reason }
        }
    }

    private static func encoded(_ id: PropertyID) -> [UInt8] {
        switch id {
        case .payloadFormatIndicator, .requestProblemInformation, .requestResponseInformation, .maximumQoS,
            .retainAvailable, .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable,
            .sharedSubscriptionAvailable, .subscriptionIdentifier:
            [id.rawValue, 1]
        case .messageExpiryInterval, .sessionExpiryInterval, .willDelayInterval, .maximumPacketSize:
            [id.rawValue, 0, 0, 1, 0]
        case .serverKeepAlive, .receiveMaximum, .topicAliasMaximum, .topicAlias: [id.rawValue, 0, 5]
        case .userProperty: [id.rawValue, 0, 1, 97, 0, 1, 98]
        default: [id.rawValue, 0, 1, 97]
        }
    }
}
