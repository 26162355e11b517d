import Broker
import BrokerCore
package import Bus
import Catalogue
package import Console
import Gateway
import Historian
package import Journal
package import Logging
package import Model
import NIOCore
import NIOPosix
import Resources
import Streams

/// One running Tundish: every part, put together, with the data directory it works on.
package final class TundishNode: Sendable {
    package let configuration: NodeConfiguration
    package let log: Logger
    package let console: ConsoleServer
    package let bus: any Bus
    let parts: NodeParts

    private init(_ configuration: NodeConfiguration, _ log: Logger, _ parts: NodeParts, _ console: ConsoleServer) {
        self.configuration = configuration
        self.log = log
        self.parts = parts
        self.console = console
        bus = parts.exchange
    }

    /// Starts everything; returns when the console answers and every resource was looked at once. Throws what makes
    /// running impossible: the data directory, the console's port. What concerns one resource becomes its status.
    package static func start(
        _ configuration: NodeConfiguration, time: any TimeSource = SystemTime(),
        random: any RandomSource = SystemRandom(),
        files: any FileSystem = SystemFiles()
    ) async throws -> TundishNode {
        let level = configuration.logLevel
        let format = configuration.logFormat
        let log = Logger(label: "tundish") { _ in NodeLogHandler(level: level, format: format, time: time) }
        let startedAt = time.now()
        var files = files
        if let control = environment("TUNDISH_TEST_DISK_FAULTS") {
            log.warning("under test: the disk fails whenever this file says so", metadata: ["file": "\(control)"])
            files = SwitchedFiles(control: control)
        }
        let parts = try await NodeParts.open(configuration, time: time, random: random, files: files, log: log)
        do {
            let console = try await startConsole(
                configuration, parts, startedAt: startedAt, time: time, random: random, log)
            let node = TundishNode(configuration, log, parts, console)
            try await node.startParts()
            return node
        } catch {
            await parts.close()
            throw error
        }
    }

    private static func startConsole(
        _ configuration: NodeConfiguration, _ parts: NodeParts, startedAt: Timestamp, time: any TimeSource,
        random: any RandomSource, _ log: Logger
    ) async throws -> ConsoleServer {
        var options = ConsoleOptions()
        options.host = configuration.console.host
        options.port = configuration.console.port
        options.version = NodeVersion.number
        options.webDirectory = environment("TUNDISH_WEB_DIRECTORY")
        options.vendorDirectory = environment("TUNDISH_VENDOR_DIRECTORY")
        options.time = time
        options.random = random
        let services = NodeServices(
            name: "tundish", startedAt: startedAt, time: time, store: parts.store, gateway: parts.gateway,
            exchange: parts.exchange, broker: parts.broker,
            accessJournal: parts.access.journal,
            publisher: parts.exchange.publisher(Origin(.console, clientID: "console")), streams: parts.streams,
            sinks: parts.sinks,
            historian: parts.historian, recorder: parts.recorder,
            alarmBook: parts.alarmBook, rates: RateMeter(time: time), metricSources: parts.metricSources,
            readinessBook: parts.readiness)
        let accounts = AccountService(accounts: parts.accounts, log: log)
        let console = ConsoleServer(
            options: options, services: services, resources: ResourceService(store: parts.store), accounts: accounts,
            bus: parts.exchange, needsSetup: try await accounts.needsSetup(), group: parts.loops, logger: log)
        _ = try await console.start()
        return console
    }

    /// Subscribers first, then what publishes; configuration files before the controllers look at the store.
    private func startParts() async throws {
        parts.recover(log)
        try await parts.subscribe()
        try await parts.gateway.start()
        try await seedDefaultListener()
        await applyFiles(configuration.resources)
        await parts.controllers.start()
        parts.readiness.isThere("resources")
        let address = await console.address
        log.info("running; data in \(configuration.dataDirectory), console at \(address)")
    }

    /// A first start has nothing to listen on: it gets the default listener as a resource like any other.
    private func seedDefaultListener() async throws {
        do throws(Rejection) {
            guard try await parts.store.revision() == 0 else { return }
            let address = NodeConfiguration.defaultMQTT.description
            let document = """
                kind: Listener
                name: \(ListenerController.defaultName)
                spec: { protocol: mqtt, bind: "\(address)", allowAnonymous: true }
                """
            _ = try await parts.store.apply(
                Array(document.utf8), file: "first start",
                ChangeContext(author: "tundish", source: ChangeSource(.system)))
        } catch {
            throw error.problem
        }
    }

    /// Applies resource files; what is wrong with one is logged and changes nothing of it.
    package func applyFiles(_ paths: [String]) async {
        var files: [SourceFile] = []
        var folders: [String] = []
        for path in paths {
            do throws(Problem) {
                let found = try resourceFiles(path)
                if found != [path] { folders.append(path) }
                for file in found { files.append(Self.read(file)) }
            } catch {
                log.error("\(error.message)")
            }
        }
        if !files.isEmpty || !folders.isEmpty { await apply(files, folders: folders) }
    }

    /// The same for texts that stand for files of these names.
    package func apply(_ texts: [(name: String, text: String)]) async {
        await apply(texts.map { SourceFile(path: $0.name, content: .success(Array($0.text.utf8))) }, folders: [])
    }

    private func apply(_ files: [SourceFile], folders: [String]) async {
        for outcome in await parts.store.applyFiles(files, folders: folders) {
            if let rejection = outcome.rejection {
                let issues = rejection.issues.map(\.description)
                log.error(
                    "\(outcome.path) is not applied: \((issues.isEmpty ? [rejection.problem.message] : issues).joined(separator: "; "))"
                )
            } else if let result = outcome.result {
                let changed = result.changes.filter { $0.action != .unchanged && $0.action != .left }.count
                log.info("\(outcome.path) applied: \(changed) changed, \(result.changes.count - changed) unchanged")
            }
        }
    }

    private static func read(_ file: String) -> SourceFile {
        do throws(Problem) {
            return SourceFile(path: file, content: .success(Array(try readTextFile(file).utf8)))
        } catch {
            return SourceFile(path: file, content: .failure(error))
        }
    }

    /// Stops what takes in first, then what stores. Idempotent.
    package func stop() async {
        await console.stop()
        await parts.close()
        log.info("stopped")
    }
}
