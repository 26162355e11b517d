import ArgumentParser
import Node

/// How `pub` and `sub` reach a broker.
struct BrokerOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "Host of the broker.") var host = "127.0.0.1"
    @Option(name: .shortAndLong, help: "Port of the broker.") var port = 1883
    @Option(name: .shortAndLong, help: "User name.") var username: String?
    @Option(name: [.customShort("P"), .long], help: "Password.") var password: String?
    @Option(name: .shortAndLong, help: "Quality of service: 0, 1 or 2.") var qos = 0
    @Option(name: .shortAndLong, help: "Client id; default: chosen by the broker.") var id: String?

    func validate() throws {
        guard (0...2).contains(qos) else { throw ValidationError("--qos must be 0, 1 or 2") }
        guard (1...65_535).contains(port) else { throw ValidationError("--port must be 1 to 65535") }
    }

    var target: BrokerTarget {
        BrokerTarget(host: host, port: port, username: username, password: password, clientID: id, qos: UInt8(qos))
    }
}

struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub", abstract: "Publish one MQTT message.",
        discussion: "Example: tundish pub tundish/boiler-1/control/write '{\"setpoint\": 85}'")

    @Argument(help: ArgumentHelp("Topic.", valueName: "TOPIC")) var topic: String
    @Argument(help: ArgumentHelp("Payload; standard input when absent.", valueName: "PAYLOAD")) var payload: String?
    @Flag(name: .shortAndLong, help: "Keep as the topic's retained message.") var retain = false
    @OptionGroup var broker: BrokerOptions

    func run() async throws {
        try await reporting {
            try await publishOnce(broker.target, topic: topic, payload: payload, retain: retain)
        }
    }
}

struct Subscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub", abstract: "Print MQTT messages as they come.",
        discussion: "Example: tundish sub 'alarms/#' --verbose")

    @Argument(help: ArgumentHelp("Topic filters.", valueName: "FILTER")) var filters: [String]
    @Flag(name: .shortAndLong, help: "Print the topic before each payload.") var verbose = false
    @Option(name: [.customShort("C"), .long], help: "End after this many messages.") var count: Int?
    @OptionGroup var broker: BrokerOptions

    func run() async throws {
        try await reporting {
            try await subscribeAndPrint(broker.target, filters: filters, isVerbose: verbose, countMax: count)
        }
    }
}
