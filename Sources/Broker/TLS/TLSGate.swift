import NIOCore
import NIOSSL

/// Holds the place of TLS in a pipeline until a whole first record has come, so that a connection that says nothing,
/// or something else, costs none of TLS's buffers. Stays at the front afterwards, to cut off without a farewell.
final class TLSGate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Longest plaintext record with its header. RFC 8446, 5.1
    private static let recordBytesMax = 5 + (1 << 14)

    private let arrival: Arrival
    private let keeper: TLSKeeper
    private var gathered = ByteBuffer()
    private var isOpen = false
    private var isOver = false

    init(_ arrival: Arrival, _ keeper: TLSKeeper) {
        self.arrival = arrival
        self.keeper = keeper
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // Straight to the socket: TLS would wait for the peer's farewell.
        arrival.cut = { context.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { arrival.cut = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isOpen {
            context.fireChannelRead(data)
            return
        }
        guard !isOver else { return }
        var buffer = unwrapInboundIn(data)
        gathered.writeBuffer(&buffer)
        switch Self.firstRecord(gathered) {
        case nil: fail(context, .notTLS)
        case .some(let count) where gathered.readableBytes < count: return
        case .some: open(context)
        }
    }

    /// The length that the first record has, as far as is known; nil: this is not a client's greeting.
    private static func firstRecord(_ bytes: ByteBuffer) -> Int? {
        let start = bytes.readerIndex
        if let type = bytes.getInteger(at: start, as: UInt8.self), type != 22 { return nil }
        if let major = bytes.getInteger(at: start + 1, as: UInt8.self), major != 3 { return nil }
        guard let length = bytes.getInteger(at: start + 3, as: UInt16.self) else { return 5 }
        let count = 5 + Int(length)
        return length > 0 && count <= recordBytesMax ? count : nil
    }

    private func open(_ context: ChannelHandlerContext) {
        isOpen = true
        let bytes = gathered
        gathered = ByteBuffer()
        do {
            let handler = try keeper.makeHandler(arrival)
            try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        } catch {
            fail(context, .tlsHandshake)
            return
        }
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    private func fail(_ context: ChannelHandlerContext, _ cause: CloseCause) {
        isOver = true
        gathered = ByteBuffer()
        arrival.fail(cause)
        context.close(promise: nil)
    }
}

extension Arrival {
    /// The handshake is complete: who is it? False: the client must go. `arrival.cause` says why.
    func tlsCompleted(_ context: ChannelHandlerContext) -> Bool {
        stage = lane.listener.configuration.transport.isWebSocket ? .webSocket : .connect
        let (trust, issuer) = (tlsTrust, tlsIssuer)
        tlsTrust = nil
        tlsIssuer = nil
        guard let trust else { return true }
        do {
            guard let peer = try context.pipeline.syncOperations.nioSSL_peerCertificate() else { return true }
            let fields = try CertificateFields(der: peer.toDERBytes())
            // A resumed session has not been through the check of the chain, and a good one may have become bad.
            if let objection = trust.objection(to: fields, issuer: issuer, isLeaf: true) {
                fail(objection)
                return false
            }
            certificate = fields.view
            return true
        } catch {
            fail(.certificateUntrusted)
            return false
        }
    }
}
