package import Bus
package import DriverKit
package import Formats
package import Logging
package import Model
package import NIOCore

/// All devices of this process. Keeps them as their configurations say, by difference, and is the way in for
/// everybody who wants to read or write a tag.
package actor Gateway: MetricSource {
    /// Write commands from the bus that may wait to be looked at.
    package static let commandsMax = 4096

    private let drivers: [String: any Driver.Type]
    private let driverNames: [String]
    private let loops: any EventLoopGroup
    private let context: GatewayContext
    private var devices: [String: DeviceRunner] = [:]
    private var configurations: [String: DeviceConfiguration] = [:]
    private var commands: WriteCommands?

    /// `onStatus` hears of each change of a device's state, on that device's event loop; it must not block.
    package init(
        drivers: [any Driver.Type], bus: any Bus, loops: any EventLoopGroup, time: any TimeSource = SystemTime(),
        random: any RandomSource = SystemRandom(), links: any LinkConnector = TCPConnector(),
        log: Logger = Logger(label: "gateway"),
        onStatus: @escaping @Sendable (_ device: String, _ status: DeviceStatus) -> Void = { _, _ in }
    ) {
        var byName: [String: any Driver.Type] = [:]
        var names: [String] = []
        for driver in drivers {
            let name = driver.info.name
            byName[name] = driver
            names.append(name)
        }
        self.drivers = byName
        driverNames = names
        self.loops = loops
        context = GatewayContext(
            time: time, random: random, links: links, bus: bus, log: log, onStatus: onStatus)
    }

    /// Begins to listen for write commands on `tundish/+/+/write`.
    package func start() async throws {
        guard commands == nil else { return }
        let commands = WriteCommands(self, context.bus, context.time)
        self.commands = commands
        try await commands.start()
    }

    /// Stops everything. Idempotent.
    package func shutdown() async {
        await commands?.stop()
        commands = nil
        for runner in devices.values { await runner.stop() }
        devices.removeAll()
        configurations.removeAll()
    }

    // MARK: configuration

    /// Makes the device run as configured. Another driver or connection restarts the device; of its groups only
    /// those that differ are touched, and another interval alone does not even interrupt its group.
    ///
    /// Throws what makes the configuration impossible (`driver.unknown`, `device.configuration`, ...), not what
    /// the device does: that is told by `onStatus`.
    package func apply(_ configuration: DeviceConfiguration) async throws(Problem) {
        guard let driver = drivers[configuration.driver] else {
            throw Problem(
                "driver.unknown",
                "device \"\(configuration.name)\": there is no driver \"\(configuration.driver)\"; there are \(driverNames.joined(separator: ", "))",
                [
                    "device": configuration.name, "driver": configuration.driver,
                    "known": driverNames.joined(separator: ", "),
                ])
        }
        if let runner = devices[configuration.name], let old = configurations[configuration.name],
            old.driver == configuration.driver, old.connection == configuration.connection,
            old.uid == configuration.uid, old.isEnabled == configuration.isEnabled
        {
            if old == configuration { return }
            try await runner.update(configuration)
            configurations[configuration.name] = configuration
            return
        }
        await devices.removeValue(forKey: configuration.name)?.stop()
        let runner = DeviceRunner(configuration, driver: driver, on: loops.next(), context)
        devices[configuration.name] = runner
        configurations[configuration.name] = configuration
        try await runner.start()
    }

    /// What would be wrong with a configuration, tag by tag, without touching anything.
    package nonisolated func check(_ configuration: DeviceConfiguration) -> [Problem] {
        checkDevice(configuration, drivers: Array(drivers.values), loop: loops.any())
    }

    package func remove(device name: String) async {
        configurations[name] = nil
        guard let runner = devices.removeValue(forKey: name) else { return }
        await runner.stop()
        context.onStatus(name, DeviceStatus(.stopped, since: context.time.now()))
    }

    // MARK: reading and writing

    /// Writes tags of one group ahead of polling; returns after the device has confirmed, one result per item.
    package func write(device: String, group: String, values: [WriteItem]) async -> [TagWriteResult] {
        guard let runner = devices[device] else {
            let problem = unknown(device)
            return values.map { TagWriteResult(tag: $0.tag, value: nil, problem: problem) }
        }
        return await runner.write(group: group, values)
    }

    /// Reads one tag from its device now. Errors: `device.unknown`, `group.unknown`, `tag.unknown`, those of the device.
    package func read(device: String, group: String, tag: String) async throws(Problem) -> TagReading {
        guard let runner = devices[device] else { throw unknown(device) }
        return try await runner.read(group: group, tag: tag)
    }

    package func browse(device: String, below address: String?) async throws(Problem) -> [BrowsedTag] {
        guard let runner = devices[device] else { throw unknown(device) }
        return try await runner.browse(below: address)
    }

    // MARK: looking

    package var deviceNames: [String] { devices.keys.sorted() }

    package func status(device: String) async -> DeviceStatus? { await devices[device]?.status }

    package func diagnostics(device: String) async -> DeviceDiagnostics? { await devices[device]?.diagnostics }

    /// The latest value of one tag; nil if there is no such tag.
    package func latest(device: String, group: String, tag: String) async -> TagReading? {
        await devices[device]?.latest(group: group, tag: tag)
    }

    /// The latest whole batch of each of a device's groups.
    package func latest(device: String) async -> [SampleBatch] { await devices[device]?.latestBatches ?? [] }

    /// Tags with their latest values, by path. `filter` is a part of `device/group/tag`, whatever its case.
    package func tags(
        filter: String? = nil, device: String? = nil, group: String? = nil, limit: Int = 200, offset: Int = 0
    ) async -> (total: Int, items: [TagReading]) {
        let wanted = filter?.lowercased()
        var total = 0
        var items: [TagReading] = []
        for name in deviceNames where device == nil || device == name {
            for view in await devices[name]?.views ?? [] where group == nil || group == view.descriptor.group {
                let prefix = "\(name)/\(view.descriptor.group)/"
                for index in 0..<view.tagCount {
                    if let wanted, !wanted.isEmpty, !(prefix + view.name(index)).lowercased().contains(wanted) {
                        continue
                    }
                    if total >= offset, items.count < limit { items.append(view.reading(index)) }
                    total += 1
                }
            }
        }
        return (total, items)
    }

    package func summary() async -> GatewaySummary {
        var sum = GatewaySummary()
        for runner in devices.values { await runner.add(to: &sum) }
        return sum
    }

    package func collect() async -> [MetricSample] {
        var samples: [MetricSample] = []
        for name in deviceNames { samples += await devices[name]?.metrics ?? [] }
        samples.append(
            MetricSample(
                "tundish_gateway_write_commands_dropped_total", .counter,
                "Write commands that found their queue full.", Double(commands?.dropped ?? 0)))
        return samples
    }

    private func unknown(_ device: String) -> Problem {
        Problem("device.unknown", "there is no device \"\(device)\"", ["device": device])
    }

    /// Whose names a group's writes are in.
    func dialect(device: String, group: String) -> FormatDialect {
        let found = configurations[device]?.groups.first { $0.name == group }
        return found?.dialect.flatMap(FormatDialect.init(rawValue:)) ?? .tundish
    }

    /// Begins a write; its order among the writes of its device is settled when this returns.
    func begin(_ command: WriteRequest, _ done: @escaping @Sendable ([TagWriteResult]) -> Void) async {
        guard let runner = devices[command.device] else {
            let problem = unknown(command.device)
            return done(command.values.map { TagWriteResult(tag: $0.tag, value: nil, problem: problem) })
        }
        await runner.begin(command, done)
    }
}

/// What is wrong with a device's configuration, tag by tag: nothing is opened.
package func checkDevice(
    _ configuration: DeviceConfiguration, drivers: [any Driver.Type], loop: any EventLoop
) -> [Problem] {
    var found: (any Driver.Type)?
    for driver in drivers where driver.info.name == configuration.driver { found = driver }
    guard let type = found else { return [] }
    let driver: any Driver
    do throws(Problem) {
        driver = try type.init(
            DriverContext(
                device: configuration.name, eventLoop: loop, time: SystemTime(), random: SystemRandom(),
                links: TCPConnector()), settings: configuration.connection)
    } catch {
        return [error]
    }
    var problems: [Problem] = []
    for group in configuration.groups {
        for tag in group.tags {
            guard var problem = driver.validate(TagSpec(tag: tag.tag, address: tag.address, wireType: tag.type)) else {
                continue
            }
            problem.message = "device \"\(configuration.name)\", \(problem.message)"
            problem.arguments["device"] = configuration.name
            problem.arguments["group"] = group.name
            problems.append(problem)
        }
    }
    return problems
}
