package import Bus
#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import HummingbirdCore
package import Logging
package import Model
package import NIOCore
import NIOPosix

/// The console's server: REST, live WebSocket, pages, metrics and health checks on one port.
package actor ConsoleServer {
    package nonisolated let options: ConsoleOptions
    package nonisolated let sessions: SessionStore
    package nonisolated let table: RouteTable
    package nonisolated let setup: SetupLink
    private let api: API
    private let hub: LiveHub
    private let pages: StaticFiles
    private let logger: Logger
    private let group: any EventLoopGroup
    private var running: Task<Void, any Error>?
    /// Where it listens; nil until `start` returned.
    package private(set) var port: Int?

    /// `needsSetup`: no administrator exists yet, so that `setupLink` is offered.
    package init(
        options: ConsoleOptions, services: any ConsoleServices, resources: any ConsoleResources,
        accounts: any ConsoleAccounts, bus: any Bus, needsSetup: Bool,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
    ) {
        self.options = options
        self.logger = logger
        self.group = group
        sessions = SessionStore(
            idle: options.sessionIdle, lifetime: options.sessionLifetime, time: options.time, random: options.random)
        setup = SetupLink(random: options.random, isNeeded: needsSetup)
        let gatekeeper = Gatekeeper(accounts: accounts, sessions: sessions, options: options)
        hub = LiveHub(services: services, bus: bus, gatekeeper: gatekeeper, options: options, logger: logger)
        api = API(
            services: services, resources: resources, bus: bus, gatekeeper: gatekeeper, setup: setup, hub: hub,
            options: options)
        pages = StaticFiles.make(options: options, logger: logger)
        table = RouteTable(api.routes())
    }

    /// `http://127.0.0.1:18083/#/setup?token=...`, once, until the first administrator exists; nil when there is one.
    package var setupLink: String? { setup.token.map { "\(address)/#/setup?token=\($0)" } }

    package var address: String {
        let host = options.host.contains(":") && !options.host.hasPrefix("[") ? "[\(options.host)]" : options.host
        return "http://\(host):\(port ?? options.port)"
    }

    /// Binds and serves; returns the port. Throws `console.port_in_use`, `console.bind`.
    package func start() async throws(Problem) -> Int {
        if let port { return port }
        let responder = Responder(
            table: table,
            gatekeeper: Gatekeeper(accounts: api.gatekeeper.accounts, sessions: sessions, options: options),
            pages: pages, logger: logger)
        let hub = hub
        let child = ConsoleChannel(
            responder: { request, writer, channel in
                try await responder.respond(to: request, writer: writer, channel: channel)
            },
            acceptSocket: { channel, head in try LiveSocket.attach(to: channel, head: head, hub: hub) })
        let (bound, announce) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingOldest(1))
        // The library logs every start, and every connection that a stop cuts off as an error; the node says where the
        // console is, once.
        var quiet = logger
        quiet.logLevel = .critical
        let configuration = ServerConfiguration(
            address: .hostname(options.host, port: options.port),
            availableConnectionsDelegate: MaximumAvailableConnections(options.connectionsMax, logger: quiet))
        let server = Server(
            childChannelSetup: child, configuration: configuration,
            onServerRunning: { channel in
                announce.yield(channel.localAddress?.port ?? 0)
                announce.finish()
            }, eventLoopGroup: group, logger: quiet)
        let task = Task {
            defer { announce.finish() }
            try await server.run()
        }
        running = task
        for await port in bound { self.port = port }
        guard let port else {
            running = nil
            do {
                try await task.value
            } catch {
                throw bindProblem(error)
            }
            throw Problem("console.bind", "the console stopped before it listened")
        }
        await hub.start()
        return port
    }

    /// Closes all connections and frees the port. Idempotent.
    package func stop() async {
        await hub.stop()
        guard let running else { return }
        running.cancel()
        _ = await running.result
        self.running = nil
        port = nil
    }

    private nonisolated func bindProblem(_ error: any Error) -> Problem {
        let place = "\(options.host):\(options.port)"
        if let error = error as? IOError, error.errnoCode == EADDRINUSE {
            return Problem(
                "console.port_in_use",
                "the console cannot listen on \(place): it is in use by another program; stop that, or choose a port with --console HOST:PORT",
                ["address": place])
        }
        if let error = error as? IOError, error.errnoCode == EACCES {
            return Problem(
                "console.port_denied",
                "the console may not listen on \(place): ports below 1024 need a privilege; choose another with --console HOST:PORT",
                ["address": place])
        }
        return Problem(
            "console.bind", "the console cannot listen on \(place): \(error)", ["address": place, "reason": "\(error)"])
    }

    /// The console's own counters.
    package nonisolated var metrics: any MetricSource { hub.counters }
    nonisolated var liveCounters: LiveCounters { hub.counters }
}
