import DriverKit
import Model

/// A group as somebody outside its event loop may look at it.
struct GroupView: Sendable {
    let descriptor: BatchDescriptor
    let addresses: [String]
    let writeOnly: [TagConfiguration]
    let latest: SampleBatch?

    init(_ group: DeviceGroup) {
        descriptor = group.descriptor
        addresses = group.specs.map(\.address)
        writeOnly = group.writeOnly
        latest = group.latest
    }

    /// Of all tags, those that are only written at the end.
    var tagCount: Int { descriptor.tags.count + writeOnly.count }

    func name(_ tag: Int) -> String {
        tag < descriptor.tags.count ? descriptor.tags[tag].name : writeOnly[tag - descriptor.tags.count].name
    }

    func reading(_ tag: Int) -> TagReading {
        guard tag < descriptor.tags.count else { return written(writeOnly[tag - descriptor.tags.count]) }
        let row = latest?.row(ofTag: tag)
        let quality = row.flatMap { latest?.quality($0) } ?? .badWaitingForInitialData
        return TagReading(
            device: descriptor.device, group: descriptor.group, tag: descriptor.tags[tag], address: addresses[tag],
            value: quality.isBad ? nil : row.flatMap { latest?.value($0) }, quality: quality,
            error: quality.isGood ? nil : quality.name(in: descriptor.statusDomain),
            timestamp: row.flatMap { latest?.time($0) } ?? Timestamp(nanoseconds: 0))
    }

    private func written(_ tag: TagConfiguration) -> TagReading {
        TagReading(
            device: descriptor.device, group: descriptor.group, tag: tag.tag, address: tag.address, value: nil,
            quality: .badNotReadable, error: Quality.badNotReadable.name(), timestamp: Timestamp(nanoseconds: 0))
    }
}

/// What a device tells about itself.
extension DeviceRunner {
    var views: [GroupView] {
        groups.map { GroupView($0) }
    }

    var latestBatches: [SampleBatch] { groups.compactMap(\.latest) }

    func latest(group name: String, tag: String) -> TagReading? {
        guard let group = groups.first(where: { $0.configuration.name == name }) else { return nil }
        let view = GroupView(group)
        if let index = group.descriptor.index(of: tag) { return view.reading(index) }
        return (group.descriptor.tags.count..<view.tagCount).first { view.name($0) == tag }.map { view.reading($0) }
    }

    var diagnostics: DeviceDiagnostics {
        let counters = driver?.counters ?? DriverCounters()
        let mean =
            counters.responses > 0 ? Double(counters.roundTripSumNanoseconds) / Double(counters.responses) / 1e6 : 0
        return DeviceDiagnostics(
            device: configuration.name, driver: configuration.driver, endpoint: driver?.endpoint ?? "", status: status,
            lastError: lastError?.problem, lastErrorAt: lastError?.at,
            counters: [
                CounterReading("requests", counters.requests), CounterReading("responses", counters.responses),
                CounterReading("timeouts", counters.timeouts), CounterReading("errors", counters.errors),
                CounterReading("retries", counters.retries), CounterReading("skippedSilent", counters.skippedSilent),
                CounterReading("bytesSent", counters.bytesSent),
                CounterReading("bytesReceived", counters.bytesReceived), CounterReading("reconnects", reconnects),
                CounterReading("writes", writes), CounterReading("writesRefused", writesRefused),
            ],
            roundTripLastMilliseconds: Double(counters.roundTripLastNanoseconds) / 1e6,
            roundTripMeanMilliseconds: mean,
            roundTripMaxMilliseconds: Double(counters.roundTripMaxNanoseconds) / 1e6,
            groups: groups.map(\.diagnostics))
    }

    func add(to sum: inout GatewaySummary) {
        sum.devices += 1
        switch status.state {
        case .connected: sum.connected += 1
        case .degraded: sum.degraded += 1
        case .connecting, .disconnected, .failed, .stopped: sum.disconnected += 1
        }
        for group in groups {
            sum.tags += group.configuration.tags.count
            sum.tagsGood += group.good
            sum.tagsBad += group.bad
            sum.samples &+= group.samples
            sum.batches &+= group.batches
            sum.cyclesSkipped &+= group.skipped
            sum.publishDropped &+= group.publishDropped
        }
    }

    var metrics: [MetricSample] {
        let labels = ["device": configuration.name]
        let counters = driver?.counters ?? DriverCounters()
        var sum = GatewaySummary()
        add(to: &sum)
        func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricSample {
            MetricSample("tundish_gateway_\(name)_total", .counter, help, labels: labels, Double(value))
        }
        let isUp = status.state == .connected || status.state == .degraded
        return [
            MetricSample(
                "tundish_gateway_device_up", .gauge, "1 while the device answers.", labels: labels, isUp ? 1 : 0),
            MetricSample(
                "tundish_gateway_tags_good", .gauge, "Tags whose latest value is usable.", labels: labels,
                Double(sum.tagsGood)),
            MetricSample(
                "tundish_gateway_tags_bad", .gauge, "Tags whose latest value is not.", labels: labels,
                Double(sum.tagsBad)),
            counter("samples", "Tags read, good or not.", sum.samples),
            counter("batches", "Batches published.", sum.batches),
            counter("publish_dropped", "Batches that the bus did not take.", sum.publishDropped),
            counter("cycles_skipped", "Cycles left out because the one before was still going on.", sum.cyclesSkipped),
            counter("requests", "Requests sent.", counters.requests),
            counter("responses", "Answers received.", counters.responses),
            counter("timeouts", "Requests without an answer in time.", counters.timeouts),
            counter("device_errors", "Answers that report an error.", counters.errors),
            counter("requests_skipped", "Requests not sent because their unit is silent.", counters.skippedSilent),
            counter("requests_refused", "Requests refused because too many waited.", counters.refused),
            counter("bytes_sent", "Bytes sent.", counters.bytesSent),
            counter("bytes_received", "Bytes received.", counters.bytesReceived),
            counter("reconnects", "Connections made after the first.", reconnects),
            counter("writes", "Writes begun.", writes),
            counter("writes_refused", "Writes refused because too many were under way.", writesRefused),
        ]
    }
}
