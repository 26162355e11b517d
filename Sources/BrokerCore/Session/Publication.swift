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
            // One block for the three parts.
            let (topic, payload, properties) = (topic, payload, properties)
            let block = ByteStorage(capacity: topic.count + payload.count + properties.count) { target in
                UnsafeMutableRawBufferPointer(rebasing: target[0...]).copyMemory(from: topic)
                UnsafeMutableRawBufferPointer(rebasing: target[topic.count...]).copyMemory(from: payload)
                UnsafeMutableRawBufferPointer(rebasing: target[(topic.count + payload.count)...])
                    .copyMemory(from: properties)
                return target.count
            }
            let payloadEnd = topic.count + payload.count
            made = StoredMessage(
                topic: Bytes(block, 0..<topic.count), payload: .bytes(Bytes(block, topic.count..<payloadEnd)),
                wireProperties: properties.isEmpty ? Bytes() : Bytes(block, payloadEnd..<block.count),
                qos: QoS(rawValue: qos) ?? .atMostOnce, retain: retain, receivedAt: shard.wallTime,
                expiresAt: expiresAt, origin: origin)
        }
        stored = made
        return made
    }
}
