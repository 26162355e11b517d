import Bus
import Model

/// What a record tells. A block is a `BlockHeader` and records one after the other: this byte, then fields without
/// padding. Integers are little-endian; "number" is a LEB128; texts and bytes are a number with their count, then they.
/// Messages are named by an 8-byte id, sessions by a number. "The current message" is the one that the last
/// `published`, `copied` or `about` of the block names.
enum RecordType: UInt8 {
    /// A message with its content: see `MessageRecord`. It becomes the current one.
    case published = 1
    /// As `published`, written once more so that an older place is not needed.
    case copied = 2
    /// Id of the message that the following records are about; a byte, 1: this shard has dealt with it as the
    /// publishing shard asked by `sentTo`.
    case about = 3
    /// The current message went to other shards: 8 bytes, one bit each; a byte: 1 if the shard that the next byte names shall retain it.
    case sentTo = 4
    /// A session got the current message to keep: flags (QoS 0-1, 2 retain, 3 has a packet id, 4 has a subscription
    /// id, 5 of a group), session, packet id (2), subscription id (number), group (text).
    case took = 5
    /// The current message went to a member of a group on another shard: group (text).
    case assigned = 6
    /// A member that leaves no trace in the log has finished a group's message: id, group.
    case groupDone = 7
    /// A waiting message was sent: session, id, packet id.
    case sending = 8
    /// The client has a message of QoS 2: session, packet id.
    case received = 9
    /// The client has acknowledged: session, packet id.
    case finished = 10
    /// A waiting message goes unsent: session, id.
    case removed = 11
    /// A message goes back to its group: session, id, group.
    case gaveBack = 12
    /// A packet id of an incoming QoS 2 message: session, packet id.
    case incomingTaken = 13
    case incomingReleased = 14
    /// A new session on this shard: session, client id, then as `connected`.
    case started = 15
    /// A client has its session again: session, expiry (4), version (1), user name, flag byte and will if 1.
    case connected = 16
    /// Session, wall clock (8), expiry (4), byte: 1 if its will is still to be published.
    case disconnected = 17
    case ended = 18
    /// Session, filter, options (1), subscription id (number).
    case subscribed = 19
    case unsubscribed = 20
    /// Id of the message that a topic now retains; an empty payload: nothing is.
    case retained = 21
    /// Session: its will was published or is void.
    case willDone = 22
    /// Session: this shard has it now.
    case home = 23
    /// Session, `RecordedSession`: replaces all that was said before.
    case snapshot = 24
    /// At start: the seed of the hash (8) and the number of shards (2), by which owners are found.
    case epoch = 25
    /// The current message is retained nowhere any more, or was refused: id.
    case notRetained = 26
    /// As `epoch`, in the middle of everything: only what owners are found by.
    case owners = 27
}

/// Memory that grows, for records.
struct RecordBuffer: ~Copyable {
    private var memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(capacity: Int = 16 << 10) { memory = .allocate(byteCount: capacity, alignment: 16) }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    mutating func clear() {
        count = 0
        if memory.count > 4 << 20 {
            memory.deallocate()
            memory = .allocate(byteCount: 16 << 10, alignment: 16)
        }
    }

    @inline(__always)
    mutating func reserve(_ more: Int) {
        if count &+ more > memory.count { grow(more) }
    }

