import BrokerCore
import Console
import Gateway
import Historian
import Model
import Resources
import Streams

/// Puts the overview together from every part's own figures.
struct StatusReporter {
    let services: NodeServices

    func report() async -> StatusReport {
        var report = StatusReport()
        let now = services.time.now()
        report.name = services.name
        report.version = NodeVersion.number
        report.startedAt = services.startedAt
        report.uptimeSeconds = Double(now.nanoseconds - services.startedAt.nanoseconds) / 1e9
        report.memoryBytes = ProcessFigures.residentBytes()
        report.cpuSeconds = ProcessFigures.cpuSeconds()

        let gateway = await services.gateway.summary()
        report.devices.total = gateway.devices
        report.devices.connected = gateway.connected
        report.devices.degraded = gateway.degraded
        report.devices.disconnected = gateway.disconnected
        report.tags.total = gateway.tags
        report.tags.good = gateway.tagsGood
        report.tags.bad = gateway.tagsBad

        let broker = await services.exchange.totals()
        report.clients = broker.gauges.connections
        report.subscriptions = broker.gauges.subscriptions
        report.retained = await services.exchange.retainedByPeople(of: broker.gauges.retained)

        let history = await services.historian.stats()
        report.historian.points = history.points
        report.historian.bytes = history.bytes
        report.historian.series = history.series
        report.historian.bytesPerPoint = history.bytesPerPoint > 0 ? history.bytesPerPoint : nil

        let rules = await resources(&report)
        report.problems += historianProblems(history)
        report.flow = await flow(gateway, broker.counters, history, rules: rules)
        return report
    }

    /// Whether the historian has lately refused points: a full disk, a journal that cannot be written, too many at once.
    private func isRefusing(_ history: HistorianStats) -> Bool {
        services.rates.rate("historian refused", UInt64(max(0, history.pointsRefused))) > 0
    }

    private func historianProblems(_ history: HistorianStats) -> [ReportedProblem] {
        if let problem = history.problem { return [ReportedProblem(.error, problem)] }
        guard isRefusing(history) else { return [] }
        return [
            ReportedProblem(
                .error,
                Problem(
                    "historian.refusing",
                    "the historian refuses points, \(history.pointsRefused) so far: its disk may be full, or more comes than it can write",
                    ["count": "\(history.pointsRefused)"]))
        ]
    }

    /// Counts rules and gathers what is wrong; returns the rules' names.
    private func resources(_ report: inout StatusReport) async -> [String] {
        guard let listed = try? await services.store.list() else {
            report.problems.append(
                ReportedProblem(.error, Problem("store.unreadable", "the configuration store cannot be read")))
            return []
        }
        var rules: [String] = []
        report.revision = listed.revision
        for snapshot in listed.items {
            let condition = services.store.status(of: snapshot).condition
            if snapshot.key.kind == NodeKinds.ruleName {
                report.rules.total += 1
                rules.append(snapshot.name)
                if condition.state == .running { report.rules.running += 1 }
                if condition.state == .failed { report.rules.failed += 1 }
            }
            guard let problem = condition.problem, condition.state == .failed || condition.state == .degraded else {
                continue
            }
            report.problems.append(
                ReportedProblem(
                    condition.state == .failed ? .error : .warning, problem,
                    resource: (snapshot.key.kind, snapshot.key.name)))
        }
        return rules
    }

    private func flow(
        _ gateway: GatewaySummary, _ broker: ShardCounters, _ history: HistorianStats, rules: [String]
    ) async -> [FlowStation] {
        let rates = services.rates
        var matched: UInt64 = 0
        var ruleDrops: UInt64 = 0
        for rule in rules {
            guard let metrics = services.streams.metrics(of: rule) else { continue }
            matched += metrics.matched
            ruleDrops += metrics.dropped
        }
        let isSilent = gateway.disconnected > 0
        let published = broker.publishReceived &+ broker.internalReceived
        let accepted = UInt64(max(0, history.pointsAccepted))
        return [
            FlowStation(
                .devices, unit: .tags, ratePerSecond: rates.rate("devices", gateway.samples), total: gateway.samples,
                dropped: gateway.publishDropped, state: isSilent ? .error : gateway.degraded > 0 ? .warn : .ok),
            FlowStation(
                .bus, unit: .messages, ratePerSecond: rates.rate("bus", published), total: published,
                dropped: broker.dropped),
            FlowStation(
                .rules, unit: .messages, ratePerSecond: rates.rate("rules", matched), total: matched, dropped: ruleDrops
            ),
            FlowStation(
                .historian, unit: .points, ratePerSecond: rates.rate("historian", accepted), total: accepted,
                dropped: UInt64(max(0, history.pointsRefused)),
                state: history.problem != nil || isRefusing(history) ? .error : .ok),
            FlowStation(
                .mqtt, unit: .messages, ratePerSecond: rates.rate("mqtt", broker.publishSent),
                total: broker.publishSent,
                dropped: broker.dropped),
        ]
    }
}
