import Formats
import Model
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Synchronization

/// The server's end of one WebSocket: a thin handle that the hub writes to from anywhere.
final class LiveSocket: Sendable {
    /// Requests that wait for the hub; a page that sends more at once is closed.
    static let requestsMax = 256
    /// While more than that waits to be sent, the socket is left out: its page sees the newest values later.
    static let pendingBytesMax = 64 << 10

    let channel: any Channel
    private let pending = Atomic<Int>(0)
    private let closing = Atomic<Bool>(false)
    /// When something came last; monotonic nanoseconds.
    let heardAt: Atomic<Int64>

    fileprivate init(_ channel: any Channel, now: Int64) {
        self.channel = channel
        heardAt = Atomic(now)
    }

    /// Makes the channel, which has just become a WebSocket, a member of the hub.
    static func attach(to channel: any Channel, head: HTTPRequestHead, hub: LiveHub) throws {
        let socket = LiveSocket(channel, now: hub.time.monotonicNanoseconds())
        let (requests, input) = AsyncStream<Bytes>.makeStream(bufferingPolicy: .bufferingOldest(requestsMax))
        try channel.pipeline.syncOperations.addHandler(LiveSocketHandler(socket: socket, input: input, time: hub.time))
        Task { await hub.serve(socket, head: head, requests: requests) }
    }

    /// Whether the other end keeps up.
    var isReady: Bool { pending.load(ordering: .relaxed) <= Self.pendingBytesMax && !closing.load(ordering: .relaxed) }

    func send(_ text: ByteBuffer) {
        let count = text.readableBytes
        pending.add(count, ordering: .relaxed)
        let done = channel.eventLoop.makePromise(of: Void.self)
        done.futureResult.whenComplete { [self] _ in pending.subtract(count, ordering: .relaxed) }
        channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .text, data: text), promise: done)
    }

    func ping() { channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()), promise: nil) }

    /// Says why and closes; idempotent. The other end may not read: then the connection ends without the reason
    /// after a while.
    @discardableResult
    func close(
        _ code: WebSocketErrorCode, _ reason: String, within patience: TimeAmount = .seconds(5)
    ) -> EventLoopFuture<Void> {
        guard !closing.exchange(true, ordering: .relaxed) else { return channel.closeFuture }
        var data = channel.allocator.buffer(capacity: 2 + reason.utf8.count)
        data.write(webSocketErrorCode: code)
        // A control frame holds 125 bytes. RFC 6455, 5.5
        data.writeString(String(decoding: reason.utf8.prefix(120), as: UTF8.self))
        let done = channel.eventLoop.makePromise(of: Void.self)
        done.futureResult.whenComplete { [channel] _ in channel.close(promise: nil) }
        channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .connectionClose, data: data), promise: done)
        let deadline = channel.eventLoop.scheduleTask(in: patience) { [channel] in channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in deadline.cancel() }
        return channel.closeFuture
    }
}

/// Takes frames apart: text to the hub, control frames answered here. RFC 6455, 5.5
private final class LiveSocketHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let socket: LiveSocket
    private let input: AsyncStream<Bytes>.Continuation
    private let time: any TimeSource

    init(socket: LiveSocket, input: AsyncStream<Bytes>.Continuation, time: any TimeSource) {
        self.socket = socket
        self.input = input
        self.time = time
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        socket.heardAt.store(time.monotonicNanoseconds(), ordering: .relaxed)
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text:
            let text = frame.unmaskedData.withUnsafeReadableBytes { Bytes(copying: $0) }
            if case .dropped = input.yield(text) { socket.close(.policyViolation, "too many requests at once") }
        case .binary: socket.close(.unacceptableData, "text only")
        case .ping:
            let answer = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        case .connectionClose: socket.close(.normalClosure, "")
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        input.finish()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A WebSocket has no half-closed state: who sends no more is gone.
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    /// A frame that is no frame, or a message beyond the bound: the decoder has answered already where it can.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socket.close(.protocolError, "not a frame of ours")
    }
}
