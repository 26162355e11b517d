import ArgumentParser
import Node

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the simulated plant alone, as Modbus TCP devices on loopback.",
        discussion: """
            Example: tundish simulate --port 1502 --fault press-1=slow:50
            While it runs, lines on standard input set faults: "press-1 silent", "all none".
            """)

    @Option(help: ArgumentHelp("The same seed, the same plant.", valueName: "N")) var seed: UInt64 = 1
    @Option(help: ArgumentHelp("Address to bind.", valueName: "HOST")) var host = "127.0.0.1"
    @Option(help: ArgumentHelp("First port; each device takes the next.", valueName: "PORT")) var port = 1502
    @Option(help: ArgumentHelp("DEVICE=FAULT from the start; silent, slow:MS, ...", valueName: "FAULT")) var fault:
        [String] = []
    @Option(help: ArgumentHelp("Devices for benchmarks instead of the plant.", valueName: "N")) var benchDevices = 0
    @Option(help: ArgumentHelp("float32 tags of each bench device.", valueName: "N")) var benchTagsPerDevice = 1000
    @Option(help: ArgumentHelp("What each answer of a bench device takes, in ms.", valueName: "MS")) var benchDelay = 0

    func run() async throws {
        try await reporting {
            try await simulate(
                SimulateArguments(
                    seed: seed, host: host, port: port, faults: fault, benchDevices: benchDevices,
                    benchTagsPerDevice: benchTagsPerDevice, benchDelayMilliseconds: benchDelay))
        }
    }
}
