import BrokerCore
import Bus
import Catalogue
import Formats
import Foundation
import Gateway
import Historian
import Model
import NIOCore
import NIOPosix
import Node
import Synchronization

/// One figure of `bench gateway` beside what it is held against.
package struct GatewayBenchFigure: Sendable {
    package var name: String
    package var value: Double
    package var limit: Double
    /// Whether the limit is a least value; else a greatest.
    package var isLeast: Bool
    package var unit: String
}

/// Measures the way from the wire to bus and historian. The devices are a process of their own (`tundish simulate
/// --bench-devices`); every value goes over the bus to one subscriber and into the historian; processor time is that
/// of this process, all threads, system calls included. Arguments: `--seconds S` of each measurement (10),
/// `--without-historian`, `--simulator PATH` of the executable that simulates (this one).
package func runGatewayBench(
    _ arguments: [String] = [], print line: (String) -> Void = { print($0) }
) async throws -> [GatewayBenchFigure] {
    let options = try GatewayBenchOptions(arguments)
    var figures: [GatewayBenchFigure] = []
    func tell(_ new: [GatewayBenchFigure]) {
        for figure in new {
            let isMet = figure.isLeast ? figure.value >= figure.limit : figure.value <= figure.limit
            let bound = figure.isLeast ? "at least" : "at most"
            line(
                "\(figure.name): \(rounded(figure.value)) \(figure.unit) (\(bound) \(rounded(figure.limit)), \(isMet ? "ok" : "missed"))"
            )
        }
        figures += new
    }
    tell(try await steadyRate(options))
    tell(try await flatOut(options, inFlight: 16))
    tell(try await flatOut(options, inFlight: 1))
    tell(try await writeUnderPolling(options))
    return figures
}

private func rounded(_ value: Double) -> String {
    value >= 1000 ? "\(Int(value.rounded()))" : "\((value * 10).rounded() / 10)"
}

private struct GatewayBenchOptions {
    var seconds = 10.0
    var withHistorian = true
    var simulator = "/proc/self/exe"

    init(_ arguments: [String]) throws(Problem) {
        var rest = arguments[...]
        while let key = rest.popFirst() {
            switch key {
            case "--seconds":
                guard let text = rest.popFirst(), let value = Double(text), value > 0 else {
                    throw Problem("bench.arguments", "--seconds needs a number above 0")
                }
                seconds = value
            case "--without-historian": withHistorian = false
            case "--simulator":
                guard let path = rest.popFirst() else { throw Problem("bench.arguments", "--simulator needs a path") }
                simulator = path
            default:
                throw Problem(
                    "bench.arguments",
                    "\"\(key)\" is not known; known are --seconds, --without-historian and --simulator")
            }
        }
        if simulator == "/proc/self/exe",
            let path = try? FileManager.default.destinationOfSymbolicLink(atPath: simulator)
        {
            simulator = path
        }
    }
}

// MARK: measurements

/// 100,000 float tags once a second.
private func steadyRate(_ options: GatewayBenchOptions) async throws -> [GatewayBenchFigure] {
    let (devices, tags) = (10, 10_000)
    let rig = try await GatewayBenchRig(options, devices: devices, tags: tags)
    do {
        try await rig.run(interval: .seconds(1), inFlight: 4)
        try await rig.waitForCycles(2)
        let (before, start) = (ProcessFigures.cpuSeconds(), ContinuousClock.now)
        let received = rig.received.count
        try await Task.sleep(for: .seconds(options.seconds))
        let seconds = (ContinuousClock.now - start).seconds
        let cpu = (ProcessFigures.cpuSeconds() - before) / seconds * 100
        let rate = Double(rig.received.count - received) / seconds
        let memory = Double(ProcessFigures.residentBytes()) / 1e6
        await rig.end()
        return [
            GatewayBenchFigure(
                name: "100,000 float tags at 1 s, received by a subscriber", value: rate, limit: 99_000, isLeast: true,
                unit: "tags/s"),
            GatewayBenchFigure(name: "  processor", value: cpu, limit: 25, isLeast: false, unit: "% of one core"),
            GatewayBenchFigure(name: "  resident memory", value: memory, limit: 150, isLeast: false, unit: "MB"),
        ]
    } catch {
        await rig.end()
        throw error
    }
}

