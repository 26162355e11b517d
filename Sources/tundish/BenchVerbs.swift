import ArgumentParser
import Bench
import Node

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Reproducible measurements, each figure beside the limit it is held against.",
        discussion: "Example: tundish bench broker --rounds 5",
        subcommands: [Gateway.self, Rules.self, Historian.self, Broker.self, Generate.self])

    struct Gateway: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Modbus: the cost of 100,000 tags/s, the most per core, writes under polling.",
            discussion: "Example: tundish bench gateway --seconds 10")
        @Option(help: "Seconds of each measurement.") var seconds = 10

        func run() async throws { try await reporting { _ = try await runGatewayBench(["--seconds", "\(seconds)"]) } }
    }

    struct Historian: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Points in, bytes per point, a day of one tag out.",
            discussion: "Example: tundish bench historian")

        func run() async throws { try await reporting { _ = try await runHistorianBench() } }
    }

    struct Rules: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Rules on JSON and on typed samples.", discussion: "Example: tundish bench rules")

        func run() async throws { try await reporting { _ = try await runRulesBench() } }
    }

    struct Broker: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fan-in and pairs against Debian's mosquitto on the same core.",
            discussion: "Example: tundish bench broker --rounds 5 --seconds 2")
        @Option(help: "Alternating rounds; the figures are medians.") var rounds = 3
        @Option(help: "Seconds of each measurement.") var seconds = 2

        func run() async throws { try await reporting { try await benchBroker(rounds: rounds, seconds: seconds) } }
    }

    /// The load generator's own process.
    struct Generate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The load generator of bench broker.", shouldDisplay: false)
        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() async throws { try reporting { try benchGenerate(arguments) } }
    }
}
