import Model
import ModbusWire
import NIOCore
import Wire

/// A device of nothing but float32 tags in holding registers (and the same in input registers), for benchmarks. Belongs
/// to one event loop. Tags beyond one unit's 65,536 registers go on in the next unit.
final class BenchImage {
    static let tagsPerUnit = 32_750

    private var units: [[UInt8]]
    private var generation: UInt32 = 0
    private let tags: Int

    init(tags: Int) {
        self.tags = tags
        let count = max(1, (tags + Self.tagsPerUnit - 1) / Self.tagsPerUnit)
        units = (0..<count).map { unit in
            [UInt8](repeating: 0, count: min(Self.tagsPerUnit, tags - unit * Self.tagsPerUnit) * 4)
        }
        change()
    }

    /// Gives every tag its next value: a slow saw tooth, so that a reader can tell that it is fresh.
    func change() {
        generation &+= 1
        for unit in units.indices {
            units[unit].withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                for index in 0..<bytes.count / 4 {
                    let value = Float((UInt32(truncatingIfNeeded: index) &+ generation) % 1000) * 0.1
                    base.storeBig(value.bitPattern, at: index * 4)
                }
            }
        }
    }

    /// Appends the answer to one request.
    func answer(_ frame: ModbusFrame, _ bytes: UnsafeRawBufferPointer, to out: inout ByteBuffer) {
        let pdu = UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])
        let unit = Int(frame.unit) - 1
        if units.indices.contains(unit), pdu.count == 5, pdu[0] == 3 || pdu[0] == 4, let base = pdu.baseAddress {
            let start = Int(base.big(1, UInt16.self)) * 2
            let length = Int(base.big(3, UInt16.self)) * 2
            if length >= 2, length <= 250, start + length <= units[unit].count {
                out.writeInteger(frame.transaction)
                out.writeInteger(UInt32(truncatingIfNeeded: length + 3))
                out.writeInteger(frame.unit)
                out.writeInteger(pdu[0])
                out.writeInteger(UInt8(truncatingIfNeeded: length))
                units[unit].withUnsafeBytes {
                    _ = out.writeBytes(UnsafeRawBufferPointer(rebasing: $0[start..<start + length]))
                }
                return
            }
        }
        var writer = ByteWriter(capacity: 16)
        ModbusFrame.append(transaction: frame.transaction, unit: frame.unit, to: &writer) { writer in
            do throws(ModbusException) {
                let request = try ModbusRequest(decoding: pdu)
                try write(request, unit)
                request.encodeReply(to: &writer)
            } catch {
                error.encode(refusing: pdu.first ?? 0, to: &writer)
            }
        }
        out.writeBytes(writer.bytes)
    }

    private func write(_ request: ModbusRequest, _ unit: Int) throws(ModbusException) {
        guard units.indices.contains(unit) else { throw .gatewayTargetFailedToRespond }
        let start: Int
        let data: [UInt8]
        switch request {
        case .writeRegister(let address, let value):
            start = Int(address) * 2
            data = [UInt8(value >> 8), UInt8(value & 0xFF)]
        case .writeRegisters(let address, let bytes):
            start = Int(address) * 2
            data = bytes
        case .read: throw .illegalDataAddress
        default: throw .illegalFunction
        }
        guard start + data.count <= units[unit].count else { throw .illegalDataAddress }
        units[unit].replaceSubrange(start..<start + data.count, with: data)
    }
}

/// One connection to a bench device: all requests of one read are answered in one write, after `delay` each if the
/// device is to be slow.
final class BenchHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let image: BenchImage
    private let delay: TimeAmount
    private var busyUntil = NIODeadline.uptimeNanoseconds(0)
    private var pending: ByteBuffer?

    init(image: BenchImage, delay: TimeAmount) {
        self.image = image
        self.delay = delay
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if var earlier = pending {
            earlier.writeBuffer(&incoming)
            incoming = earlier
            pending = nil
        }
        var out = context.channel.allocator.buffer(capacity: incoming.readableBytes / 12 * 260 + 260)
        var consumed = 0
        let isSound = incoming.withUnsafeReadableBytes { bytes -> Bool in
            while true {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                let found: ModbusFrame?
                do throws(ModbusFault) {
                    found = try ModbusFrame.first(in: rest)
                } catch {
                    return false
                }
                guard let frame = found else { return true }
                image.answer(frame, rest, to: &out)
                consumed += frame.byteCount
                if delay > .zero {
                    answerLater(out, context)
                    out.clear()
                }
            }
        }
        incoming.moveReaderIndex(forwardBy: consumed)
        if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
        if !isSound {
            context.close(promise: nil)
        } else if incoming.readableBytes > 0 {
            pending = incoming
        }
    }

    private func answerLater(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        busyUntil = max(busyUntil, .now()) + delay
        let channel = context.channel
        context.eventLoop.scheduleTask(deadline: busyUntil) { channel.writeAndFlush(bytes, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
