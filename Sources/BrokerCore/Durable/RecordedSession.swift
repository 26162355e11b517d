import Bus
import Model

/// A session as it is written down: everything but the messages' content, which is named by id. The one form for the
/// log's snapshots and for whatever moves sessions between processes.
struct RecordedSession: Sendable {
    /// A message that waits or is in flight.
    struct Entry: Sendable, Hashable {
        var id: UInt64
        var subscriptionID: UInt32 = 0
        /// Place in `groups`; -1: of no group.
        var group: Int32 = -1
        /// 0 while it waits.
        var packetID: UInt16 = 0
        var state = InflightState.free
        /// QoS in bits 0-1, retain in bit 2.
        var flags: UInt8 = 0
        var isGone = false
    }

    struct Subscription: Sendable, Hashable {
        var filter: String
        var options: UInt8
        var subscriptionID: UInt32
    }

    var clientID: String
    var expirySeconds: UInt32 = 0
    var version = ProtocolVersion.v311
    var username: String?
    var subscriptions: [Subscription] = []
    /// In flight first, then waiting, each in order.
    var entries: [Entry] = []
    var groups: [String] = []
    var nextPacketID: UInt16 = 1
    var incoming: [UInt16] = []
    var will: Will?
    /// Wall clock; 0: connected.
    var disconnectedAt: Int64 = 0
    var dropped: UInt64 = 0
}

enum SnapshotCoding {
    static let version: UInt8 = 1

    static func put(_ session: RecordedSession, into buffer: inout RecordBuffer) {
        buffer.put(version)
        buffer.text(session.clientID)
        buffer.put(session.expirySeconds)
        buffer.put(session.version.rawValue)
        buffer.text(session.username ?? "")
        buffer.put(session.disconnectedAt)
        buffer.put(session.nextPacketID)
        buffer.number(session.dropped)
        buffer.put(UInt8(session.will == nil ? 0 : 1))
        if let will = session.will { put(will, into: &buffer) }
        buffer.number(UInt64(session.subscriptions.count))
        for subscription in session.subscriptions {
            buffer.text(subscription.filter)
            buffer.put(subscription.options)
            buffer.number(UInt64(subscription.subscriptionID))
        }
        buffer.number(UInt64(session.incoming.count))
        for id in session.incoming { buffer.put(id) }
        buffer.number(UInt64(session.groups.count))
        for group in session.groups { buffer.text(group) }
        buffer.number(UInt64(session.entries.count))
        for entry in session.entries {
            buffer.put(entry.id)
            buffer.put(entry.flags & 7 | entry.state.rawValue << 4)
            if entry.state != .free { buffer.put(entry.packetID) }
            buffer.number(UInt64(entry.subscriptionID))
            buffer.number(UInt64(entry.group + 1))
        }
    }

    static func session(_ reader: inout RecordReader) throws(RecordError) -> RecordedSession {
        guard try reader.take(UInt8.self) == version else { throw RecordError() }
        var session = RecordedSession(clientID: try reader.text())
        session.expirySeconds = try reader.take()
        session.version = try protocolVersion(&reader)
        session.username = try username(&reader)
        session.disconnectedAt = try reader.take()
        session.nextPacketID = try reader.take()
        session.dropped = try reader.number()
        if try flag(&reader) { session.will = try will(&reader) }
        for _ in 0..<(try reader.countNumber(bytesEach: 3)) {
            session.subscriptions.append(
                RecordedSession.Subscription(
                    filter: try reader.text(), options: try reader.take(), subscriptionID: try uint32(&reader)))
        }
        for _ in 0..<(try reader.countNumber(bytesEach: 2)) { session.incoming.append(try reader.take()) }
        for _ in 0..<(try reader.countNumber()) { session.groups.append(try reader.text()) }
        let count = try reader.countNumber(bytesEach: 11)
        session.entries.reserveCapacity(count)
        for _ in 0..<count {
            var entry = RecordedSession.Entry(id: try reader.take())
            let byte = try reader.take(UInt8.self)
            entry.flags = byte & 7
            guard let state = InflightState(rawValue: byte >> 4), byte & 8 == 0, byte & 3 != 3 else {
                throw RecordError()
            }
            entry.state = state
            if state != .free {
                entry.packetID = try reader.take()
                guard entry.packetID != 0 else { throw RecordError() }
            }
            entry.subscriptionID = try uint32(&reader)
            let group = try reader.number()
            guard group <= UInt64(session.groups.count) else { throw RecordError() }
            entry.group = Int32(group) - 1
            session.entries.append(entry)
        }
        return session
    }

    // MARK: Parts

    static func put(_ will: Will, into buffer: inout RecordBuffer) {
        let message = will.message
        buffer.put(will.delaySeconds)
        buffer.put(message.qos.rawValue | (message.retain ? 4 : 0))
        buffer.put(message.properties?.expirySeconds ?? 0)
        buffer.put(UInt8(message.properties?.expirySeconds == nil ? 0 : 1))
        buffer.bytes(message.topic.utf8)
        buffer.bytes(message.payload.bytes)
        buffer.bytes(message.properties?.wire ?? Bytes())
        buffer.text(message.origin.clientID)
        buffer.text(message.origin.username ?? "")
        buffer.text(message.origin.peer ?? "")
        buffer.put(UInt8(message.origin.mayWriteDevices ? 1 : 0))
    }

    static func will(_ reader: inout RecordReader) throws(RecordError) -> Will {
        let delay: UInt32 = try reader.take()
        let flags: UInt8 = try reader.take()
        guard let qos = QoS(rawValue: flags & 3), flags & 0xF8 == 0 else { throw RecordError() }
        let expiry: UInt32 = try reader.take()
        let expires = try flag(&reader)
        let topic = try reader.data()
        guard topic.withUnsafeBytes({ PublishFrame.isTopicName($0) }) else { throw RecordError() }
        let payload = try reader.data()
        let wire = try reader.data()
        let clientID = try reader.text()
        let user = try username(&reader)
        let peer = try username(&reader)
        let mayWriteDevices = try flag(&reader)
        let properties =
            expires || !wire.isEmpty ? MessageProperties(wire: wire, expirySeconds: expires ? expiry : nil) : nil
        return Will(
            message: Message(
                topic: Topic(unchecked: topic), payload: .bytes(payload), qos: qos, retain: flags & 4 != 0,
                receivedAt: Timestamp(nanoseconds: 0),
                origin: Origin(
                    .client, clientID: clientID, username: user, peer: peer, mayWriteDevices: mayWriteDevices),
                properties: properties), delaySeconds: delay)
    }

    static func flag(_ reader: inout RecordReader) throws(RecordError) -> Bool {
        let byte = try reader.take(UInt8.self)
        guard byte <= 1 else { throw RecordError() }
        return byte == 1
    }

    static func protocolVersion(_ reader: inout RecordReader) throws(RecordError) -> ProtocolVersion {
        guard let version = ProtocolVersion(rawValue: try reader.take()) else { throw RecordError() }
        return version
    }

    static func uint32(_ reader: inout RecordReader) throws(RecordError) -> UInt32 {
        let value = try reader.number()
        guard value <= UInt64(UInt32.max) else { throw RecordError() }
        return UInt32(value)
    }

    /// Empty stands for none.
    static func username(_ reader: inout RecordReader) throws(RecordError) -> String? {
        let text = try reader.text()
        return text.isEmpty ? nil : text
    }
}
