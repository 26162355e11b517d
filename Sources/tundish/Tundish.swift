import ArgumentParser

@main
struct Tundish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tundish")
    func run() async throws {}
}
