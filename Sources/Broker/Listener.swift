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
    let name: String
    private let state: Mutex<ListenerConfiguration>
    private let base: (any Authenticator)?
    private let exchange: Exchange
    private let group: any EventLoopGroup
    private let channel = Mutex<(any Channel)?>(nil)
    private let connections = Atomic<Int>(0)
    /// Connections refused because the listener had as many as it may.
    let refused = Counter()
    let accepted = Counter()

    init(
        name: String, _ configuration: ListenerConfiguration, exchange: Exchange, group: any EventLoopGroup,
        authenticator: (any Authenticator)?
    ) {
        self.name = name
        state = Mutex(configuration)
        self.exchange = exchange
        self.group = group
        base = authenticator
    }

    var configuration: ListenerConfiguration { state.withLock { $0 } }
    var connectionCount: Int { connections.load(ordering: .relaxed) }
    /// The port that it is bound to, which differs from the configured one if that is 0.
    var boundPort: Int? { channel.withLock { $0?.localAddress?.port } }

    /// For connections made from now on. The address must be the same.
    func change(_ configuration: ListenerConfiguration) { state.withLock { $0 = configuration } }

    func bind() async throws(Problem) {
        let configuration = configuration
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 512 << 10)
            )
            .childChannelInitializer { [self] channel in initialise(channel) }
        do {
            let bound = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
            channel.withLock { $0 = bound }
        } catch {
            throw Self.problem(error, name: name, configuration)
        }
    }

    private func initialise(_ channel: any Channel) -> EventLoopFuture<Void> {
        let configuration = configuration
        guard connections.add(1, ordering: .relaxed).newValue <= configuration.connectionsMax,
            let shard = exchange.shard(on: channel.eventLoop)
        else {
            connections.subtract(1, ordering: .relaxed)
            refused.add()
            return channel.eventLoop.makeFailedFuture(Problem("listener.connections_max", "too many connections"))
        }
        accepted.add()
        let authenticator = ListenerAuthenticator(allowAnonymous: configuration.allowAnonymous, base: base)
        let (name, limits) = (name, configuration.limits)
        return channel.eventLoop.makeCompletedFuture {
            let handler = ConnectionHandler(
                shard: shard,
                makeContext: { channel in
                    let address = channel.remoteAddress
                    return ConnectionContext(
                        peer: Self.text(address), isLoopback: Self.isLoopback(address), listener: name,
                        limits: limits, authenticator: authenticator)
                }, onClose: { [self] in connections.subtract(1, ordering: .relaxed) })
            try channel.pipeline.syncOperations.addHandler(handler)
        }
    }

    /// Stops listening; those who are connected stay.
    func unbind() async {
        let bound = channel.withLock { channel in
            defer { channel = nil }
            return channel
        }
        do { try await bound?.close().get() } catch ChannelError.alreadyClosed {} catch {
            // A listening socket that cannot be closed is closed by the process's end; nobody can act on it.
        }
    }

    static func text(_ address: SocketAddress?) -> String {
        guard let address, let host = address.ipAddress, let port = address.port else { return "" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    static func isLoopback(_ address: SocketAddress?) -> Bool {
        guard let host = address?.ipAddress else { return false }
        return host == "::1" || host.hasPrefix("127.") || host.hasPrefix("::ffff:127.")
    }

    private static func problem(
        _ error: any Error, name: String, _ configuration: ListenerConfiguration
    ) -> Problem {
        let address =
            configuration.host.contains(":")
            ? "[\(configuration.host)]:\(configuration.port)" : "\(configuration.host):\(configuration.port)"
        let arguments = ["listener": name, "address": address]
        let number = (error as? IOError)?.errnoCode
        if number == EADDRINUSE {
            return Problem(
                "listener.port_in_use",
                "listener \"\(name)\": \(address) is in use by another program; stop it or choose another port",
                arguments)
        }
        if number == EACCES {
            return Problem(
                "listener.not_permitted",
                "listener \"\(name)\": no permission to listen on \(address); ports below 1024 need privileges",
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

/// What a listener adds to the node's authentication: whether clients may come without a user at all.
struct ListenerAuthenticator: Authenticator {
    var allowAnonymous: Bool
    /// Nil: there are no users.
    var base: (any Authenticator)?

    func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? {
        if credentials.username == nil || (base == nil && allowAnonymous) {
            guard allowAnonymous else { return .refuse(.notAuthorized) }
            return AllowAnonymous().authenticateNow(credentials)
        }
        guard let base else { return .refuse(.notAuthorized) }
        return base.authenticateNow(credentials)
    }

    func authenticate(_ credentials: Credentials) async -> AuthenticationDecision {
        if let decision = authenticateNow(credentials) { return decision }
        guard let base else { return .refuse(.notAuthorized) }
        return await base.authenticate(credentials)
    }
}
