import Gateway
import Model
import NIOCore
import Testing

@Suite struct ApplyTests {
    @Test("another interval of one group neither reconnects nor disturbs the others")
    func interval() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group("fast", .seconds(1)), f.group("slow", .seconds(2))]))
        await f.eventually("both") {
            f.bus.batches("tundish/press/fast").count == 1 && f.bus.batches("tundish/press/slow").count == 1
        }
        try await f.gateway.apply(f.device([f.group("fast", .milliseconds(100)), f.group("slow", .seconds(2))]))
        for _ in 0..<20 {
            await f.pass(.milliseconds(100))
            await f.eventually("settled") { true }
        }
        await f.eventually("ten times as often") { f.bus.batches("tundish/press/fast").count >= 20 }
        await f.eventually("the other as before") { f.bus.batches("tundish/press/slow").count == 2 }
        #expect(f.toy.connects == 1)
        let revisions = Set(f.bus.batches("tundish/press/fast").map(\.descriptor.revision))
        #expect(revisions == [0])
        await f.end()
    }

    @Test("a new tag makes a new descriptor for its group only")
    func tags() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group("fast"), f.group("slow")]))
        await f.eventually("both") { f.bus.published.count == 2 }
        var changed = f.group("fast")
        changed.tags.append(TagConfiguration(name: "c", address: "a", type: ValueType(.float64)))
        try await f.gateway.apply(f.device([changed, f.group("slow")]))
        await f.eventually("the new tag") { f.bus.batches("tundish/press/fast").last?.count == 3 }
        await f.pass(.seconds(1))
        await f.eventually("the other") { f.bus.batches("tundish/press/slow").count == 2 }
        #expect(Set(f.bus.batches("tundish/press/slow").map { ObjectIdentifier($0.descriptor) }).count == 1)
        #expect(f.toy.connects == 1)
        await f.end()
    }

    @Test("a group that is gone stops, one that is new starts")
    func groups() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group("fast")]))
        await f.eventually("first") { f.bus.published.count == 1 }
        try await f.gateway.apply(f.device([f.group("other")]))
        await f.eventually("new") { f.bus.batches("tundish/press/other").count == 1 }
        await f.pass(.seconds(3))
        await f.eventually("settled") { true }
        #expect(f.bus.batches("tundish/press/fast").count == 1)
        await f.end()
    }

    @Test("another connection restarts the device")
    func connection() async throws {
        let f = Fixture()
        let other = f.host + "-other"
        ToyWorld.shared.change(other) { $0.values = ["a": 5, "b": 6] }
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("first") { f.bus.published.count == 1 }
        try await f.gateway.apply(f.device([f.group()], host: other))
        await f.eventually("other values") { f.bus.batches("tundish/press/fast").last?.value(0) == .float64(5) }
        #expect(f.toy.closes >= 1)
        await f.end()
    }

    @Test("removing stops everything")
    func remove() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("first") { f.bus.published.count == 1 }
        await f.gateway.remove(device: "press")
        await f.pass(.seconds(10))
        #expect(f.bus.published.count == 1)
        #expect(f.statuses.all.last?.state == .stopped)
        #expect(await f.gateway.deviceNames.isEmpty)
        await f.end()
    }

    @Test("an unknown driver lists the known ones")
    func unknownDriver() async throws {
        let f = Fixture()
        do {
            try await f.gateway.apply(f.device([], driver: "modbus"))
            Issue.record("accepted")
        } catch {
            #expect(error.code == "driver.unknown")
            #expect(error.message == "device \"press\": there is no driver \"modbus\"; there are toy, toy_events")
        }
        await f.end()
    }

    @Test("an impossible topic is refused and what runs goes on")
    func badTopic() async throws {
        let f = Fixture()
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("first") { f.bus.published.count == 1 }
        var bad = f.group()
        bad.topic = "a/+/b"
        await #expect(throws: Problem.self) { try await f.gateway.apply(f.device([bad])) }
        await f.pass(.seconds(1))
        await f.eventually("goes on") { f.bus.batches("tundish/press/fast").count == 2 }
        await f.end()
    }

    @Test("a spec is read, with its defaults and its mistakes")
    func specs() throws {
        let tag: ConfigValue = .object([
            "name": .string("t"), "address": .string("1!40001"), "type": .string("int16"), "scale": .number(0.1),
            "access": .string("read-write"),
        ])
        let spec: ConfigValue = .object([
            "driver": .string("toy"), "connection": .object(["host": .string("h")]),
            "groups": .list([
                .object([
                    "name": .string("g"), "interval": .duration(100_000_000), "topic": .string("x/{device}/{group}/y"),
                    "report": .string("change"), "heartbeat": .duration(60_000_000_000), "deadband": .number(0.5),
                    "tags": .list([tag]),
                ])
            ]),
        ])
        let device = try DeviceConfiguration(name: "d", uid: "u", spec: spec)
        let group = try #require(device.groups.first)
        #expect(group.topicText(device: "d") == "x/d/g/y")
        #expect(group.report == .change(heartbeat: .seconds(60)))
        #expect(group.tags.first?.deadband == Deadband(absolute: 0.5))
        #expect(group.tags.first?.tag.type == ValueType(.float64))
        #expect(group.isRecorded)
        let twice: ConfigValue = .object([
            "driver": .string("toy"), "groups": .list([.object(["name": .string("g"), "tags": .list([tag, tag])])]),
        ])
        do {
            _ = try DeviceConfiguration(name: "d", uid: "u", spec: twice)
            Issue.record("accepted")
        } catch {
            #expect(error.message == "device \"d\", group \"g\": there are two tags \"t\"")
        }
    }
}
