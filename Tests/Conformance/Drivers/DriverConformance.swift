package import DriverKit
package import Model
package import NIOCore

/// The other end that a driver's tests bring along: a device with known contents and faults on demand.
package protocol DriverPeer: Sendable {
    /// The `connection:` that reaches it, with a time-out of at most a few hundred milliseconds.
    var settings: ConfigValue { get }

    /// Tags that can be read, of every type the driver has, with what they hold.
    var readable: [(spec: TagSpec, value: Value)] { get }
    /// Tags that can be written, with a value other than the present one.
    var writable: [(spec: TagSpec, value: Value)] { get }
    /// Well-formed tags, next to readable ones, that the device does not have.
    var missing: [TagSpec] { get }
    /// Tags whose address the driver must refuse.
    var malformed: [TagSpec] { get }
    /// A write that the device refuses.
    var refused: TagWrite? { get }
    /// Tags that take many requests to read.
    var long: [TagSpec] { get }

    func start() async throws
    func stop() async
    /// Ends every connection, and accepts new ones.
    func dropConnections() async
    /// Keeps connections open and answers nothing, or answers again.
    func setSilent(_ isSilent: Bool)
    /// Each answer takes so long.
    func setDelay(_ delay: TimeAmount)
    var openConnections: Int { get }
}

/// What any driver must do. Each is run against a fresh peer.
package enum DriverCheck: String, CaseIterable, Sendable {
    case readsValuesOfEveryType
    case writesAndReadsBack
    case refusesMalformedAddressesAlone
    case reportsWhyItCannotConnect
    case reconnectsAfterALoss
    case badAddressLosesNoNeighbours
    case badAddressLosesNoNeighboursInLaterCycles
    case silentDeviceTimesOutForEveryTag
    case silentDeviceComesBack
    case writeGoesAheadOfALongRead
    case refusedWriteLosesNoNeighbours
    case closeEndsWhatIsOutstanding
    case readsNothingWhileClosed
    case leaksNothing
}

package struct ConformanceFailure: Error, CustomStringConvertible {
    package var description: String
}

/// Runs one check; throws `ConformanceFailure` where the driver fails it.
package func checkDriver(
    _ check: DriverCheck, _ type: any Driver.Type, peer: any DriverPeer, on loop: any EventLoop
) async throws {
    try await peer.start()
    let suite = Suite(check: check, type: type, peer: peer, host: DriverHost(on: loop))
    do {
        try await suite.run()
    } catch {
        await suite.host.close()
        await peer.stop()
        throw error
    }
    await suite.host.close()
    await peer.stop()
}

private struct Suite {
    let check: DriverCheck
    let type: any Driver.Type
    let peer: any DriverPeer
    let host: DriverHost

    func run() async throws {
        try await host.make(type, peer.settings)
        switch check {
        case .readsValuesOfEveryType: try await readsValues()
        case .writesAndReadsBack: try await writesAndReadsBack()
        case .refusesMalformedAddressesAlone: try await refusesMalformed()
        case .reportsWhyItCannotConnect: try await reportsWhyItCannotConnect()
        case .reconnectsAfterALoss: try await reconnects()
        case .badAddressLosesNoNeighbours: try await badAddress(cycles: 1)
        case .badAddressLosesNoNeighboursInLaterCycles: try await badAddress(cycles: 3)
        case .silentDeviceTimesOutForEveryTag: try await silent()
        case .silentDeviceComesBack: try await comesBack()
        case .writeGoesAheadOfALongRead: try await writeGoesAhead()
        case .refusedWriteLosesNoNeighbours: try await refusedWrite()
        case .closeEndsWhatIsOutstanding: try await closeEnds()
        case .readsNothingWhileClosed: try await closed()
        case .leaksNothing: try await leaksNothing()
        }
    }

