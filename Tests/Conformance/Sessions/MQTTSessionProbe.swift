import BrokerCore
import Bus
import Model

/// What must hold whatever clients do to a broker, in whatever order: run by the fuzzer on any bytes, and by the tests
/// on the seeds and on seeded noise.
///
/// The input is read as a script. A letter is what happens, the characters after it (their lower bits) say to whom and
/// how; spaces and line ends between are skipped, `#` begins a comment, so that seeds can be read and written by people:
///
///     c SLOT ID HOW LIMITS   a connection in SLOT for client ID: clean start, version, will; its limits
///     s SLOT FILTER OPTIONS  SUBSCRIBE          u SLOT FILTER   UNSUBSCRIBE
///     p SLOT TOPIC HOW       PUBLISH: QoS, retain, expiry, alias
///     r SLOT                 PUBREL for all that SLOT published
///     a SLOT COUNT           acknowledges the COUNT oldest messages by one step
///     x SLOT TYPE ID         an acknowledgement that nobody waits for
///     g SLOT COUNT BYTES     bytes as they are
///     d SLOT HOW             DISCONNECT         v SLOT          the network fails
///     w SLOT HOW             the network takes no more, or takes more
///     q SLOT                 PINGREQ            t TIME          time passes
///     h HOW                  the log holds what it gets, or has stored it
///     l                      lets everything run
package enum MQTTSessionProbe {
    private static let filters = [
        "t/0", "t/+", "#", "t/#", "$share/g/t/0", "$share/g/#", "+/1", "$SYS/x", "u", "$share/h/t/+", "t/0/deep", "+",
    ]
    private static let topics = ["t/0", "t/1", "u", "$x/y", "t/0/deep", "$SYS/x", "", "t/+"]
    private static let seconds: [Int64] = [1, 2, 5, 11, 31, 61, 1000, 0]

    /// Traps if an invariant does not hold.
    package static func run(_ bytes: some Sequence<UInt8>) {
        var script = Script(bytes: Array(bytes))
        let world = ProbeWorld(shards: script.bytes.count % 2 + 1)
        var slots: [ProbeClient?] = Array(repeating: nil, count: 4)
        var all: [ProbeClient] = []
        while let operation = script.nextOperation() {
            step(operation, &script, world, &slots, &all)
        }
        world.hold(false)
        world.settle()
        for client in all { client.checkSettled() }
        for client in all where !client.isClosed { client.vanish() }
        world.settle()
        for id in 0..<4 {
            var connect = ConnectPacket()
            connect.clientID = "c\(id)"
            let last = ProbeClient(world, shard: world.exchange.shards[0], connect: connect)
            world.settle()
            if !last.isConnected { world.fail("client \(id) cannot connect any more") }
            last.leave(.success)
            world.settle()
        }
        world.checkEmpty()
        world.exchange.dissolve()
    }

    private static func step(
        _ operation: UInt8, _ script: inout Script, _ world: ProbeWorld, _ slots: inout [ProbeClient?],
        _ all: inout [ProbeClient]
    ) {
        switch operation {
        case UInt8(ascii: "l"):
            world.settle()
            if !world.isHeld { for client in all { client.checkSettled() } }
            all.removeAll { $0.isClosed }
            return
        case UInt8(ascii: "h"):
            world.hold(script.next(2) == 1)
            return
        case UInt8(ascii: "t"):
            world.advance(seconds: seconds[script.next(8)])
            return
        default: break
        }
        let slot = script.next(4)
        if operation == UInt8(ascii: "c") {
            let client = connect(&script, world)
            slots[slot] = client
            all.append(client)
            return
        }
        guard let client = slots[slot] else { return }
        act(operation, &script, world, client)
    }

    private static func act(_ operation: UInt8, _ script: inout Script, _ world: ProbeWorld, _ client: ProbeClient) {
        switch operation {
        case UInt8(ascii: "s"):
            let filter = filters[script.next(filters.count)]
            let how = script.next(64)
            let isShared = filter.hasPrefix("$share")
            client.subscribe(
                filter,
                SubscriptionOptions(
                    qos: QoS(rawValue: UInt8(how % 3)) ?? .atMostOnce, noLocal: how & 4 != 0 && !isShared,
                    retainAsPublished: how & 8 != 0, retainHandling: UInt8(how / 16 % 3)), identifier: UInt32(how / 8))
        case UInt8(ascii: "u"): client.unsubscribe(filters[script.next(filters.count)])
        case UInt8(ascii: "p"): publish(&script, world, client)
        case UInt8(ascii: "r"): client.release()
        case UInt8(ascii: "a"): client.acknowledge(script.next(8) + 1)
        case UInt8(ascii: "x"):
            client.taint()
            let type = UInt8(script.next(4)) + PacketType.puback.rawValue
            client.push([type << 4 | (type == PacketType.pubrel.rawValue ? 2 : 0), 2, 0, UInt8(script.next(16))])
        case UInt8(ascii: "g"):
            client.taint()
            let count = script.next(32)
            client.push((0..<count).map { _ in script.byte() })
        case UInt8(ascii: "d"):
            client.leave(script.next(2) == 0 ? .success : .disconnectWithWill)
        case UInt8(ascii: "v"): client.vanish()
        case UInt8(ascii: "w"): client.setWritable(script.next(2) == 1)
        case UInt8(ascii: "q"): client.ping()
        default: break
        }
    }

    private static func publish(_ script: inout Script, _ world: ProbeWorld, _ client: ProbeClient) {
        let topic = topics[script.next(topics.count)]
        let how = script.next(64)
        let alias: UInt16? = how & 32 != 0 ? UInt16(how % 4) : nil
        if topic.isEmpty || topic == "t/+" || alias == 0 || alias == 3 { client.taint() }
        client.publish(
            topic, serial: world.makeSerial(topic, retain: how & 8 != 0),
            qos: QoS(rawValue: UInt8(how % 3)) ?? .atMostOnce,
            retain: how & 8 != 0, expiry: how & 16 != 0 ? 5 : nil, alias: alias)
    }

    private static func connect(_ script: inout Script, _ world: ProbeWorld) -> ProbeClient {
        var packet = ConnectPacket()
        packet.clientID = "c\(script.next(4))"
        let (how, limits) = (script.next(64), script.next(64))
        packet.version = [.v5, .v5, .v311, .v31][how % 4]
        packet.cleanStart = how & 4 != 0
        packet.keepAliveSeconds = how & 32 != 0 ? 10 : 0
        if how & 8 != 0 {
            packet.will = WillPacket(
                topic: topics[limits % 2], payload: "will", qos: QoS(rawValue: UInt8(limits % 3)) ?? .atMostOnce,
                retain: limits & 4 != 0)
        }
        if packet.version == .v5 {
            packet.properties.sessionExpiryInterval = how & 16 != 0 ? 30 : nil
            if how & 8 != 0, limits & 8 != 0 { packet.will?.properties.willDelayInterval = 10 }
            packet.properties.receiveMaximum = [nil, 1, 2, 5][limits % 4]
            packet.properties.maximumPacketSize = [nil, 24, 40, 1000][limits / 4 % 4]
            packet.properties.topicAliasMaximum = [nil, 0, 1, 2][limits / 16 % 4]
        }
        let shards = world.exchange.shards
        return ProbeClient(world, shard: shards[limits / 2 % shards.count], connect: packet)
    }
}

/// The input, character by character.
private struct Script {
    let bytes: [UInt8]
    private var index = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func byte() -> UInt8 {
        guard index < bytes.count else { return 0 }
        defer { index += 1 }
        return bytes[index]
    }

    /// A number below `count` from the lower bits of the next character that is no space.
    mutating func next(_ count: Int) -> Int {
        skip()
        return Int(byte() & 0x3F) % 48 % count
    }

    mutating func nextOperation() -> UInt8? {
        skip()
        return index < bytes.count ? byte() : nil
    }

    private mutating func skip() {
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "#") {
                while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
            } else if bytes[index] == UInt8(ascii: " ") || bytes[index] == UInt8(ascii: "\n") {
                index += 1
            } else {
                return
            }
        }
    }
}
