package import Model
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The simulated plant on real sockets: six listeners speaking Modbus TCP, one event loop, steps of 50 ms that go on
/// whether or not anybody asks.
package final class PlantSimulator: Sendable {
    /// A port and what answers there.
    package struct Endpoint: Sendable, Hashable {
        package var title: String
        package var host: String
        package var port: Int
        /// Names of the machines by unit.
        package var devices: [UInt8: String]
    }

    package let endpoints: [Endpoint]
    private let group: MultiThreadedEventLoopGroup
    private let core: NIOLoopBound<PlantCore>
    private let channels: [any Channel]

    private init(
        endpoints: [Endpoint], group: MultiThreadedEventLoopGroup, core: NIOLoopBound<PlantCore>,
        channels: [any Channel]
    ) {
        self.endpoints = endpoints
        self.group = group
        self.core = core
        self.channels = channels
    }

    /// Ports are `basePort` and the five after it; 0 lets the system choose each. A port in use is a `Problem`, and
    /// nothing stays open then.
    package static func start(
        seed: UInt64 = 1, basePort: Int = 1502, host: String = "127.0.0.1", time: any TimeSource = SystemTime()
    ) async throws -> PlantSimulator {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let core = try await loop.submit { NIOLoopBound(PlantCore(seed: seed, time: time), eventLoop: loop) }.get()
        var channels: [any Channel] = []
        var endpoints: [Endpoint] = []
        do {
            for (listener, title) in Plant.listeners.enumerated() {
                let port = basePort == 0 ? 0 : basePort + listener
                let channel = try await bind(group, host: host, port: port) { channel in
                    let handler = PlantHandler(core: core.value, listener: listener, time: time)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
                channels.append(channel)
                let devices = Plant.places.filter { $0.listener == listener }.map { ($0.unit, $0.device) }
                endpoints.append(
                    Endpoint(
                        title: title, host: host, port: channel.localAddress?.port ?? port,
                        devices: Dictionary(uniqueKeysWithValues: devices)))
            }
        } catch {
            for channel in channels { try? await channel.close() }
            try? await group.shutdownGracefully()
            throw error
        }
        loop.scheduleRepeatedTask(initialDelay: .milliseconds(50), delay: .milliseconds(50)) { _ in core.value.catchUp()
        }
        return PlantSimulator(endpoints: endpoints, group: group, core: core, channels: channels)
    }

    /// Where a machine answers; nil for an unknown name.
    package func endpoint(of device: String) -> (endpoint: Endpoint, unit: UInt8)? {
        for endpoint in endpoints {
            if let unit = endpoint.devices.first(where: { $0.value == device })?.key { return (endpoint, unit) }
        }
        return nil
    }

    /// Sets a fault of a machine, or of `all`; nil clears it.
    package func setFault(_ fault: Fault?, device: String) async throws {
        let command = FaultCommand(device: device, fault: fault)
        let core = core
        let found = try await group.next().submit { core.value.setFault(command) }.get()
        if !found {
            let known = Plant.places.map(\.device).joined(separator: ", ")
            throw Problem(
                "simulator.device", "there is no device \"\(device)\" in the plant; known are \(known) and all",
                ["device": device, "known": known])
        }
    }

    /// Steps the plant without waiting for the clock: for tests, and to warm it up.
    package func advance(steps: Int) async throws {
        let core = core
        try await group.next().submit { core.value.step(steps) }.get()
    }

    /// Closes the ports and ends the event loop.
    package func stop() async {
        for channel in channels { try? await channel.close() }
        try? await group.shutdownGracefully()
    }
}

/// Listens, and says in one sentence why that is not possible.
func bind(
    _ group: MultiThreadedEventLoopGroup, host: String, port: Int,
    _ configure: @escaping @Sendable (any Channel) throws -> Void
) async throws -> any Channel {
    let bootstrap = ServerBootstrap(group: group)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try configure(channel) }
        }
    do {
        return try await bootstrap.bind(host: host, port: port).get()
    } catch {
        let reason = (error as? IOError)?.errnoCode == EADDRINUSE ? "the port is in use" : "\(error)"
        throw Problem(
            "simulator.listen", "cannot listen on \(host):\(port): \(reason); choose another with --port",
            ["host": host, "port": "\(port)", "reason": reason])
    }
}
