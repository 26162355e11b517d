#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// One publishing client: what it may send and what it waits for.
struct LoadPublisher {
    var connection: Int
    /// The PUBLISH, to be stamped with identifier, number and time.
    var packet: [UInt8]
    var identifierOffset: Int
    /// Packet identifiers that are not in use; empty with QoS 0.
    var free: [UInt16]
    /// The number of the next message.
    var sequence: UInt32 = 0
    /// Deliveries and acknowledgements that are still to come for what was sent.
    var outstanding = 0
    var isListed = false
}

/// Clients over raw sockets and epoll in one thread, as cheap as they can be made, so that the broker is what is
/// measured. This file connects, receives and sends; what is sent when is in `LoadTraffic` and `StoreLoad`.
final class LoadGenerator {
    let plan: LoadPlan
    let clock = SystemTime()
    /// Subscribers first.
    var connections: [LoadConnection] = []
    var publishers: [LoadPublisher] = []
    var account: DeliveryAccount
    var latency = LatencyHistogram()
    /// Messages with an earlier time are not part of the latency.
    var latencyFrom = Int64.max
    var acknowledged = 0
    var published = 0
    /// Publishers that may send again.
    var listed: [Int] = []
    private let poller: Poller
    private let bufferBytes: Int
    private let buffer: UnsafeMutableRawPointer
    private let replies: UnsafeMutableRawPointer
    private var replyBytes = 0
    private var scratch: UnsafeMutableRawBufferPointer

    static let identifiersMax = 16_384
    static let unsentBytesMax = 16 << 20

    init(plan: LoadPlan) throws {
        try plan.validate()
        self.plan = plan
        account = DeliveryAccount(shape: plan.shape)
        poller = try Poller()
        bufferBytes = max(1 << 18, 2 * plan.payloadBytes + 4096)
        buffer = .allocate(byteCount: bufferBytes, alignment: 16)
        replies = .allocate(byteCount: bufferBytes, alignment: 16)
        scratch = .allocate(byteCount: 1 << 16, alignment: 16)
        try connectSubscribers()
        try connectPublishers()
    }

    deinit {
        for connection in connections where connection.socket >= 0 { close(connection.socket) }
        buffer.deallocate()
        replies.deallocate()
        scratch.deallocate()
    }

    func topic(_ group: Int) -> String { "\(plan.tag)/\(group)" }
    func subscriberID(_ index: Int) -> String { "\(plan.tag)-s\(index)" }

    private func connectSubscribers() throws(Problem) {
        let clients = (0..<plan.shape.subscribersTotal).map { index in
            LoadConnection.Client(
                id: subscriberID(index), filter: topic(index / plan.shape.subscribers), isClean: !plan.isPersistent)
        }
        connections = try LoadConnection.openAll(plan, clients).map { LoadConnection(socket: $0) }
        for index in connections.indices {
            if plan.mode == .store {
                LoadConnection.disconnect(connections[index].socket)
                connections[index].socket = -1
            } else {
                try listen(index)
            }
        }
    }

    private func connectPublishers() throws(Problem) {
        let identifiers = plan.qos == 0 ? 0 : plan.mode == .rate ? Self.identifiersMax : plan.window
        let clients = (0..<plan.shape.publishersTotal).map { LoadConnection.Client(id: "\(plan.tag)-p\($0)") }
        let payload = [UInt8](repeating: 0x2A, count: plan.payloadBytes)
        for (index, socket) in try LoadConnection.openAll(plan, clients).enumerated() {
            connections.append(LoadConnection(socket: socket))
            let packet = MinimalMQTT.publish(topic(index / plan.shape.publishers), payload, qos: plan.qos)
            publishers.append(
                LoadPublisher(
                    connection: connections.count - 1, packet: packet,
                    identifierOffset: MinimalMQTT.identifierOffset(packet, payloadBytes: plan.payloadBytes),
                    free: (0..<identifiers).reversed().map { UInt16($0 + 1) }))
            try listen(connections.count - 1)
        }
    }

    func listen(_ index: Int) throws(Problem) {
        LoadConnection.setNonBlocking(connections[index].socket)
        try poller.add(connections[index].socket, index: index)
    }

