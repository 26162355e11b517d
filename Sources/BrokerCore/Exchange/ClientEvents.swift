import Bus
import Model
import NIOCore

/// What happens to clients and their messages, as messages on `$events/...` under EMQX's names with its JSON fields.
enum ClientEvent: String, CaseIterable {
    case clientConnected = "client_connected"
    case clientDisconnected = "client_disconnected"
    case sessionSubscribed = "session_subscribed"
    case sessionUnsubscribed = "session_unsubscribed"
    case messageDelivered = "message_delivered"
    case messageAcknowledged = "message_acked"
    case messageDropped = "message_dropped"

    static let prefix = "$events/"

    fileprivate var topic: Bytes { Bytes(Self.prefix + rawValue) }
    fileprivate var bit: UInt8 { 1 << UInt8(Self.allCases.firstIndex(of: self) ?? 0) }
}

/// Which events anybody subscribes to, and those of this turn.
struct EventDesk {
    /// Waiting events; further ones are counted and left out.
    static let pendingMax = 10_000

    /// Bits of `ClientEvent`; 0 for most brokers, which is all that the hot path looks at.
    fileprivate(set) var watched: UInt8 = 0
    fileprivate var pending: [Message] = []
    fileprivate(set) var overflowed: UInt64 = 0

    @inline(__always)
    func watches(_ event: ClientEvent) -> Bool { watched != 0 && watched & event.bit != 0 }
}

extension Shard {
    /// A filter came or went: looks again who wants which event.
    func eventFiltersChanged(_ pattern: Bytes) {
        guard pattern.withUnsafeBytes({ $0.starts(with: ClientEvent.prefix.utf8) }) else { return }
        events.watched = 0
        for event in ClientEvent.allCases where route(known: event.topic).hasSubscribers { events.watched |= event.bit }
    }

    private func tell(_ event: ClientEvent, _ fields: EventFields) {
        guard events.pending.count < EventDesk.pendingMax else {
            events.overflowed += 1
            return
        }
        if events.pending.isEmpty { loop.execute { [handle] in handle.shard?.publishEvents() } }
        let message = Message(
            topic: Topic(unchecked: event.topic), payload: .bytes(fields.json), receivedAt: wallTime,
            origin: Origin(.system, clientID: ClientEvent.prefix))
        events.pending.append(message)
    }

    private func publishEvents() {
        var batch: [Message] = []
        swap(&batch, &events.pending)
        _ = refreshNow()
        for message in batch { _ = publish(message) }
    }

    /// Whether it is an event itself, of this shard or another: delivering one makes no event.
    private static func isEvent(_ publication: borrowing Publication) -> Bool {
        publication.topic.starts(with: ClientEvent.prefix.utf8)
    }

    // MARK: What happens

    func tellConnected(_ connection: Connection, _ session: Session) {
        guard events.watches(.clientConnected) else { return }
        var fields = EventFields(connection, session, at: wallTime)
        fields.add("proto_name", connection.version == .v31 ? "MQIsdp" : "MQTT")
        fields.add("proto_ver", Int(connection.version.rawValue))
        fields.add("keepalive", connection.keepAliveSeconds)
        fields.add("clean_start", session.cleanStart)
        fields.add("expiry_interval", Int(session.expirySeconds))
        fields.add("connected_at", Int(connection.connectedAt.milliseconds))
        fields.add("connack", 0)
        tell(.clientConnected, fields)
    }

    func tellDisconnected(_ connection: Connection, _ session: Session) {
        guard events.watches(.clientDisconnected) else { return }
        var fields = EventFields(connection, session, at: wallTime)
        // EMQX' words for the commonest causes.
        let reason =
            switch connection.closeReason {
            case nil: connection.discardsWill ? "normal" : "tcp_closed"
            case .sessionTakenOver: "takenover"
            case .administrativeAction: "kicked"
            case .keepAliveTimeout: "keepalive_timeout"
            case .serverShuttingDown: "server_shutdown"
            case let other?: "\(other)"
            }
        fields.add("reason", reason)
        fields.add("proto_name", connection.version == .v31 ? "MQIsdp" : "MQTT")
        fields.add("proto_ver", Int(connection.version.rawValue))
        fields.add("connected_at", Int(connection.connectedAt.milliseconds))
        fields.add("disconnected_at", Int(wallTime.milliseconds))
        tell(.clientDisconnected, fields)
    }

