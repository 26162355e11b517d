package import BrokerCore
package import Bus
package import Journal
package import Logging
package import Model
package import NIOCore

/// The broker with its listeners. Listeners come, change and go while it runs; the clients of the others notice nothing.
package actor Broker {
    package nonisolated let exchange: Exchange
    private let group: any EventLoopGroup
    private let authenticator: (any Authenticator)?
    private let logger: Logger
    private let files: any FileSystem
    private let secrets: SecretSource?
    private let certificatePoll: Duration
    private var listeners: [String: Listener] = [:]
    private var isStopped = false
    private var certificateWatch: Task<Void, Never>?
    private var onProblems: (@Sendable (_ listener: String, [Problem]) -> Void)?

    /// One listener as it runs.
    package struct ListenerStatus: Sendable, Hashable {
        package var name: String
        package var transport: ListenerProtocol
        /// `host:port` as bound, or the path.
        package var address: String
        package var port: Int
        package var connections: Int
        /// Of these, those that have not sent their CONNECT.
        package var halfOpen: Int
        package var accepted: UInt64
        /// Turned away at the door.
        package var refused: UInt64
        /// Every connection that ended or was refused, by cause.
        package var closed: [CloseCause: UInt64]
        /// When the first of its certificates expires.
        package var certificateExpires: Timestamp?
        /// What should be looked at, though it works.
        package var problems: [Problem]
    }

    /// `group` has the loops that `exchange` has its shards on; the caller shuts it down after `stop`. `authenticator`
    /// decides about clients that name a user; nil: there are no users. `secrets` finds certificates and keys that are
    /// not files; `certificatePoll` is how often all of them are looked at for changes.
    package init(
        exchange: Exchange, group: any EventLoopGroup, authenticator: (any Authenticator)?, log: Logger,
        files: any FileSystem = SystemFiles(), secrets: SecretSource? = nil, certificatePoll: Duration = .seconds(5)
    ) {
        self.group = group
        self.authenticator = authenticator
        self.files = files
        self.secrets = secrets
        self.certificatePoll = certificatePoll
        logger = log
        self.exchange = exchange
        exchange.start()
    }

    /// The bus for everything inside the process.
    package nonisolated var bus: any Bus { exchange }

    /// Is told whenever what is wrong with a listener's certificates changes while it runs.
    package func setOnProblems(_ body: @escaping @Sendable (_ listener: String, [Problem]) -> Void) {
        onProblems = body
    }

    /// Adds a listener or changes the one of that name. Limits, certificates and access change in place and nobody
    /// notices. A new address is bound before the old one is given up; clients of the old one are then told to go.
    /// Returns what should be looked at, though it works.
    @discardableResult
    package func applyListener(
        _ name: String, _ configuration: ListenerConfiguration
    ) async throws(Problem) -> [Problem] {
        if isStopped { throw Problem("broker.stopped", "the broker is stopping") }
        let old = listeners[name]
        if let old, old.state.configuration.sharesSocket(with: configuration) {
            if let settings = configuration.tls, settings != old.state.configuration.tls {
                try await old.keeper?.change(settings)
            }
            old.state.change(configuration)
            return old.keeper?.problems ?? []
        }
        var keeper: TLSKeeper?
        if let settings = configuration.tls {
            keeper = try await TLSKeeper(
                listener: name, settings, time: exchange.time, files: files, secrets: secrets)
        }
        let listener = Listener(
            name: name, configuration, exchange: exchange, group: group, authenticator: authenticator, keeper: keeper)
        // The same address for another protocol: it must be free before it can be bound.
        let isSameAddress = old.map { $0.state.configuration.address == configuration.address } ?? false
        if isSameAddress, configuration.port != 0 || configuration.transport == .unix { await old?.unbind() }
        do throws(Problem) { try await listener.bind() } catch {
            if isSameAddress, let old { try await reopen(old, after: error) }
            throw error
        }
        listeners[name] = listener
        if let old {
            await old.unbind()
            await old.dismissAll(.administrativeAction)
        }
        if keeper != nil { watchCertificates() }
        logger.debug("listening", metadata: ["listener": "\(name)", "address": "\(configuration.address)"])
        return keeper?.problems ?? []
    }

    /// Opens the socket again that had to be closed for another that could not be opened.
    private func reopen(_ old: Listener, after first: Problem) async throws(Problem) {
        do throws(Problem) { try await old.bind() } catch {
            await removeListener(old.name)
            throw Problem(
                first.code, "\(first.message); nor could its former socket be opened again: \(error.message)",
                first.arguments)
        }
    }

    /// Stops a listener and tells its clients to go. Idempotent.
    package func removeListener(_ name: String) async {
        guard let listener = listeners.removeValue(forKey: name) else { return }
        await listener.unbind()
        await listener.dismissAll(.administrativeAction)
    }

    package func listenerStatus() -> [ListenerStatus] {
        listeners.values.map { listener in
            let state = listener.state
            var configuration = state.configuration
            configuration.port = listener.boundPort ?? configuration.port
            return ListenerStatus(
                name: listener.name, transport: configuration.transport, address: configuration.address,
                port: configuration.port, connections: state.connectionCount, halfOpen: state.halfOpenCount,
                accepted: state.accepted.count, refused: state.closed.refusals, closed: state.closed.counts,
                certificateExpires: listener.keeper.map { Timestamp(nanoseconds: $0.expires &* 1_000_000_000) },
                problems: listener.keeper?.problems ?? [])
        }.sorted { $0.name < $1.name }
    }

    /// The port that a listener is bound to.
    package func port(of name: String) -> Int? { listeners[name]?.boundPort }

    /// Stops listening, tells every client, and waits until what they have not read is sent, as long as their
    /// listeners allow.
    package func stop() async {
        isStopped = true
        certificateWatch?.cancel()
        certificateWatch = nil
        let all = listeners.values
        listeners = [:]
        for listener in all { await listener.unbind() }
        for listener in all { await listener.dismissAll(.serverShuttingDown) }
        await exchange.stop()
        let seconds = all.map { $0.state.configuration.bounds.drainSeconds }.max() ?? 0
        for _ in 0..<(seconds + 1) * 50 {
            if all.allSatisfy({ $0.state.connectionCount == 0 }) { return }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    // MARK: Certificates

    private func watchCertificates() {
        guard certificateWatch == nil else { return }
        certificateWatch = Task { [weak self, certificatePoll] in
            while !Task.isCancelled {
                do { try await Task.sleep(for: certificatePoll) } catch { return }
                guard let self else { return }
                await self.refreshCertificates()
            }
        }
    }

    /// Takes over certificates, keys and revocation lists that have changed.
    package func refreshCertificates() async {
        for (name, listener) in listeners {
            guard let keeper = listener.keeper, await keeper.refresh() else { continue }
            let problems = keeper.problems
            if let first = problems.first {
                logger.warning("\(first.message)", metadata: ["listener": "\(name)"])
            } else {
                logger.info("certificates taken over", metadata: ["listener": "\(name)"])
            }
            onProblems?(name, problems)
        }
    }
}

/// The figures of the exchange are among them.
extension Broker: MetricSource {
    package func collect() async -> [MetricSample] {
        var samples = await exchange.collect()
        for status in listenerStatus() {
            let labels = ["listener": status.name]
            func gauge(_ name: String, _ help: String, _ value: Double) {
                samples.append(MetricSample("tundish_listener_" + name, .gauge, help, labels: labels, value))
            }
            func counter(_ name: String, _ help: String, _ value: UInt64, _ more: [String: String] = [:]) {
                samples.append(
                    MetricSample(
                        "tundish_listener_" + name, .counter, help, labels: labels.merging(more) { $1 }, Double(value)))
            }
            gauge("connections", "Connections of the listener.", Double(status.connections))
            gauge("half_open", "Connections that have not sent their CONNECT.", Double(status.halfOpen))
            counter("accepted_total", "Connections accepted.", status.accepted)
            counter("refused_total", "Connections turned away at the door.", status.refused)
            for (cause, count) in status.closed.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                counter("closed_total", "Connections ended or refused, by cause.", count, ["cause": cause.rawValue])
            }
            if let expires = status.certificateExpires {
                gauge(
                    "certificate_expiry_seconds", "When the listener's certificate expires, seconds since 1970.",
                    Double(expires.nanoseconds / 1_000_000_000))
            }
        }
        return samples
    }
}