/// As fast as it goes, counted as good tags decoded from answers that also found their place in the historian.
private func flatOut(_ options: GatewayBenchOptions, inFlight: Int64) async throws -> [GatewayBenchFigure] {
    let rig = try await GatewayBenchRig(options, devices: 4, tags: 10_000)
    do {
        try await rig.run(interval: .milliseconds(1), inFlight: inFlight)
        try await rig.waitForCycles(2)
        let (before, start) = (ProcessFigures.cpuSeconds(), ContinuousClock.now)
        let (tags, refused) = (rig.received.count, rig.refused)
        try await Task.sleep(for: .seconds(options.seconds))
        let cpu = ProcessFigures.cpuSeconds() - before
        let seconds = (ContinuousClock.now - start).seconds
        let read = Double(rig.received.count - tags)
        let kept = read - Double(rig.refused - refused)
        await rig.end()
        let depth = inFlight == 1 ? "one request" : "\(inFlight) requests"
        return [
            GatewayBenchFigure(
                name: "flat out, 4 devices, \(depth) outstanding at each, per second of processor time",
                value: kept / cpu,
                limit: 1_000_000, isLeast: true, unit: "tags/s per core"),
            GatewayBenchFigure(
                name: "  by the clock, on \(rounded(cpu / seconds)) cores", value: kept / seconds, limit: 0,
                isLeast: true,
                unit: "tags/s"),
            GatewayBenchFigure(
                name: "  read besides, but refused by the historian (not counted above)",
                value: (read - kept) / max(read, 1) * 100, limit: 100, isLeast: false, unit: "%"),
        ]
    } catch {
        await rig.end()
        throw error
    }
}

/// 100 tags written while a device that takes 10 ms per answer is polled without a pause.
private func writeUnderPolling(_ options: GatewayBenchOptions) async throws -> [GatewayBenchFigure] {
    let rig = try await GatewayBenchRig(options, devices: 1, tags: 10_000, answerMilliseconds: 10)
    do {
        try await rig.run(interval: .milliseconds(100), inFlight: 1)
        try await rig.waitForCycles(1)
        var total = 0.0
        var longest = 0.0
        let rounds = 20
        let requests = await rig.gateway.diagnostics(device: "bench-1")?.counter("requests") ?? 0
        for round in 0..<rounds {
            let values = (0..<100).map { WriteItem("t\($0)", .float64(Double(round * 100 + $0))) }
            let start = ContinuousClock.now
            let results = await rig.gateway.write(device: "bench-1", group: "all", values: values)
            let milliseconds = (ContinuousClock.now - start).seconds * 1000
            if let problem = results.compactMap(\.problem).first { throw problem }
            total += milliseconds
            longest = max(longest, milliseconds)
            // Somewhere else in the cycle each time.
            try await Task.sleep(for: .milliseconds(37))
        }
        let polled = (await rig.gateway.diagnostics(device: "bench-1")?.counter("requests") ?? 0) - requests
        await rig.end()
        return [
            GatewayBenchFigure(
                name: "100-tag write under polling, 10 ms per answer, mean", value: total / Double(rounds), limit: 45,
                isLeast: false, unit: "ms"),
            GatewayBenchFigure(name: "  longest", value: longest, limit: 80, isLeast: false, unit: "ms"),
            GatewayBenchFigure(
                name: "  requests meanwhile, polling included", value: Double(polled), limit: Double(rounds * 3),
                isLeast: true, unit: "requests"),
        ]
    } catch {
        await rig.end()
        throw error
    }
}

// MARK: the rig

