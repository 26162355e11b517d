import Bus
import DriverKit
import Formats
import Model
import NIOCore

/// A group of a running device: what was made from its configuration, and what it is doing. Confined to the
/// device's event loop.
final class DeviceGroup {
    private(set) var configuration: GroupConfiguration
    /// The tags that are read, in the order of the descriptor.
    let readable: [TagConfiguration]
    let specs: [TagSpec]
    /// Tags that can only be written; no batch has them.
    let writeOnly: [TagConfiguration]
    let descriptor: BatchDescriptor
    let plan: any ReadPlan
    let topic: Topic
    let encoder: any PayloadEncoder
    let scaler: GroupScaler
    private var filter: ReportFilter?

    var timer: Scheduled<Void>?
    var nextAt: NIODeadline = .distantFuture
    var isReading = false
    /// Replaced or removed: what a cycle still brings is dropped.
    var isRetired = false
    var isSubscribed = false

    var latest: SampleBatch?
    var good = 0
    var bad = 0
    var cycles: UInt64 = 0
    var skipped: UInt64 = 0
    var samples: UInt64 = 0
    var batches: UInt64 = 0
    var publishDropped: UInt64 = 0
    var lastCycleAt: Timestamp?
    var lastCycleNanoseconds: Int64 = 0

    init(
        _ configuration: GroupConfiguration, device: DeviceConfiguration, revision: UInt32, driver: any Driver,
        statusDomain: StatusDomain
    ) throws(Problem) {
        self.configuration = configuration
        readable = configuration.tags.filter(\.access.isReadable)
        writeOnly = configuration.tags.filter { !$0.access.isReadable }
        specs = readable.map(\.spec)
        let tags = specs.map(\.tag)
        descriptor = BatchDescriptor(
            device: device.name, deviceUID: device.uid, group: configuration.name, tags: tags, revision: revision,
            statusDomain: statusDomain, isRecorded: configuration.isRecorded)
        let text = configuration.topicText(device: device.name)
        do {
            topic = try Topic(text)
        } catch {
            throw Problem(
                "group.topic", "device \"\(device.name)\", group \"\(configuration.name)\": \(error)",
                ["device": device.name, "group": configuration.name, "topic": text])
        }
        encoder = try makeEncoder(
            format: configuration.format, dialect: configuration.dialect, descriptor: descriptor)
        scaler = GroupScaler(readable)
        plan = driver.plan(specs, descriptor)
        if case .change(let heartbeat) = configuration.report {
            filter = ReportFilter(readable, heartbeat: heartbeat)
        }
    }

    var intervalNanoseconds: Int64 { max(configuration.interval.nanoseconds, 1_000_000) }

    /// A tag by its name, whether it is read or not.
    func tag(named name: String) -> TagConfiguration? {
        if let index = descriptor.index(of: name) { return readable[index] }
        return writeOnly.first { $0.name == name }
    }

    func setInterval(_ interval: Duration) { configuration.interval = interval }

    /// The first moment after `now` at which the group is due. Groups of one interval keep a common grid, each with
    /// an offset of its own, so that they do not all ask at once.
    func due(after now: NIODeadline) -> NIODeadline {
        let interval = UInt64(intervalNanoseconds)
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in topic.utf8.array { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        let phase = (hash ^ hash >> 29) % interval
        let time = now.uptimeNanoseconds
        guard time >= phase else { return .uptimeNanoseconds(phase) }
        return .uptimeNanoseconds(phase + ((time - phase) / interval + 1) * interval)
    }

    /// What is to be published of a cycle's batch; keeps the batch for queries and counts it.
    func take(_ batch: SampleBatch, monotonic: Int64) -> SampleBatch? {
        if batch.tagIndexes == nil {
            latest = batch
            count(batch)
        } else {
            latest = merged(batch)
            latest.map(count)
        }
        samples &+= UInt64(batch.count)
        guard filter != nil else { return batch }
        return filter?.report(batch, monotonic: monotonic)
    }

    private func count(_ batch: SampleBatch) {
        guard let statuses = batch.statuses else {
            good = batch.count
            bad = 0
            return
        }
        var bad = 0
        for status in statuses where status >> 31 == 1 { bad += 1 }
        self.bad = bad
        good = batch.count - bad
    }

    /// The latest dense batch with the rows of a sparse one put in.
    private func merged(_ batch: SampleBatch) -> SampleBatch {
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: batch.timestamp)
        for source in [latest, batch] {
            guard let source else { continue }
            for row in 0..<source.count {
                builder.copy(source, row: row)
                builder.setSourceTime(tag: source.tagIndex(row), source.time(row))
            }
        }
        return builder.finish()
    }

    var diagnostics: GroupDiagnostics {
        GroupDiagnostics(
            name: configuration.name, topic: topic.string, intervalMilliseconds: Double(intervalNanoseconds) / 1e6,
            tags: configuration.tags.count, good: good, bad: bad, cycles: cycles, skipped: skipped,
            lastCycleAt: lastCycleAt, lastCycleMilliseconds: Double(lastCycleNanoseconds) / 1e6,
            requestsPerCycle: plan.requestCount)
    }
}
