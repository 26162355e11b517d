import NIOCore

/// Takes the PROXY header off a connection's first bytes, then itself out of the pipeline.
final class ProxyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let arrival: Arrival
    private let nextStage: Arrival.Stage
    private var gathered = ByteBuffer()
    private var isOver = false

    init(_ arrival: Arrival, nextStage: Arrival.Stage) {
        self.arrival = arrival
        self.nextStage = nextStage
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        var buffer = unwrapInboundIn(data)
        gathered.writeBuffer(&buffer)
        switch gathered.withUnsafeReadableBytes(ProxyHeader.parse) {
        case .needsMore: return
        case .malformed: fail(context, .proxyHeader)
        case .complete(let header, let count):
            gathered.moveReaderIndex(forwardBy: count)
            var peer = arrival.peer
            if case .client(let client) = header {
                // A client that is local to a proxy elsewhere is not local to us.
                peer = PeerAddress(text: client.text, ip: client.ip, isLocal: client.isLocal && peer.isLocal)
            }
            guard arrival.identified(peer) else {
                fail(context, .addressConnectionsMax)
                return
            }
            isOver = true
            arrival.stage = nextStage
            if gathered.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(gathered)) }
            gathered = ByteBuffer()
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    private func fail(_ context: ChannelHandlerContext, _ cause: CloseCause) {
        isOver = true
        gathered = ByteBuffer()
        arrival.fail(cause)
        context.close(promise: nil)
    }
}
