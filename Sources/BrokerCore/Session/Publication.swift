import Bus
import Model

/// A message while it is being handed to its subscribers: pointers into the inbound buffer, and what is made of them
/// only if somebody needs it. Lives on the stack of one publish.
struct Publication {
    var topic: UnsafeRawBufferPointer
    var topicHash: UInt64
    var payload: UnsafeRawBufferPointer
    /// Properties to forward, without length, expiry, alias and subscription identifiers.
    var properties: UnsafeRawBufferPointer
    var qos: UInt8
    var retain: Bool
    var expiresAt: Int64
    // The connection or message that is publishing holds it.
    unowned(unsafe) var origin: Origin
    /// The whole frame as received, if it may be copied to a receiver of the same version; empty otherwise.
    var frame: UnsafeRawBufferPointer
    /// Bytes of the fixed header in `frame`.
    var frameHeaderCount = 0
    var frameVersion = ProtocolVersion.v311
    var stored: StoredMessage?
    /// The message as its in-process publisher gave it.
    var message: Message?
    /// Where in the log the last record of the publication stands.
    var logPosition: UInt64 = 0
    /// What this shard's persistent sessions keep; nobody else has it.
    var kept: StoredMessage?
    /// The message is the current one of the log's open block.
    var isInLog = false
    /// A client that is online may still need its content; a sleeping one would rather let it go.
    var isHeldOnline = false
    var mayLetGo = false

    /// Calls `body` with a publication over what is stored.
    @inline(__always)
    static func with<R>(_ stored: StoredMessage, hash: UInt64, _ body: (inout Publication) -> R) -> R {
        stored.payload.bytes.withUnsafeBytes { payload in
            stored.topic.withUnsafeBytes { topic in
                stored.wireProperties.withUnsafeBytes { properties in
                    var publication = Publication(
                        topic: topic, topicHash: hash, payload: payload, properties: properties,
                        qos: stored.qos.rawValue, retain: stored.retain, expiresAt: stored.expiresAt,
                        origin: stored.origin, frame: UnsafeRawBufferPointer(start: nil, count: 0), stored: stored)
                    return body(&publication)
                }
            }
        }
    }

    /// The message for keeping, made on the first call.
    mutating func store(_ shard: Shard) -> StoredMessage {
        if let stored { return stored }
        let made: StoredMessage
        if let message {
            made = StoredMessage(message, now: shard.now)
        } else {
            made = StoredMessage(
                block: StoredMessage.block(topic, payload, properties), topicCount: topic.count,
                payloadCount: payload.count, propertyCount: properties.count,
                qos: QoS(rawValue: qos) ?? .atMostOnce, retain: retain, receivedAt: shard.wallTime,
                expiresAt: expiresAt, origin: origin)
        }
        stored = made
        return made
    }

    /// The message for persistent sessions of this shard, with its record in the log, made on the first call.
    mutating func record(_ shard: Shard) -> StoredMessage {
        if let kept {
            if !isInLog { beginRecord(kept, shard) }
            return kept
        }
        var message = store(shard)
        if message.isShared { message = message.copy() }
        kept = message
        beginRecord(message, shard)
        return message
    }

    private mutating func beginRecord(_ message: StoredMessage, _ shard: Shard) {
        if isInLog { return }
        isInLog = true
        if message.id == 0 {
            shard.log.published(message, type: .published, now: shard.now)
        } else {
            shard.log.refer(to: message, now: shard.now)
        }
    }

    /// The message for another shard, or for the retained store.
    mutating func share(_ shard: Shard, durableShards: UInt64 = 0) -> StoredMessage {
        guard let kept else {
            let stored = store(shard)
            stored.isShared = true
            return stored
        }
        let copy = kept.copy()
        copy.isShared = true
        copy.durableShards = durableShards
        return copy
    }
}
