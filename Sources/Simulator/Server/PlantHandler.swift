import Model
import ModbusWire
import NIOCore

/// One client's connection to a port of the plant. Answers of one read go out in one write.
final class PlantHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: PlantCore
    private let listener: Int
    private let time: any TimeSource
    private var pending: ByteBuffer?

    init(core: PlantCore, listener: Int, time: any TimeSource) {
        self.core = core
        self.listener = listener
        self.time = time
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if var earlier = pending {
            earlier.writeBuffer(&incoming)
            incoming = earlier
            pending = nil
        }
        core.catchUp()
        var out = context.channel.allocator.buffer(capacity: 512)
        var isOpen = true
        while isOpen {
            do throws(ModbusFault) {
                guard let length = try handleFirst(in: incoming, context, &out, &isOpen) else { break }
                incoming.moveReaderIndex(forwardBy: length)
            } catch {
                // What cannot be told apart any more is not answered. The standard closes the connection.
                isOpen = false
            }
        }
        if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
        if !isOpen {
            context.close(promise: nil)
        } else if incoming.readableBytes > 0 {
            pending = incoming
        }
    }

    /// Answers the first frame; its length, or nil while it is not complete.
    private func handleFirst(
        in buffer: ByteBuffer, _ context: ChannelHandlerContext, _ out: inout ByteBuffer, _ isOpen: inout Bool
    ) throws(ModbusFault) -> Int? {
        let view = buffer.readableBytesView
        let result = view.withUnsafeBytes { bytes -> Result<(Int, PlantCore.Outcome)?, ModbusFault> in
            do throws(ModbusFault) {
                guard let frame = try ModbusFrame.first(in: bytes) else { return .success(nil) }
                let pdu = UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])
                let outcome = core.handle(
                    listener: listener, transaction: frame.transaction, unit: frame.unit, pdu: pdu)
                return .success((frame.byteCount, outcome))
            } catch {
                return .failure(error)
            }
        }
        guard let (length, outcome) = try result.get() else { return nil }
        switch outcome {
        case .none: break
        case .drop: isOpen = false
        case .reply(let bytes, let at):
            let delay = at - time.monotonicNanoseconds()
            if delay > 0 {
                answerLater(bytes, delay, context)
            } else {
                out.writeBytes(bytes)
            }
        }
        return length
    }

    private func answerLater(_ bytes: [UInt8], _ nanoseconds: Int64, _ context: ChannelHandlerContext) {
        let channel = context.channel
        context.eventLoop.scheduleTask(in: .nanoseconds(nanoseconds)) {
            // A client that has left meanwhile needs no answer; NIO fails the write without a promise.
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A client that resets its connection is ordinary life for a server.
        context.close(promise: nil)
    }
}
