import Model
import Wire

/// What the fuzz target and its smoke run do with one input: every decoder once, and what was understood must encode
/// to what was read.
package enum ModbusCodecProbe {
    package static func run(_ bytes: UnsafeRawBufferPointer) {
        streamOfFrames(bytes)
        for side in [ModbusRTU.Side.requests, .responses] { _ = try? ModbusRTU.first(in: bytes, of: side) }
        request(bytes)
        if bytes.count >= 12 {
            let question = UnsafeRawBufferPointer(rebasing: bytes[..<5])
            if let asked = try? ModbusRequest(decoding: question) {
                _ = try? asked.reply(in: UnsafeRawBufferPointer(rebasing: bytes[5...]))
            }
        }
        address(String(decoding: bytes.prefix(128), as: UTF8.self), data: bytes)
    }

    private static func streamOfFrames(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while let frame = try? ModbusFrame.first(in: rest) {
            precondition(frame.byteCount <= rest.count && frame.byteCount >= 8)
            request(UnsafeRawBufferPointer(rebasing: rest[frame.pdu]))
            rest = UnsafeRawBufferPointer(rebasing: rest[frame.byteCount...])
        }
    }

    private static func request(_ pdu: UnsafeRawBufferPointer) {
        guard let request = try? ModbusRequest(decoding: pdu) else { return }
        var writer = ByteWriter()
        request.encode(to: &writer)
        precondition(pdu.elementsEqual(writer.bytes))
    }

    private static func address(_ text: String, data: UnsafeRawBufferPointer) {
        guard let address = try? ModbusAddress(text) else { return }
        precondition((try? ModbusAddress(address.text())) == address)
        let types = ScalarType.allCases.flatMap { [ValueType($0), ValueType($0, arrayCount: 3)] }
        for type in types where type.scalar.isInline || !type.isArray {
            guard let field = try? ModbusField(address: address, type: type) else { continue }
            let descriptor = BatchDescriptor(
                device: "", deviceUID: "", group: "", tags: [Tag(name: "t", type: type)])
            let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
            ModbusDecoder(start: field.start, fields: [(0, field)]).decode(data, into: builder)
            let batch = builder.finish()
            // What was read can be written where the field allows it, and is within the protocol's limits.
            if batch.quality(0).isGood, let write = try? field.writeRequest(batch.value(0)) {
                precondition(write.isWithinLimits)
            }
        }
    }
}
