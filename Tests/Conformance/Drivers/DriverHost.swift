package import DriverKit
package import Model
package import NIOCore

/// Runs one driver on its event loop, as the gateway does, for tests.
package actor DriverHost {
    package nonisolated let loop: any EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    private var driver: (any Driver)?
    /// Losses of the connection that the driver told of.
    package private(set) var lost: [Problem] = []

    package init(on loop: any EventLoop) { self.loop = loop }

    package func make(
        _ type: any Driver.Type, _ settings: ConfigValue, links: any LinkConnector = TCPConnector()
    ) throws(Problem) {
        driver = try type.init(
            DriverContext(
                device: "device", eventLoop: loop, time: SystemTime(), random: SeededRandom(seed: 1), links: links),
            settings: settings)
    }

    package func connect() async throws(Problem) {
        guard let driver else { throw Problem("test", "no driver was made") }
        try await driver.connect(
            DriverEvents(samples: { _, _ in }, connectionLost: { problem in self.lost.append(problem) }))
    }

    package func validate(_ tag: TagSpec) -> Problem? { driver?.validate(tag) }

    /// Reads the tags once, planned afresh.
    package func read(_ tags: [TagSpec]) async -> SampleBatch {
        await read(tags, cycles: 1)
    }

    /// Reads the tags several times by one plan; the last batch.
    package func read(_ tags: [TagSpec], cycles: Int) async -> SampleBatch {
        let descriptor = Self.descriptor(tags)
        var builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(milliseconds: 0))
        guard let driver else { return builder.finish() }
        let plan = driver.plan(tags, descriptor)
        for cycle in 0..<cycles {
            if cycle > 0 { builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(milliseconds: 0)) }
            await driver.read(plan, into: builder)
        }
        return builder.finish()
    }

    package func requestCount(_ tags: [TagSpec]) -> Int {
        driver?.plan(tags, Self.descriptor(tags)).requestCount ?? 0
    }

    package func write(_ items: [TagWrite]) async -> [TagWriteOutcome] { await driver?.write(items) ?? [] }

    package var counters: DriverCounters { driver?.counters ?? DriverCounters() }

    package func close() { driver?.close() }

    /// Closes and lets go; true if nothing else holds the driver.
    package func release() -> Bool {
        driver?.close()
        weak let watched = driver
        driver = nil
        return watched == nil
    }

    private static func descriptor(_ tags: [TagSpec]) -> BatchDescriptor {
        BatchDescriptor(device: "device", deviceUID: "uid", group: "group", tags: tags.map(\.tag))
    }
}