    /// Receives what is there; waits for it at most so long.
    func receiveAll(milliseconds: Int) throws(Problem) {
        let count = try poller.poll(milliseconds: milliseconds)
        for number in 0..<count {
            let event = poller.event(number)
            if event.isWritable { try flush(event.index) }
            if event.isReadable { try receive(event.index) }
        }
    }

    private func receive(_ index: Int) throws(Problem) {
        let kept = connections[index].leftover.count
        if kept > 0 {
            connections[index].leftover.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress!, byteCount: kept) }
        }
        let count = read(connections[index].socket, buffer + kept, bufferBytes - kept)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            throw Problem(
                "bench.generator",
                "the broker closed the connection of \(index < plan.shape.subscribersTotal ? "a subscriber" : "a publisher")"
            )
        }
        let total = kept + count
        let used = try parse(total, from: index, at: clock.monotonicNanoseconds())
        if used < total {
            connections[index].leftover = Array(UnsafeRawBufferPointer(start: buffer + used, count: total - used))
        } else if kept > 0 {
            connections[index].leftover.removeAll(keepingCapacity: true)
        }
        if replyBytes > 0 {
            let bytes = replyBytes
            replyBytes = 0
            try send(UnsafeRawBufferPointer(start: replies, count: bytes), over: index)
        }
    }

    /// Takes the whole packets in the buffer; how many bytes they have.
    private func parse(_ count: Int, from index: Int, at now: Int64) throws(Problem) -> Int {
        var position = 0
        while count - position >= 2 {
            let first = buffer.load(fromByteOffset: position, as: UInt8.self)
            var length = 0
            var shift = 0
            var body = position + 1
            while true {
                guard body < count else { return position }
                let byte = buffer.load(fromByteOffset: body, as: UInt8.self)
                body += 1
                length |= Int(byte & 0x7F) << shift
                shift += 7
                if byte & 0x80 == 0 { break }
                guard shift < 28 else { throw Problem("bench.generator", "the broker sent a malformed length") }
            }
            guard length <= count - body else {
                guard length < bufferBytes - 8 else {
                    throw Problem(
                        "bench.generator", "the broker sent a packet of \(length) bytes, longer than any of ours")
                }
                return position
            }
            try take(first, body, length, from: index, at: now)
            position = body + length
        }
        return position
    }

    @inline(__always)
    private func take(_ first: UInt8, _ body: Int, _ length: Int, from index: Int, at now: Int64) throws(Problem) {
        switch first >> 4 {
        case 3:
            try delivered(first, body, length, to: index, at: now)
        case 4, 7:
            guard length >= 2 else { throw Problem("bench.generator", "the broker sent a malformed acknowledgement") }
            finish(index - plan.shape.subscribersTotal, buffer.identifier(at: body))
        case 5:
            reply(0x62, buffer.identifier(at: body))
        case 6:
            reply(0x70, buffer.identifier(at: body))
        default:
            break
        }
    }

    @inline(__always)
    private func delivered(_ first: UInt8, _ body: Int, _ length: Int, to index: Int, at now: Int64) throws(Problem) {
        guard length >= LoadPlan.payloadBytesMin + 2, index < plan.shape.subscribersTotal else {
            throw Problem("bench.generator", "the broker sent a message that is none of ours")
        }
        let mark = body + length - LoadPlan.payloadBytesMin
        let publisher = Int(buffer.loadUnaligned(fromByteOffset: mark, as: UInt32.self))
        let sequence = buffer.loadUnaligned(fromByteOffset: mark + 4, as: UInt32.self)
        let sent = buffer.loadUnaligned(fromByteOffset: mark + 8, as: Int64.self)
        let qos = first >> 1 & 3
        if qos > 0 {
            let topicBytes = Int(buffer.identifier(at: body))
            guard topicBytes + 4 <= length else {
                throw Problem("bench.generator", "the broker sent a malformed topic")
            }
            reply(qos == 1 ? 0x40 : 0x50, buffer.identifier(at: body + 2 + topicBytes))
        }
        guard account.arrived(subscriber: index, publisher: publisher, sequence: sequence) else { return }
        if sent >= latencyFrom { latency.record(now - sent) }
        settle(publisher)
    }

    /// The broker has taken over a message of QoS 1 or 2 for good.
    @inline(__always)
    private func finish(_ publisher: Int, _ identifier: UInt16) {
        guard publishers.indices.contains(publisher) else { return }
        acknowledged += 1
        publishers[publisher].free.append(identifier)
        settle(publisher)
    }

    @inline(__always)
    private func settle(_ publisher: Int) {
        publishers[publisher].outstanding -= 1
        // A store waits for nothing but the acknowledgement, so every one lets another message go.
        guard plan.mode == .store || publishers[publisher].outstanding == 0, !publishers[publisher].isListed else {
            return
        }
        publishers[publisher].isListed = true
        listed.append(publisher)
    }

    @inline(__always)
    private func reply(_ first: UInt8, _ identifier: UInt16) {
        let at = replies + replyBytes
        at.storeBytes(of: first, as: UInt8.self)
        at.storeBytes(of: 2, toByteOffset: 1, as: UInt8.self)
        at.storeBytes(of: UInt8(identifier >> 8), toByteOffset: 2, as: UInt8.self)
        at.storeBytes(of: UInt8(identifier & 0xFF), toByteOffset: 3, as: UInt8.self)
        replyBytes += 4
    }

    /// Sends a publisher's next messages in one write, all with the same time. With QoS 1 and 2 there must be as many
    /// free identifiers.
    func publish(_ index: Int, count: Int, time: Int64) throws(Problem) {
        let length = publishers[index].packet.count
        let bytes = length * count
        if scratch.count < bytes {
            scratch.deallocate()
            scratch = .allocate(byteCount: bytes * 2, alignment: 16)
        }
        guard let base = scratch.baseAddress else { return }
        for number in 0..<count {
            let at = base + number * length
            publishers[index].packet.withUnsafeBytes { packet in
                if let from = packet.baseAddress { at.copyMemory(from: from, byteCount: length) }
            }
            if plan.qos > 0, let identifier = publishers[index].free.popLast() {
                let offset = publishers[index].identifierOffset
                at.storeBytes(of: identifier.bigEndian, toByteOffset: offset, as: UInt16.self)
            }
            let mark = length - LoadPlan.payloadBytesMin
            at.storeBytes(of: UInt32(index), toByteOffset: mark, as: UInt32.self)
            at.storeBytes(of: publishers[index].sequence, toByteOffset: mark + 4, as: UInt32.self)
            at.storeBytes(of: time, toByteOffset: mark + 8, as: Int64.self)
            publishers[index].sequence &+= 1
        }
        let answers = (plan.mode == .store ? 0 : plan.shape.subscribers) + (plan.qos > 0 ? 1 : 0)
        publishers[index].outstanding += count * answers
        published += count
        try send(UnsafeRawBufferPointer(start: base, count: bytes), over: publishers[index].connection)
    }

    private func send(_ bytes: UnsafeRawBufferPointer, over index: Int) throws(Problem) {
        guard connections[index].unsent.isEmpty else {
            connections[index].unsent += bytes
            guard connections[index].unsent.count <= Self.unsentBytesMax else {
                throw Problem("bench.generator", "the broker does not read: \(Self.unsentBytesMax) bytes wait for it")
            }
            return
        }
        let sent = try taken(write(bytes, over: index))
        guard sent < bytes.count else { return }
        connections[index].unsent = Array(bytes[sent...])
        try poller.watchWriting(connections[index].socket, index: index, true)
    }

    private func flush(_ index: Int) throws(Problem) {
        let count = connections[index].unsent.count
        let sent = try taken(connections[index].unsent.withUnsafeBytes { write($0, over: index) })
        connections[index].unsent.removeFirst(sent)
        if sent == count { try poller.watchWriting(connections[index].socket, index: index, false) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, over index: Int) -> Int {
        Self.sendNow(connections[index].socket, bytes)
    }

    /// Without the signal that a closed connection would raise.
    private static func sendNow(_ socket: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if os(Linux)
            Glibc.send(socket, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        #else
            send(socket, bytes.baseAddress, bytes.count, 0)
        #endif
    }

    private func taken(_ sent: Int) throws(Problem) -> Int {
        if sent >= 0 { return sent }
        guard errno == EAGAIN || errno == EINTR else {
            throw Problem("bench.generator", "a client cannot send: \(errorText(errno))")
        }
        return 0
    }
}

extension UnsafeMutableRawPointer {
    /// Two bytes, the more significant one first.
    @inline(__always)
    fileprivate func identifier(at offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}
