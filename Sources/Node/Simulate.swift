import Simulator

/// What `tundish simulate` was asked for.
package struct SimulateArguments: Sendable {
    let options: SimulateOptions

    package init(
        seed: UInt64, host: String, port: Int, faults: [String], benchDevices: Int, benchTagsPerDevice: Int,
        benchDelayMilliseconds: Int
    ) {
        var options = SimulateOptions()
        options.seed = seed
        options.host = host
        options.port = port
        options.faults = faults
        options.benchDevices = benchDevices
        options.benchTagsPerDevice = benchTagsPerDevice
        options.benchDelayMilliseconds = benchDelayMilliseconds
        self.options = options
    }
}

/// Runs the plant alone until the process ends.
package func simulate(_ arguments: SimulateArguments) async throws { try await runSimulator(arguments.options) }
