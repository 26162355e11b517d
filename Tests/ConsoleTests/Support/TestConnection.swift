import Formats
import NIOCore
import NIOPosix
import Synchronization

struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

struct TestResponse: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSONValue { (try? JSONValue(parsing: text)) ?? .null }
    /// The stable code of a problem document.
    var code: String? { json["code"]?.string }
    var cookie: String? { headers["set-cookie"].map { String($0.prefix { $0 != ";" }) } }
}

/// A peer that speaks raw bytes, so that it can also speak nonsense. HTTP/1.1 with Content-Length, and WebSocket.
final class TestConnection: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let owner: TestConnection
        init(_ owner: TestConnection) { self.owner = owner }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Array(unwrapInboundIn(data).readableBytesView)
            owner.wake { $0.bytes += bytes }
        }
        func channelInactive(context: ChannelHandlerContext) { owner.wake { $0.isClosed = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let state = Mutex(State())
    private let box = Mutex<(any Channel)?>(nil)

    private init() {}

    static func open(_ port: Int) async throws -> TestConnection {
        let connection = TestConnection()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(ChannelOptions.socketOption(.so_rcvbuf), value: 16 << 10)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(connection))
                }
            }.connect(host: "127.0.0.1", port: port).get()
        connection.box.withLock { $0 = channel }
        return connection
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    private var channel: any Channel {
        get throws {
            guard let channel = box.withLock({ $0 }) else { throw TestFailure("not connected") }
            return channel
        }
    }

    func close() { box.withLock { $0 }?.close(promise: nil) }

    func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }
    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// Stops or resumes reading, as a browser that is busy does.
    func setReading(_ isReading: Bool) async throws {
        try await channel.setOption(.autoRead, value: isReading).get()
        if isReading { try channel.read() }
    }

    /// The first thing that `parse` finds in the bytes that come; nil when the other end closed before.
    private func next<T: Sendable>(_ parse: @Sendable (inout [UInt8]) throws -> T?) async throws -> T? {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            let (found, seen, isClosed) = try state.withLock { state in
                (try parse(&state.bytes), state.bytes.count, state.isClosed)
            }
            if let found { return found }
            if isClosed { return nil }
            if ContinuousClock.now > deadline { throw TestFailure("nothing came in 20 s") }
            let timer = try channel.eventLoop.scheduleTask(in: .seconds(21)) { self.wake { _ in } }
            await withCheckedContinuation { continuation in
                let mustResume = state.withLock { state in
                    if state.isClosed || state.bytes.count != seen { return true }
                    state.waiter = continuation
                    return false
                }
                if mustResume { continuation.resume() }
            }
            timer.cancel()
        }
    }

    // MARK: HTTP

    func request(
        _ method: String, _ path: String, _ headers: [String: String] = [:], body: [UInt8] = []
    ) async throws -> TestResponse {
        var fields = headers
        fields["Host"] = fields["Host"] ?? "127.0.0.1"
        if !body.isEmpty || method == "POST" || method == "PUT" { fields["Content-Length"] = "\(body.count)" }
        let head = "\(method) \(path) HTTP/1.1\r\n" + fields.map { "\($0.key): \($0.value)\r\n" }.joined() + "\r\n"
        try await send(Array(head.utf8) + body)
        return try await response(hasBody: method != "HEAD")
    }

    func response(hasBody: Bool = true) async throws -> TestResponse {
        let response = try await next { bytes -> TestResponse? in
            guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components("\r\n")
            let words = lines[0].split(separator: " ")
            guard words.count >= 2, let status = Int(words[1]) else { throw TestFailure("no status line: \(lines[0])") }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
            }
            let count = hasBody && status != 204 && status != 304 ? Int(headers["content-length"] ?? "0") ?? 0 : 0
            guard bytes.count >= end.upperBound + count else { return nil }
            let body = Array(bytes[end.upperBound..<end.upperBound + count])
            bytes.removeFirst(end.upperBound + count)
            return TestResponse(status: status, headers: headers, body: body)
        }
        guard let response else { throw TestFailure("closed without an answer") }
        return response
    }

    // MARK: WebSocket

    struct Frame: Sendable {
        var opcode: UInt8
        var payload: [UInt8]
        var text: String { String(decoding: payload, as: UTF8.self) }
        var closeCode: Int? { opcode == 8 && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
    }

    func upgrade(_ path: String, _ headers: [String: String] = [:]) async throws -> TestResponse {
        var fields = headers
        fields["Connection"] = "Upgrade"
        fields["Upgrade"] = "websocket"
        fields["Sec-WebSocket-Version"] = "13"
        fields["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        return try await request("GET", path, fields)
    }

    func sendFrame(_ opcode: UInt8, _ payload: [UInt8], isMasked: Bool = true) async throws {
        var bytes: [UInt8] = [0x80 | opcode]
        let bit: UInt8 = isMasked ? 0x80 : 0
        if payload.count < 126 {
            bytes.append(bit | UInt8(payload.count))
        } else if payload.count < 65_536 {
            bytes += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        } else {
            bytes.append(bit | 127)
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(payload.count >> shift & 255)) }
        }
        if isMasked { bytes += [0, 0, 0, 0] }
        try await send(bytes + payload)
    }

    func sendText(_ text: String) async throws { try await sendFrame(1, Array(text.utf8)) }

    /// Nil when the other end closed the connection.
    func frame() async throws -> Frame? {
        try await next { bytes -> Frame? in
            guard bytes.count >= 2 else { return nil }
            var at = 2
            var count = Int(bytes[1] & 127)
            if count == 126 {
                guard bytes.count >= 4 else { return nil }
                count = Int(bytes[2]) << 8 | Int(bytes[3])
                at = 4
            } else if count == 127 {
                guard bytes.count >= 10 else { return nil }
                count = bytes[2..<10].reduce(0) { $0 << 8 | Int($1) }
                at = 10
            }
            guard bytes.count >= at + count else { return nil }
            defer { bytes.removeFirst(at + count) }
            return Frame(opcode: bytes[0] & 15, payload: Array(bytes[at..<at + count]))
        }
    }

    /// The next text as JSON; pings are answered on the way.
    func message() async throws -> JSONValue {
        while let frame = try await frame() {
            switch frame.opcode {
            case 1: return try JSONValue(parsing: frame.text)
            case 9: try await sendFrame(10, frame.payload)
            case 8:
                throw TestFailure(
                    "closed with \(frame.closeCode ?? 0): \(String(decoding: frame.payload.dropFirst(2), as: UTF8.self))"
                )
            default: continue
            }
        }
        throw TestFailure("closed without a close frame")
    }

    /// The code with which the server closes; what comes before is skipped.
    func closeCode() async throws -> Int? {
        while let frame = try await frame() {
            if let code = frame.closeCode { return code }
        }
        return nil
    }

    /// The text that comes with it.
    func closeReason() async throws -> String? {
        while let frame = try await frame() {
            if frame.closeCode != nil { return String(decoding: frame.payload.dropFirst(2), as: UTF8.self) }
        }
        return nil
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }
}
