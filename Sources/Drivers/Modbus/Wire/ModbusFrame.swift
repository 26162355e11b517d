package import Wire

/// One frame of Modbus TCP in a stream: the MBAP header and where its PDU lies. Messaging on TCP/IP V1.0b, 3.1.3.
package struct ModbusFrame: Sendable, Hashable {
    package static let headerBytes = 7

    package var transaction: UInt16
    package var unit: UInt8
    /// In the bytes that were looked at.
    package var pdu: Range<Int>
    /// Header and PDU.
    package var byteCount: Int { pdu.upperBound }

    /// The first frame of `bytes`; nil while it is not complete. A wrong header is told as soon as it is seen.
    package static func first(in bytes: UnsafeRawBufferPointer) throws(ModbusFault) -> ModbusFrame? {
        guard bytes.count >= 6, let base = bytes.baseAddress else { return nil }
        let protocolID: UInt16 = base.big(2)
        guard protocolID == 0 else { throw .wrongProtocol(protocolID) }
        let length = Int(base.big(4, UInt16.self))
        guard length >= 2, length <= ModbusLimits.pduBytesMax + 1 else { throw .wrongLength(length) }
        guard bytes.count >= 6 + length else { return nil }
        return ModbusFrame(transaction: base.big(0), unit: bytes[6], pdu: headerBytes..<6 + length)
    }

    /// Appends a header and the PDU that `body` writes.
    package static func append(
        transaction: UInt16, unit: UInt8, to writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void
    ) {
        let start = writer.count
        writer.uint16(transaction)
        writer.uint16(0)
        writer.uint16(0)
        writer.uint8(unit)
        body(&writer)
        writer.patch(UInt16(truncatingIfNeeded: writer.count - start - 6), at: start + 4)
    }
}

extension ModbusRequest {
    /// Appends the whole frame of Modbus TCP.
    package func encodeFrame(transaction: UInt16, unit: UInt8, to writer: inout ByteWriter) {
        ModbusFrame.append(transaction: transaction, unit: unit, to: &writer) { encode(to: &$0) }
    }
}

/// Frames on a serial line, or of a serial line carried over TCP: unit, PDU, CRC with the low byte first.
/// Modbus over Serial Line V1.02, 2.5.1. Frames are told apart by their lengths, since a stream keeps no silences.
package enum ModbusRTU {
    package enum Side: Sendable {
        /// Frames that a client sent.
        case requests
        /// Frames that a server sent.
        case responses
    }

    package static func append(unit: UInt8, to writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
        let start = writer.count
        writer.uint8(unit)
        body(&writer)
        let crc = writer.withUnsafeBytes { CRC16.modbus(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        writer.uint16(crc, .little)
    }

    /// The first frame of `bytes`, with transaction 0; its `pdu` ends two bytes before the frame does. Nil while it
    /// is not complete.
    package static func first(
        in bytes: UnsafeRawBufferPointer, of side: Side
    ) throws(ModbusFault) -> (frame: ModbusFrame, byteCount: Int)? {
        guard bytes.count >= 2 else { return nil }
        guard let length = try pduLength(bytes, side) else { return nil }
        guard length <= ModbusLimits.pduBytesMax else { throw .wrongLength(length) }
        guard bytes.count >= length + 3, let base = bytes.baseAddress else { return nil }
        let crc = CRC16.modbus(UnsafeRawBufferPointer(rebasing: bytes[..<(length + 1)]))
        guard base.little(length + 1) == crc else { throw .wrongChecksum }
        return (ModbusFrame(transaction: 0, unit: bytes[0], pdu: 1..<1 + length), length + 3)
    }

    /// The PDU's length; nil while the byte that tells it has not come.
    private static func pduLength(_ bytes: UnsafeRawBufferPointer, _ side: Side) throws(ModbusFault) -> Int? {
        let code = bytes[1]
        if side == .responses, code & 0x80 != 0 { return 2 }
        guard let function = ModbusFunction(rawValue: code) else { throw .wrongFunction(seen: code, expected: 0) }
        func counted(at position: Int) -> Int? {
            bytes.count > position ? position + Int(bytes[position]) : nil
        }
        switch (function, side) {
        case (.readCoils, .responses), (.readDiscreteInputs, .responses), (.readHoldingRegisters, .responses),
            (.readInputRegisters, .responses), (.readWriteMultipleRegisters, .responses):
            return counted(at: 2)
        case (.writeMultipleCoils, .requests), (.writeMultipleRegisters, .requests): return counted(at: 6)
        case (.readWriteMultipleRegisters, .requests): return counted(at: 10)
        case (.maskWriteRegister, _): return 7
        default: return 5
        }
    }
}
