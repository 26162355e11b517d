import BrokerCore
import NIOCore

/// Between NIO's channel and the broker's connection: gives it bytes as they come, in place, and sends what it has
/// gathered. The only handler of its pipeline.
final class ConnectionHandler: ChannelInboundHandler, Transport {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let shard: Shard
    private let makeContext: (any Channel) -> ConnectionContext
    private let onClose: () -> Void
    private var context: ChannelHandlerContext?
    private var connection: Connection?
    /// What the connection has left unread: a part of a packet, or packets it cannot take now.
    private var unread = ByteBuffer()
    private var isReceiving = false
    private var isClosed = false

    init(shard: Shard, makeContext: @escaping (any Channel) -> ConnectionContext, onClose: @escaping () -> Void) {
        self.shard = shard
        self.makeContext = makeContext
        self.onClose = onClose
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { open(context) }
    }

    func channelActive(context: ChannelHandlerContext) { open(context) }

    private func open(_ context: ChannelHandlerContext) {
        guard connection == nil, !isClosed else { return }
        connection = shard.accept(self, makeContext(context.channel))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if unread.readableBytes > 0 {
            unread.writeBuffer(&buffer)
            receiveUnread()
            return
        }
        guard let connection else { return }
        let taken = buffer.withUnsafeReadableBytes { connection.receive($0) }
        if taken < buffer.readableBytes {
            buffer.moveReaderIndex(forwardBy: taken)
            unread = buffer
        }
    }

    private func receiveUnread() {
        // A connection that becomes ready while it is being given bytes asks for more from within.
        guard let connection, !isReceiving else { return }
        isReceiving = true
        defer { isReceiving = false }
        while unread.readableBytes > 0 {
            let taken = unread.withUnsafeReadableBytes { connection.receive($0) }
            if taken == 0 { break }
            unread.moveReaderIndex(forwardBy: taken)
        }
        if unread.readableBytes == 0 { unread = ByteBuffer() }
    }

    func channelInactive(context: ChannelHandlerContext) { closed() }

    func handlerRemoved(context: ChannelHandlerContext) {
        closed()
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The peer went away or the socket failed: the connection ends as by any loss of the network.
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection?.transportWritable(context.channel.isWritable)
    }

    private func closed() {
        guard !isClosed else { return }
        isClosed = true
        connection?.transportClosed()
        connection = nil
        onClose()
    }

    // MARK: Transport

    func send(_ buffer: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }

    func close() {
        guard let context else { return }
        // What is still unsent goes out first; a client that does not read is cut off after a while.
        if context.channel.isWritable {
            context.close(promise: nil)
        } else {
            let channel = context.channel
            context.eventLoop.scheduleTask(in: .seconds(5)) { channel.close(promise: nil) }
        }
    }

    func setReading(_ isReading: Bool) {
        context?.channel.setOption(ChannelOptions.autoRead, value: isReading).whenFailure { _ in
            // Only a channel that is closed refuses, and there is nothing left to read from that.
        }
    }

    func resume() {
        guard unread.readableBytes > 0, let context else { return }
        // Not from within the call that made the connection ready.
        context.eventLoop.assumeIsolated().execute { self.receiveUnread() }
    }
}
