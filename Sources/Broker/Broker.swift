package import BrokerCore
package import Bus
package import Logging
package import Model
package import NIOCore

/// The broker with its listeners. Listeners come, change and go while it runs; the clients of the others notice nothing.
package actor Broker {
    package nonisolated let exchange: Exchange
    private let group: any EventLoopGroup
    private let authenticator: (any Authenticator)?
    private let logger: Logger
    private var listeners: [String: Listener] = [:]
    private var isStopped = false

    /// One listener as it runs.
    package struct ListenerStatus: Sendable, Hashable {
        package var name: String
        /// `host:port` as bound.
        package var address: String
        package var port: Int
        package var connections: Int
        package var accepted: UInt64
        package var refused: UInt64
    }

    /// `group` has the loops that `exchange` has its shards on; the caller shuts it down after `stop`. `authenticator`
    /// decides about clients that name a user; nil: there are no users.
    package init(exchange: Exchange, group: any EventLoopGroup, authenticator: (any Authenticator)?, log: Logger) {
        self.group = group
        self.authenticator = authenticator
        logger = log
        self.exchange = exchange
        exchange.start()
    }

    /// The bus for everything inside the process.
    package nonisolated var bus: any Bus { exchange }

    /// Adds a listener or changes the one of that name. A new address is bound before the old one is given up; clients
    /// of the old address are then disconnected. Other changes are for connections made afterwards.
    package func applyListener(_ name: String, _ configuration: ListenerConfiguration) async throws(Problem) {
        if isStopped { throw Problem("broker.stopped", "the broker is stopping") }
        if let known = listeners[name] {
            let old = known.configuration
            if old.host == configuration.host, old.port == configuration.port {
                known.change(configuration)
                return
            }
        }
        let listener = Listener(
            name: name, configuration, exchange: exchange, group: group, authenticator: authenticator)
        try await listener.bind()
        let old = listeners.updateValue(listener, forKey: name)
        if let old {
            await old.unbind()
            await exchange.disconnectAll(listener: name)
        }
        logger.debug("listening", metadata: ["listener": "\(name)", "port": "\(listener.boundPort ?? 0)"])
    }

    /// Stops a listener and disconnects its clients. Idempotent.
    package func removeListener(_ name: String) async {
        guard let listener = listeners.removeValue(forKey: name) else { return }
        await listener.unbind()
        await exchange.disconnectAll(listener: name)
    }

    package func listenerStatus() -> [ListenerStatus] {
        listeners.values.map { listener in
            let configuration = listener.configuration
            let port = listener.boundPort ?? configuration.port
            let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
            return ListenerStatus(
                name: listener.name, address: "\(host):\(port)", port: port, connections: listener.connectionCount,
                accepted: listener.accepted.count, refused: listener.refused.count)
        }.sorted { $0.name < $1.name }
    }

    /// The port that a listener is bound to.
    package func port(of name: String) -> Int? { listeners[name]?.boundPort }

    /// Stops listening, tells every client, and waits until their connections are closed, a few seconds at most.
    package func stop() async {
        isStopped = true
        let all = listeners
        listeners = [:]
        for listener in all.values { await listener.unbind() }
        await exchange.stop()
        for _ in 0..<50 {
            if all.values.allSatisfy({ $0.connectionCount == 0 }) { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension Broker: MetricSource {
    package func collect() async -> [MetricSample] {
        var samples = await exchange.collect()
        for status in listenerStatus() {
            let labels = ["listener": status.name]
            samples.append(
                MetricSample(
                    "tundish_listener_connections", .gauge, "Connections of the listener.", labels: labels,
                    Double(status.connections)))
            samples.append(
                MetricSample(
                    "tundish_listener_accepted_total", .counter, "Connections accepted.", labels: labels,
                    Double(status.accepted)))
            samples.append(
                MetricSample(
                    "tundish_listener_refused_total", .counter, "Connections over the listener's limit.",
                    labels: labels, Double(status.refused)))
        }
        return samples
    }
}