    private func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw ConformanceFailure(description: "\(check.rawValue): \(text())") }
    }

    /// Waits for a condition, with a deadline.
    private func eventually(_ text: String, _ condition: () async -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while await !condition() {
            try require(ContinuousClock.now < deadline, "\(text) within 10 s")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private func requireGood(_ batch: SampleBatch, _ expected: [(spec: TagSpec, value: Value)]) throws {
        for (row, tag) in expected.enumerated() {
            let quality = batch.quality(row)
            try require(quality.isGood, "tag \(tag.spec.tag.name) \(tag.spec.address) is \(quality.name().code)")
            try require(
                batch.value(row) == tag.value,
                "tag \(tag.spec.tag.name) \(tag.spec.address) is \(batch.value(row)), not \(tag.value)")
        }
    }

    private func readsValues() async throws {
        try await host.connect()
        let tags = peer.readable
        try requireGood(await host.read(tags.map(\.spec)), tags)
        let types = Set(tags.map(\.spec.wireType.scalar))
        let forgotten = type.info.types.subtracting(types)
        try require(forgotten.isEmpty, "the peer has no tag of \(forgotten.map(\.name).sorted())")
    }

    private func writesAndReadsBack() async throws {
        try await host.connect()
        let tags = peer.writable
        let outcomes = await host.write(tags.map { TagWrite($0.spec, $0.value) })
        for (tag, outcome) in zip(tags, outcomes) {
            try require(outcome == .written, "writing \(tag.spec.address) gave \(outcome)")
        }
        try require(outcomes.count == tags.count, "\(outcomes.count) outcomes of \(tags.count) writes")
        try requireGood(await host.read(tags.map(\.spec)), tags)
    }

    private func refusesMalformed() async throws {
        try await host.connect()
        for tag in peer.malformed {
            guard let problem = await host.validate(tag) else {
                throw ConformanceFailure(description: "\(check.rawValue): \(tag.address) was accepted")
            }
            try require(
                problem.message.contains(tag.tag.name) && problem.message.contains(tag.address),
                "the message names neither tag nor address: \(problem.message)")
        }
        let good = peer.readable
        let batch = await host.read(good.map(\.spec) + peer.malformed)
        try requireGood(batch, good)
        for row in good.count..<batch.count {
            try require(
                batch.quality(row).standard == .badAddressInvalid, "row \(row) is \(batch.quality(row).name().code)")
        }
    }

    private func reportsWhyItCannotConnect() async throws {
        await peer.stop()
        do {
            try await host.connect()
            throw ConformanceFailure(description: "\(check.rawValue): connecting to nothing succeeded")
        } catch let problem as Problem {
            try require(problem.code == "device.unreachable", "the code is \(problem.code)")
        }
        await host.close()
        try await peer.start()
        try await host.connect()
        try requireGood(await host.read(peer.readable.map(\.spec)), peer.readable)
    }

    private func reconnects() async throws {
        try await host.connect()
        _ = await host.read(peer.readable.map(\.spec))
        await peer.dropConnections()
        try await eventually("the loss is told") { await !host.lost.isEmpty }
        let batch = await host.read(peer.readable.map(\.spec))
        for row in 0..<batch.count { try require(batch.quality(row).isBad, "row \(row) is good without a connection") }
        await host.close()
        try await host.connect()
        try requireGood(await host.read(peer.readable.map(\.spec)), peer.readable)
        let losses = await host.lost.count
        try require(losses == 1, "one loss was told \(losses) times")
    }

    private func badAddress(cycles: Int) async throws {
        try await host.connect()
        let good = peer.readable
        let batch = await host.read(good.map(\.spec) + peer.missing, cycles: cycles)
        try requireGood(batch, good)
        for row in good.count..<batch.count {
            try require(batch.quality(row).isBad, "a tag that the device does not have is good")
        }
    }

    private func silent() async throws {
        try await host.connect()
        peer.setSilent(true)
        let batch = await host.read(peer.readable.map(\.spec))
        for row in 0..<batch.count {
            try require(
                batch.quality(row).standard == .badTimeout, "row \(row) is \(batch.quality(row).name().code)")
        }
    }

    private func comesBack() async throws {
        try await host.connect()
        peer.setSilent(true)
        for _ in 0..<3 { _ = await host.read(peer.readable.map(\.spec)) }
        peer.setSilent(false)
        try await eventually("the tags are good again") {
            let batch = await host.read(peer.readable.map(\.spec))
            return (0..<batch.count).allSatisfy { batch.quality($0).isGood }
        }
    }

    private func writeGoesAhead() async throws {
        try await host.connect()
        guard let tag = peer.writable.first else { return }
        peer.setDelay(.milliseconds(40))
        let requests = await host.requestCount(peer.long)
        try require(requests >= 10, "the long read takes only \(requests) requests")
        let host = host
        let long = peer.long
        let reading = Task { () -> ContinuousClock.Instant in
            _ = await host.read(long)
            return .now
        }
        try await eventually("the read has begun") { await host.counters.requests > 0 }
        let before = await host.counters.responses
        let outcome = await host.write([TagWrite(tag.spec, tag.value)])
        let after = await host.counters.responses
        let written = ContinuousClock.now
        peer.setDelay(.zero)
        try require(outcome == [.written], "the write gave \(outcome)")
        // What was outstanding, the write itself, and what was asked between its answer and this look.
        try require(after - before <= 4, "the write waited for \(after - before) answers")
        let ended = await reading.value
        try require(ended > written, "the write waited for the whole read")
    }

    private func refusedWrite() async throws {
        guard let refused = peer.refused else { return }
        try await host.connect()
        let good = peer.writable
        let outcomes = await host.write([refused] + good.map { TagWrite($0.spec, $0.value) })
        try require(outcomes.first != .written, "the refused write is told as written")
        try require(outcomes.dropFirst().allSatisfy { $0 == .written }, "its neighbours gave \(outcomes.dropFirst())")
        try requireGood(await host.read(good.map(\.spec)), good)
    }

    private func closeEnds() async throws {
        try await host.connect()
        peer.setSilent(true)
        let host = host
        let tags = peer.readable.map(\.spec)
        let reading = Task { await host.read(tags) }
        try await eventually("the read has begun") { await host.counters.requests > 0 }
        await host.close()
        let batch = await reading.value
        for row in 0..<batch.count { try require(batch.quality(row).isBad, "row \(row) is good after close") }
        let losses = await host.lost.count
        try require(losses == 0, "the host's own close is told as a loss")
    }

    private func closed() async throws {
        let batch = await host.read(peer.readable.map(\.spec))
        for row in 0..<batch.count { try require(batch.quality(row).isBad, "row \(row) is good before connect") }
        if let tag = peer.writable.first {
            let outcomes = await host.write([TagWrite(tag.spec, tag.value)])
            try require(outcomes.count == 1 && outcomes[0] != .written, "a write before connect gave \(outcomes)")
        }
    }

    private func leaksNothing() async throws {
        for _ in 0..<3 {
            try await host.connect()
            _ = await host.read(peer.readable.map(\.spec))
            await host.close()
        }
        try await eventually("every connection is closed") { peer.openConnections == 0 }
        let isFree = await host.release()
        try require(isFree, "something still holds the driver after close")
    }
}
