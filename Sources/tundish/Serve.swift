import ArgumentParser
import Node

/// What `serve` and `demo` have in common; flags win over `TUNDISH_...` variables, those over the file.
struct ServeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where everything durable lives.", valueName: "D"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp("Stands in for the default MQTT listener's address in this run.", valueName: "HOST:PORT"))
    var mqtt: String?

    @Option(help: ArgumentHelp("Stands in for the console's address in this run.", valueName: "HOST:PORT"))
    var console: String?

    @Option(help: ArgumentHelp("Event loops; 0: one per core.", valueName: "N"))
    var threads: Int?

    func apply(to overrides: inout NodeOverrides) {
        overrides.dataDirectory = dataDir
        overrides.mqtt = mqtt
        overrides.console = console
        overrides.threads = threads
    }
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run.",
        discussion: "Example: tundish serve --config tundish.yaml --data-dir /var/lib/tundish")

    @Option(help: ArgumentHelp("The file that is read before resources can be (tundish.yaml).", valueName: "F"))
    var config: String?

    @OptionGroup var options: ServeOptions

    func run() async throws {
        var overrides = NodeOverrides()
        options.apply(to: &overrides)
        overrides.configFile = config
        let settled = overrides
        try await reporting { try await runServe(settled) }
    }
}

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run with a simulated plant and ready resources.",
        discussion: "Example: tundish demo --data-dir /tmp/tundish-demo")

    @OptionGroup var options: ServeOptions

    @Option(help: ArgumentHelp("Seed of the simulated plant: the same seed, the same plant.", valueName: "N"))
    var seed: UInt64 = 1

    func run() async throws {
        var overrides = NodeOverrides()
        options.apply(to: &overrides)
        let settled = overrides
        try await reporting { try await runDemo(settled, seed: seed) }
    }
}
