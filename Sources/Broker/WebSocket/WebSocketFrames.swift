import NIOCore

/// Why a WebSocket is closed. RFC 6455, 7.4.1
struct WebSocketClose: Error, Hashable {
    var code: UInt16

    static let normal = WebSocketClose(code: 1000)
    static let protocolError = WebSocketClose(code: 1002)
    static let unacceptableData = WebSocketClose(code: 1003)
    static let tooBig = WebSocketClose(code: 1009)
}

/// Takes frames apart as their bytes come. Data is handed on at once, unmasked in place, whatever the frame's length
/// and wherever it is cut; only control frames are gathered. RFC 6455, 5
struct WebSocketDecoder {
    enum Event: Equatable {
        case data(ByteBuffer)
        case ping(ByteBuffer)
        /// The code that came; nil: none.
        case close(UInt16?)
    }

    let frameBytesMax: Int
    /// A header that has not come whole; at most 14 bytes.
    private var header = ByteBuffer()
    private var control = ByteBuffer()
    private var frame: Frame?
    /// Between a data frame without FIN and the one with it.
    private var isFragmented = false

    private struct Frame {
        var opcode: UInt8
        var left: Int
        var mask: UInt32
        /// How far into the mask the next byte is.
        var phase = 0
    }

    init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    /// Consumes `bytes` and calls `handle` for what they complete. Throws where the connection must be closed.
    mutating func decode(
        _ bytes: inout ByteBuffer, _ handle: (Event) -> Void
    ) throws(WebSocketClose) {
        while true {
            if var current = frame {
                let count = min(current.left, bytes.readableBytes)
                if count > 0, var part = bytes.readSlice(length: count) {
                    Self.unmask(&part, &current)
                    current.left -= count
                    if current.opcode < 8 { handle(.data(part)) } else { control.writeBuffer(&part) }
                }
                frame = current
                if current.left > 0 { return }
                frame = nil
                if current.opcode >= 8 { try finishControl(current.opcode, handle) }
            } else {
                guard try readHeader(&bytes) else { return }
            }
        }
    }

    /// True when a header is complete.
    private mutating func readHeader(_ bytes: inout ByteBuffer) throws(WebSocketClose) -> Bool {
        while true {
            let needed = try headerCount()
            let missing = needed - header.readableBytes
            if missing <= 0 { break }
            guard var part = bytes.readSlice(length: min(missing, bytes.readableBytes)), part.readableBytes > 0 else {
                return false
            }
            header.writeBuffer(&part)
        }
        try begin()
        header.clear()
        return true
    }

    /// The length of the header as far as it is known; checks what has come.
    private func headerCount() throws(WebSocketClose) -> Int {
        let start = header.readerIndex
        guard let first = header.getInteger(at: start, as: UInt8.self) else { return 2 }
        let opcode = first & 0x0F
        // No extension was agreed on. 5.2
        if first & 0x70 != 0 { throw .protocolError }
        guard let second = header.getInteger(at: start + 1, as: UInt8.self) else { return 2 }
        // A client must mask. 5.1
        if second & 0x80 == 0 { throw .protocolError }
        let short = second & 0x7F
        switch opcode {
        case 0: if !isFragmented { throw .protocolError }
        // [MQTT-6.0.0-1]
        case 1: throw .unacceptableData
        case 2: if isFragmented { throw .protocolError }
        // Control frames are short and whole. 5.5
        case 8, 9, 10: if first & 0x80 == 0 || short > 125 { throw .protocolError }
        default: throw .protocolError
        }
        return 6 + (short == 126 ? 2 : short == 127 ? 8 : 0)
    }

    private mutating func begin() throws(WebSocketClose) {
        guard let first = header.readInteger(as: UInt8.self), let second = header.readInteger(as: UInt8.self) else {
            throw .protocolError
        }
        var length = UInt64(second & 0x7F)
        if length == 126 {
            length = UInt64(header.readInteger(as: UInt16.self) ?? 0)
            if length < 126 { throw .protocolError }
        } else if length == 127 {
            length = header.readInteger(as: UInt64.self) ?? 0
            if length < 65_536 || length >> 63 != 0 { throw .protocolError }
        }
        if length > UInt64(frameBytesMax) { throw .tooBig }
        let opcode = first & 0x0F
        if opcode < 8 { isFragmented = first & 0x80 == 0 }
        control.clear()
        frame = Frame(opcode: opcode, left: Int(length), mask: header.readInteger(as: UInt32.self) ?? 0)
    }

    private mutating func finishControl(_ opcode: UInt8, _ handle: (Event) -> Void) throws(WebSocketClose) {
        switch opcode {
        case 8:
            if control.readableBytes == 0 {
                handle(.close(nil))
                return
            }
            guard let code = control.readInteger(as: UInt16.self), Self.isValid(code),
                String(validating: control.readableBytesView, as: UTF8.self) != nil
            else { throw .protocolError }
            handle(.close(code))
        case 9: handle(.ping(control))
        default: break
        }
    }

    /// 7.4
    private static func isValid(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// 5.3
    private static func unmask(_ bytes: inout ByteBuffer, _ frame: inout Frame) {
        // The mask as the next four bytes need it, in memory order.
        let turned =
            frame.mask << UInt32(8 * frame.phase) | (frame.phase == 0 ? 0 : frame.mask >> UInt32(32 - 8 * frame.phase))
        let word = UInt64(turned) << 32 | UInt64(turned)
        let memory = word.bigEndian
        let count = bytes.readableBytes
        bytes.withUnsafeMutableReadableBytes { buffer in
            var index = 0
            while index + 8 <= count {
                let value = buffer.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                buffer.storeBytes(of: value ^ memory, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < count {
                buffer[index] ^= UInt8(truncatingIfNeeded: turned >> UInt32(24 - 8 * (index & 3)))
                index += 1
            }
        }
        frame.phase = (frame.phase + count) & 3
    }
}

/// Frames towards the client: never masked, never fragmented. RFC 6455, 5.2
enum WebSocketEncoder {
    static let binary: UInt8 = 0x82
    static let close: UInt8 = 0x88
    static let pong: UInt8 = 0x8A

    static func header(_ first: UInt8, count: Int) -> ByteBuffer {
        var header = ByteBuffer()
        header.reserveCapacity(10)
        header.writeInteger(first)
        if count < 126 {
            header.writeInteger(UInt8(count))
        } else if count <= 65_535 {
            header.writeInteger(UInt8(126))
            header.writeInteger(UInt16(count))
        } else {
            header.writeInteger(UInt8(127))
            header.writeInteger(UInt64(count))
        }
        return header
    }
}
