#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Foundation
import Model

/// What `tundish bench broker` is asked for.
package struct BrokerBenchOptions {
    /// Alternating rounds; the figures are medians.
    package var rounds = 5
    /// Of each measurement.
    package var seconds = 2.0
    package var warmUpSeconds = 0.5
    /// Names of scenarios or parts of them; none: all.
    package var only: [String] = []
    /// `name=host:port[:pid]`, brokers that run already.
    package var peers: [String] = []
    /// `name=executable arguments`, other builds of Tundish, or this one with other arguments.
    package var variants: [String] = []
    package var measuresTundish = true
    package var measuresMosquitto = true
    /// Where the report goes as Markdown, and as a chart.
    package var report: String?
    package var chart: String?

    package init() {}

    func validate() throws(Problem) {
        guard (1...99).contains(rounds), (0.1...60).contains(seconds) else {
            throw Problem("bench.usage", "bench broker takes 1 to 99 rounds of 0.1 to 60 seconds")
        }
    }
}

/// `tundish bench broker`: the broker's figures, Tundish against its peers on the same core, the load generator in a
/// process of its own (`tundish bench generate`) on another. Whether everything that is promised was reached.
@discardableResult
package func benchBroker(_ options: BrokerBenchOptions) throws -> Bool {
    try options.validate()
    let cases = try BrokerCase.chosen(options.only)
    let bench = try BrokerBench(options)
    defer { bench.cleanUp() }
    return try bench.run(cases)
}

/// The names of the scenarios, one a line.
package func listBrokerCases() -> String {
    BrokerCase.all.map { $0.name.padding(toLength: 36, withPad: " ", startingAt: 0) + $0.title }
        .joined(separator: "\n")
}

/// `tundish bench generate PLAN`: the load generator's process.
package func benchGenerate(_ arguments: [String]) throws {
    guard arguments.count == 1, let plan = try? LoadPlan.decode(arguments[0]) else {
        throw Problem("bench.usage", "bench generate is for bench broker alone")
    }
    _ = Processes.raiseOpenFiles()
    signal(SIGPIPE, SIG_IGN)
    switch plan.mode {
    case .window: print(try LoadGenerator(plan: plan).runWindows().line)
    case .rate: print(try LoadGenerator(plan: plan).runRate().line)
    case .store: print(try LoadGenerator(plan: plan).runStore().line)
    case .connect where plan.usesTLS: print(try TLSLoad(plan: plan).run().line)
    case .connect: print(try ConnectLoad(plan: plan).run().line)
    case .idle: try IdleLoad.run(plan)
    }
}

/// The cases in turn, each with its brokers fresh.
final class BrokerBench {
    let options: BrokerBenchOptions
    let executable: String
    let folder: URL
    let cores: [Int]
    let generatorCore: Int
    let peers: [BrokerPeer]
    let openFilesMax: Int
    private var runs = 0

