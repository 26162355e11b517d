package import Model
import Wire

extension ModbusField {
    /// Element `index` as a slot, from data that begin `byteOffset` bytes (for the bit areas: bits) before the field.
    /// The caller has checked that the whole field lies in the data.
    @inline(__always)
    func slot(_ base: UnsafeRawPointer, _ position: Int, _ index: Int) -> UInt64 {
        switch coding {
        case .bit:
            let bit = position + index
            return UInt64(base.load(fromByteOffset: bit >> 3, as: UInt8.self) >> UInt8(bit & 7) & 1)
        case .registerBit(let first):
            let bit = first + index
            return UInt64(order.load16(base, position + bit / 16 * 2) >> UInt16(bit & 15) & 1)
        case .number(let scalar): return number(scalar, base, position, index)
        case .string, .bytes: return 0
        }
    }

    private func number(_ scalar: ScalarType, _ base: UnsafeRawPointer, _ position: Int, _ index: Int) -> UInt64 {
        switch scalar {
        case .int8: UInt64(bitPattern: Int64(Int8(bitPattern: byte(base, position, index))))
        case .uint8: UInt64(byte(base, position, index))
        case .int16: UInt64(bitPattern: Int64(Int16(bitPattern: order.load16(base, position + index * 2))))
        case .uint16: UInt64(order.load16(base, position + index * 2))
        case .int32: UInt64(bitPattern: Int64(Int32(bitPattern: order.load32(base, position + index * 4))))
        case .uint32, .float32: UInt64(order.load32(base, position + index * 4))
        case .int64, .uint64, .float64: order.load64(base, position + index * 8)
        case .bool, .string, .bytes, .timestamp: 0
        }
    }

    private func byte(_ base: UnsafeRawPointer, _ position: Int, _ index: Int) -> UInt8 {
        base.load(fromByteOffset: position + (index ^ byteFlip), as: UInt8.self)
    }

    /// Turns the index of an 8-bit element into the index of its byte: a scalar is the low byte, an array begins with
    /// the high one; swapped bytes turn both round.
    var byteFlip: Int { type.isArray == order.contains(.swappedBytes) ? 1 : 0 }

    /// The characters of a string field up to the first zero byte, or all bytes of a bytes field.
    func text(_ base: UnsafeRawPointer, _ position: Int) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(elementCount)
        for index in 0..<elementCount {
            let byte = base.load(fromByteOffset: position + textByte(index), as: UInt8.self)
            if case .string = coding, byte == 0 { break }
            text.append(byte)
        }
        return text
    }

    /// Where character `index` lies among the field's bytes.
    func textByte(_ index: Int) -> Int {
        switch coding {
        case .string(.L): index ^ 1
        case .string(.D): index * 2 + 1
        case .string(.E): index * 2
        case .bytes: order.contains(.swappedBytes) ? index ^ 1 : index
        default: index
        }
    }

    /// Decodes the field out of the data of one answer, whose first register or bit is `dataStart`; sets the tag's
    /// row. A string that is not UTF-8 gets `badDecoding`.
    package func decode(
        _ data: UnsafeRawBufferPointer, dataStart: Int, tag: Int, into builder: SampleBatchBuilder
    ) {
        let position = area.isBits ? start - dataStart : (start - dataStart) * 2
        let needed = area.isBits ? (position + span + 7) / 8 : position + span * 2
        guard position >= 0, needed <= data.count, let base = data.baseAddress else {
            return builder.fail(tag: tag, Quality(.badDecoding, domain: StatusDomain.modbus.number, native: 0))
        }
        switch coding {
        case .bytes: builder.set(tag: tag, bytes: text(base, position))
        case .string:
            let text = text(base, position)
            if isUTF8(text) {
                builder.set(tag: tag, bytes: text)
            } else {
                builder.fail(tag: tag, .badDecoding)
            }
        case .bit, .registerBit, .number:
            if !type.isArray { return builder.set(tag: tag, slot: slot(base, position, 0)) }
            var slots = ByteWriter(capacity: elementCount * 8)
            for index in 0..<elementCount { slots.uint64(slot(base, position, index), .little) }
            builder.set(tag: tag, bytes: slots.bytes)
        }
    }
}

private func isUTF8(_ bytes: [UInt8]) -> Bool {
    bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
}
