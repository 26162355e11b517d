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

    struct Broker: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The broker against Debian's mosquitto and others on the same core.",
            discussion: """
                Example: tundish bench broker --rounds 5 --only fanin --report broker.md --chart broker.svg
                A scenario of your own is its name: tundish bench broker --only pairs-200-q1-w5-1000
                """)
        @Option(help: "Alternating rounds; the figures are medians.") var rounds = 5
        @Option(help: "Seconds of each measurement.") var seconds = 2.0
        @Option(
            help: ArgumentHelp("A scenario, or what its name begins with or holds; may be repeated.", valueName: "NAME")
        )
        var only: [String] = []
        @Option(
            help: ArgumentHelp("Another broker that runs already; may be repeated.", valueName: "NAME=HOST:PORT[:PID]"))
        var peer: [String] = []
        @Option(
            help: ArgumentHelp(
                "Another Tundish, started for the measurement; may be repeated.", valueName: "NAME=EXECUTABLE ARGUMENTS"
            ))
        var tundish: [String] = []
        @Flag(help: "Leave this Tundish out.") var withoutTundish = false
        @Flag(help: "Leave mosquitto out.") var withoutMosquitto = false
        @Option(help: ArgumentHelp("Write the report as Markdown.", valueName: "FILE.md")) var report: String?
        @Option(help: ArgumentHelp("Write the ratios as a picture.", valueName: "FILE.svg")) var chart: String?
        @Flag(help: "Only name the scenarios.") var list = false

        func run() throws {
            try reporting {
                if list { return print(listBrokerCases()) }
                var options = BrokerBenchOptions()
                options.rounds = rounds
                options.seconds = seconds
                options.only = only
                options.peers = peer
                options.variants = tundish
                options.measuresTundish = !withoutTundish
                options.measuresMosquitto = !withoutMosquitto
                options.report = report
                options.chart = chart
                try benchBroker(options)
            }
        }
    }

    /// The load generator's own process.
    struct Generate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The load generator of bench broker.", shouldDisplay: false)
        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() async throws { try reporting { try benchGenerate(arguments) } }
    }
}