/// Simulated devices in a process of their own, and here a gateway, a bus, one subscriber and a historian on one
/// event loop (the historian has threads of its own).
private final class GatewayBenchRig: Sendable {
    let gateway: Gateway
    let received = Counter()
    private let loops: MultiThreadedEventLoopGroup
    private let exchange: Exchange
    private let historian: Historian?
    private let recorder: HistorianRecorder?
    private let simulator: Mutex<ChildProcess?>
    private let directory: String
    private let basePort: Int
    private let devices: Int
    private let tags: Int

    init(_ options: GatewayBenchOptions, devices: Int, tags: Int, answerMilliseconds: Int = 0) async throws {
        self.devices = devices
        self.tags = tags
        basePort = Int.random(in: 21_000...29_000)
        directory = FileManager.default.temporaryDirectory.path + "/tundish-bench-\(UInt32.random(in: 0 ... .max))"
        simulator = Mutex(
            try ChildProcess(
                options.simulator,
                [
                    "simulate", "--bench-devices", "\(devices)", "--bench-tags-per-device", "\(tags)", "--port",
                    "\(basePort)", "--bench-delay", "\(answerMilliseconds)",
                ]))
        let time = SystemTime()
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.loops = loops
        exchange = Exchange(loops: Array(loops.makeIterator()), time: time, random: SystemRandom())
        exchange.start()
        historian = options.withHistorian ? try await Historian.open(HistorianOptions(directory: directory)) : nil
        recorder = historian.map { HistorianRecorder($0) }
        gateway = Gateway(drivers: Drivers.all, bus: exchange, loops: loops)
        let (received, recorder) = (received, recorder)
        _ = try await exchange.subscribe(
            [TopicFilter("#")], name: "counter", options: SubscribeOptions(samplesOnly: true)
        ) {
            for message in $0 {
                guard let batch = message.payload.samples else { continue }
                var bad = 0
                for status in batch.statuses ?? [] where status >> 31 == 1 { bad += 1 }
                received.add(batch.count - bad)
            }
        }
        if let recorder {
            _ = try await exchange.subscribe(
                [TopicFilter("#")], name: "historian", options: SubscribeOptions(samplesOnly: true)
            ) { recorder.deliver($0) }
        }
    }

    var refused: UInt64 { UInt64(recorder?.pointsRefused ?? 0) }

    func run(interval: Duration, inFlight: Int64) async throws {
        let places = (0..<tags).map { tag in
            // 32,750 float32 tags fill a unit.
            let number = String(tag % 32_750 * 2 + 1)
            return "\(tag / 32_750 + 1)!4" + String(repeating: "0", count: 5 - number.count) + number
        }
        let tags = places.enumerated().map {
            TagConfiguration(name: "t\($0)", address: $1, type: ValueType(.float32), access: .readWrite)
        }
        for device in 1...devices {
            let connection: ConfigValue = .object([
                "host": .string("127.0.0.1"), "port": .integer(Int64(basePort + device - 1)),
                "inFlightMax": .integer(inFlight), "inFlightPerUnitMax": .integer(inFlight),
            ])
            try await gateway.apply(
                DeviceConfiguration(
                    name: "bench-\(device)", uid: "bench-\(device)", driver: "modbus_tcp", connection: connection,
                    groups: [GroupConfiguration(name: "all", interval: interval, tags: tags)]))
        }
    }

    /// Until every tag was read so often.
    func waitForCycles(_ count: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while received.count < UInt64(count * devices * tags) {
            guard ContinuousClock.now < deadline else {
                throw Problem("bench.devices", "the simulated devices did not answer within 60 s")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func end() async {
        await gateway.shutdown()
        simulator.withLock { process in
            process?.stop()
            process = nil
        }
        await exchange.stop()
        await historian?.close()
        // Left-overs of a failed shutdown hurt nothing but this measurement.
        try? await loops.shutdownGracefully()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

extension DeviceDiagnostics {
    fileprivate func counter(_ name: String) -> UInt64 { counters.first { $0.name == name }?.value ?? 0 }
}

extension Duration {
    fileprivate var seconds: Double { Double(nanoseconds) / 1e9 }
}
