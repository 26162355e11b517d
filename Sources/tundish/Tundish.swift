import ArgumentParser
import Node

@main
struct Tundish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tundish",
        abstract: "Industrial data in one binary: devices, MQTT, rules, historian, console.",
        discussion: """
            tundish demo          a simulated plant to look at, http://127.0.0.1:18083
            tundish serve         the real thing; configuration is resources, applied while it runs
            """,
        version: NodeVersion.text,
        subcommands: [
            Serve.self, Demo.self, Check.self, SchemaCommand.self, Plan.self, Apply.self, Get.self, Delete.self,
            History.self,
            Rollback.self, Clients.self, Subscriptions.self, Retained.self, Topics.self, Listeners.self, Refusals.self,
            Read.self, Write.self, Query.self, Publish.self, Subscribe.self, RuleCommand.self,
            Simulate.self, BenchCommand.self,
        ])

    /// As the parser does it, but wrong usage ends with 2.
    static func main() async {
        do {
            let command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                var command = command
                try command.run()
            }
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            CommandOutput.standard.error(fullMessage(for: error))
            exit(withError: ExitCode(2))
        }
    }
}

/// Where the running server is, for every verb that talks to one.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Address of the running server; or TUNDISH_SERVER.", valueName: "URL"))
    var server: String?

    @Option(help: ArgumentHelp("API token; or TUNDISH_TOKEN; else <dataDirectory>/admin.token.", valueName: "TOKEN"))
    var token: String?

    @Option(help: ArgumentHelp("Data directory of the server on this machine, for its admin.token.", valueName: "D"))
    var dataDir: String?

    func commands() throws -> RemoteCommands {
        try reporting { try RemoteCommands(server: server, token: token, dataDirectory: dataDir) }
    }
}

/// Runs `body`; a failure becomes one sentence on standard error and exit code 1.
func reporting<R>(_ body: () throws -> R) throws -> R {
    do {
        return try body()
    } catch let exit as ExitCode {
        throw exit
    } catch {
        CommandOutput.standard.error("tundish: \(error)")
        throw ExitCode(1)
    }
}

func reporting<R>(_ body: () async throws -> R) async throws -> R {
    do {
        return try await body()
    } catch let exit as ExitCode {
        throw exit
    } catch {
        CommandOutput.standard.error("tundish: \(error)")
        throw ExitCode(1)
    }
}
