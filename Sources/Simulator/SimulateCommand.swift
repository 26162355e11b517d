import Model

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What `tundish simulate` was asked for.
package struct SimulateOptions: Sendable {
    package var seed: UInt64 = 1
    package var host = "127.0.0.1"
    /// The first port; the devices take this and the ones after it.
    package var port = 1502
    /// With more than 0, devices for benchmarks instead of the plant.
    package var benchDevices = 0
    package var benchTagsPerDevice = 1000
    /// What each answer of a bench device takes.
    package var benchDelayMilliseconds = 0
    /// `DEVICE=FAULT`, from the start.
    package var faults: [String] = []
    /// Whether lines of standard input set faults: `press-1 slow:50`, `all none`.
    package var readsCommands = true

    package init() {}
}

/// Runs the plant, or the bench devices, until the task is cancelled or the process ends; one line on standard output
/// for each device, then one for each command carried out.
package func runSimulator(_ options: SimulateOptions) async throws {
    if options.benchDevices > 0 { return try await runBench(options) }
    let commands = try options.faults.map { try FaultCommand(parsing: $0) }
    let simulator = try await PlantSimulator.start(seed: options.seed, basePort: options.port, host: options.host)
    do {
        for command in commands { try await simulator.setFault(command.fault, device: command.device) }
    } catch {
        await simulator.stop()
        throw error
    }
    for endpoint in simulator.endpoints {
        let units = endpoint.devices.sorted { $0.key < $1.key }.map { "unit \($0.key) \($0.value)" }
        say("modbus tcp \(endpoint.host):\(endpoint.port)  \(endpoint.title): \(units.joined(separator: ", "))")
    }
    say("ready; seed \(options.seed); faults by lines such as \"press-1 slow:50\" or \"all none\", or through unit 250")
    // A process in the background that read its terminal would be stopped by the system.
    let isBackground = isatty(0) == 1 && tcgetpgrp(0) != getpgrp()
    if options.readsCommands, !isBackground {
        for await line in standardInputLines() {
            if line.isEmpty { continue }
            do {
                let command = try FaultCommand(parsing: line)
                try await simulator.setFault(command.fault, device: command.device)
                say("ok \(line)")
            } catch {
                say("error \(error)")
            }
        }
    }
    await sleepUntilCancelled()
    await simulator.stop()
}

private func runBench(_ options: SimulateOptions) async throws {
    let bench = try await BenchSimulator.start(
        devices: options.benchDevices, tagsPerDevice: options.benchTagsPerDevice, basePort: options.port,
        host: options.host, delay: .milliseconds(options.benchDelayMilliseconds))
    for (index, port) in bench.ports.enumerated() {
        say(
            "modbus tcp \(options.host):\(port)  bench-\(index + 1): \(options.benchTagsPerDevice) float32 tags from 1!400001"
        )
    }
    say("ready")
    await sleepUntilCancelled()
    await bench.stop()
}

private func say(_ line: String) {
    // Written at once, because whoever started the process may wait for the line.
    let bytes = Array((line + "\n").utf8)
    var offset = 0
    while offset < bytes.count {
        let written = bytes[offset...].withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        if written <= 0 { return }
        offset += written
    }
}

private func sleepUntilCancelled() async {
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
}

/// Lines of standard input, read by a thread of its own because such reads cannot be interrupted. At most 64 wait;
/// older ones are dropped, which only a flood can cause.
private func standardInputLines() -> AsyncStream<String> {
    AsyncStream(bufferingPolicy: .bufferingNewest(64)) { continuation in
        var thread = pthread_t()
        let box = Unmanaged.passRetained(ContinuationBox(continuation))
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let continuation = Unmanaged<ContinuationBox>.fromOpaque(argument).takeRetainedValue().continuation
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
                return nil
            }, box.toOpaque())
        if status == 0 {
            pthread_detach(thread)
        } else {
            box.release()
            continuation.finish()
        }
    }
}

private final class ContinuationBox: Sendable {
    let continuation: AsyncStream<String>.Continuation
    init(_ continuation: AsyncStream<String>.Continuation) { self.continuation = continuation }
}
