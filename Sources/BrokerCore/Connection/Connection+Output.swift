import Model
import NIOCore

extension Connection {
    /// Unsent bytes after which a buffer is handed to the transport before the turn ends.
    static let flushBytes = 128 << 10

    /// Room for `count` bytes at the end of the output, written by `fill`.
    @inline(__always)
    func append(count: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
        if !isDirty { shard.markDirty(self) }
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            guard let base = target.baseAddress else { return 0 }
            fill(base)
            return count
        }
        if out.readableBytes > Self.flushBytes, isWritable { flush() }
    }

    func write(frame: [UInt8]) {
        if version == .v5, frame.count > packetBytesMax {
            // The client waits for an answer that it could not take. [MQTT-3.1.2-24]
            disconnect(.packetTooLarge)
            return
        }
        append(count: frame.count) { target in
            frame.withUnsafeBytes {
                target.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(target), byteCount: $0.count)
            }
        }
        shard.counters.packetsSent += 1
    }

    /// Whether a message of QoS 0 may be written: not when the client has too much unread already.
    @inline(__always)
    func canTake(_ byteCount: Int) -> Bool {
        isWritable || (state == .connected && out.readableBytes + byteCount < shard.limits.unsentBytesMax)
    }

    func flush() {
        guard out.readableBytes > 0 else { return }
        shard.counters.bytesSent += UInt64(out.readableBytes)
        transport.send(out)
        // If the transport has sent it already the memory is ours alone again and is used for what comes next.
        out.clear(minimumCapacity: 0)
    }

    /// Writes a PUBLISH. False if it is larger than the client takes: then it counts as delivered. [MQTT-3.1.2-25]
    @discardableResult
    @inline(__always)
    func write(
        _ publication: inout Publication, qos: UInt8, retain: Bool, packetID: UInt16, subscriptionID: UInt32,
        isDuplicate: Bool = false
    ) -> Bool {
        let first: UInt8 = 0x30 | (isDuplicate ? 8 : 0) | qos << 1 | (retain ? 1 : 0)
        if publication.frame.count > 0, publication.frameVersion == version, qos == publication.qos,
            subscriptionID == 0, !outboundAliases.isOn, publication.frame.count <= packetBytesMax
        {
            copy(publication.frame, first: first, packetID: packetID, publication)
        } else if !compose(&publication, first: first, packetID: packetID, subscriptionID: subscriptionID) {
            return false
        }
        session?.sent += 1
        shard.counters.packetsSent += 1
        shard.counters.publishSent += 1
        shard.counters.publishBytesSent += UInt64(publication.payload.count)
        if shard.events.watches(.messageDelivered) { shard.tellDelivered(self, publication, qos: qos) }
        return true
    }

    /// The frame as it came, with other flags and packet identifier.
    @inline(__always)
    private func copy(
        _ frame: UnsafeRawBufferPointer, first: UInt8, packetID: UInt16, _ publication: borrowing Publication
    ) {
        guard let source = frame.baseAddress else { return }
        let idOffset = publication.frameHeaderCount + 2 + publication.topic.count
        append(count: frame.count) { target in
            target.copyMemory(from: source, byteCount: frame.count)
            target.storeBytes(of: first, as: UInt8.self)
            if packetID != 0 {
                target.storeBytes(of: UInt8(packetID >> 8), toByteOffset: idOffset, as: UInt8.self)
                target.storeBytes(of: UInt8(truncatingIfNeeded: packetID), toByteOffset: idOffset + 1, as: UInt8.self)
            }
        }
    }

    /// The frame from its parts.
    private func compose(
        _ publication: inout Publication, first: UInt8, packetID: UInt16, subscriptionID: UInt32
    ) -> Bool {
        var topicCount = publication.topic.count
        var alias: UInt16 = 0
        var extra = 0
        var seconds: UInt32 = 0
        if version == .v5 {
            if publication.expiresAt != .max {
                extra += 5
                // What is left of the interval. [MQTT-3.3.2-6]
                seconds = UInt32(clamping: max(0, publication.expiresAt - shard.now + 999_999_999) / 1_000_000_000)
            }
            if subscriptionID != 0 { extra += 1 + FixedHeader.lengthCount(Int(subscriptionID)) }
            if outboundAliases.isOn {
                let (number, isNew) = outboundAliases.alias(for: publication.topic, hash: publication.topicHash)
                alias = number
                if alias != 0 {
                    extra += 3
                    if !isNew { topicCount = 0 }
                }
            }
        }
        let propertyCount = extra + publication.properties.count
        let bodyCount =
            2 + topicCount + (packetID != 0 ? 2 : 0) + publication.payload.count
            + (version == .v5 ? FixedHeader.lengthCount(propertyCount) + propertyCount : 0)
        let count = 1 + FixedHeader.lengthCount(bodyCount) + bodyCount
        if count > packetBytesMax || bodyCount > FixedHeader.remainingCountMax {
            if alias != 0, topicCount > 0 { outboundAliases.forgetLast() }
            session?.drop()
            return false
        }
        append(count: count) { target in
            var cursor = OutputCursor(target)
            cursor.byte(first)
            cursor.variable(bodyCount)
            cursor.uint16(UInt16(truncatingIfNeeded: topicCount))
            if topicCount > 0 { cursor.copy(publication.topic) }
            if packetID != 0 { cursor.uint16(packetID) }
            if version == .v5 {
                cursor.variable(propertyCount)
                if publication.expiresAt != .max {
                    cursor.byte(PropertyID.messageExpiryInterval.rawValue)
                    cursor.uint16(UInt16(seconds >> 16))
                    cursor.uint16(UInt16(truncatingIfNeeded: seconds))
                }
                if alias != 0 {
                    cursor.byte(PropertyID.topicAlias.rawValue)
                    cursor.uint16(alias)
                }
                cursor.copy(publication.properties)
                if subscriptionID != 0 {
                    cursor.byte(PropertyID.subscriptionIdentifier.rawValue)
                    cursor.variable(Int(subscriptionID))
                }
            }
            cursor.copy(publication.payload)
        }
        return true
    }
}

