import Broker
import BrokerCore
import Bus
import Catalogue
import Gateway
import Historian
import Journal
import Logging
import Model
import NIOCore
import NIOPosix
import Resources
import SinkKit
import Streams
import Synchronization

/// The parts of a node in the order in which they are opened; closed in the opposite order.
final class NodeParts: Sendable {
    /// Of devices, the console and what the node asks of others.
    let loops: MultiThreadedEventLoopGroup
    /// Of MQTT's shards.
    let brokerLoops: any EventLoopGroup
    let directory: DataDirectory
    let store: ResourceStore
    let accounts: Accounts
    let historian: Historian
    let recorder: HistorianRecorder
    /// What the broker keeps for its clients.
    let messages: MessageLog
    let exchange: Exchange
    let broker: Broker
    let streams: StreamEngine
    let sinks: SinkEngine
    let gateway: Gateway
    let controllers: ControllerHost
    let alarmBook = AlarmBook()
    let access: AccessControl
    let readiness = ReadinessBook(parts: ["resources", "broker"])
    let metricSources: [any MetricSource]
    private let subscriptions = Mutex<[any BusSubscription]>([])

    private init(
        loops: MultiThreadedEventLoopGroup, brokerLoops: any EventLoopGroup, directory: DataDirectory,
        store: ResourceStore, accounts: Accounts,
        historian: Historian, messages: MessageLog, exchange: Exchange, broker: Broker, streams: StreamEngine,
        sinks: SinkEngine, gateway: Gateway,
        controllers: ControllerHost, recorder: HistorianRecorder, access: AccessControl
    ) {
        self.loops = loops
        self.brokerLoops = brokerLoops
        self.directory = directory
        self.store = store
        self.accounts = accounts
        self.historian = historian
        self.recorder = recorder
        self.access = access
        self.messages = messages
        self.exchange = exchange
        self.broker = broker
        self.streams = streams
        self.sinks = sinks
        self.gateway = gateway
        self.controllers = controllers
        metricSources = [messages, broker, gateway, streams, sinks, historian, store] + access.metricSources
    }

    static func open(
        _ configuration: NodeConfiguration, time: any TimeSource, random: any RandomSource, files: any FileSystem,
        log: Logger
    ) async throws -> NodeParts {
        let directory = try DataDirectory(configuration.dataDirectory, files: files)
        let store: ResourceStore
        let accounts: Accounts
        let historian: Historian
        let messages: MessageLog
        do {
            store = try ResourceStore(directory, registry: NodeKinds.registry, time: time, random: random)
            let resolver = SecretResolver(store: store, files: files)
            accounts = try await Accounts(store: store, resolver: resolver, directory: directory, time: time)
            historian = try await Historian.open(
                HistorianOptions(directory: directory.file("historian")), files: files, time: time)
            messages = try MessageLog.open(directory.file("broker"), files: files, time: time) { problem in
                if let problem {
                    log.error("what must be kept is refused: \(problem.message)")
                } else {
                    log.notice("the broker's log is writable again")
                }
            }
        } catch {
            directory.release()
            throw error
        }
        let brokerLoops: any EventLoopGroup
        do throws(Problem) {
            brokerLoops = try BrokerLoops.make(threads: configuration.threads)
        } catch {
            directory.release()
            throw error
        }
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        var limits = ExchangeLimits()
        limits.nodeName = "tundish@\(ProcessFigures.hostName())"
        let exchange = Exchange(
            loops: Array(brokerLoops.makeIterator()), limits: limits, time: time, random: random, store: messages)
        let resolver = SecretResolver(store: store, files: files)
        let access = try AccessControl(
            resolver: resolver, time: time, random: random, files: files, group: loops)
        let broker = Broker(
            exchange: exchange, group: brokerLoops, authenticator: access.chain, log: log,
            files: files,
            secrets: { reference throws(Problem) in try await resolver.resolve(reference) })
        let runningSinks = RunningSinks(statuses: store.statuses)
        let sinks = SinkEngine(
            types: Sinks.all, directory: directory.file("sinks"), files: files,
            environment: SinkEnvironment(time: time, random: random) { reference throws(Problem) in
                try await resolver.resolve(reference)
            }, onStatus: { runningSinks.report($0, $1) })
        let streams = StreamEngine(
            bus: exchange, time: time, historian: RuleRecorder(historian: historian), sinks: RuleSinks(engine: sinks))
        let running = RunningDevices(statuses: store.statuses)
        let gateway = Gateway(
            drivers: Drivers.all, bus: exchange, loops: loops, time: time, random: random, log: log,
            onStatus: { device, status in running.report(device, status) })
        let controllers = ControllerHost(
            store: store,
            controllers: [
                BrokerController(exchange: exchange),
                ListenerController(broker: broker, mqtt: configuration.mqtt, statuses: store.statuses, access: access),
                DeviceController(gateway: gateway, running: running),
                SinkController(engine: sinks, running: runningSinks), RuleController(engine: streams),
                AccessPolicyController(access: access, exchange: exchange), AuthenticationController(access: access),
                UserController(access: access, exchange: exchange, resolver: resolver),
                StoredOnlyController(kind: "Secret"),
            ], time: time)
        return NodeParts(
            loops: loops, brokerLoops: brokerLoops, directory: directory, store: store, accounts: accounts,
            historian: historian, messages: messages,
            exchange: exchange, broker: broker, streams: streams, sinks: sinks, gateway: gateway,
            controllers: controllers,
            recorder: HistorianRecorder(historian), access: access)
    }

