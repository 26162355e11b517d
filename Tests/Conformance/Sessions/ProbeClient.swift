import Bus
import BrokerCore
import Model
import NIOCore

/// One connection of the probe: sends what the input says, and holds the server to its part.
final class ProbeClient: Transport {
    struct Arrival {
        var qos: QoS
        /// What the payload says; nil for a will.
        var serial: Int?
        var isReceived = false
        var isReleased = false
    }

    struct Debt: Hashable {
        var type: PacketType
        var id: UInt16
    }

    let world: ProbeWorld
    let clientID: String
    let version: ProtocolVersion
    private let receiveMaximum: Int
    private let packetBytesMax: Int
    private let aliasMaximum: UInt16

    private var connection: Connection?
    private var unread: [UInt8] = []
    private var bytes: [UInt8] = []
    private var isReceiving = false
    private(set) var isClosed = false
    private(set) var isConnected = false
    private var hasConnack = false
    private var isWritable = true
    private var hasDisconnect = false
    /// It sent what no client sends: its answers are not held against the server.
    private(set) var isTainted = false

    /// Messages in flight to it, by packet identifier, and their order.
    private var open: [UInt16: Arrival] = [:]
    private var order: [UInt16] = []
    private var aliases: [UInt16: String] = [:]
    /// Answers that it waits for.
    private var owed: [Debt: Int] = [:]
    private var unreleased: [UInt16] = []
    private var nextID: UInt16 = 0

    init(_ world: ProbeWorld, shard: Shard, connect: ConnectPacket) {
        self.world = world
        clientID = connect.clientID
        version = connect.version
        let properties = connect.properties
        receiveMaximum = Int(properties.receiveMaximum ?? 65_535)
        packetBytesMax = Int(properties.maximumPacketSize ?? .max)
        aliasMaximum = properties.topicAliasMaximum ?? 0
        connection = shard.accept(
            self,
            ConnectionContext(
                peer: "127.0.0.1:9", isLoopback: true, listener: "probe",
                limits: ConnectionLimits(receiveMaximum: 4, topicAliasMaximum: 2), authenticator: AllowAnonymous()))
        push(Packet.connect(connect).encoded(version))
    }

    // MARK: What the input lets it do

    func push(_ raw: [UInt8]) {
        guard !isClosed else { return }
        unread += raw
        resume()
    }

    func taint() {
        isTainted = true
        world.taint(clientID)
    }

    private func takeID() -> UInt16 {
        nextID = nextID % 9 + 1
        return nextID
    }

    private func owe(_ type: PacketType, _ id: UInt16) { owed[Debt(type: type, id: id), default: 0] += 1 }

    func publish(_ topic: String, serial: Int, qos: QoS, retain: Bool, expiry: UInt32?, alias: UInt16?) {
        guard !isClosed else { return }
        var packet = PublishPacket(topic: topic, payload: Bytes("\(serial)"), qos: qos, retain: retain)
        if version == .v5 {
            packet.properties.messageExpiryInterval = expiry
            packet.properties.topicAlias = alias
        }
        if qos != .atMostOnce {
            let id = takeID()
            // A QoS 2 identifier that is not released yet is still the old message's: that one is sent again.
            packet.packetID = id
            owe(qos == .atLeastOnce ? .puback : .pubrec, id)
            if qos == .exactlyOnce, !unreleased.contains(id) { unreleased.append(id) }
        }
        push(Packet.publish(packet).encoded(version))
    }

    func release() {
        for id in unreleased where !isClosed {
            owe(.pubcomp, id)
            push(Packet.pubrel(AcknowledgePacket(packetID: id)).encoded(version))
        }
        unreleased = []
    }

    func subscribe(_ filter: String, _ options: SubscriptionOptions, identifier: UInt32) {
        guard !isClosed else { return }
        let id = takeID()
        owe(.suback, id)
        world.subscribed(clientID, filter)
        let kept = version == .v5 ? options : SubscriptionOptions(qos: options.qos)
        var packet = SubscribePacket(packetID: id, entries: [.init(filter, kept)])
        if version == .v5, identifier > 0 { packet.properties.subscriptionIdentifiers = [identifier] }
        push(Packet.subscribe(packet).encoded(version))
    }

    func unsubscribe(_ filter: String) {
        guard !isClosed else { return }
        let id = takeID()
        owe(.unsuback, id)
        push(Packet.unsubscribe(UnsubscribePacket(packetID: id, filters: [filter])).encoded(version))
    }

    func ping() {
        guard !isClosed else { return }
        owe(.pingresp, 0)
        push(Packet.pingreq.encoded(version))
    }

    /// The next step for the oldest messages, as a client should.
    func acknowledge(_ count: Int) {
        for id in order.prefix(count) {
            guard !isClosed, var arrival = open[id] else { continue }
            let answer = AcknowledgePacket(packetID: id)
            if arrival.qos == .atLeastOnce {
                forget(id)
                push(Packet.puback(answer).encoded(version))
            } else if arrival.isReleased {
                forget(id)
                push(Packet.pubcomp(answer).encoded(version))
            } else if !arrival.isReceived {
                arrival.isReceived = true
                open[id] = arrival
                push(Packet.pubrec(answer).encoded(version))
            }
        }
    }

