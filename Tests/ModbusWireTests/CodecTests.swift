import Model
import ModbusWire
import Testing
import Wire

@Suite("Modbus frames")
struct CodecTests {
    static let samples: [ModbusRequest] = [
        .read(.coil, address: 0, count: 2000), .read(.discreteInput, address: 19, count: 1),
        .read(.holdingRegister, address: 65_411, count: 125), .read(.inputRegister, address: 8, count: 1),
        .writeCoil(address: 172, isOn: true), .writeCoil(address: 172, isOn: false),
        .writeRegister(address: 1, value: 3), .writeCoils(address: 19, count: 10, packed: [0xCD, 0x01]),
        .writeRegisters(address: 1, data: [0, 10, 1, 2]), .maskRegister(address: 4, and: 0xF2, or: 0x25),
        .readWriteRegisters(readAddress: 3, readCount: 6, writeAddress: 14, data: [0, 0xFF, 0, 0xFF, 0, 0xFF]),
    ]

    static func pdu(_ request: ModbusRequest) -> [UInt8] {
        var writer = ByteWriter()
        request.encode(to: &writer)
        return writer.bytes
    }

    @Test("every request comes back, and no truncation or extension of it is taken for one", arguments: samples)
    func roundTrip(request: ModbusRequest) throws {
        let bytes = Self.pdu(request)
        #expect(try bytes.withUnsafeBytes { try ModbusRequest(decoding: $0) } == request)
        for length in 0..<bytes.count {
            #expect(throws: ModbusException.self) {
                try Array(bytes[..<length]).withUnsafeBytes { _ = try ModbusRequest(decoding: $0) }
            }
        }
        #expect(throws: ModbusException.illegalDataValue) {
            try (bytes + [0]).withUnsafeBytes { _ = try ModbusRequest(decoding: $0) }
        }
    }

    @Test("every answer is checked against its question at every length", arguments: samples)
    func replies(request: ModbusRequest) throws {
        var writer = ByteWriter()
        let data = [UInt8](repeating: 0x5A, count: request.replyByteCount ?? 0)
        request.encodeReply(data: data, to: &writer)
        let bytes = writer.bytes
        let reply = try bytes.withUnsafeBytes { try request.reply(in: $0) }
        if let count = request.replyByteCount {
            #expect(reply == .data(2..<2 + count))
        } else {
            #expect(reply == .done)
            for index in 1..<bytes.count {
                var wrong = bytes
                wrong[index] ^= 1
                #expect(throws: ModbusFault.wrongEcho) { try wrong.withUnsafeBytes { _ = try request.reply(in: $0) } }
            }
        }
        for length in 0..<bytes.count {
            #expect(throws: ModbusFault.self) {
                try Array(bytes[..<length]).withUnsafeBytes { _ = try request.reply(in: $0) }
            }
        }
        #expect(throws: ModbusFault.self) { try (bytes + [0]).withUnsafeBytes { _ = try request.reply(in: $0) } }
        let refusal = [request.function.rawValue | 0x80, 2]
        #expect(try refusal.withUnsafeBytes { try request.reply(in: $0) } == .exception(.illegalDataAddress))
        let other: [UInt8] = [0x2B, 0]
        #expect(throws: ModbusFault.wrongFunction(seen: 0x2B, expected: request.function.rawValue)) {
            try other.withUnsafeBytes { _ = try request.reply(in: $0) }
        }
    }

    @Test(
        "counts and ranges beyond the standard get the standard's exceptions",
        arguments: [
            ("03 0000 0000", 3), ("03 0000 007e", 3), ("03 ffff 0002", 2), ("01 0000 07d1", 3), ("05 0000 1234", 3),
            ("10 0000 0002 03 000000", 3), ("10 0000 0001 04 00000000", 3), ("10 ffff 0002 04 00000000", 2),
            ("0f 0000 0008 02 0000", 3), ("2b 0e 01 00", 1), ("63 00", 1),
        ])
    func limits(hex: String, code: Int) throws {
        let bytes = try #require(Hex.bytes(hex))
        #expect(throws: ModbusException(rawValue: UInt8(code))) {
            try bytes.withUnsafeBytes { _ = try ModbusRequest(decoding: $0) }
        }
    }

    @Test("a stream of TCP frames is cut apart byte by byte")
    func byteByByte() throws {
        var writer = ByteWriter()
        for (index, request) in Self.samples.enumerated() {
            request.encodeFrame(transaction: UInt16(index), unit: UInt8(index + 1), to: &writer)
        }
        var pending: [UInt8] = []
        var seen: [ModbusRequest] = []
        for byte in writer.bytes {
            pending.append(byte)
            let found = try pending.withUnsafeBytes { bytes -> Int? in
                guard let frame = try ModbusFrame.first(in: bytes) else { return nil }
                #expect(frame.transaction == UInt16(seen.count) && frame.unit == UInt8(seen.count + 1))
                seen.append(try ModbusRequest(decoding: UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])))
                return frame.byteCount
            }
            if let found { pending.removeFirst(found) }
        }
        #expect(seen == Self.samples)
        #expect(pending.isEmpty)
    }

    @Test("headers that cannot be Modbus are told at once")
    func headers() throws {
        func first(_ hex: String) throws(ModbusFault) -> ModbusFrame? {
            try (Hex.bytes(hex) ?? []).read { reader throws(ModbusFault) in try ModbusFrame.first(in: reader.rest()) }
        }
        #expect(throws: ModbusFault.wrongProtocol(1)) { try first("0001 0001 0006") }
        #expect(throws: ModbusFault.wrongLength(1)) { try first("0001 0000 0001") }
        #expect(throws: ModbusFault.wrongLength(255)) { try first("0001 0000 00ff") }
        #expect(try first("0001 0000 00fe 01") == nil)
        #expect(try first("") == nil)
    }

    @Test("serial frames are cut apart by their length, both ways, and a wrong checksum is noticed", arguments: samples)
    func serial(request: ModbusRequest) throws {
        for side in [ModbusRTU.Side.requests, .responses] {
            var writer = ByteWriter()
            ModbusRTU.append(unit: 17, to: &writer) { writer in
                switch side {
                case .requests: request.encode(to: &writer)
                case .responses:
                    request.encodeReply(data: [UInt8](repeating: 1, count: request.replyByteCount ?? 0), to: &writer)
                }
            }
            let bytes = writer.bytes
            for length in 0..<bytes.count {
                let partial = try Array(bytes[..<length]).withUnsafeBytes { try ModbusRTU.first(in: $0, of: side) }
                #expect(partial == nil)
            }
            let found = try bytes.withUnsafeBytes { try ModbusRTU.first(in: $0, of: side) }
            #expect(found?.byteCount == bytes.count)
            #expect(found?.frame.unit == 17)
            #expect(found?.frame.pdu == 1..<bytes.count - 2)
            var wrong = bytes
            wrong[wrong.count - 1] ^= 0x40
            #expect(throws: ModbusFault.wrongChecksum) {
                try wrong.withUnsafeBytes { _ = try ModbusRTU.first(in: $0, of: side) }
            }
        }
    }
}
