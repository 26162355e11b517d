#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Clients that connect over TLS with a full handshake each, are let in and leave, so many at the same time.
final class TLSLoad: Sendable {
    private let plan: LoadPlan
    private let context: NIOSSLContext
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let started = Atomic(0)
    private let answered = Atomic(0)
    private let failed = Atomic(0)
    private let isEnding = Atomic(false)

    init(plan: LoadPlan) throws {
        self.plan = plan
        var configuration = TLSConfiguration.makeClientConfiguration()
        // The certificate is of the benchmark's own making; its signature is checked all the same.
        configuration.certificateVerification = .none
        context = try NIOSSLContext(configuration: configuration)
    }

    func run() throws -> LoadResult {
        for _ in 0..<max(1, plan.connections) { begin() }
        usleep(UInt32(plan.warmUpSeconds * 1e6))
        let first = try mark()
        usleep(UInt32(plan.seconds * 1e6))
        let last = try mark()
        isEnding.store(true, ordering: .relaxed)
        try group.syncShutdownGracefully()
        guard last.count > first.count, failed.load(ordering: .relaxed) * 100 <= last.count else {
            throw Problem(
                "bench.generator",
                "\(failed.load(ordering: .relaxed)) clients were not let in over TLS, \(last.count) were")
        }
        var result = LoadResult()
        result.measured = LoadPhase(
            count: last.count - first.count, brokerNanoseconds: last.broker - first.broker,
            wallNanoseconds: last.wall - first.wall)
        result.generatorLoad = Double(last.own - first.own) / Double(max(last.wall - first.wall, 1))
        return result
    }

    private func mark() throws(Problem) -> LoadMark {
        LoadMark(
            count: answered.load(ordering: .relaxed), broker: try Processes.used(plan.broker),
            own: Processes.usedHere(), wall: SystemTime().monotonicNanoseconds())
    }

    private func begin() {
        guard !isEnding.load(ordering: .relaxed) else { return }
        let number = started.add(1, ordering: .relaxed).oldValue
        var bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.seconds(Int64(LoadConnection.answerSeconds)))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        NIOSSLClientHandler(context: self.context, serverHostname: nil),
                        TLSClient(load: self, number: number),
                    ])
                }
            }
        if plan.host == "127.0.0.1" {
            let source = 0x7F00_0000 | ConnectLoad.source(of: number, salt: Int(getpid()))
            let text = [24, 16, 8, 0].map { String(source >> $0 & 0xFF) }.joined(separator: ".")
            if let address = try? SocketAddress(ipAddress: text, port: 0) { bootstrap = bootstrap.bind(to: address) }
        }
        bootstrap.connect(host: plan.host, port: plan.port).whenComplete { result in
            switch result {
            case .success(let channel):
                channel.closeFuture.whenComplete { _ in self.begin() }
            case .failure:
                self.failed.add(1, ordering: .relaxed)
                // Not at once: a broker that refuses is not asked a million times.
                self.group.any().scheduleTask(in: .milliseconds(10)) { self.begin() }
            }
        }
    }

    fileprivate func packet(_ number: Int) -> [UInt8] { MinimalMQTT.connect(clientID: "\(plan.tag)-\(number)") }

    fileprivate func ended(isLetIn: Bool) {
        if isLetIn { answered.add(1, ordering: .relaxed) } else { failed.add(1, ordering: .relaxed) }
    }
}

/// Sends CONNECT as soon as TLS lets it, and leaves when it is answered.
private final class TLSClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let load: TLSLoad
    private let number: Int
    private var answer: [UInt8] = []
    private var isDone = false

    init(load: TLSLoad, number: Int) {
        self.load = load
        self.number = number
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: load.packet(number))), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        answer += unwrapInboundIn(data).readableBytesView
        guard answer.count >= 4, !isDone else { return }
        isDone = true
        load.ended(isLetIn: answer[0] == 0x20 && answer[3] == 0)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: MinimalMQTT.disconnect)), promise: nil)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone { load.ended(isLetIn: false) }
        isDone = true
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
