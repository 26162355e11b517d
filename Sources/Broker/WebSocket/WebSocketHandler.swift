import NIOCore

/// Makes a byte stream of a WebSocket: answers the request, unwraps binary frames inbound, wraps outbound. Packets
/// may be cut by frames and share them. MQTT 5.0, 6 [MQTT-6.0.0-2]
final class WebSocketHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Answers to pings that the client has not read, in bytes, after which it is cut off.
    private static let pongBytesMax = 64 << 10

    private enum State {
        case request
        case open
        case closing
    }

    private let arrival: Arrival
    private let settings: WebSocketSettings
    private var state = State.request
    private var gathered = ByteBuffer()
    private var decoder: WebSocketDecoder
    private var unsentPongBytes = 0

    init(_ arrival: Arrival, _ settings: WebSocketSettings) {
        self.arrival = arrival
        self.settings = settings
        decoder = WebSocketDecoder(frameBytesMax: settings.frameBytesMax)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        switch state {
        case .closing: return
        case .open: receive(context, &buffer)
        case .request:
            gathered.writeBuffer(&buffer)
            switch gathered.withUnsafeReadableBytes({ WebSocketRequest.parse($0, settings) }) {
            case .needsMore: return
            case .refuse(let response):
                arrival.fail(.webSocketRequest)
                state = .closing
                gathered = ByteBuffer()
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: response))).assumeIsolated().whenComplete {
                    _ in context.close(promise: nil)
                }
            case .accept(let response, let count):
                gathered.moveReaderIndex(forwardBy: count)
                state = .open
                arrival.stage = .connect
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: response)), promise: nil)
                var rest = gathered
                gathered = ByteBuffer()
                if rest.readableBytes > 0 { receive(context, &rest) }
            }
        }
    }

    private func receive(_ context: ChannelHandlerContext, _ buffer: inout ByteBuffer) {
        do throws(WebSocketClose) {
            try decoder.decode(&buffer) { event in
                guard state == .open else { return }
                switch event {
                case .data(let bytes): context.fireChannelRead(wrapInboundOut(bytes))
                case .ping(let bytes): pong(context, bytes)
                case .close(let code): close(context, WebSocketClose(code: code ?? WebSocketClose.normal.code))
                }
            }
        } catch {
            guard state == .open else { return }
            arrival.fail(error == .unacceptableData ? .webSocketText : .webSocketFrame)
            close(context, error)
        }
    }

    private func pong(_ context: ChannelHandlerContext, _ bytes: ByteBuffer) {
        let count = bytes.readableBytes + 2
        unsentPongBytes += count
        guard unsentPongBytes <= Self.pongBytesMax else {
            arrival.fail(.webSocketFrame)
            state = .closing
            context.close(promise: nil)
            return
        }
        var frame = WebSocketEncoder.header(WebSocketEncoder.pong, count: bytes.readableBytes)
        frame.writeImmutableBuffer(bytes)
        context.writeAndFlush(wrapOutboundOut(frame)).assumeIsolated().whenComplete { _ in
            self.unsentPongBytes -= count
        }
    }

    /// Says goodbye, with the code that the client sent or the reason it is closed for, and closes.
    private func close(_ context: ChannelHandlerContext, _ reason: WebSocketClose) {
        state = .closing
        context.writeAndFlush(wrapOutboundOut(Self.farewell(reason))).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }

    private static func farewell(_ reason: WebSocketClose) -> ByteBuffer {
        var frame = WebSocketEncoder.header(WebSocketEncoder.close, count: 2)
        frame.writeInteger(reason.code)
        return frame
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let payload = unwrapOutboundIn(data)
        guard payload.readableBytes > 0, state == .open else {
            // Nothing but a way to learn that all before it is sent; or too late.
            context.write(wrapOutboundOut(state == .open ? payload : ByteBuffer()), promise: promise)
            return
        }
        let header = WebSocketEncoder.header(WebSocketEncoder.binary, count: payload.readableBytes)
        context.write(wrapOutboundOut(header), promise: nil)
        context.write(wrapOutboundOut(payload), promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if state == .open, mode == .all {
            state = .closing
            context.writeAndFlush(wrapOutboundOut(Self.farewell(.normal)), promise: nil)
        }
        context.close(mode: mode, promise: promise)
    }
}
