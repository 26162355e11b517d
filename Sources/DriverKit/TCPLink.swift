package import Model
package import NIOCore
import NIOPosix

/// Opens TCP connections by NIO.
package struct TCPConnector: LinkConnector {
    package init() {}

    package func connect(
        host: String, port: Int, timeout: TimeAmount, on eventLoop: any EventLoop
    ) async throws(Problem) -> any Link {
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: eventLoop)
                .connectTimeout(timeout)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(.socketOption(.so_keepalive), value: 1)
                // Nothing is read before the session listens.
                .channelOption(.autoRead, value: false)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(LinkHandler())
                    }
                }
                .connect(host: host, port: port).get()
        } catch {
            throw Self.problem(error, host: host, port: port)
        }
        do {
            return TCPLink(
                channel, try channel.pipeline.syncOperations.handler(type: LinkHandler.self),
                peer: "\(host):\(port)")
        } catch {
            // Closed between the connect and this turn.
            throw Self.problem(error, host: host, port: port)
        }
    }

    private static func problem(_ error: any Error, host: String, port: Int) -> Problem {
        let arguments = ["host": host, "port": String(port)]
        if let failure = error as? NIOConnectionError {
            if let last = failure.connectionErrors.last { return problem(last.error, host: host, port: port) }
            let reason = (failure.dnsAError ?? failure.dnsAAAAError).map { "\($0)" } ?? "no address"
            return Problem(
                "device.unreachable", "\(host):\(port): the name \"\(host)\" was not found (\(reason))", arguments)
        }
        if let failure = error as? ChannelError, case .connectTimeout(let amount) = failure {
            let milliseconds = amount.nanoseconds / 1_000_000
            return Problem(
                "device.connect_timeout", "\(host):\(port): no connection within \(milliseconds) ms",
                arguments.merging(["milliseconds": String(milliseconds)]) { first, _ in first })
        }
        let reason = reason(error)
        return Problem(
            "device.unreachable", "\(host):\(port): \(reason)",
            arguments.merging(["reason": reason]) { first, _ in first })
    }

    static func reason(_ error: any Error) -> String {
        guard let failure = error as? IOError else { return "\(error)" }
        return switch failure.errnoCode {
        case ECONNREFUSED: "the connection was refused; nothing listens there"
        case ECONNRESET: "the device reset the connection"
        case EHOSTUNREACH: "no route to the host"
        case ENETUNREACH: "the network is unreachable"
        case ETIMEDOUT: "the connection timed out"
        case EPIPE: "the device closed the connection"
        default: failure.description
        }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One TCP connection. Output gathers in one buffer and leaves in one write per turn of the loop.
private final class TCPLink: Link {
    private let channel: any Channel
    private let handler: LinkHandler
    private(set) var isOpen = true

    init(_ channel: any Channel, _ handler: LinkHandler, peer: String) {
        self.channel = channel
        self.handler = handler
        handler.peer = peer
    }

    deinit {
        if isOpen { channel.close(promise: nil) }
    }

    func start(_ receiver: any LinkReceiver) {
        handler.receiver = receiver
        handler.onClose = { [unowned self] in isOpen = false }
        guard channel.isActive else {
            // It was closed before anybody listened.
            handler.end(Problem("device.connection_lost", "\(handler.peer): the device closed the connection"))
            return
        }
        channel.setOption(.autoRead, value: true).whenComplete { _ in }
        channel.read()
    }

    func write(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        guard isOpen else { return }
        handler.write(capacity: capacity, fill)
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        handler.receiver = nil
        handler.onClose = nil
        channel.close(promise: nil)
    }
}

/// Gives a receiver the bytes of a channel and gathers what it answers.
private final class LinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// An answer that would need more is not one of a device protocol.
    static let unconsumedBytesMax = 1 << 20

    var receiver: (any LinkReceiver)?
    var onClose: (() -> Void)?
    var peer = ""
    private var context: ChannelHandlerContext?
    /// What the receiver has left; usually empty.
    private var unconsumed = ByteBuffer()
    private var output = ByteBuffer()
    private var isInTurn = false
    private var isFlushScheduled = false
    private var failure: (any Error)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard let receiver else { return }
        isInTurn = true
        if unconsumed.readableBytes > 0 {
            unconsumed.writeBuffer(&bytes)
            let count = unconsumed.withUnsafeReadableBytes { receiver.received($0) }
            unconsumed.moveReaderIndex(forwardBy: count)
            if unconsumed.readableBytes == 0 { unconsumed.clear() } else { unconsumed.discardReadBytes() }
        } else {
            let count = bytes.withUnsafeReadableBytes { receiver.received($0) }
            if count < bytes.readableBytes {
                bytes.moveReaderIndex(forwardBy: count)
                unconsumed.writeBuffer(&bytes)
            }
        }
        if unconsumed.readableBytes > Self.unconsumedBytesMax {
            end(
                Problem(
                    "device.nonsense",
                    "\(peer): more than \(Self.unconsumedBytesMax) bytes came that are no answer of this protocol"))
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInTurn = false
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let reason = failure.map(TCPConnector.reason) ?? "the device closed the connection"
        end(Problem("device.connection_lost", "\(peer): \(reason)", ["peer": peer, "reason": reason]))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = error
        context.close(promise: nil)
    }

    func write(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity, fill)
        guard !isInTurn, !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute { [weak self] in
            self?.isFlushScheduled = false
            self?.flush()
        }
    }

    func end(_ problem: Problem) {
        guard let receiver else { return }
        self.receiver = nil
        onClose?()
        onClose = nil
        receiver.closed(problem)
    }

    private func flush() {
        guard output.readableBytes > 0, let context else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        // Keeps the storage if the socket took it all, else leaves it to the channel.
        output.clear()
    }
}
