import Bus
import Formats
import Gateway
import Model
import NIOCore
import Testing

@Suite struct WriteTests {
    private func running(_ f: Fixture, _ tags: [TagConfiguration]? = nil) async throws {
        try await f.gateway.start()
        try await f.gateway.apply(f.device([f.group("fast", .seconds(1), tags)]))
        await f.eventually("connected") { f.bus.batches("tundish/press/fast").count == 1 }
    }

    private func command(
        _ payload: String, may: Bool = true, properties: MessageProperties? = nil, device: String = "press"
    ) throws -> Message {
        Message(
            topic: try Topic("tundish/\(device)/fast/write"), payload: .bytes(Bytes(payload)), qos: .atLeastOnce,
            receivedAt: Timestamp(milliseconds: 0),
            origin: Origin(.client, clientID: "panel", mayWriteDevices: may), properties: properties)
    }

    @Test("a command from the bus is written and confirmed on the result topic")
    func command() async throws {
        let f = Fixture()
        try await running(f)
        f.bus.send(try command(#"{"a": 42.5, "b": -3, "c": 1}"#))
        let topic = "tundish/press/fast/write/result"
        await f.eventually("answered") { !f.bus.messages(topic).isEmpty }
        let text = f.bus.messages(topic).first?.payload.bytes.string ?? ""
        #expect(text.contains(#""results":{"a":{"value":42.5},"b":{"value":-3},"c":{"error":{"code":"tag.unknown""#))
        #expect(f.toy.written.map(\.0) == ["a", "b"])
        await f.end()
    }

    @Test("with a response topic the answer goes there with the correlation data")
    func responseTopic() async throws {
        let f = Fixture()
        try await running(f)
        let properties = MessageProperties(responseTopic: "panel/answers", correlationData: "c-1")
        f.bus.send(try command(#"{"a": 1}"#, properties: properties))
        await f.eventually("answered") { !f.bus.messages("panel/answers").isEmpty }
        let answer = f.bus.messages("panel/answers").first
        #expect(answer?.properties?.correlationData == "c-1")
        #expect(answer?.qos == .atLeastOnce)
        #expect(f.bus.messages("tundish/press/fast/write/result").isEmpty)
        await f.end()
    }

    @Test(
        "who may not write, what is not JSON and unknown devices get an answer that says so",
        arguments: [
            (#"{"a": 1}"#, false, "press", "write.not_permitted"), ("{", true, "press", "write.not_json"),
            (#"{"a": 1}"#, true, "nobody", "device.unknown"),
        ])
    func refusals(_ payload: String, _ may: Bool, _ device: String, _ code: String) async throws {
        let f = Fixture(host: "refusals-\(code)")
        try await running(f)
        f.bus.send(try command(payload, may: may, device: device))
        let topic = "tundish/\(device)/fast/write/result"
        await f.eventually("answered") { !f.bus.messages(topic).isEmpty }
        #expect(f.bus.messages(topic).first?.payload.bytes.string.contains("\"code\":\"\(code)\"") == true)
        #expect(f.toy.written.isEmpty)
        await f.end()
    }

    @Test("values are scaled back, rounded to what the device can hold and refused when out of range")
    func scaling() async throws {
        let f = Fixture()
        try await running(
            f,
            [
                TagConfiguration(
                    name: "level", address: "a", type: ValueType(.uint8), access: .readWrite,
                    scaling: Scaling(scale: 0.5)),
                TagConfiguration(name: "fixed", address: "b", type: ValueType(.int16)),
            ])
        let results = await f.gateway.write(
            device: "press", group: "fast",
            values: [
                WriteItem("level", .float64(10.2)), WriteItem("level", .int(200)), WriteItem("level", .string("x")),
                WriteItem("fixed", .int(1)),
            ])
        #expect(results[0].value == .float64(10))
        #expect(f.toy.written.map(\.1) == [.uint(20)])
        #expect(
            results[1].problem?.message
                == "device \"press\", tag \"level\": 200 does not fit uint8; allowed is 0 to 127.5")
        #expect(results[2].problem?.code == "value.type_mismatch")
        #expect(results[3].problem?.code == "tag.not_writable")
        await f.end()
    }

    @Test("writes beyond the bound are refused at once")
    func bound() async throws {
        let f = Fixture()
        try await running(f)
        f.change { $0.isHolding = true }
        let gateway = f.gateway
        let pending = (0..<256).map { _ in
            Task { await gateway.write(device: "press", group: "fast", values: [WriteItem("a", .int(1))]) }
        }
        await f.eventually("all wait") { f.toy.held.count == 256 }
        let refused = await f.gateway.write(device: "press", group: "fast", values: [WriteItem("a", .int(1))])
        #expect(refused.first?.problem?.code == "write.queue_full")
        ToyWorld.shared.release(f.host)
        for task in pending { #expect(await task.value.first?.problem == nil) }
        await f.end()
    }

    @Test("writing to a device that is away says so")
    func away() async throws {
        let f = Fixture()
        f.change { $0.isReachable = false }
        try await f.gateway.apply(f.device([f.group()]))
        await f.eventually("away") { await f.gateway.status(device: "press")?.state == .disconnected }
        let results = await f.gateway.write(device: "press", group: "fast", values: [WriteItem("a", .int(1))])
        #expect(results.first?.problem?.code == "device.unreachable")
        await f.end()
    }

    @Test("one tag can be read now, and tags can be searched with their latest values")
    func reading() async throws {
        let f = Fixture()
        try await running(f)
        f.change { $0.values["a"] = 9 }
        #expect(try await f.gateway.read(device: "press", group: "fast", tag: "a").value == .float64(9))
        await #expect(throws: Problem.self) { try await f.gateway.read(device: "press", group: "fast", tag: "z") }
        let found = await f.gateway.tags(filter: "FAST/B")
        #expect(found.total == 1)
        #expect(found.items.first?.value == .int(2))
        #expect(await f.gateway.tags(limit: 1, offset: 1).items.map(\.tag.name) == ["b"])
        await f.end()
    }

    @Test("a tag that can only be written is in no batch, is no error, and can be written")
    func writeOnly() async throws {
        let f = Fixture()
        try await running(
            f,
            [
                TagConfiguration(name: "a", address: "a", type: ValueType(.float64)),
                TagConfiguration(name: "reset", address: "b", type: ValueType(.bool), access: .write),
            ])
        #expect(f.bus.batches("tundish/press/fast").first?.count == 1)
        #expect(await f.gateway.status(device: "press")?.state == .connected)
        let results = await f.gateway.write(device: "press", group: "fast", values: [WriteItem("reset", .bool(true))])
        #expect(results.first?.value == .bool(true))
        #expect(await f.gateway.tags().items.map(\.tag.name) == ["a", "reset"])
        #expect(await f.gateway.latest(device: "press", group: "fast", tag: "reset")?.quality == .badNotReadable)
        await #expect(throws: Problem.self) { try await f.gateway.read(device: "press", group: "fast", tag: "reset") }
        await f.end()
    }
}