    func tellSubscribed(_ session: Session, _ filter: String, _ options: SubscriptionOptions, isNew: Bool) {
        guard events.watches(.sessionSubscribed), let connection = session.connection else { return }
        var fields = EventFields(connection, session, at: wallTime)
        fields.add("topic", filter)
        fields.add("qos", Int(options.qosValue))
        fields.add(
            "subopts",
            raw:
                "{\"qos\":\(options.qosValue),\"nl\":\(options.noLocal ? 1 : 0),\"rap\":\(options.retainAsPublished ? 1 : 0),\"rh\":\(options.retainHandling),\"is_new\":\(isNew)}"
        )
        tell(.sessionSubscribed, fields)
    }

    func tellUnsubscribed(_ session: Session, _ filter: String) {
        guard events.watches(.sessionUnsubscribed), let connection = session.connection else { return }
        var fields = EventFields(connection, session, at: wallTime)
        fields.add("topic", filter)
        tell(.sessionUnsubscribed, fields)
    }

    func tellDelivered(_ connection: Connection, _ publication: Publication, qos: UInt8) {
        guard !Self.isEvent(publication), let session = connection.session else { return }
        var fields = EventFields(connection, session, at: wallTime)
        fields.add("from_clientid", publication.origin.clientID)
        fields.add("from_username", publication.origin.username ?? "undefined")
        fields.add("topic", publication.topic)
        fields.add("qos", Int(qos))
        fields.add("payload", publication.payload)
        tell(.messageDelivered, fields)
    }

    /// Before the message leaves those in flight.
    func tellAcknowledged(_ session: Session, _ packetID: UInt16) {
        guard let connection = session.connection,
            let entry = session.inflight.unfinished.first(where: { $0.packetID == packetID }),
            let message = entry.message
        else { return }
        var fields = EventFields(connection, session, at: wallTime)
        fields.add(message, qos: entry.flags & 3)
        tell(.messageAcknowledged, fields)
    }

    /// Nobody subscribes to its topic.
    func tellDropped(_ publication: Publication, reason: String) {
        guard !Self.isEvent(publication) else { return }
        var fields = EventFields(at: wallTime)
        fields.add("reason", reason)
        fields.add("clientid", publication.origin.clientID)
        fields.add("username", publication.origin.username ?? "undefined")
        fields.add("topic", publication.topic)
        fields.add("qos", Int(publication.qos))
        fields.add("payload", publication.payload)
        tell(.messageDropped, fields)
    }
}

/// A flat JSON object as it grows.
private struct EventFields {
    private var text: [UInt8] = [UInt8(ascii: "{")]

    init(at time: Timestamp) {
        add("timestamp", Int(time.milliseconds))
        add("ts", Int(time.milliseconds))
    }

    init(_ connection: Connection, _ session: Session, at time: Timestamp) {
        self.init(at: time)
        add("clientid", session.clientID)
        add("username", session.username ?? "undefined")
        // Without the port, as EMQX gives it.
        let peer = connection.context.peer
        add("ipaddress", peer.lastIndex(of: ":").map { String(peer[..<$0]) } ?? peer)
        add("peername", peer)
        add("listener", connection.context.listener)
    }

    var json: Bytes {
        var whole = text
        whole.append(UInt8(ascii: "}"))
        return Bytes(whole)
    }

    private mutating func name(_ name: String) {
        if text.count > 1 { text.append(UInt8(ascii: ",")) }
        string(Array(name.utf8))
        text.append(UInt8(ascii: ":"))
    }

    mutating func add(_ name: String, raw value: String) {
        self.name(name)
        text.append(contentsOf: value.utf8)
    }
    mutating func add(_ name: String, _ value: Int) { add(name, raw: String(value)) }
    mutating func add(_ name: String, _ value: Bool) { add(name, raw: value ? "true" : "false") }
    mutating func add(_ name: String, _ value: String) {
        self.name(name)
        string(Array(value.utf8))
    }

    /// Bytes that are not UTF-8 stand as their replacement characters.
    mutating func add(_ name: String, _ value: UnsafeRawBufferPointer) {
        self.name(name)
        string(Array(String(decoding: value, as: UTF8.self).utf8))
    }

    mutating func add(_ message: StoredMessage, qos: UInt8) {
        add("from_clientid", message.origin.clientID)
        add("from_username", message.origin.username ?? "undefined")
        message.topic.withUnsafeBytes { add("topic", $0) }
        add("qos", Int(qos))
        message.payload.bytes.withUnsafeBytes { add("payload", $0) }
    }

    private mutating func string(_ bytes: [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                text.append(UInt8(ascii: "\\"))
                text.append(byte)
            case 0x0A: text.append(contentsOf: "\\n".utf8)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                text.append(contentsOf: "\\u00".utf8)
                text.append(digits[Int(byte >> 4)])
                text.append(digits[Int(byte & 15)])
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}
