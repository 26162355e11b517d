package import Model
import NIOCore
import NIOHTTP1
import NIOPosix

/// What a server answered.
package struct ServerAnswer: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }
    package var isSuccess: Bool { (200..<300).contains(status) }
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// The command line's conversation with a running Tundish: one request over one HTTP/1.1 connection.
package struct ServerClient: Sendable {
    /// An answer larger than this is refused.
    package static let bodyBytesMax = 256 << 20

    package let host: String
    package let port: Int
    package let token: String?

    /// `url` is `http://host:port`; the port is 18083 when absent.
    package init(url: String, token: String?) throws(Problem) {
        guard url.hasPrefix("http://") else {
            throw Problem(
                "client.url", "server \"\(url)\": expected http://HOST:PORT", ["url": url])
        }
        var rest = url.dropFirst("http://".count)
        if rest.last == "/" { rest = rest.dropLast() }
        let portStart = rest.lastIndex(of: ":").flatMap { rest[$0...].contains("]") ? nil : $0 }
        if let portStart {
            guard let number = Int(rest[rest.index(after: portStart)...]), (1...65_535).contains(number) else {
                throw Problem(
                    "client.url", "server \"\(url)\": the port must be a number from 1 to 65535", ["url": url])
            }
            port = number
            rest = rest[..<portStart]
        } else {
            port = 18_083
        }
        host = rest.hasPrefix("[") && rest.hasSuffix("]") ? String(rest.dropFirst().dropLast()) : String(rest)
        self.token = token
    }

    package func get(_ path: String) async throws(Problem) -> ServerAnswer { try await send("GET", path) }

    /// `content` is the body with its content type.
    package func send(
        _ method: String, _ path: String, content: (type: String, bytes: [UInt8])? = nil,
        headers extra: [(String, String)] = [], timeout: Duration = .seconds(60)
    ) async throws(Problem) -> ServerAnswer {
        let head = requestHead(method, path, content: content, extra: extra)
        let body = content?.bytes
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(5))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                            wrappingChannelSynchronously: channel)
                    }
                }
            let closing = channel.channel.eventLoop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) {
                channel.channel.close(promise: nil)
            }
            defer { closing.cancel() }
            return try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(.head(head))
                if let body { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
                try await outbound.write(.end(nil))
                return try await Self.collect(inbound)
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(
                "client.unreachable",
                "no Tundish answers at http://\(host):\(port) (\(Self.reason(error))); start one with `tundish serve`, or name another with --server",
                ["host": host, "port": "\(port)"])
        }
    }

    private func requestHead(
        _ method: String, _ path: String, content: (type: String, bytes: [UInt8])?, extra: [(String, String)]
    ) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
        headers.add(name: "Connection", value: "close")
        headers.add(name: "X-Tundish-Request", value: "1")
        if let token { headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let content {
            headers.add(name: "Content-Type", value: content.type)
            headers.add(name: "Content-Length", value: "\(content.bytes.count)")
        }
        for (name, value) in extra { headers.replaceOrAdd(name: name, value: value) }
        return HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: path, headers: headers)
    }

    private static func collect(
        _ inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>
    ) async throws -> ServerAnswer {
        var answer: ServerAnswer?
        var body: [UInt8] = []
        for try await part in inbound {
            switch part {
            case .head(let head):
                answer = ServerAnswer(
                    status: Int(head.status.code), headers: head.headers.map { ($0.name, $0.value) }, body: [])
            case .body(let buffer):
                body.append(contentsOf: buffer.readableBytesView)
                if body.count > bodyBytesMax {
                    throw Problem("client.answer_too_large", "the server's answer is larger than 256 MiB")
                }
            case .end:
                answer?.body = body
                if let answer { return answer }
            }
        }
        throw Problem("client.no_answer", "the server closed the connection without an answer")
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            return error.connectionErrors.first.map { reason($0.error) } ?? "no address for \(error.host)"
        }
        if let error = error as? IOError { return errnoText(error.errnoCode) }
        return "\(error)"
    }
}

/// For paths and query strings: everything but unreserved characters as %XX. RFC 3986, 2.3.
func percentEncoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            result.unicodeScalars.append(UnicodeScalar(byte))
        default:
            let digits = String(byte, radix: 16, uppercase: true)
            result += "%" + (digits.count == 1 ? "0" : "") + digits
        }
    }
    return result
}
