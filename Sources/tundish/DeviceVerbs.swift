import ArgumentParser
import Node

struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a tag's latest value.", discussion: "Example: tundish read press-1/fast/temperature")

    @Argument(help: ArgumentHelp("The tag.", valueName: "DEVICE/GROUP/TAG")) var tag: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.read(tag: tag) }
    }
}

struct Write: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a tag and wait until the device has confirmed.",
        discussion: "Example: tundish write boiler-1/control/setpoint 85")

    @Argument(help: ArgumentHelp("The tag.", valueName: "DEVICE/GROUP/TAG")) var tag: String
    @Argument(help: ArgumentHelp("A JSON value; anything else is text.", valueName: "VALUE")) var value: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.write(tag: tag, value: value) }
    }
}

struct Query: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the historian.",
        discussion: """
            Example: tundish query press-1/fast/temperature --last 1h --bucket 1m --aggregates min,avg,max
                     tundish query press-1/fast/temperature --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z
            """)

    @Argument(help: ArgumentHelp("Tags.", valueName: "DEVICE/GROUP/TAG")) var tags: [String]
    @Option(help: ArgumentHelp("From this time on (RFC 3339 or Unix milliseconds).", valueName: "TIME")) var from:
        String?
    @Option(help: ArgumentHelp("Until this time.", valueName: "TIME")) var to: String?
    @Option(help: ArgumentHelp("The last 5m, 24h, 7d, ...; default 1h.", valueName: "DURATION")) var last: String?
    @Option(help: ArgumentHelp("Downsample to buckets of this length.", valueName: "DURATION")) var bucket: String?
    @Option(help: ArgumentHelp("Downsample to this many buckets.", valueName: "N")) var buckets: Int?
    @Option(help: ArgumentHelp("min, max, avg, first, last, count; comma-separated.", valueName: "LIST"))
    var aggregates: String?
    @Option(help: ArgumentHelp("At most this many rows a tag.", valueName: "N")) var limit: Int?
    @Option(name: [.customShort("o"), .customLong("output")], help: "table or json.") var output: OutputForm = .table
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        let request = HistoryRequest(
            tags: tags, from: from, to: to, last: last, bucket: bucket, buckets: buckets, aggregates: aggregates,
            limit: limit)
        try await reporting { try await commands.query(request, form: output.rawValue) }
    }
}
