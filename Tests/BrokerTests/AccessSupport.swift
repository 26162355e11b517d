import BrokerCore
import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

@testable import Broker

/// Clocks that stand until they are moved; who waits is woken by that.
final class ManualClock: Sendable {
    let time = ManualTime()
    private struct Sleeper {
        var due: Int64
        var continuation: CheckedContinuation<Void, any Error>
    }
    private let sleepers = Mutex<[UInt64: Sleeper]>([:])
    private let next = Atomic<UInt64>(0)

    var clock: AccessClock {
        AccessClock(time) { [self] duration in
            let id = next.add(1, ordering: .relaxed).newValue
            let due = time.monotonicNanoseconds() + duration.nanoseconds
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    sleepers.withLock { $0[id] = Sleeper(due: due, continuation: continuation) }
                    if Task.isCancelled { wake(id) }
                }
            } onCancel: {
                wake(id)
            }
        }
    }

    private func wake(_ id: UInt64) {
        sleepers.withLock { $0.removeValue(forKey: id) }?.continuation.resume(throwing: CancellationError())
    }

    var sleeping: Int { sleepers.withLock { $0.count } }

    func advance(_ duration: Duration) {
        time.advance(nanoseconds: duration.nanoseconds)
        let now = time.monotonicNanoseconds()
        let due = sleepers.withLock { sleepers in
            let due = sleepers.filter { $0.value.due <= now }
            for id in due.keys { sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    /// Returns when somebody waits.
    func untilSleeping() async {
        while sleeping == 0 { await Task.yield() }
    }
}

/// A method that answers as a test says.
final class TestMethod: AccessMethod {
    let answer: Mutex<MethodAnswer>
    let asked = Counter()
    let spent = Counter()
    let hangs: Bool
    let takesTime: Bool

    init(_ answer: MethodAnswer, hangs: Bool = false, takesTime: Bool = false) {
        self.answer = Mutex(answer)
        self.hangs = hangs
        self.takesTime = takesTime
    }

    func check(_ credentials: Credentials) async -> MethodAnswer {
        asked.add()
        if hangs {
            // For ever, whether cancelled or not.
            let (stream, continuation) = AsyncStream<Void>.makeStream()
            let waiting = Task.detached {
                for await _ in stream {}
                withExtendedLifetime(continuation) {}
            }
            await waiting.value
        }
        return answer.withLock { $0 }
    }

    func spendTime() async -> Bool {
        spent.add()
        return takesTime
    }
}

func credentials(
    _ username: String? = nil, _ password: String? = nil, isLoopback: Bool = false, anonymous: Bool = false,
    certificate: ClientCertificate? = nil, listener: String = "plant"
) -> Credentials {
    let client = ClientIdentity(
        clientID: "c1", username: nil, peer: "10.0.0.9:4711", isLoopback: isLoopback, listener: listener,
        certificate: certificate)
    var made = Credentials(client: client, username: username, password: password.map { Bytes($0) })
    made.allowsAnonymous = anonymous
    return made
}

func makeChain(
    clock: ManualClock = ManualClock(), fallback: ChainLink? = nil, _ links: ChainLink...
) -> (AuthenticationChain, AccessJournal) {
    let journal = AccessJournal(time: clock.time)
    let chain = AuthenticationChain(
        clock: clock.clock, rules: AccessRules(journal: journal), journal: journal, fallback: fallback)
    for link in links { _ = chain.set(link) }
    return (chain, journal)
}

func link(
    _ name: String, _ method: any AccessMethod, order: Int = 100, clock: ManualClock = ManualClock(),
    onUnavailable: ChainLink.WhenUnavailable = .refuse, listeners: Set<String>? = nil,
    scope: GuessingBrake.Scope = .off
) -> ChainLink {
    var settings = GuessingBrake.Settings()
    settings.scope = scope
    return ChainLink(
        name: name, order: order, onUnavailable: onUnavailable, listeners: listeners,
        brake: GuessingBrake(settings, time: clock.time), method: method)
}

extension AuthenticationDecision {
    var accepted: Acceptance? {
        if case .accept(let acceptance) = self { return acceptance }
        return nil
    }

    var reason: ReasonCode? {
        if case .refuse(let reason) = self { return reason }
        return nil
    }
}

extension MethodAnswer {
    var accepted: Identified? {
        if case .accept(let found) = self { return found }
        return nil
    }

    /// `refuse wrong_password`, `next unknown_user`, `unavailable overloaded`, `accept`
    var text: String {
        switch self {
        case .accept: "accept"
        case .refuse(let cause, _): "refuse \(cause.rawValue)"
        case .next(let cause, _): "next \(cause.rawValue)"
        case .unavailable(let cause, _): "unavailable \(cause.rawValue)"
        }
    }
}

/// An HTTP server that answers as a test says.
final class TestHTTPServer: Sendable {
    struct Request: Sendable {
        var head: HTTPRequestHead
        var body: String
    }

    private let channel: any Channel
    let port: Int

    /// `answer` gives status and body; nil: none ever comes.
    static func start(
        _ group: any EventLoopGroup, _ answer: @escaping @Sendable (Request) -> (Int, String)?
    ) async throws -> TestHTTPServer {
        let requests = Requests()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(requests, answer))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        return TestHTTPServer(channel, requests)
    }

    private final class Requests: Sendable { let all = Mutex<[Request]>([]) }
    private let shared: Requests

    private init(_ channel: any Channel, _ shared: Requests) {
        self.channel = channel
        self.shared = shared
        port = channel.localAddress?.port ?? 0
    }

    var seen: [Request] { shared.all.withLock { $0 } }

    func stop() async throws { try await channel.close().get() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let requests: Requests
        private let answer: @Sendable (Request) -> (Int, String)?
        private var head: HTTPRequestHead?
        private var body = ""

        init(_ requests: Requests, _ answer: @escaping @Sendable (Request) -> (Int, String)?) {
            self.requests = requests
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let found):
                head = found
                body = ""
            case .body(let part): body += String(decoding: part.readableBytesView, as: UTF8.self)
            case .end:
                guard let head else { return }
                let request = Request(head: head, body: body)
                requests.all.withLock { $0.append(request) }
                guard let (status, text) = answer(request) else { return }
                var response = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status))
                response.headers.add(name: "Content-Length", value: "\(text.utf8.count)")
                context.write(wrapOutboundOut(.head(response)), promise: nil)
                context.write(
                    wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(string: text)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