    init(_ options: BrokerBenchOptions) throws {
        self.options = options
        // The link itself would name whichever program resolves it.
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw Problem("bench.platform", "the broker benchmark needs Linux: /proc/self/exe cannot be read")
        }
        executable = path
        let available = CPUCores.ofThisThread() ?? [0]
        cores = Array(available.prefix(2))
        generatorCore = available.count > 2 ? available[2] : available.last ?? 0
        openFilesMax = Processes.raiseOpenFiles()
        var peers: [BrokerPeer] = []
        if options.measuresTundish {
            peers.append(
                BrokerPeer(name: "tundish", origin: .tundish(executable: path, arguments: [], threads: 1)))
        }
        for text in options.variants { peers.append(try .tundish(text)) }
        if options.measuresMosquitto {
            if let mosquitto = BrokerPeer.mosquitto {
                peers.append(mosquitto)
            } else {
                print("mosquitto is not installed (apt-get install mosquitto): no ratios")
            }
        }
        for text in options.peers { peers.append(try .running(text)) }
        guard !peers.isEmpty, Set(peers.map(\.name)).count == peers.count else {
            throw Problem("bench.usage", "bench broker needs one broker at least, and a name for each of its own")
        }
        self.peers = peers
        folder = FileManager.default.temporaryDirectory.appending(path: "tundish-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    func cleanUp() { try? FileManager.default.removeItem(at: folder) }

    var hasOwnCore: Bool { generatorCore != cores[0] }

    func run(_ cases: [BrokerCase]) throws -> Bool {
        let setting = setting()
        print(setting.method)
        if setting.isDebug { print("this is a debug build: its figures say nothing about a release") }
        if !hasOwnCore { print("only one core is available: the figures are low, the ratios hold") }
        var outcomes: [BrokerOutcome] = []
        for item in cases {
            let outcome = try measure(item)
            outcomes.append(outcome)
            print(BrokerReport.lines(outcome))
            fflush(nil)
            // After every case, so that a long run that is ended leaves what it has.
            try write(outcomes, setting)
        }
        return !outcomes.contains { $0.figures.contains { $0.verdict == .missed } }
    }

    private func write(_ outcomes: [BrokerOutcome], _ setting: BenchSetting) throws {
        if let file = options.report {
            try BrokerReport.markdown(outcomes, setting).write(toFile: file, atomically: true, encoding: .utf8)
        }
        if let file = options.chart {
            try BrokerChart(outcomes, setting).svg.write(toFile: file, atomically: true, encoding: .utf8)
        }
    }

    private func setting() -> BenchSetting {
        var setting = BenchSetting()
        let parts = Calendar(identifier: .iso8601).dateComponents([.year, .month, .day], from: Date())
        setting.date = String(format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
        let model = (Processes.readSmallFile("/proc/cpuinfo") ?? "").split(separator: "\n")
            .first { $0.hasPrefix("model name") }?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        let kernel = Processes.readSmallFile("/proc/sys/kernel/osrelease")?.trimmingCharacters(in: .newlines)
        setting.machine =
            "\(model ?? "A machine"), \(cores.count) cores used, Linux \(kernel ?? "of an unknown version")"
        setting.brokers = peers.map(\.description)
        setting.method =
            "Brokers on core \(cores[0]), generator on core \(generatorCore); \(options.rounds) rounds of "
            + "\(options.seconds) s in turn; medians, least and most in brackets. Processor time is user and system "
            + "time of the broker's process. A round in which a message was lost does not count."
        #if DEBUG
            setting.isDebug = true
        #endif
        return setting
    }

    private func measure(_ item: BrokerCase) throws -> BrokerOutcome {
        switch item.kind {
        case .traffic: return try measureTraffic(item, peers)
        case .loops: return try measureLoops(item)
        case .latency: return try measureLatency(item)
        case .connect(let usesTLS): return try measureConnect(item, usesTLS: usesTLS)
        case .idle(let connections): return try measureIdle(item, connections: connections)
        case .durable: return try measureDurable(item)
        }
    }

    /// Starts brokers, runs `body` and ends them.
    func withBrokers<Value>(
        _ peers: [BrokerPeer], _ item: BrokerCase, _ body: ([RunningBroker]) throws -> Value
    ) throws -> Value {
        var place = RunningBroker.Place(folder: folder, cores: cores)
        if item.kind == .connect(usesTLS: true) { place.tls = try BenchCertificate.make(in: folder) }
        var brokers: [RunningBroker] = []
        defer { for broker in brokers { broker.stop() } }
        for peer in peers { brokers.append(try RunningBroker(peer, place)) }
        return try body(brokers)
    }

    /// One run of the generator's process against a broker.
    func generate(_ plan: LoadPlan, _ broker: RunningBroker) throws -> LoadResult {
        runs += 1
        var plan = plan
        plan.host = broker.host
        plan.port = broker.port
        plan.broker = broker.pid
        plan.warmUpSeconds = options.warmUpSeconds
        plan.seconds = options.seconds
        plan.tag = "b\(runs)"
        plan.spins = plan.mode == .rate && hasOwnCore
        let generator = try ChildProcess(
            executable, ["bench", "generate", try plan.encoded()], cores: [generatorCore], capturesOutput: true)
        let (text, exitCode) = generator.readToEnd()
        guard exitCode == 0, let result = text.split(separator: "\n").compactMap({ LoadResult(line: $0) }).last else {
            throw Problem(
                "bench.generator", "the generator ended with code \(exitCode)", ["broker": broker.peer.name])
        }
        return result
    }
}
