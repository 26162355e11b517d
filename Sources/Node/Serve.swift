#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Console
import Dispatch
import Model
import Simulator

/// `tundish serve`: runs until SIGINT or SIGTERM.
package func runServe(_ overrides: NodeOverrides, output: CommandOutput = .standard) async throws {
    let configuration = try NodeConfiguration.load(overrides)
    let stopping = stopSignals()
    let node = try await TundishNode.start(configuration)
    await announce(node, output)
    for await _ in stopping { break }
    await node.stop()
}

/// `tundish demo`: the same with the simulated plant and the demo's resources.
package func runDemo(_ overrides: NodeOverrides, seed: UInt64, output: CommandOutput = .standard) async throws {
    var overrides = overrides
    overrides.dataDirectory = overrides.dataDirectory ?? "./data/demo"
    let configuration = try NodeConfiguration.load(overrides)
    let stopping = stopSignals()
    let plant = try await startPlant(seed: seed)
    let node: TundishNode
    do {
        node = try await TundishNode.start(configuration)
    } catch {
        await plant.stop()
        throw error
    }
    await node.apply([
        ("demo/plant.yaml", DemoPlant.devices(of: plant)), ("demo/rules.yaml", DemoPlant.rules),
    ])
    await announce(node, output)
    introduce(configuration, plant, output)
    for await _ in stopping { break }
    await node.stop()
    await plant.stop()
}

/// On its usual ports, or, where one is taken, on any that are free.
private func startPlant(seed: UInt64) async throws -> PlantSimulator {
    do {
        return try await PlantSimulator.start(seed: seed)
    } catch {
        return try await PlantSimulator.start(seed: seed, basePort: 0)
    }
}

/// Says what there is to look at.
private func introduce(_ configuration: NodeConfiguration, _ plant: PlantSimulator, _ output: CommandOutput) {
    let mqtt = configuration.mqtt ?? NodeConfiguration.defaultMQTT
    output.line("")
    output.line("A simulated plant is running, read over Modbus TCP on real sockets:")
    for endpoint in plant.endpoints {
        let machines = endpoint.devices.sorted { $0.key < $1.key }.map(\.value).joined(separator: ", ")
        output.line("  \(endpoint.host):\(endpoint.port)  \(machines)")
    }
    output.line("")
    output.line("What to look at:")
    output.line("  Overview    the data's way and its rates")
    output.line("  Devices     boiler-1: write `setpoint` and watch `temperature` follow; change a group's interval")
    output.line("  Trends      pump-2's vibration grows until it fails and is repaired")
    output.line("  Alarms      press-3 overheats; the same as messages:")
    output.line("              mosquitto_sub -h \(mqtt.host) -p \(mqtt.port) -t 'alarms/#' -v")
    output.line("")
    output.line("Data is in \(configuration.dataDirectory). Ctrl-C ends it.")
}

private func announce(_ node: TundishNode, _ output: CommandOutput) async {
    output.line("Console:  \(await node.console.address)")
    if let link = await node.console.setupLink {
        output.line("First administrator, by this link, once:  \(link)")
    }
}

/// Yields at the first SIGINT or SIGTERM. A second one ends the process at once, as if nothing had been caught.
private func stopSignals() -> AsyncStream<Void> {
    // A peer that goes away is an error of its connection, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    return AsyncStream(bufferingPolicy: .bufferingOldest(1)) { continuation in
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            // The handler holds its source, for as long as the process lives.
            source.setEventHandler {
                withExtendedLifetime(source) {}
                signal(number, SIG_DFL)
                continuation.yield()
            }
            source.resume()
        }
    }
}
