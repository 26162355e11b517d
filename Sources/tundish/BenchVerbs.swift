import ArgumentParser
import Bench
import Node

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Reproducible measurements, each figure beside the limit it is held against.",
        discussion: "Example: tundish bench broker --rounds 5",
        subcommands: [Rules.self, Broker.self, Generate.self])

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
        static let configuration = CommandConfiguration(abstract: "The load generator of bench broker.", shouldDisplay: false)
        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() async throws { try await reporting { try benchGenerate(arguments) } }
    }
}