    private func forget(_ id: UInt16) {
        open[id] = nil
        order.removeAll { $0 == id }
    }

    func leave(_ reason: ReasonCode) {
        guard !isClosed else { return }
        push(Packet.disconnect(ReasonPacket(reason: version == .v5 ? reason : .success)).encoded(version))
    }

    func vanish() {
        isClosed = true
        connection?.transportClosed()
        connection = nil
    }

    func setWritable(_ isWritable: Bool) {
        self.isWritable = isWritable
        connection?.transportWritable(isWritable)
    }

    // MARK: What the server owes

    /// After everything has run: every request was answered once.
    func checkSettled() {
        guard isConnected, !isClosed, !isTainted, isWritable, unread.isEmpty else { return }
        for (debt, count) in owed where count > 0 { world.fail("no \(debt.type) for \(debt.id) to \(clientID)") }
    }

    private func take(_ packet: Packet, frameCount: Int) {
        if hasDisconnect { world.fail("\(packet) after DISCONNECT") }
        if version == .v5, frameCount > packetBytesMax { world.fail("\(frameCount) bytes, \(packetBytesMax) allowed") }
        if case .connack(let answer) = packet {
            if hasConnack { world.fail("a second CONNACK") }
            hasConnack = true
            isConnected = answer.reason == .success
            if isConnected { world.connected(clientID, isPresent: answer.sessionPresent) }
            return
        }
        if !hasConnack { world.fail("\(packet) before CONNACK") }
        switch packet {
        case .publish(let message): arrived(message)
        case .puback(let answer): paid(.puback, answer.packetID)
        case .pubrec(let answer): paid(.pubrec, answer.packetID)
        case .pubcomp(let answer): paid(.pubcomp, answer.packetID)
        case .suback(let answer): paid(.suback, answer.packetID)
        case .unsuback(let answer): paid(.unsuback, answer.packetID)
        case .pingresp: paid(.pingresp, 0)
        case .pubrel(let release): released(release.packetID)
        case .disconnect: hasDisconnect = true
        default: world.fail("\(packet) from a server")
        }
    }

    private func paid(_ type: PacketType, _ id: UInt16) {
        let debt = Debt(type: type, id: id)
        owed[debt, default: 0] -= 1
        if owed[debt, default: 0] < 0, !isTainted { world.fail("\(type) \(id) that nothing asked for") }
    }

    private func released(_ id: UInt16) {
        guard var arrival = open[id] else {
            // Of an earlier connection: the message was received there.
            open[id] = Arrival(qos: .exactlyOnce, serial: nil, isReceived: true, isReleased: true)
            order.append(id)
            return
        }
        if arrival.isReleased { return }
        if !arrival.isReceived, !isTainted { world.fail("PUBREL \(id) before PUBREC") }
        arrival.isReleased = true
        open[id] = arrival
        if let serial = arrival.serial { world.completed(clientID, serial) }
    }

    private func arrived(_ message: PublishPacket) {
        let topic = resolve(message)
        world.check(topic, matches: clientID)
        guard message.qos != .atMostOnce else {
            if message.isDuplicate { world.fail("DUP with QoS 0") }
            return
        }
        if isTainted {
            forget(message.packetID)
        } else if open[message.packetID] != nil {
            world.fail("packet identifier \(message.packetID) is in flight already")
        }
        open[message.packetID] = Arrival(qos: message.qos, serial: Int(message.payload.string))
        order.append(message.packetID)
        // What an earlier connection has left to be released is on top of what this one may send.
        let sent = open.values.count { !($0.isReleased && $0.serial == nil) }
        if version == .v5, sent > receiveMaximum, !isTainted {
            world.fail("\(sent) in flight, \(receiveMaximum) allowed")
        }
    }

    private func resolve(_ message: PublishPacket) -> String {
        guard let alias = message.properties.topicAlias else { return message.topic }
        if alias == 0 || alias > aliasMaximum { world.fail("topic alias \(alias), \(aliasMaximum) allowed") }
        if !message.topic.isEmpty { aliases[alias] = message.topic }
        guard let topic = aliases[alias] else {
            world.fail("topic alias \(alias) is not set")
            return ""
        }
        return topic
    }

    // MARK: Transport

    func send(_ buffer: ByteBuffer) {
        if isClosed { world.fail("bytes to a closed connection") }
        bytes += buffer.readableBytesView
        while !bytes.isEmpty {
            let decoded = bytes.withUnsafeBytes { raw -> (Packet, Int)? in
                do throws(CodecError) { return try Packet.decode(raw, version: version) } catch {
                    world.fail("the server sent what cannot be read: \(error)")
                    return nil
                }
            }
            guard let (packet, count) = decoded else { return }
            bytes.removeFirst(count)
            take(packet, frameCount: count)
        }
    }

    func close() {
        isClosed = true
        connection?.transportClosed()
        connection = nil
    }

    func setReading(_ isReading: Bool) {}

    func resume() {
        guard !isReceiving else { return }
        isReceiving = true
        defer { isReceiving = false }
        while let connection, !unread.isEmpty {
            let taken = unread.withUnsafeBytes { connection.receive($0) }
            if taken == 0 { break }
            unread.removeFirst(min(taken, unread.count))
        }
    }
}
