package import Bus
package import Model

/// A message that somebody must keep: it is in flight, queued, retained, or on its way to another shard. Made at most
/// once per publish and shared by all who keep it.
///
/// Its content can be let go while it waits for a sleeping session, if it stands in the log (`place`), and be put back
/// from there. Such a message belongs to one shard; what other shards get is a `copy`.
package final class StoredMessage: @unchecked Sendable {
    // Sendable: written by the shard that made it before others see it; `let go` and `put back` only while it is kept
    // by one shard's sessions alone.

    /// Topic, payload (unless it is typed) and properties, one after the other; nil: let go.
    private var block: ByteStorage?
    private let typed: TypedPayload?
    package private(set) var origin: Origin
    package private(set) var receivedAt: Timestamp
    /// Monotonic nanoseconds; `Int64.max`: never.
    package let expiresAt: Int64
    /// Its number in the log; 0: it is not there.
    var id: UInt64 = 0
    var place = RecordPlace.none
    /// Other shards that must say in the log what they did with it, one bit each.
    var durableShards: UInt64 = 0
    private var payloadCount: UInt32
    private var propertyCount: UInt32
    private var topicCount: UInt16
    /// Bytes of its record in the log.
    var recordBytes: UInt32 = 0
    /// Entries of persistent sessions that refer to it, on the one shard that keeps it.
    var references: Int32 = 0
    package let qos: QoS
    package let retain: Bool
    /// Another shard has it too.
    var isShared = false
    /// Its content could not be read back.
    var isLost = false

    package convenience init(
        topic: Bytes, payload: Payload, wireProperties: Bytes, qos: QoS, retain: Bool, receivedAt: Timestamp,
        expiresAt: Int64, origin: Origin
    ) {
        var typed: TypedPayload?
        var bytes = Bytes()
        switch payload {
        case .samples(let samples): typed = samples
        case .bytes(let content): bytes = content
        }
        let block = topic.withUnsafeBytes { topic in
            bytes.withUnsafeBytes { payload in
                wireProperties.withUnsafeBytes { Self.block(topic, payload, $0) }
            }
        }
        self.init(
            block: block, topicCount: topic.count, payloadCount: bytes.count, propertyCount: wireProperties.count,
            typed: typed, qos: qos, retain: retain, receivedAt: receivedAt, expiresAt: expiresAt, origin: origin)
    }

    init(
        block: ByteStorage?, topicCount: Int, payloadCount: Int, propertyCount: Int, typed: TypedPayload? = nil,
        qos: QoS, retain: Bool, receivedAt: Timestamp, expiresAt: Int64, origin: Origin
    ) {
        self.block = block
        self.typed = typed
        self.topicCount = UInt16(truncatingIfNeeded: topicCount)
        self.payloadCount = UInt32(truncatingIfNeeded: payloadCount)
        self.propertyCount = UInt32(truncatingIfNeeded: propertyCount)
        self.qos = qos
        self.retain = retain
        self.receivedAt = receivedAt
        self.expiresAt = expiresAt
        self.origin = origin
    }

    /// A message from inside the process; `now` is the monotonic clock's.
    package convenience init(_ message: Message, now: Int64) {
        var expiresAt = Int64.max
        var wire = Bytes()
        if let properties = message.properties {
            if let seconds = properties.expirySeconds { expiresAt = now &+ Int64(seconds) * 1_000_000_000 }
            wire = properties.wire
        }
        self.init(
            topic: message.topic.utf8, payload: message.payload, wireProperties: wire, qos: message.qos,
            retain: message.retain, receivedAt: message.receivedAt, expiresAt: expiresAt, origin: message.origin)
    }

    static func block(
        _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, _ properties: UnsafeRawBufferPointer
    ) -> ByteStorage {
        ByteStorage(capacity: topic.count + payload.count + properties.count) { target in
            UnsafeMutableRawBufferPointer(rebasing: target[0...]).copyMemory(from: topic)
            UnsafeMutableRawBufferPointer(rebasing: target[topic.count...]).copyMemory(from: payload)
            UnsafeMutableRawBufferPointer(rebasing: target[(topic.count + payload.count)...])
                .copyMemory(from: properties)
            return target.count
        }
    }

    private func part(_ start: Int, _ count: Int) -> Bytes {
        guard let block, count > 0, start + count <= block.count else { return Bytes() }
        return Bytes(block, start..<start + count)
    }

    package var topic: Bytes { part(0, Int(topicCount)) }
    package var payload: Payload {
        if let typed { return .samples(typed) }
        return .bytes(part(Int(topicCount), Int(payloadCount)))
    }
    /// The properties that are forwarded as they stand on the wire, without length, expiry, alias and subscription
    /// identifiers. Empty for most.
    package var wireProperties: Bytes { part(Int(topicCount) + Int(payloadCount), Int(propertyCount)) }

    // MARK: Letting go

    var isLoaded: Bool { block != nil }

    /// Its content can be read back, and nobody else counts on it.
    var mayLetGo: Bool { block != nil && typed == nil && id != 0 && place != .none && !isShared }

    /// Bytes of topic, payload and properties, in memory or not.
    var byteCount: Int { Int(topicCount) + Int(payloadCount) + Int(propertyCount) }

    /// Bytes of content in memory.
    var contentBytes: Int { block?.count ?? 0 }

    func letGo() {
        block = nil
        origin = Self.unknownOrigin
    }

    func putBack(_ content: consuming MessageContent) {
        block = content.block
        topicCount = UInt16(truncatingIfNeeded: content.topicCount)
        payloadCount = UInt32(truncatingIfNeeded: content.payloadCount)
        propertyCount = UInt32(truncatingIfNeeded: content.propertyCount)
        origin = content.origin
        receivedAt = content.receivedAt
    }

    /// The same message for another shard, or apart from what may be let go.
    func copy() -> StoredMessage {
        let copy = StoredMessage(
            block: block, topicCount: Int(topicCount), payloadCount: Int(payloadCount),
            propertyCount: Int(propertyCount), typed: typed, qos: qos, retain: retain, receivedAt: receivedAt,
            expiresAt: expiresAt, origin: origin)
        copy.id = id
        copy.place = place
        copy.recordBytes = recordBytes
        copy.durableShards = durableShards
        return copy
    }

    static let unknownOrigin = Origin(.client, clientID: "", mayWriteDevices: false)

    /// As the components inside the process see it.
    package func message(retain: Bool, now: Int64) -> Message {
        var properties: MessageProperties?
        let wire = wireProperties
        if !wire.isEmpty || expiresAt != .max {
            let left = expiresAt == .max ? nil : UInt32(clamping: max(0, expiresAt - now) / 1_000_000_000)
            properties = MessageProperties(wire: wire, expirySeconds: left)
        }
        return Message(
            topic: Topic(unchecked: topic), payload: payload, qos: qos, retain: retain, receivedAt: receivedAt,
            origin: origin, properties: properties)
    }
}

