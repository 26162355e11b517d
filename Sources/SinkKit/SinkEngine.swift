package import Journal
package import Model
import Synchronization

/// The sinks of a node: starts, changes and stops them one by one, and gives each the rows that are meant for it.
package final class SinkEngine: Sendable, MetricSource {
    private struct Entry {
        var uid: String
        var buffer: SinkBuffer
        /// Nil while it is switched off or being changed: rows wait in the buffer.
        var host: SinkHost?
        var configuration: SinkConfiguration
    }

    package let types: [any Sink.Type]
    private let directory: String
    private let files: any FileSystem
    private let environment: SinkEnvironment
    private let onStatus: @Sendable (_ sink: String, SinkStatus) -> Void
    private let entries = Mutex<[String: Entry]>([:])

    /// `directory` is made when the first sink needs it.
    package init(
        types: [any Sink.Type], directory: String, files: any FileSystem, environment: SinkEnvironment,
        onStatus: @escaping @Sendable (_ sink: String, SinkStatus) -> Void = { _, _ in }
    ) {
        self.types = types
        self.directory = directory
        self.files = files
        self.environment = environment
        self.onStatus = onStatus
    }

    package var names: [String] { entries.withLock { $0.keys.sorted() } }
    package func hasSink(_ name: String) -> Bool { entries.withLock { $0[name] != nil } }

    /// Hands a row, a JSON object, over; never blocks. False: it was refused, which the sink counts if it is there.
    package func offer(_ row: Bytes, sink: String) -> Bool {
        entries.withLock { $0[sink]?.buffer }?.offer(row) ?? false
    }

    /// Starts the sink, or changes the one with this uid, whatever it was called. Rows that come meanwhile wait.
    package func apply(_ configuration: SinkConfiguration, uid: String) async throws(Problem) {
        guard let type = types.first(where: { $0.descriptor.type == configuration.type }) else {
            throw Problem(
                "sink.type", "there is no sink of type \"\(configuration.type)\"", ["type": configuration.type])
        }
        let old = entries.withLock { entries in entries.first { $0.value.uid == uid } }
        let buffer: SinkBuffer
        if let old {
            guard old.value.configuration != configuration || old.value.host == nil && configuration.isEnabled else {
                return
            }
            if let host = old.value.host {
                entries.withLock { $0[old.key]?.host = nil }
                await host.stop()
            }
            buffer = old.value.buffer
            try await buffer.change(configuration.buffer)
        } else {
            buffer = try SinkBuffer(
                directory: FilePath.join(directory, uid), policy: configuration.buffer, files: files,
                time: environment.time, random: environment.random)
        }
        var entry = Entry(uid: uid, buffer: buffer, host: nil, configuration: configuration)
        let publish = { (entry: Entry) in
            self.entries.withLock { entries in
                if let old, old.key != configuration.name { entries[old.key] = nil }
                entries[configuration.name] = entry
            }
        }
        publish(entry)
        guard configuration.isEnabled else { return onStatus(configuration.name, SinkStatus(.stopped)) }
        let name = configuration.name
        let onStatus = onStatus
        let host: SinkHost
        do throws(Problem) {
            host = try SinkHost(configuration, type: type, buffer: buffer, environment: environment) {
                onStatus(name, $0)
            }
        } catch {
            // Of what was never there, nothing remains.
            if old == nil {
                entries.withLock { $0[name] = nil }
                await buffer.close()
            }
            throw error
        }
        entry.host = host
        publish(entry)
        host.start()
    }

    /// Stops the sink and removes what waits in its buffer. Idempotent.
    package func remove(uid: String) async throws(Problem) {
        guard let (name, entry) = entries.withLock({ entries in entries.first { $0.value.uid == uid } }) else { return }
        entries.withLock { $0[name] = nil }
        await entry.host?.stop()
        if let problem = await entry.buffer.remove() { throw problem }
    }

    /// Stops all; what waits stays on disk.
    package func stop() async {
        let all = entries.withLock { entries in
            defer { entries = [:] }
            return Array(entries.values)
        }
        await withTaskGroup { group in
            for entry in all {
                group.addTask {
                    await entry.host?.stop()
                    await entry.buffer.close()
                }
            }
        }
    }

    package func status(_ name: String) -> SinkStatus? {
        guard let entry = entries.withLock({ $0[name] }) else { return nil }
        return entry.host?.status ?? SinkStatus(.stopped)
    }

    package func report(_ name: String) -> SinkReport? {
        guard let entry = entries.withLock({ $0[name] }) else { return nil }
        if let host = entry.host { return host.report }
        var report = SinkReport()
        let counts = entry.buffer.intake.counts
        report.offered = counts.offered
        report.refused = counts.refused
        report.bytesOnDisk = entry.buffer.journal.stats.bytesOnDisk
        report.status = SinkStatus(.stopped)
        return report
    }

    /// The newest rows that the other side did not take, newest first; nil if there is no such sink.
    package func refused(_ name: String, limit: Int) -> [SetApartRow]? {
        entries.withLock { $0[name]?.buffer }?.refused.newest(limit)
    }

    /// Whether the sink could work as configured: everything that a start would do short of writing.
    package func test(_ configuration: SinkConfiguration) async throws(Problem) -> SinkHealth {
        guard let type = types.first(where: { $0.descriptor.type == configuration.type }) else {
            throw Problem(
                "sink.type", "there is no sink of type \"\(configuration.type)\"", ["type": configuration.type])
        }
        let sink = try type.init(
            configuration.connection,
            target: SinkTarget(
                name: configuration.name, options: configuration.options, columns: try configuration.mapping().columns),
            environment: environment)
        return await sink.probe()
    }

    package func collect() async -> [MetricSample] {
        names.flatMap { name in report(name)?.metrics(sink: name) ?? [] }
    }
}

extension SinkEngine {
    /// For tests of crashes: rows of the sink that are durable; and letting go of everything without a goodbye.
    func journaled(_ name: String) -> UInt64? { entries.withLock { $0[name]?.buffer }?.intake.counts.journaled }

    func abandon() async {
        let hosts = entries.withLock { entries in
            defer { entries = [:] }
            return entries.values.compactMap(\.host)
        }
        for host in hosts { await host.stop() }
    }
}