    private mutating func grow(_ more: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(memory.count * 2, count + more), alignment: 16)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }

    @inline(__always)
    mutating func put<T: FixedWidthInteger>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        unsafePut(value)
    }

    /// After `reserve`.
    @inline(__always)
    mutating func unsafePut<T: FixedWidthInteger>(_ value: T) {
        guard let base = memory.baseAddress else { return }
        (base + count).storeBytes(of: value.littleEndian, as: T.self)
        count &+= MemoryLayout<T>.size
    }

    @inline(__always)
    mutating func number(_ value: UInt64) {
        reserve(10)
        var rest = value
        while rest > 0x7F {
            unsafePut(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        unsafePut(UInt8(truncatingIfNeeded: rest))
    }

    mutating func text(_ value: String) {
        var value = value
        value.withUTF8 { utf8 in
            number(UInt64(utf8.count))
            raw(UnsafeRawBufferPointer(utf8))
        }
    }

    mutating func bytes(_ value: Bytes) {
        number(UInt64(value.count))
        value.withUnsafeBytes { raw($0) }
    }

    @inline(__always)
    mutating func raw(_ source: UnsafeRawBufferPointer) {
        guard source.count > 0, let from = source.baseAddress else { return }
        reserve(source.count)
        guard let base = memory.baseAddress else { return }
        (base + count).copyMemory(from: from, byteCount: source.count)
        count &+= source.count
    }
}

/// The bytes end in the middle of something, or are not what they claim to be.
struct RecordError: Error {}

/// Reads what `RecordBuffer` wrote; every read is checked against the end.
struct RecordReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var index: Int

    init(_ bytes: UnsafeRawBufferPointer, at index: Int = 0) {
        self.bytes = bytes
        self.index = index
    }

    var isAtEnd: Bool { index >= bytes.count }

    @inline(__always)
    mutating func take<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(RecordError) -> T {
        guard bytes.count &- index >= MemoryLayout<T>.size else { throw RecordError() }
        defer { index &+= MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: T.self))
    }

    @inline(__always)
    mutating func number() throws(RecordError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try take(UInt8.self)
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return value }
            shift += 7
            if shift > 63 { throw RecordError() }
        }
    }

    /// A number that counts something of at least `bytesEach` bytes which follows.
    mutating func countNumber(bytesEach: Int = 1) throws(RecordError) -> Int {
        let value = try number()
        guard value <= UInt64((bytes.count - index) / max(1, bytesEach)) else { throw RecordError() }
        return Int(value)
    }

    @inline(__always)
    mutating func raw(_ count: Int) throws(RecordError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= bytes.count &- index else { throw RecordError() }
        defer { index &+= count }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<index &+ count])
    }

    mutating func text() throws(RecordError) -> String {
        let part = try raw(try countNumber())
        guard let text = String(validating: part, as: UTF8.self) else { throw RecordError() }
        return text
    }

    mutating func skipText() throws(RecordError) { _ = try raw(try countNumber()) }

    mutating func data() throws(RecordError) -> Bytes { Bytes(copying: try raw(try countNumber())) }
}

/// A message as `published` and `copied` hold it, behind the type byte: id (8), flags (1: QoS 0-1, 2 retain, 3 expires),
/// receivedAt (8), expiry (8, wall clock, 0 without), count of topic (2), payload (4), properties (4), origin's kind
/// (1), count of its client id (2); then topic, payload, properties, client id.
struct MessageRecord {
    static let fixedBytes = 38

    var id: UInt64
    var flags: UInt8
    var receivedAt: Int64
    /// Nanoseconds since 1970; `Int64.max`: never.
    var expiresAtWall: Int64
    var topicCount: Int
    var payloadCount: Int
    var propertyCount: Int
    var originKind: UInt8
    var originCount: Int

    var contentCount: Int { topicCount + payloadCount + propertyCount }

    init(_ reader: inout RecordReader) throws(RecordError) {
        id = try reader.take()
        flags = try reader.take()
        receivedAt = try reader.take()
        expiresAtWall = try reader.take()
        topicCount = Int(try reader.take(UInt16.self))
        payloadCount = Int(try reader.take(UInt32.self))
        propertyCount = Int(try reader.take(UInt32.self))
        originKind = try reader.take()
        originCount = Int(try reader.take(UInt16.self))
        // A damaged flag or kind is damage like any other.
        guard flags & 3 != 3, flags & 0xF8 == 0, id != 0 else { throw RecordError() }
    }

    /// Reads record and content, the type byte included.
    static func content(_ bytes: UnsafeRawBufferPointer, id: UInt64) -> MessageContent? {
        do throws(RecordError) {
            var reader = RecordReader(bytes)
            let type = try reader.take(UInt8.self)
            guard type == RecordType.published.rawValue || type == RecordType.copied.rawValue else { return nil }
            let record = try MessageRecord(&reader)
            guard record.id == id else { return nil }
            return try record.content(&reader)
        } catch { return nil }
    }

    /// What follows the fixed part.
    func content(_ reader: inout RecordReader) throws(RecordError) -> MessageContent {
        let content = try reader.raw(contentCount)
        let name = try reader.raw(originCount)
        let block = ByteStorage(capacity: content.count) { target in
            target.copyMemory(from: content)
            return content.count
        }
        let kind = OriginCode.kind(originKind)
        return MessageContent(
            block: block, topicCount: topicCount, payloadCount: payloadCount, propertyCount: propertyCount,
            origin: Origin(kind, clientID: String(decoding: name, as: UTF8.self), mayWriteDevices: kind != .client),
            receivedAt: Timestamp(nanoseconds: receivedAt))
    }
}

/// Numbers of `Origin.Kind` on disk.
enum OriginCode {
    static func code(_ kind: Origin.Kind) -> UInt8 {
        switch kind {
        case .client: 0
        case .device: 1
        case .rule: 2
        case .console: 3
        case .system: 4
        }
    }

    static func kind(_ code: UInt8) -> Origin.Kind {
        switch code {
        case 1: .device
        case 2: .rule
        case 3: .console
        case 4: .system
        default: .client
        }
    }
}
