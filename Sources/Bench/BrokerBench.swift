import Foundation
import Model

/// `tundish bench broker`: deliveries per CPU-second of the broker process, Tundish against Debian's mosquitto on the
/// same core, the load generator in a process of its own (`tundish bench generate`) on another. `seconds` is the length
/// of each measurement. Without Tundish, only mosquitto is measured.
package func benchBroker(rounds: Int = 3, seconds: Int = 2, measuresTundish: Bool = true) async throws {
    guard (1...99).contains(rounds), (1...60).contains(seconds) else {
        throw Problem("bench.usage", "bench broker takes 1 to 99 rounds of 1 to 60 seconds")
    }
    try BrokerBench(
        BrokerBenchOptions(rounds: rounds, seconds: Double(seconds), measuresTundish: measuresTundish)
    ).run()
}

/// `tundish bench generate SCENARIO WINDOW PORT BROKER-PID WARM-UP SECONDS`: the load generator's process.
package func benchGenerate(_ arguments: [String]) throws {
    guard arguments.count == 6, let scenario = BrokerScenario(rawValue: arguments[0]), let window = Int(arguments[1]),
        (1...1000).contains(window), let port = Int(arguments[2]), let broker = Int32(arguments[3]),
        let warmUp = Double(arguments[4]), let seconds = Double(arguments[5])
    else { throw Problem("bench.usage", "bench generate is for bench broker alone") }
    let generator = try BrokerGenerator(scenario: scenario, window: window, port: port)
    print(try generator.run(broker: broker, warmUpSeconds: warmUp, seconds: seconds).line)
}

struct BrokerBenchOptions {
    var rounds: Int
    var seconds: Double
    var warmUpSeconds = 0.5
    var measuresTundish = true
}

/// One thing to measure, and what is promised of Tundish there, as a multiple of mosquitto.
struct BrokerCase {
    var scenario: BrokerScenario
    var window: Int
    var limit: Double

    static let all = [
        BrokerCase(scenario: .fanIn, window: 20, limit: 5),
        BrokerCase(scenario: .pairs, window: 20, limit: 5),
        BrokerCase(scenario: .fanIn, window: 1, limit: 0.8),
        BrokerCase(scenario: .pairs, window: 1, limit: 0.8),
    ]

    var title: String { "\(scenario == .fanIn ? "fan-in 50 to 1" : "50 pairs"), window \(window)" }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

private struct RunningBroker {
    var name: String
    var process: ChildProcess
    var port: Int
}

private struct BrokerBench {
    let options: BrokerBenchOptions
    let executable: String
    let brokerCore: Int
    let generatorCore: Int

    init(_ options: BrokerBenchOptions) throws(Problem) {
        self.options = options
        // The link itself would name whichever program resolves it.
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw Problem("bench.platform", "the broker benchmark needs Linux: /proc/self/exe cannot be read")
        }
        executable = path
        let cores = CPUCores.ofThisThread() ?? [0]
        brokerCore = cores.first ?? 0
        generatorCore = cores.count > 1 ? cores[1] : brokerCore
    }

    func run() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tundish-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var brokers: [RunningBroker] = []
        defer { for broker in brokers { broker.process.stop() } }
        if options.measuresTundish { brokers.append(try startTundish(folder)) }
        if let mosquitto = try startMosquitto(folder) {
            brokers.append(mosquitto)
        } else {
            print("mosquitto is not installed (apt-get install mosquitto): no ratios")
        }
        print(
            "broker on core \(brokerCore), generator on core \(generatorCore); QoS 0, \(BrokerScenario.payloadBytes) bytes, "
                + "\(options.rounds) rounds of \(options.seconds) s in turn, medians")
        #if DEBUG
            print("this is a debug build: its figures say nothing about a release")
        #endif
        if brokerCore == generatorCore { print("only one core is available: the figures are low, the ratios hold") }
        print("thousand deliveries per CPU-second of the broker process:")
        for item in BrokerCase.all { print(try measure(item, brokers)) }
    }

    private func measure(_ item: BrokerCase, _ brokers: [RunningBroker]) throws -> String {
        var results: [String: [Double]] = [:]
        for _ in 0..<options.rounds {
            for broker in brokers {
                results[broker.name, default: []].append(try measureOnce(item, broker).deliveriesPerCPUSecond)
            }
        }
        var line = item.title.padding(toLength: 26, withPad: " ", startingAt: 0)
        for broker in brokers {
            let figure = median(results[broker.name] ?? []) / 1000
            line += "  \(broker.name) \(String(format: "%8.1f", figure))"
        }
        if let own = results["tundish"], let peer = results["mosquitto"] {
            let ratio = median(own) / median(peer)
            line += String(
                format: "   ratio %6.2f   limit %.1f  %@", ratio, item.limit, ratio >= item.limit ? "ok" : "MISSED")
        }
        return line
    }

    private func measureOnce(_ item: BrokerCase, _ broker: RunningBroker) throws -> BrokerMeasurement {
        let generator = try ChildProcess(
            executable,
            [
                "bench", "generate", item.scenario.rawValue, "\(item.window)", "\(broker.port)",
                "\(broker.process.pid)", "\(options.warmUpSeconds)", "\(options.seconds)",
            ], core: generatorCore, capturesOutput: true)
        let (text, exitCode) = generator.readToEnd()
        let measured = text.split(separator: "\n").compactMap { BrokerMeasurement(line: $0) }.last
        guard exitCode == 0, let measured else {
            throw Problem(
                "bench.generator", "\(item.title) against \(broker.name): the generator ended with code \(exitCode)",
                ["broker": broker.name])
        }
        return measured
    }

    private func startTundish(_ folder: URL) throws -> RunningBroker {
        setenv("TUNDISH_LOG_LEVEL", "error", 1)
        let port = try TCP.freePort()
        let console = try TCP.freePort()
        let process = try ChildProcess(
            executable,
            [
                "serve", "--mqtt", "127.0.0.1:\(port)", "--console", "127.0.0.1:\(console)", "--data-dir",
                folder.appending(path: "data").path, "--threads", "1",
            ], core: brokerCore)
        return try wait(for: RunningBroker(name: "tundish", process: process, port: port))
    }

    private func startMosquitto(_ folder: URL) throws -> RunningBroker? {
        let candidates = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        guard let path = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            return nil
        }
        let port = try TCP.freePort()
        let file = folder.appending(path: "mosquitto.conf")
        try """
        listener \(port) 127.0.0.1
        allow_anonymous true
        persistence false
        log_type none
        set_tcp_nodelay true
        max_queued_messages 100000

        """.write(to: file, atomically: true, encoding: .utf8)
        let process = try ChildProcess(path, ["-c", file.path], core: brokerCore)
        return try wait(for: RunningBroker(name: "mosquitto", process: process, port: port))
    }

    private func wait(for broker: RunningBroker) throws -> RunningBroker {
        for _ in 0..<300 {
            if let socket = try? TCP.connect(port: broker.port, timeoutSeconds: 1) {
                close(socket)
                return broker
            }
            guard broker.process.isRunning else { break }
            usleep(100_000)
        }
        throw Problem("bench.start", "\(broker.name) does not listen on port \(broker.port)", ["broker": broker.name])
    }
}
