#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import BrokerCore
import Bus
import Logging
import Model
import NIOCore
import NIOPosix
import Synchronization

/// One bound address and the clients that came through it.
final class Listener: Sendable {
    let state: ListenerState
    /// Certificates; nil without TLS.
    let keeper: TLSKeeper?
    private let lanes: [ObjectIdentifier: ListenerLane]
    private let group: any EventLoopGroup
    private let bound = Mutex<BoundSocket?>(nil)
    private let socketFile = Mutex<UInt64?>(nil)

    init(
        name: String, _ configuration: ListenerConfiguration, exchange: Exchange, group: any EventLoopGroup,
        authenticator: (any Authenticator)?, keeper: TLSKeeper?
    ) {
        let state = ListenerState(name: name, configuration, authenticator: authenticator, time: exchange.time)
        self.state = state
        self.group = group
        self.keeper = keeper
        lanes = Dictionary(
            uniqueKeysWithValues: exchange.shards.map {
                (ObjectIdentifier($0.loop), ListenerLane(state, $0, time: exchange.time))
            })
    }

    var name: String { state.name }
    /// The port that it is bound to, which differs from the configured one if that is 0.
    var boundPort: Int? { bound.withLock { $0?.port } }

    func bind() async throws(Problem) {
        let configuration = state.configuration
        if configuration.transport == .unix {
            try await bindPath(UnixSocketPath(configuration.path), mode: configuration.mode)
            return
        }
        do {
            let (host, port) = (configuration.host, configuration.port)
            let socket = try await listen { try .makeAddressResolvingHost(host, port: port) }
            bound.withLock { $0 = socket }
        } catch {
            throw Self.problem(error, name: name, configuration)
        }
    }

    private func listen(_ address: () throws -> SocketAddress) async throws -> BoundSocket {
        let address = try address()
        #if os(Linux)
            if let group = group as? EpollEventLoopGroup {
                let acceptor = try await EpollAcceptor.listen(state, on: address, group: group, lanes: lanes) {
                    [self] channel in initialise(channel)
                }
                return BoundSocket(port: acceptor.address?.port) { await acceptor.close() }
            }
        #endif
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 512 << 10)
            )
            .childChannelInitializer { [self] channel in initialise(channel) }
        if address.ipAddress != nil {
            bootstrap = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
        }
        return BoundSocket(try await bootstrap.bind(to: address).get())
    }

    private func bindPath(_ file: UnixSocketPath, mode: UInt16) async throws(Problem) {
        try file.check(listener: name)
        file.removeTemporary()
        do {
            let socket = try await listen { try SocketAddress(unixDomainSocketPath: file.temporary) }
            bound.withLock { $0 = socket }
        } catch {
            throw Self.problem(error, name: name, state.configuration)
        }
        do throws(Problem) {
            let identity = try file.publish(listener: name, mode: mode)
            socketFile.withLock { $0 = identity }
        } catch {
            file.removeTemporary()
            await unbind()
            throw error
        }
    }

    private func initialise(_ channel: any Channel) -> EventLoopFuture<Void> {
        let loop = channel.eventLoop
        let configuration = state.configuration
        var peer = PeerAddress(channel.remoteAddress)
        if configuration.transport == .unix { peer.text = "unix:" + configuration.path }
        guard let lane = lanes[ObjectIdentifier(loop)] else {
            return loop.makeFailedFuture(Problem("listener.no_loop", "the connection's loop has no shard"))
        }
        if let cause = state.admit(peer, configuration) {
            return loop.makeFailedFuture(Problem("listener.refused", cause.rawValue))
        }
        let keeper = keeper
        return loop.makeCompletedFuture {
            let arrival = Arrival(lane, peer: peer, configuration)
            let handler = ConnectionHandler(arrival)
            let pipeline = channel.pipeline.syncOperations
            do {
                if arrival.stage == .proxy {
                    let next: Arrival.Stage =
                        configuration.transport.isTLS
                        ? .tls : configuration.transport.isWebSocket ? .webSocket : .connect
                    try pipeline.addHandler(ProxyHandler(arrival, nextStage: next))
                }
                if configuration.transport.isTLS, let keeper { try pipeline.addHandler(TLSGate(arrival, keeper)) }
                if configuration.transport.isWebSocket {
                    try pipeline.addHandler(WebSocketHandler(arrival, configuration.webSocket))
                }
                try pipeline.addHandler(handler)
            } catch {
                self.state.leave(configuration.proxyProtocol ? nil : peer.ip, .other)
                throw error
            }
            arrival.client = handler
            lane.add(arrival)
        }
    }

    /// Stops listening; those who are connected stay.
    func unbind() async {
        let socket = bound.withLock { $0.take() }
        await socket?.close()
        if let identity = socketFile.withLock({ $0.take() }) {
            UnixSocketPath(state.configuration.path).remove(identity: identity)
        }
    }

    /// Tells every client to go, and cuts off those that have not introduced themselves.
    func dismissAll(_ reason: ReasonCode) async {
        for lane in lanes.values { await lane.shard.run { _ in lane.dismissAll(reason) } }
    }

    private static func problem(_ error: any Error, name: String, _ configuration: ListenerConfiguration) -> Problem {
        let address = configuration.address
        let arguments = ["listener": name, "address": address]
        let number = (error as? IOError)?.errnoCode
        if number == EADDRINUSE {
            return Problem(
                "listener.port_in_use",
                "listener \"\(name)\": \(address) is in use by another program; stop it or choose another port",
                arguments)
        }
        if number == EACCES {
            let advice =
                configuration.transport == .unix
                ? "check the folder's owner and mode" : "ports below 1024 need privileges"
            return Problem(
                "listener.not_permitted",
                "listener \"\(name)\": no permission to listen on \(address); \(advice)", arguments)
        }
        if number == ENOENT, configuration.transport == .unix {
            return Problem(
                "listener.no_folder", "listener \"\(name)\": the folder of \(address) does not exist; make it first",
                arguments)
        }
        if number == EADDRNOTAVAIL {
            return Problem(
                "listener.no_such_address", "listener \"\(name)\": this machine has no address \(configuration.host)",
                arguments)
        }
        return Problem("listener.bind_failed", "listener \"\(name)\": cannot listen on \(address): \(error)", arguments)
    }
}
