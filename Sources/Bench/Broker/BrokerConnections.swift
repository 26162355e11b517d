#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Foundation
import Model

/// The cases about connections: how fast they come, what they take of memory.
extension BrokerBench {
    func measureConnect(_ item: BrokerCase, usesTLS: Bool) throws -> BrokerOutcome {
        var outcome = BrokerOutcome(item: item)
        var perCPU = BrokerFigure(
            usesTLS ? "full handshakes per CPU-second" : "connections per CPU-second", .ratio(against: "mosquitto"),
            limit: item.limit)
        var perSecond = BrokerFigure(usesTLS ? "handshakes per second" : "connections per second", .none)
        var plan = item.plan
        plan.mode = .connect
        plan.connections = Self.connectingAtOnce
        plan.usesTLS = usesTLS
        try withBrokers(peers, item) { brokers in
            for round in 1...options.rounds {
                for broker in brokers {
                    guard let result = try generateOrSay(plan, broker, round, &outcome) else { continue }
                    if let figure = result.measured.perCPUSecond {
                        perCPU.values[broker.peer.name, default: []].append(figure)
                    }
                    perSecond.values[broker.peer.name, default: []].append(result.measured.perSecond)
                }
            }
        }
        outcome.figures = [perCPU, perSecond]
        return outcome
    }

    private static let connectingAtOnce = 20
    /// Open files that a broker needs beside its connections.
    private static let otherFiles = 200
    private static let idleRounds = 2

    /// Resident memory before and after, of a fresh broker each time. Where the system does not permit as many open
    /// files, as many as it does.
    func measureIdle(_ item: BrokerCase, connections wanted: Int) throws -> BrokerOutcome {
        var outcome = BrokerOutcome(item: item)
        let connections = min(wanted, openFilesMax - Self.otherFiles)
        if connections < wanted {
            outcome.notes.append(
                "the system permits \(openFilesMax) open files to a process: measured with \(connections) connections")
        }
        var each = BrokerFigure(
            "resident memory of a connection", unit: "KB", scale: 1024, .atMost, limit: item.limit)
        var whole = BrokerFigure("resident memory of the process", unit: "MB", scale: 1_048_576, .none)
        for _ in 0..<min(options.rounds, Self.idleRounds) {
            for peer in peers {
                if case .running(_, _, 0) = peer.origin { continue }
                try withBrokers([peer], item) { brokers in
                    guard let broker = brokers.first else { return }
                    let (before, after) = try residentBytes(broker, connections: connections)
                    each.values[peer.name, default: []].append(Double(after - before) / Double(connections))
                    whole.values[peer.name, default: []].append(Double(after))
                }
            }
        }
        outcome.figures = [each, whole]
        return outcome
    }

    private func residentBytes(_ broker: RunningBroker, connections: Int) throws -> (before: Int, after: Int) {
        // What is loaded and allocated at the first connections is not the connections'.
        let first = try hold(broker, connections: 100, from: 0, tag: "warm")
        first.stop()
        usleep(500_000)
        let before = try resident(broker)
        var holders: [ChildProcess] = []
        defer { for holder in holders { holder.stop() } }
        let perHolder = max(1, openFilesMax - Self.otherFiles)
        var have = 0
        while have < connections {
            let count = min(perHolder, connections - have)
            holders.append(try hold(broker, connections: count, from: have, tag: "idle"))
            have += count
        }
        usleep(1_000_000)
        return (before, try resident(broker))
    }

    private func resident(_ broker: RunningBroker) throws(Problem) -> Int {
        guard let bytes = Processes.residentBytes(broker.pid) else {
            throw Problem("bench.memory", "the memory of \(broker.peer.name) cannot be read; has it ended?")
        }
        return bytes
    }

    /// A process with idle connections, all of which are there when this returns.
    private func hold(_ broker: RunningBroker, connections: Int, from first: Int, tag: String) throws -> ChildProcess {
        var plan = LoadPlan()
        plan.mode = .idle
        plan.host = broker.host
        plan.port = broker.port
        plan.connections = connections
        plan.firstConnection = first
        plan.tag = tag
        let holder = try ChildProcess(
            executable, ["bench", "generate", try plan.encoded()], cores: [generatorCore], capturesOutput: true)
        guard holder.readLine() == IdleLoad.ready else {
            holder.stop()
            throw Problem(
                "bench.generator", "\(broker.peer.name) did not let \(connections) idle connections in",
                ["broker": broker.peer.name])
        }
        return holder
    }
}
