import ArgumentParser
import Node

struct RuleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rule", abstract: "Try rules without a server.", subcommands: [Test.self, Explain.self])

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a rule on a sample message.",
            discussion:
                "Example: tundish rule test rules.yaml --topic acme/plant1/press/press-1/fast --payload '{\"values\":{\"temperature\":91}}'"
        )

        @Argument(help: ArgumentHelp("Resource file with rules.", valueName: "FILE")) var file: String
        @Option(help: ArgumentHelp("Only this rule.", valueName: "NAME")) var name: String?
        @Option(help: ArgumentHelp("The message's topic.", valueName: "TOPIC")) var topic: String
        @Option(help: ArgumentHelp("The message's payload.", valueName: "JSON")) var payload: String

        func run() async throws {
            try reporting { try testRules(file: file, name: name, topic: topic, payload: payload) }
        }
    }

    struct Explain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a rule's plan.", discussion: "Example: tundish rule explain rules.yaml")

        @Argument(help: ArgumentHelp("Resource file with rules.", valueName: "FILE")) var file: String
        @Option(help: ArgumentHelp("Only this rule.", valueName: "NAME")) var name: String?

        func run() async throws {
            try reporting { try explainRules(file: file, name: name) }
        }
    }
}
