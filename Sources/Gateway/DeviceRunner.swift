import Bus
import DriverKit
import Logging
import Model
import NIOCore

/// What every device of a gateway shares.
struct GatewayContext: Sendable {
    let time: any TimeSource
    let random: any RandomSource
    let links: any LinkConnector
    let bus: any Bus
    let log: Logger
    let onStatus: @Sendable (String, DeviceStatus) -> Void
}

/// One device: its connection, its groups' cycles, its writes. Runs on one event loop, which is also its driver's.
actor DeviceRunner {
    /// Writes that may be under way; more are refused.
    static let writesMax = 256
    static let reconnectFirst: Duration = .milliseconds(500)
    static let reconnectMax: Duration = .seconds(5)

    enum Connection {
        case stopped
        case connecting
        case connected
        /// Until the next attempt.
        case waiting
    }

    nonisolated let loop: any EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    let context: GatewayContext
    let publisher: any BusPublisher
    let origin: Origin
    var configuration: DeviceConfiguration
    let driverType: any Driver.Type

    var driver: (any Driver)?
    var groups: [DeviceGroup] = []
    var connection = Connection.stopped
    /// Whether an attempt to connect has ended, one way or the other.
    var hasTried = false
    /// What silent tags get while there is no connection.
    var absence = Quality.badNoCommunication
    var failures = 0
    var attempt = 0
    var reconnectTimer: Scheduled<Void>?
    var status: DeviceStatus
    var lastError: (problem: Problem, at: Timestamp)?
    var revision: UInt32 = 0
    var reconnects: UInt64 = 0
    var writes: UInt64 = 0
    var writesRefused: UInt64 = 0
    var writesPending = 0

    init(
        _ configuration: DeviceConfiguration, driver: any Driver.Type, on loop: any EventLoop, _ context: GatewayContext
    ) {
        self.configuration = configuration
        driverType = driver
        self.loop = loop
        self.context = context
        origin = Origin(.device, clientID: configuration.name)
        publisher = context.bus.publisher(origin)
        status = DeviceStatus(.connecting, since: context.time.now())
    }

    // MARK: life

    /// Makes driver and groups and begins to connect; connecting itself goes on afterwards.
    func start() throws(Problem) {
        guard configuration.isEnabled else {
            setStatus(.stopped, nil)
            return
        }
        let domain = driverType.info.statusDomain
        do throws(Problem) {
            let driver = try driverType.init(
                DriverContext(
                    device: configuration.name, eventLoop: loop, time: context.time, random: context.random,
                    links: context.links), settings: configuration.connection)
            self.driver = driver
            for group in configuration.groups {
                groups.append(
                    try DeviceGroup(
                        group, device: configuration, revision: revision, driver: driver, statusDomain: domain))
            }
        } catch {
            stop()
            let problem = named(error)
            setStatus(.failed, problem)
            throw problem
        }
        connection = .connecting
        setStatus(.connecting, nil)
        for group in groups { schedule(group) }
        beginAttempt()
    }

    func stop() {
        connection = .stopped
        attempt += 1
        reconnectTimer?.cancel()
        for group in groups { retire(group) }
        groups.removeAll()
        driver?.close()
        driver = nil
    }

    /// Takes over groups that differ from those that run; connection and driver are the same. What does not differ
    /// goes on undisturbed.
    func update(_ next: DeviceConfiguration) throws(Problem) {
        guard let driver else {
            configuration = next
            return try start()
        }
        revision &+= 1
        var kept: [DeviceGroup] = []
        var fresh: [DeviceGroup] = []
        var rescheduled: [(DeviceGroup, Duration)] = []
        for group in next.groups {
            let old = groups.first { $0.configuration.name == group.name }
            var same = old?.configuration
            same?.interval = group.interval
            if let old, same == group {
                if old.configuration.interval != group.interval { rescheduled.append((old, group.interval)) }
                kept.append(old)
            } else {
                let made: DeviceGroup
                do throws(Problem) {
                    made = try DeviceGroup(
                        group, device: next, revision: revision, driver: driver,
                        statusDomain: driverType.info.statusDomain)
                } catch {
                    // Nothing was changed yet.
                    throw named(error)
                }
                kept.append(made)
                fresh.append(made)
            }
        }
        for group in groups where !kept.contains(where: { $0 === group }) { retire(group) }
        groups = kept
        configuration = next
        for (group, interval) in rescheduled {
            group.setInterval(interval)
            schedule(group)
        }
        for group in fresh {
            schedule(group)
            if connection == .connected { begin(group) }
        }
        refreshStatus()
    }

    private func retire(_ group: DeviceGroup) {
        group.isRetired = true
        group.timer?.cancel()
        group.timer = nil
        guard group.isSubscribed, let driver, connection == .connected else { return }
        Task { await self.unsubscribe(group, driver) }
    }

    private func unsubscribe(_ group: DeviceGroup, _ driver: any Driver) async {
        await driver.unsubscribe(group.plan)
    }

    // MARK: connection

    private func beginAttempt() {
        attempt += 1
        connection = .connecting
        let number = attempt
        Task { await self.connect(number) }
    }

    private func connect(_ number: Int) async {
        guard number == attempt, let driver else { return }
        let events = DriverEvents(
            samples: { plan, builder in self.samples(plan, builder) },
            connectionLost: { problem in self.lost(problem, number) })
        do throws(Problem) {
            try await driver.connect(events)
        } catch {
            guard number == attempt else { return driver.close() }
            return absent(error)
        }
        // Stopped meanwhile.
        guard number == attempt else { return driver.close() }
        if hasTried { reconnects &+= 1 }
        if status.state == .disconnected {
            context.log.info("device is back", metadata: ["device": "\(configuration.name)"])
        }
        hasTried = true
        connection = .connected
        for group in groups { begin(group) }
    }

    private func samples(_ plan: any ReadPlan, _ builder: SampleBatchBuilder) {
        guard let group = groups.first(where: { $0.plan === plan }) else { return }
        publish(group.scaler.apply(to: builder.finish()), of: group)
        refreshStatus()
    }

    private func lost(_ problem: Problem, _ number: Int) {
        guard number == attempt, connection == .connected else { return }
        absent(problem)
    }

    /// There is no connection: says so, and tries again later.
    private func absent(_ problem: Problem) {
        driver?.close()
        hasTried = true
        connection = .waiting
        for group in groups { group.isSubscribed = false }
        absence = problem.code == "device.timeout" ? .badTimeout : .badNoCommunication
        let problem = named(problem)
        lastError = (problem, context.time.now())
        if status.state != .disconnected {
            context.log.warning(
                "device is not connected",
                metadata: ["device": "\(configuration.name)", "reason": "\(problem.message)"])
        }
        setStatus(.disconnected, problem)
        var delay = Self.reconnectFirst.nanoseconds
        for _ in 0..<min(failures, 10) where delay < Self.reconnectMax.nanoseconds { delay *= 2 }
        delay = min(delay, Self.reconnectMax.nanoseconds)
        failures += 1
        // Up to a quarter less, so that many devices behind one switch do not come back in step.
        delay -= Int64(Double(delay) * 0.25 * context.random.unit())
        let number = attempt
        reconnectTimer?.cancel()
        reconnectTimer = loop.assumeIsolated().scheduleTask(in: .nanoseconds(delay)) {
            self.reconnect(number)
        }
    }

    private func reconnect(_ number: Int) {
        guard number == attempt, connection == .waiting else { return }
        beginAttempt()
    }

    // MARK: status

    /// The problem with the device's name before it, where it is not there yet.
    func named(_ problem: Problem) -> Problem {
        if problem.message.hasPrefix("device \"") { return problem }
        var problem = problem
        problem.message = "device \"\(configuration.name)\", \(problem.message)"
        problem.arguments["device"] = configuration.name
        return problem
    }

    func setStatus(_ state: DeviceState, _ problem: Problem?) {
        guard status.state != state || status.code != problem?.code ?? "" || status.message != problem?.message ?? ""
        else { return }
        let since = status.state == state ? status.since : context.time.now()
        status = DeviceStatus(state, problem, since: since)
        context.onStatus(configuration.name, status)
    }

    /// Says how the connected device is, from its groups' latest cycles.
    func refreshStatus() {
        guard connection == .connected else { return }
        var good = 0
        var bad = 0
        for group in groups where group.latest != nil {
            good += group.good
            bad += group.bad
        }
        if good > 0 { failures = 0 }
        if bad == 0 { return setStatus(.connected, nil) }
        guard let (tag, quality, group) = firstBad() else { return }
        let name = quality.name(in: group.descriptor.statusDomain)
        if good == 0, quality.standard == .badTimeout || quality.standard == .badNoCommunication {
            return setStatus(.disconnected, named(Problem(name.code, name.message)))
        }
        let reason = group.plan.problems[tag]?.message ?? "tag \"\(group.descriptor.tags[tag].name)\": \(name.message)"
        setStatus(
            .degraded,
            Problem(
                name.code, "device \"\(configuration.name)\", \(reason) (\(bad) of \(good + bad) tags are bad)",
                ["device": configuration.name, "bad": "\(bad)", "total": "\(good + bad)", "reason": reason]))
    }

    private func firstBad() -> (Int, Quality, DeviceGroup)? {
        for group in groups {
            guard group.bad > 0, let batch = group.latest, let statuses = batch.statuses,
                let row = statuses.firstIndex(where: { $0 >> 31 == 1 })
            else { continue }
            return (batch.tagIndex(row), batch.quality(row), group)
        }
        return nil
    }
}
