import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// `http://host:port/path?query` taken apart.
struct HTTPAddress: Sendable, Hashable {
    var isTLS: Bool
    var host: String
    var port: Int
    /// Path and query.
    var target: String

    /// Fails with `access.url`.
    init(_ text: String) throws(Problem) {
        let problem = Problem(
            "access.url", "URL \"\(text)\": expected http://host:port/path or https://host/path", ["url": text])
        var rest = text[...]
        if rest.hasPrefix("https://") {
            isTLS = true
            rest = rest.dropFirst(8)
        } else if rest.hasPrefix("http://") {
            isTLS = false
            rest = rest.dropFirst(7)
        } else {
            throw problem
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        target = String(rest[end...])
        if !target.hasPrefix("/") { target = "/" + target }
        guard !authority.contains("@"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw problem }
        var name = authority
        var number = isTLS ? 443 : 80
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let given = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(given) else {
                throw problem
            }
            number = given
            name = authority[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty else { throw problem }
        host = String(name)
        port = number
    }
}

struct HTTPAnswer: Sendable {
    var status: Int
    var body: [UInt8]
}

/// Asks one server: few connections, kept open; a bounded number of questions at the same time; nothing followed,
/// nothing large read.
final class HTTPFetcher: Sendable {
    static let bodyMax = 256 << 10

    private struct State {
        var idle: [any Channel] = []
        var inFlight = 0
        var isClosed = false
    }

    private let group: any EventLoopGroup
    private let tls: NIOSSLContext?
    private let timeout: TimeAmount
    private let inFlightMax: Int
    private let idleMax = 16
    private let state = Mutex(State())
    let refused = Counter()

    /// `authorities`: a PEM file whose certificates sign the server's, instead of the system's.
    init(
        group: any EventLoopGroup, usesTLS: Bool, authorities: String?, timeout: Duration, inFlightMax: Int
    ) throws(Problem) {
        self.group = group
        self.timeout = .nanoseconds(timeout.nanoseconds)
        self.inFlightMax = max(1, inFlightMax)
        guard usesTLS else {
            tls = nil
            return
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let authorities { configuration.trustRoots = .file(authorities) }
        do { tls = try NIOSSLContext(configuration: configuration) } catch {
            throw Problem(
                "access.tls", "TLS towards the server cannot be set up: \(error)", ["file": authorities ?? ""])
        }
    }

    /// Fails with `access.http` or, when too many questions are under way, `access.http_busy`.
    func send(
        _ address: HTTPAddress, method: HTTPMethod, headers: [(String, String)], body: [UInt8]
    ) async -> Result<HTTPAnswer, Problem> {
        let isFree = state.withLock { state in
            guard state.inFlight < inFlightMax, !state.isClosed else { return false }
            state.inFlight += 1
            return true
        }
        guard isFree else {
            refused.add()
            return .failure(Problem("access.http_busy", "\(inFlightMax) requests are under way already"))
        }
        defer { state.withLock { $0.inFlight -= 1 } }
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: address.target)
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        head.headers.add(
            name: "Host", value: address.port == (address.isTLS ? 443 : 80) ? host : "\(host):\(address.port)")
        for (name, value) in headers { head.headers.replaceOrAdd(name: name, value: value) }
        if !body.isEmpty || method == .POST {
            head.headers.replaceOrAdd(name: "Content-Length", value: "\(body.count)")
        }
        do {
            if let channel = takeIdle() {
                // The server may have closed it just now: then it is asked again, on a new connection.
                if let answer = try? await exchange(on: channel, head, body) { return .success(answer) }
            }
            return .success(try await exchange(on: try await open(address), head, body))
        } catch {
            return .failure(Problem("access.http", "\(address.host):\(address.port): \(Self.text(error))"))
        }
    }

    private static func text(_ error: any Error) -> String {
        (error as? Problem)?.message ?? "\(error)"
    }

    private func takeIdle() -> (any Channel)? {
        state.withLock { state in
            while let channel = state.idle.popLast() { if channel.isActive { return channel } }
            return nil
        }
    }

    private func open(_ address: HTTPAddress) async throws -> any Channel {
        let (tls, host) = (tls, address.host)
        return try await ClientBootstrap(group: group)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls {
                        let name = IPAddress(host) == nil ? host : nil
                        try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(AnswerHandler())
                }
            }.connect(host: address.host, port: address.port).get()
    }

    private func exchange(on channel: any Channel, _ head: HTTPRequestHead, _ body: [UInt8]) async throws -> HTTPAnswer
    {
        let promise = channel.eventLoop.makePromise(of: AnswerHandler.Whole.self)
        let question = AnswerHandler.Question(
            head: head, body: channel.allocator.buffer(bytes: body), promise: promise, timeout: timeout)
        channel.writeAndFlush(question).cascadeFailure(to: promise)
        do {
            let whole = try await promise.futureResult.get()
            if !whole.keepsOpen || !keep(channel) { channel.close(promise: nil) }
            return whole.answer
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    private func keep(_ channel: any Channel) -> Bool {
        state.withLock { state in
            guard !state.isClosed, state.idle.count < idleMax else { return false }
            state.idle.append(channel)
            return true
        }
    }

    func close() async {
        let idle = state.withLock { state in
            defer { state.idle = [] }
            state.isClosed = true
            return state.idle
        }
        for channel in idle { channel.close(promise: nil) }
    }
}

/// One question at a time on one connection.
private final class AnswerHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Question
    typealias OutboundOut = HTTPClientRequestPart

    struct Whole: Sendable {
        var answer: HTTPAnswer
        var keepsOpen: Bool
    }

    struct Question: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer
        var promise: EventLoopPromise<Whole>
        var timeout: TimeAmount
    }

    private var waiting: EventLoopPromise<Whole>?
    private var timer: Scheduled<Void>?
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let question = unwrapOutboundIn(data)
        waiting = question.promise
        head = nil
        body = []
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: question.timeout) { [weak self] in
            self?.fail(Problem("access.http_timeout", "no answer in time"))
        }
        context.write(wrapOutboundOut(.head(question.head)), promise: nil)
        if question.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(question.body))), promise: nil)
        }
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let found): if found.status.code >= 200 { head = found }
        case .body(let part):
            guard body.count + part.readableBytes <= HTTPFetcher.bodyMax else {
                fail(Problem("access.http_large", "the answer is larger than \(HTTPFetcher.bodyMax) bytes"))
                context.close(promise: nil)
                return
            }
            body += part.readableBytesView
        case .end:
            guard let head else { return }
            timer?.cancel()
            let whole = Whole(
                answer: HTTPAnswer(status: Int(head.status.code), body: body), keepsOpen: head.isKeepAlive)
            self.head = nil
            waiting?.succeed(whole)
            waiting = nil
        }
    }

    private func fail(_ error: any Error) {
        timer?.cancel()
        waiting?.fail(error)
        waiting = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(Problem("access.http_closed", "the server closed the connection"))
        context.fireChannelInactive()
    }
}
