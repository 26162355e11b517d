import Broker
import BrokerCore
import Bus
import Catalogue
import Console
import DriverKit
import Formats
import Gateway
import Historian
import Model
import Resources
import SinkKit
import Streams

/// What the console shows and does, over the running parts.
struct NodeServices: ConsoleServices {
    let name: String
    let startedAt: Timestamp
    let time: any TimeSource
    let store: ResourceStore
    let gateway: Gateway
    let exchange: Exchange
    let broker: Broker
    let accessJournal: AccessJournal
    /// Publishes what people do to retained messages.
    let publisher: any BusPublisher
    let streams: StreamEngine
    let sinks: SinkEngine
    let historian: Historian
    let recorder: HistorianRecorder
    let alarmBook: AlarmBook
    let rates: RateMeter
    let metricSources: [any MetricSource]
    let readinessBook: ReadinessBook

    // MARK: Devices

    func diagnostics(device: String) async -> Console.DeviceDiagnostics? {
        guard let found = await gateway.diagnostics(device: device) else { return nil }
        let state: Console.DeviceDiagnostics.State =
            switch found.status.state {
            case .connected: .connected
            case .connecting: .connecting
            case .degraded: .degraded
            case .disconnected, .stopped, .failed: .disconnected
            }
        let lastError: (problem: Problem, at: Timestamp)? =
            if let problem = found.lastError, let at = found.lastErrorAt { (problem, at) } else { nil }
        let isAnswered = found.roundTripMaxMilliseconds > 0
        return Console.DeviceDiagnostics(
            device: found.device, driver: found.driver, endpoint: found.endpoint, state: state,
            since: found.status.since, lastError: lastError,
            counters: Dictionary(found.counters.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            roundTripLast: isAnswered ? found.roundTripLastMilliseconds : nil,
            roundTripMean: isAnswered ? found.roundTripMeanMilliseconds : nil,
            roundTripMax: isAnswered ? found.roundTripMaxMilliseconds : nil,
            groups: found.groups.map { group in
                Console.GroupDiagnostics(
                    name: group.name, topic: group.topic, intervalMilliseconds: group.intervalMilliseconds,
                    tags: group.tags, good: group.good, bad: group.bad, cycles: group.cycles, skipped: group.skipped,
                    lastCycleAt: group.lastCycleAt,
                    lastCycleMilliseconds: group.lastCycleAt == nil ? nil : group.lastCycleMilliseconds,
                    requestsPerCycle: group.requestsPerCycle)
            })
    }

    func tags(_ query: TagQuery) async -> TagPage {
        let page = await gateway.tags(
            filter: query.text, device: query.device, group: query.group, limit: query.limit, offset: query.offset)
        return TagPage(
            total: page.total,
            items: page.items.map { reading in
                TagInfo(
                    device: reading.device, group: reading.group, tag: reading.tag, address: reading.address,
                    timestamp: reading.timestamp, value: reading.value, quality: reading.quality, status: reading.error)
            })
    }

    func write(_ request: Console.WriteRequest) async throws(Problem) -> WriteAnswer {
        let results = await gateway.write(device: request.device, group: request.group, values: request.values)
        if let problem = results.first?.problem, problem.code == "device.unknown" || problem.code == "group.unknown" {
            throw problem
        }
        return WriteAnswer(
            timestamp: time.now(),
            results: results.map { result in
                WriteResult(result.tag, Self.outcome(result))
            })
    }

    private static func outcome(_ result: TagWriteResult) -> Result<Value, Problem> {
        if let problem = result.problem { return .failure(problem) }
        guard let value = result.value else {
            return .failure(Problem("write.unconfirmed", "the device did not say what became of the value"))
        }
        return .success(value)
    }

    func liveValues(_ requests: [LiveGroupRequest]) async -> [LiveGroupAnswer] {
        var batches: [String: [SampleBatch]] = [:]
        var answers: [LiveGroupAnswer] = []
        for request in requests {
            if batches[request.device] == nil { batches[request.device] = await gateway.latest(device: request.device) }
            guard let batch = batches[request.device]?.first(where: { $0.descriptor.group == request.group }) else {
                answers.append(.unknown)
                continue
            }
            let version = UInt64(bitPattern: batch.timestamp.nanoseconds) &+ UInt64(batch.descriptor.revision)
            answers.append(
                version == request.knownVersion
                    ? .unchanged : .values(version: version, request.tags.map { Self.live(batch, $0) }))
        }
        return answers
    }

    private static func live(_ batch: SampleBatch, _ tag: String) -> LiveValue? {
        guard let index = batch.descriptor.index(of: tag), let row = batch.row(ofTag: index) else { return nil }
        let quality = batch.quality(row)
        return LiveValue(
            timestamp: batch.time(row), value: quality.isBad ? nil : batch.value(row),
            code: quality.isGood ? nil : quality.name(in: batch.descriptor.statusDomain).code)
    }

    func drivers() async -> [Console.DriverInfo] {
        Drivers.all.map { driver in
            Console.DriverInfo(
                name: driver.info.name, title: driver.info.title, titleChinese: driver.info.titleChinese,
                connection: driver.info.connection)
        }
    }

    // MARK: History, rules, alarms

    func query(_ query: Console.HistoryQuery) async throws(Problem) -> HistoryAnswer {
        try await HistoryService(historian: historian).answer(query)
    }

    func record(_ points: [RecordedPoint]) async throws(Problem) {
        try await historian.append(PointBatches.make(points, now: time.now()))
    }

    func ruleMetrics(_ name: String) async -> Console.RuleMetrics? {
        guard let found = streams.metrics(of: name) else { return nil }
        return Console.RuleMetrics(
            matched: found.matched, passed: found.passed, failed: found.failed, emitted: found.emitted,
            lastError: found.lastError, perSecond: found.perSecond)
    }

    func sinkFigures(_ name: String) async -> SinkFigures? {
        guard let report = sinks.report(name) else { return nil }
        let counts: [(String, UInt64)] = [
            ("offered", report.offered), ("refused", report.refused), ("written", report.written),
            ("known", report.known), ("setApart", report.setApart), ("dropped", report.dropped),
            ("damaged", report.damaged), ("queued", report.queued), ("inFlight", UInt64(report.inFlight)),
            ("batches", report.batches), ("retries", report.retries), ("bytesOnDisk", UInt64(report.bytesOnDisk)),
        ]
        return SinkFigures(
            figures: counts.map { ($0.0, Double($0.1)) }, rowsPerSecond: report.rowsPerSecond,
            oldestSeconds: report.oldestAge.map { Double($0.nanoseconds) / 1e9 }, state: report.status.state.rawValue,
            problem: report.status.problem)
    }

    func refusedRows(ofSink name: String, limit: Int) async -> [RefusedSinkRow]? {
        sinks.refused(name, limit: limit)?.map {
            RefusedSinkRow(time: $0.time, code: $0.code, reason: $0.reason, row: $0.row)
        }
    }

    func alarms() async -> [AlarmInfo] { alarmBook.all() }

    func acknowledge(alarm id: String, by username: String) async throws(Problem) -> Int {
        guard let alarm = alarmBook.find(id) else {
            throw Problem("alarm.unknown", "there is no alarm on topic \"\(id)\"", ["name": id])
        }
        func detail(_ name: String) -> String? { alarm.details.first { $0.key == name }?.value.string }
        guard let rule = detail("rule"), let key = detail("key"), streams.metrics(of: rule) != nil else {
            throw Problem(
                "alarm.foreign",
                "the message on \"\(id)\" was not published by a rule that runs here: only its publisher can acknowledge it",
                ["name": id])
        }
        let count = streams.acknowledge(rule: rule, alarm: alarm.name, key: key, by: username)
        if count == 0 {
            throw Problem(
                "alarm.nothing_to_acknowledge", "alarm \"\(alarm.name)\" is \(alarm.state): nothing to acknowledge",
                ["name": alarm.name, "state": alarm.state])
        }
        return count
    }

    // MARK: The whole

    func metrics() async -> [MetricSample] {
        var samples = [
            MetricSample(
                "tundish_process_cpu_seconds_total", .counter, "Processor time of all threads.",
                ProcessFigures.cpuSeconds()),
            MetricSample(
                "tundish_process_resident_bytes", .gauge, "Resident memory.", Double(ProcessFigures.residentBytes())),
            MetricSample(
                "tundish_process_start_time_seconds", .gauge, "When the process started, Unix time.",
                Double(startedAt.milliseconds) / 1000),
            MetricSample(
                "tundish_alarms_overflowed_total", .counter, "Alarms beyond the number remembered.",
                Double(alarmBook.overflowed.count)),
        ]
        for source in metricSources { samples += await source.collect() }
        return samples
    }

    func readiness() async -> Readiness {
        let missing = readinessBook.missing
        return Readiness(isReady: missing.isEmpty, reasons: missing)
    }

    func status() async -> StatusReport { await StatusReporter(services: self).report() }
}
