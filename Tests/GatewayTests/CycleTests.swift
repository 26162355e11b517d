import Bus
import Gateway
import Model
import NIOCore
import Synchronization
import Testing

@Suite struct CycleTests {
    private let topic = "tundish/press/fast"

    @Test("a group publishes all its tags at each interval on its topic")
    func publishes() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("the first cycle comes with the connection") { f.bus.batches(topic).count == 1 }
        for count in 2...4 {
            await f.pass(.seconds(1))
            await f.eventually("cycle \(count)") { f.bus.batches(topic).count == count }
        }
        let batch = try #require(f.bus.batches(topic).last)
        #expect(batch.statuses == nil)
        #expect(batch.value(0) == .float64(1))
        #expect(batch.value(1) == .int(2))
        #expect(f.bus.published.last?.payload.bytes.string.contains("\"values\":{\"a\":1") == true)
        #expect(await f.gateway.status(device: "press")?.state == .connected)
        await f.end()
    }

    @Test("a cycle that comes late is skipped and counted, never queued")
    func skips() async throws {
        let f = Fixture()
        f.change { $0.isHolding = true }
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("reading") { f.toy.held.count == 1 }
        await f.pass(.seconds(5))
        #expect(f.toy.reads == 1)
        ToyWorld.shared.release(f.host)
        await f.eventually("published") { f.bus.batches(topic).count == 1 }
        let skipped = await f.gateway.diagnostics(device: "press")?.groups.first?.skipped ?? 0
        #expect(skipped == 5)
        await f.pass(.seconds(1))
        await f.eventually("the next") { f.bus.batches(topic).count == 2 }
        #expect(f.toy.reads == 2)
        await f.end()
    }

    @Test("while a device is away each cycle publishes errors, and reconnecting slows down from 0.5 s to 5 s")
    func absence() async throws {
        let f = Fixture()
        f.change { $0.isReachable = false }
        try await f.gateway.apply(f.device([f.group("fast", .seconds(1))]))
        await f.eventually("told") { await f.gateway.status(device: "press")?.state == .disconnected }
        #expect(f.toy.connects == 1)
        var expected = 1
        for milliseconds in [500, 1000, 2000, 4000, 5000, 5000] {
            await f.pass(.milliseconds(Int64(milliseconds - 1)))
            await f.eventually("settled") { true }
            #expect(f.toy.connects == expected)
            await f.pass(.milliseconds(1))
            expected += 1
            let connects = expected
            await f.eventually("attempt \(connects)") { f.toy.connects == connects }
            await f.eventually("it failed") {
                await f.gateway.diagnostics(device: "press")?.status.state == .disconnected
            }
        }
        let batch = try #require(f.bus.batches(topic).last)
        #expect(batch.quality(0) == .badNoCommunication && batch.quality(1) == .badNoCommunication)
        #expect(f.bus.batches(topic).count >= 15)
        f.change { $0.isReachable = true }
        await f.pass(.seconds(5))
        await f.eventually("back") { await f.gateway.status(device: "press")?.state == .connected }
        #expect(f.bus.batches(topic).last?.quality(0) == .good)
        await f.end()
    }

    @Test("a lost connection is told with the device's name and made again")
    func loss() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("connected") { f.bus.batches(topic).count == 1 }
        f.toy.drop?()
        await f.eventually("told") { f.statuses.all.last?.state == .disconnected }
        #expect(f.statuses.all.last?.message == "device \"press\", gone")
        #expect(f.toy.closes == 1)
        await f.pass(.milliseconds(500))
        await f.eventually("back") { f.statuses.all.last?.state == .connected }
        #expect(f.toy.connects == 2)
        #expect(
            await f.gateway.diagnostics(device: "press")?.counters.contains(CounterReading("reconnects", 1)) == true)
        await f.end()
    }

    @Test("a bad address fails its tag alone, and the status says which and why")
    func badAddress() async throws {
        let f = Fixture()
        let tags = [
            TagConfiguration(name: "good", address: "a", type: ValueType(.float64)),
            TagConfiguration(name: "flow", address: "!x", type: ValueType(.float64)),
        ]
        let device = f.device([f.group("fast", .seconds(1), tags)])
        #expect(
            f.gateway.check(device).map(\.message) == [
                "device \"press\", tag \"flow\", address \"!x\", column 1: must not begin with \"!\""
            ])
        try await f.gateway.apply(device)
        await f.eventually("degraded") { f.statuses.all.last?.state == .degraded }
        #expect(
            f.statuses.all.last?.message
                == "device \"press\", tag \"flow\", address \"!x\", column 1: must not begin with \"!\" (1 of 2 tags are bad)"
        )
        #expect(f.bus.batches(topic).last?.quality(0) == .good)
        #expect(f.bus.batches(topic).last?.quality(1) == .badAddressInvalid)
        await f.end()
    }

    @Test("samples that come by themselves are scaled, published and kept")
    func unsolicited() async throws {
        let f = Fixture()
        let tags = [
            TagConfiguration(name: "a", address: "a", type: ValueType(.int16), scaling: Scaling(scale: 0.1)),
            TagConfiguration(name: "b", address: "b", type: ValueType(.int16)),
        ]
        try await f.gateway.apply(f.device([f.group("fast", .seconds(1), tags)], driver: "toy_events"))
        await f.eventually("subscribed") { await f.gateway.status(device: "press") != nil && f.toy.report != nil }
        await f.eventually("a sample arrives") {
            f.toy.report?("a", 234)
            return !f.bus.batches(topic).isEmpty
        }
        let batch = try #require(f.bus.batches(topic).first)
        #expect(batch.count == 1)
        #expect(batch.value(0) == .float64(23.4))
        await f.eventually("kept") {
            await f.gateway.latest(device: "press", group: "fast", tag: "a")?.value == .float64(23.4)
        }
        #expect(f.toy.reads == 0)
        await f.end()
    }

    @Test("a batch that the bus does not take is counted")
    func publishDropped() async throws {
        let f = Fixture()
        f.bus.state.withLock { $0.isFull = true }
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("counted") { await f.gateway.summary().publishDropped == 1 }
        await f.end()
    }
}