/// Writes forward into memory whose size was computed beforehand.
struct OutputCursor {
    private var target: UnsafeMutableRawPointer

    @inline(__always)
    init(_ target: UnsafeMutableRawPointer) { self.target = target }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        target.storeBytes(of: value, as: UInt8.self)
        target += 1
    }

    @inline(__always)
    mutating func uint16(_ value: UInt16) {
        byte(UInt8(value >> 8))
        byte(UInt8(truncatingIfNeeded: value))
    }

    @inline(__always)
    mutating func variable(_ value: Int) {
        var rest = value
        while rest > 0x7F {
            byte(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        byte(UInt8(rest))
    }

    @inline(__always)
    mutating func copy(_ source: UnsafeRawBufferPointer) {
        guard let base = source.baseAddress, source.count > 0 else { return }
        target.copyMemory(from: base, byteCount: source.count)
        target += source.count
    }
}

/// The topic aliases that a client lets the server use: given to the first topics that are sent to it.
/// MQTT 5.0, 3.3.2.3.4
struct OutboundAliases {
    let countMax: Int
    private var known: [UInt64: (topic: Bytes, alias: UInt16)] = [:]
    private var last: UInt64 = 0

    init(countMax: Int) { self.countMax = countMax }

    var isOn: Bool { countMax > 0 }

    /// The topic's alias, 0 if it has none, and whether the client has yet to learn it.
    mutating func alias(for topic: UnsafeRawBufferPointer, hash: UInt64) -> (alias: UInt16, isNew: Bool) {
        if let entry = known[hash] {
            return entry.topic.withUnsafeBytes { $0.elementsEqual(topic) } ? (entry.alias, false) : (0, false)
        }
        guard known.count < countMax else { return (0, false) }
        let alias = UInt16(known.count + 1)
        known[hash] = (Bytes(copying: topic), alias)
        last = hash
        return (alias, true)
    }

    /// The message that would have told the last alias was not sent.
    mutating func forgetLast() { known[last] = nil }
}
