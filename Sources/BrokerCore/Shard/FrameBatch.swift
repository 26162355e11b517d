import Bus
import Model

/// Messages of one turn for the subscribers of another shard, one after the other in one piece of memory. A message
/// costs its bytes here and no object: nobody keeps it until a session over there has to.
///
/// Holds only what was not recorded, is not retained, and came from a client as bytes.
final class FrameBatch: @unchecked Sendable {
    // Sendable: filled by one shard, handed over, and from then on read by another only.

    /// What stands before each message's bytes.
    private struct Head {
        var topicHash: UInt64
        var expiresAt: Int64
        /// Bytes that follow: the frame as received or, where that may not be passed on, topic, properties and payload.
        var byteCount: UInt32
        var propertyStart: UInt32
        var propertyCount: UInt32
        var payloadStart: UInt32
        /// One of `origins`, which holds it.
        var origin: Unmanaged<Origin>
        var topicStart: UInt16
        var topicCount: UInt16
        /// Bytes of the frame's fixed header; 0: the bytes are no frame.
        var frameHeaderCount: UInt8
        var version: ProtocolVersion
        var qos: UInt8
    }

    /// Bytes of a message up to which a copy is cheaper than an object.
    static let messageBytesMax = 2048
    /// Bytes after which another batch is begun.
    static let bytesMax = 256 << 10

    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var byteCount = 0
    private(set) var count = 0
    private var origins: ContiguousArray<Origin> = []
    private var lastOrigin: UnsafeMutableRawPointer?

    /// `capacity`: bytes that are expected.
    init(capacity: Int) {
        self.capacity = max(1024, capacity)
        memory = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    var isFull: Bool { byteCount > Self.bytesMax }

    static func takes(_ publication: inout Publication) -> Bool {
        publication.stored == nil && publication.message == nil && publication.kept == nil && !publication.isInLog
            && !publication.retain
            && publication.topic.count &+ publication.properties.count &+ publication.payload.count < messageBytesMax
    }

    private static func aligned(_ count: Int) -> Int { (count &+ 7) & ~7 }

    /// A message for which `takes` says yes.
    func append(_ publication: inout Publication) {
        let isFrame = publication.frame.count > 0
        let topicCount = publication.topic.count
        let propertyCount = publication.properties.count
        let contentCount =
            isFrame ? publication.frame.count : topicCount &+ propertyCount &+ publication.payload.count
        let room = MemoryLayout<Head>.stride &+ Self.aligned(contentCount)
        if byteCount &+ room > capacity { grow(by: room) }
        if lastOrigin != Unmanaged.passUnretained(publication.origin).toOpaque() { hold(publication.origin) }
        let head = memory + byteCount
        let content = head + MemoryLayout<Head>.stride
        var topicStart = 0
        var propertyStart = topicCount
        var payloadStart = topicCount &+ propertyCount
        if isFrame {
            Self.copy(publication.frame, to: content)
            topicStart = publication.frameHeaderCount &+ 2
            payloadStart = contentCount &- publication.payload.count
            // Properties end where the payload begins.
            propertyStart = payloadStart &- propertyCount
        } else {
            Self.copy(publication.topic, to: content)
            Self.copy(publication.properties, to: content + propertyStart)
            Self.copy(publication.payload, to: content + payloadStart)
        }
        head.storeBytes(
            of: Head(
                topicHash: publication.topicHash, expiresAt: publication.expiresAt,
                byteCount: UInt32(truncatingIfNeeded: contentCount),
                propertyStart: UInt32(truncatingIfNeeded: propertyStart),
                propertyCount: UInt32(truncatingIfNeeded: propertyCount),
                payloadStart: UInt32(truncatingIfNeeded: payloadStart),
                origin: Unmanaged.passUnretained(publication.origin),
                topicStart: UInt16(truncatingIfNeeded: topicStart), topicCount: UInt16(truncatingIfNeeded: topicCount),
                frameHeaderCount: isFrame ? UInt8(truncatingIfNeeded: publication.frameHeaderCount) : 0,
                version: publication.frameVersion, qos: publication.qos),
            as: Head.self)
        byteCount &+= room
        count &+= 1
    }

    private func hold(_ origin: Origin) {
        origins.append(origin)
        lastOrigin = Unmanaged.passUnretained(origin).toOpaque()
    }

    private func grow(by room: Int) {
        let larger = max(capacity &* 2, byteCount &+ room)
        let grown = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        grown.copyMemory(from: memory, byteCount: byteCount)
        memory.deallocate()
        memory = grown
        capacity = larger
    }

    @inline(__always)
    private static func copy(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) {
        guard let base = source.baseAddress, source.count > 0 else { return }
        target.copyMemory(from: base, byteCount: source.count)
    }

    /// Calls `body` with each message, in the order in which they were appended; what it points to is here.
    @inline(__always)
    func forEach(_ body: (inout Publication) -> Void) {
        var position = 0
        while position < byteCount {
            let head = (memory + position).load(as: Head.self)
            let content = UnsafeRawPointer(memory + position + MemoryLayout<Head>.stride)
            let contentCount = Int(head.byteCount)
            let payloadStart = Int(head.payloadStart)
            let isFrame = head.frameHeaderCount > 0
            var publication = Publication(
                topic: UnsafeRawBufferPointer(start: content + Int(head.topicStart), count: Int(head.topicCount)),
                topicHash: head.topicHash,
                payload: UnsafeRawBufferPointer(start: content + payloadStart, count: contentCount &- payloadStart),
                properties: UnsafeRawBufferPointer(
                    start: content + Int(head.propertyStart), count: Int(head.propertyCount)),
                qos: head.qos, retain: false, expiresAt: head.expiresAt, origin: head.origin.takeUnretainedValue(),
                frame: UnsafeRawBufferPointer(start: isFrame ? content : nil, count: isFrame ? contentCount : 0),
                frameHeaderCount: Int(head.frameHeaderCount), frameVersion: head.version)
            body(&publication)
            position &+= MemoryLayout<Head>.stride &+ Self.aligned(contentCount)
        }
    }
}