/// What was read back of a message.
struct MessageContent: Sendable {
    var block: ByteStorage
    var topicCount: Int
    var payloadCount: Int
    var propertyCount: Int
    var origin: Origin
    var receivedAt: Timestamp
}

extension MessageProperties {
    /// As they stand in a PUBLISH, without length and expiry.
    var wire: Bytes {
        var writer = FieldWriter()
        if isUTF8Payload {
            writer.byte(PropertyID.payloadFormatIndicator.rawValue)
            writer.byte(1)
        }
        if let contentType {
            writer.byte(PropertyID.contentType.rawValue)
            writer.binary(contentType)
        }
        if let responseTopic {
            writer.byte(PropertyID.responseTopic.rawValue)
            writer.binary(responseTopic)
        }
        if let correlationData {
            writer.byte(PropertyID.correlationData.rawValue)
            writer.binary(correlationData)
        }
        for (name, value) in user {
            writer.byte(PropertyID.userProperty.rawValue)
            writer.binary(name)
            writer.binary(value)
        }
        return writer.bytes.isEmpty ? Bytes() : Bytes(writer.bytes)
    }

    /// From bytes that were checked when they were received.
    convenience init(wire: Bytes, expirySeconds: UInt32?) {
        var found = Properties()
        var writer = FieldWriter()
        writer.variable(wire.count)
        writer.raw(wire)
        writer.bytes.withUnsafeBytes { bytes in
            var reader = FieldReader(bytes)
            if let properties = try? Properties(&reader, in: .publish) { found = properties }
        }
        self.init(found, expirySeconds: expirySeconds)
    }

    convenience init(_ found: Properties, expirySeconds: UInt32?) {
        self.init(
            isUTF8Payload: found.payloadFormatIndicator == 1, expirySeconds: expirySeconds,
            contentType: found.contentType.map { Bytes($0) }, responseTopic: found.responseTopic.map { Bytes($0) },
            correlationData: found.correlationData,
            user: found.userProperties.map { (Bytes($0.name), Bytes($0.value)) })
    }
}
