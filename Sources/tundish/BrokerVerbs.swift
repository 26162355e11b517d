import ArgumentParser
import Node

extension ListForm: ExpressibleByArgument {}

/// How the verbs about the broker print.
struct ListOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .customLong("output")], help: "table, json or yaml.") var output: ListForm =
        .table
    @OptionGroup var server: ServerOptions
}

struct Clients: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who is connected to the broker; one client; disconnecting it.",
        subcommands: [List.self, Show.self, Kick.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the sessions of the broker.",
            discussion: "Example: tundish clients list --state connected --sort=-queued")

        @Option(help: "Text in client id, user name, address or listener.") var filter: String?
        @Option(help: "connected or disconnected.") var state: String?
        @Flag(help: "Only those with waiting or dropped messages.") var slow = false
        @Option(help: "clientId, connectedAt, received, sent, queued, dropped, ...; with - before it: descending.")
        var sort: String?
        @Option(help: "At most this many.") var limit = 1000
        @OptionGroup var options: ListOptions

        func run() async throws {
            let commands = try options.server.commands()
            try await reporting {
                try await commands.clients(
                    filter: filter, state: state, isSlow: slow, sort: sort, limit: limit, form: options.output)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one client: session, queues, limits, subscriptions.",
            discussion: "Example: tundish clients show press-7")

        @Argument(help: ArgumentHelp("Client id.", valueName: "CLIENT")) var client: String
        @OptionGroup var options: ListOptions

        func run() async throws {
            let commands = try options.server.commands()
            try await reporting { try await commands.client(client, form: options.output) }
        }
    }

    struct Kick: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Disconnect a client.", discussion: "Example: tundish clients kick press-7")

        @Argument(help: ArgumentHelp("Client id.", valueName: "CLIENT")) var client: String
        @Flag(help: "Forget its session and what waits in it, too.") var session = false
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let commands = try server.commands()
            try await reporting { try await commands.disconnect(client, forgetsSession: session) }
        }
    }
}

struct Subscriptions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who subscribes to what.",
        discussion: "Example: tundish subscriptions --topic tundish/press-1/fast")

    @Option(help: "Text in the topic filter or client id.") var filter: String?
    @Option(help: "Only of this client.") var client: String?
    @Option(help: "Only filters that match this topic.") var topic: String?
    @Option(help: "At most this many.") var limit = 1000
    @OptionGroup var options: ListOptions

    func run() async throws {
        let commands = try options.server.commands()
        try await reporting {
            try await commands.subscriptions(
                filter: filter, client: client, topic: topic, limit: limit, form: options.output)
        }
    }
}

struct Retained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Retained messages.", subcommands: [List.self, Get.self, Delete.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List retained messages, by topic.", discussion: "Example: tundish retained list 'plant/#'")

        @Argument(help: ArgumentHelp("Topic filter; all but $SYS when absent.", valueName: "FILTER"))
        var filter: String?
        @Option(help: "At most this many.") var limit = 1000
        @OptionGroup var options: ListOptions

        func run() async throws {
            let commands = try options.server.commands()
            try await reporting { try await commands.retained(filter: filter, limit: limit, form: options.output) }
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a retained message's payload.", discussion: "Example: tundish retained get plant/state")

        @Argument(help: ArgumentHelp("Topic.", valueName: "TOPIC")) var topic: String
        @OptionGroup var options: ListOptions

        func run() async throws {
            let commands = try options.server.commands()
            try await reporting { try await commands.retainedMessage(topic, form: options.output) }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a retained message.", discussion: "Example: tundish retained delete plant/state")

        @Argument(help: ArgumentHelp("Topic.", valueName: "TOPIC")) var topic: String
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let commands = try server.commands()
            try await reporting { try await commands.deleteRetained(topic) }
        }
    }
}

struct Topics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What topics carry.", subcommands: [Metrics.self])

    struct Metrics: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count messages of topic filters: in, out, dropped.",
            subcommands: [List.self, Start.self, Stop.self], defaultSubcommand: List.self)

        struct List: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Show the filters that are counted, with totals and rates.")
            @OptionGroup var options: ListOptions

            func run() async throws {
                let commands = try options.server.commands()
                try await reporting { try await commands.topicMetrics(form: options.output) }
            }
        }

        struct Start: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Count a topic filter from now on.",
                discussion: "Example: tundish topics metrics start 'tundish/press-1/#'")
            @Argument(help: ArgumentHelp("Topic filter.", valueName: "FILTER")) var filter: String
            @OptionGroup var server: ServerOptions

            func run() async throws {
                let commands = try server.commands()
                try await reporting { try await commands.startTopicMetrics(filter) }
            }
        }

        struct Stop: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Stop counting a topic filter.")
            @Argument(help: ArgumentHelp("Topic filter.", valueName: "FILTER")) var filter: String
            @OptionGroup var server: ServerOptions

            func run() async throws {
                let commands = try server.commands()
                try await reporting { try await commands.stopTopicMetrics(filter) }
            }
        }
    }
}

struct Listeners: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Listeners as they run: connections, refusals, and why connections ended.")
    @OptionGroup var options: ListOptions

    func run() async throws {
        let commands = try options.server.commands()
        try await reporting { try await commands.listeners(form: options.output) }
    }
}

struct Refusals: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who was not let in, or not let publish or subscribe, and why.")
    @Option(help: "At most this many, the newest first.") var limit = 100
    @OptionGroup var options: ListOptions

    func run() async throws {
        let commands = try options.server.commands()
        try await reporting { try await commands.refusals(limit: limit, form: options.output) }
    }
}
