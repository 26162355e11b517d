package import Wire

/// A device's answer as its client sees it.
package enum ModbusReply: Sendable, Hashable {
    /// Where the data lie in the PDU that was decoded: packed bits, or registers with the high byte first.
    case data(Range<Int>)
    /// A write was carried out.
    case done
    case exception(ModbusException)
}

extension ModbusRequest {
    /// Reads the PDU that answers this request and checks that it does: function, length, echo.
    package func reply(in pdu: UnsafeRawBufferPointer) throws(ModbusFault) -> ModbusReply {
        guard let code = pdu.first else { throw .wrongLength(1) }
        let expected = function.rawValue
        if code == expected | 0x80 {
            guard pdu.count == 2 else { throw .wrongByteCount(seen: pdu.count - 1, expected: 1) }
            return .exception(ModbusException(rawValue: pdu[1]))
        }
        guard code == expected else { throw .wrongFunction(seen: code, expected: expected) }
        if let length = replyByteCount {
            guard pdu.count == length + 2, pdu[1] == UInt8(truncatingIfNeeded: length) else {
                throw .wrongByteCount(seen: pdu.count - 2, expected: length)
            }
            return .data(2..<pdu.count)
        }
        return try echo(in: pdu)
    }

    private func echo(in pdu: UnsafeRawBufferPointer) throws(ModbusFault) -> ModbusReply {
        var expected = ByteWriter(capacity: 8)
        encodeEcho(to: &expected)
        guard pdu.count == expected.count else {
            throw .wrongByteCount(seen: pdu.count - 1, expected: expected.count - 1)
        }
        guard pdu.elementsEqual(expected.bytes) else { throw .wrongEcho }
        return .done
    }

    /// The PDU of a write's answer: the request itself, or its address and count.
    private func encodeEcho(to writer: inout ByteWriter) {
        switch self {
        case .writeCoils(let address, let count, _):
            writer.uint8(function.rawValue)
            writer.uint16(address)
            writer.uint16(count)
        case .writeRegisters(let address, let data):
            writer.uint8(function.rawValue)
            writer.uint16(address)
            writer.uint16(UInt16(truncatingIfNeeded: data.count / 2))
        default: encode(to: &writer)
        }
    }

    /// Appends the PDU with which a device grants this request; `data` are what a read brings back.
    package func encodeReply(data: UnsafeRawBufferPointer, to writer: inout ByteWriter) {
        guard let length = replyByteCount else { return encodeEcho(to: &writer) }
        assert(data.count == length)
        writer.uint8(function.rawValue)
        writer.uint8(UInt8(truncatingIfNeeded: length))
        writer.append(data)
    }

    package func encodeReply(data: [UInt8] = [], to writer: inout ByteWriter) {
        data.withUnsafeBytes { encodeReply(data: $0, to: &writer) }
    }
}

extension ModbusException {
    /// Appends the PDU that refuses a request with the function code `function`, known or not.
    package func encode(refusing function: UInt8, to writer: inout ByteWriter) {
        writer.uint8(function | 0x80)
        writer.uint8(rawValue)
    }
}
