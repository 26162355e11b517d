import ArgumentParser
import Node

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validate resource files without a server.",
        discussion:
            "Example: tundish check plant.yaml rules/\nPrints file:line:column: message; exit code 1 if there is any.")

    @Argument(help: ArgumentHelp("Files or folders.", valueName: "FILE"))
    var files: [String]

    func run() async throws {
        let issues = try reporting { try checkFiles(files, output: .standard) }
        if issues > 0 { throw ExitCode(1) }
    }
}

/// The documents that `plan` and `apply` send.
struct DocumentOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("Resource file; - is standard input.", valueName: "FILE"))
    var files: [String]
}

/// The one resource that a verb is about.
struct ResourceArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("Device, Rule, Listener, ...; any case, singular or plural.", valueName: "KIND"))
    var kind: String

    @Argument(help: ArgumentHelp("The resource's name.", valueName: "NAME"))
    var name: String
}

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what an apply would change.", discussion: "Example: tundish plan -f plant.yaml")

    @OptionGroup var documents: DocumentOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.apply(files: documents.files, isDryRun: true) }
    }
}

struct Apply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Apply resource files: all of a file's documents or none.",
        discussion: "Example: tundish apply -f plant.yaml")

    @OptionGroup var documents: DocumentOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.apply(files: documents.files, isDryRun: false) }
    }
}

enum OutputForm: String, ExpressibleByArgument, CaseIterable {
    case table, yaml, json
}

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the resources of a kind, or show one.",
        discussion: "Example: tundish get devices\n         tundish get device press-1 -o yaml")

    @Argument(help: ArgumentHelp("Device, Rule, Listener, ...; any case, singular or plural.", valueName: "KIND"))
    var kind: String

    @Argument(help: ArgumentHelp("A resource's name.", valueName: "NAME"))
    var name: String?

    @Option(name: [.customShort("o"), .customLong("output")], help: "table, yaml or json.")
    var output: OutputForm?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting {
            try await commands.get(kind: kind, name: name, form: (output ?? (name == nil ? .table : .yaml)).rawValue)
        }
    }
}

struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete a resource; its history stays.", discussion: "Example: tundish delete device press-1")

    @OptionGroup var resource: ResourceArguments
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.delete(kind: resource.kind, name: resource.name) }
    }
}

struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who changed a resource, when and from where.", discussion: "Example: tundish history device press-1")

    @OptionGroup var resource: ResourceArguments
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.history(kind: resource.kind, name: resource.name) }
    }
}

struct Rollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring back an earlier revision of a resource.",
        discussion: "Example: tundish rollback device press-1 --to 12")

    @OptionGroup var resource: ResourceArguments
    @Option(help: ArgumentHelp("The revision, as `tundish history` lists them.", valueName: "REV")) var to: Int64
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let commands = try server.commands()
        try await reporting { try await commands.rollback(kind: resource.kind, name: resource.name, to: to) }
    }
}

enum SchemaForm: String, ExpressibleByArgument, CaseIterable {
    case json, markdown
}

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print what resource files may contain, for editors or for people.",
        discussion: "Example: tundish schema > tundish.schema.json\n         tundish schema device -o markdown")

    @Argument(help: ArgumentHelp("Only this kind; without it all of them.", valueName: "KIND"))
    var kind: String?

    @Option(name: [.customShort("o"), .customLong("output")], help: "json (JSON Schema 2020-12) or markdown.")
    var output = SchemaForm.json

    func run() async throws {
        try reporting { try printSchema(kind: kind, asMarkdown: output == .markdown, output: .standard) }
    }
}