    /// Takes up what the broker kept; clients may come meanwhile, and wait.
    func recover(_ log: Logger) {
        exchange.recover { [readiness] report in
            guard let problem = report.problem else {
                readiness.isThere("broker")
                if report.sessions + report.retained > 0 {
                    log.info(
                        "broker: \(report.sessions) sessions, \(report.messages) messages, \(report.retained) of them retained, after \(report.seconds) s"
                    )
                }
                if report.damagedBlocks > 0 {
                    log.error("broker: \(report.damagedBlocks) blocks of the log are damaged; what they held is lost")
                }
                return
            }
            log.error("broker: the log cannot be read: \(problem.message)")
            Task {
                try await Task.sleep(for: .seconds(5))
                self.recover(log)
            }
        }
    }

    /// Puts the historian and the alarm book on the bus.
    func subscribe() async throws {
        exchange.start()
        let recorder = recorder
        let alarmBook = alarmBook
        let everything = try await exchange.subscribe(
            [TopicFilter("#")], name: "historian", options: SubscribeOptions(samplesOnly: true)
        ) {
            recorder.deliver($0)
        }
        let alarms = try await exchange.subscribe(
            [TopicFilter(AlarmBook.filter)], name: "alarms", options: SubscribeOptions(wantsRetained: true)
        ) { alarmBook.take($0) }
        subscriptions.withLock { $0 = [everything, alarms] }
    }

    func close() async {
        await controllers.stop()
        await gateway.shutdown()
        await broker.stop()
        await access.close()
        await streams.stop()
        await sinks.stop()
        await exchange.stop()
        for subscription in subscriptions.withLock({ $0 }) { await subscription.cancel() }
        await exchange.flush()
        await messages.close()
        await historian.close()
        store.close()
        directory.release()
        // Nothing runs on the loops any more; an error here would be their own and lose nothing.
        try? await loops.shutdownGracefully()
        try? await brokerLoops.shutdownGracefully()
    }
}

/// Takes what rules record.
private struct RuleRecorder: HistorianOutput {
    let historian: Historian

    func record(_ batch: SampleBatch, refused: @escaping @Sendable (Problem) -> Void) {
        historian.append([batch]) { problem in if let problem { refused(problem) } }
    }
}

/// Gives sinks what rules make for them.
private struct RuleSinks: SinkOutputs {
    let engine: SinkEngine

    func hasSink(_ name: String) -> Bool { engine.hasSink(name) }
    func offer(_ row: Bytes, sink: String) -> Bool { engine.offer(row, sink: sink) }
}
