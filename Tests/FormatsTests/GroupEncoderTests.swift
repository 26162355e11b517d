import Bus
import Model
import Testing

@testable import Formats

@Suite("Group formats")
struct GroupEncoderTests {
    let modbus = StatusDomain(
        number: 1, names: [2: StatusName(code: "modbus.illegal_data_address", message: "illegal data address")])

    func descriptor() -> BatchDescriptor {
        BatchDescriptor(
            device: "press-1", deviceUID: "u", group: "fa\"st",
            tags: [
                Tag(name: "temperature", type: ValueType(.float32)), Tag(name: "flow", type: ValueType(.uint16)),
                Tag(name: "count", type: ValueType(.uint64)), Tag(name: "on", type: ValueType(.bool)),
                Tag(name: "text", type: ValueType(.string)), Tag(name: "raw", type: ValueType(.bytes)),
                Tag(name: "list", type: ValueType(.float64, arrayCount: 2)),
                Tag(name: "at", type: ValueType(.timestamp)),
            ], statusDomain: modbus)
    }

    func batch(_ descriptor: BatchDescriptor, list: [Double] = [1, 2.5]) -> SampleBatch {
        let time = Timestamp(milliseconds: 1_767_225_600_000)
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: time)
        builder.set(tag: 0, value: .float32(71.5))
        builder.fail(tag: 1, Quality(.badAddressUnknown, domain: 1, native: 2))
        builder.set(tag: 2, value: .uint(.max), quality: .uncertainLastUsable)
        builder.set(tag: 3, value: .bool(true))
        builder.set(tag: 4, value: .string("a\"ä"))
        builder.set(tag: 5, value: .bytes([1, 0xAB]))
        builder.set(tag: 6, value: .array(list.map { .float64($0) }))
        builder.set(tag: 7, value: .timestamp(time))
        return builder.finish()
    }

    func text(_ format: String, _ dialect: String? = nil, _ batch: SampleBatch) throws -> String {
        try makeEncoder(format: format, dialect: dialect, descriptor: batch.descriptor).encode(batch).string
    }

    @Test("values: a tag is among the values or the errors; other quality than good is named")
    func values() throws {
        #expect(
            try text("values", nil, batch(descriptor())) == """
                {"device":"press-1","group":"fa\\"st","timestamp":1767225600000,"values":{"temperature":71.5,\
                "count":18446744073709551615,"on":true,"text":"a\\"ä","raw":"01ab","list":[1.0,2.5],"at":"2026-01-01T00:00:00Z"},\
                "quality":{"count":"uncertain.last_usable"},\
                "errors":{"flow":{"code":"modbus.illegal_data_address","native":2,"message":"illegal data address"}}}
                """)
    }

    @Test("NaN and infinity become null with an error")
    func notANumber() throws {
        let descriptor = BatchDescriptor(
            device: "d", deviceUID: "u", group: "g",
            tags: [Tag(name: "x", type: ValueType(.float32)), Tag(name: "y", type: ValueType(.float64, arrayCount: 2))])
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(milliseconds: 1))
        builder.set(tag: 0, value: .float32(.nan))
        builder.set(tag: 1, value: .array([.float64(1), .float64(.infinity)]))
        let batch = builder.finish()
        let error = "{\"code\":\"value.not_a_number\",\"message\":\"not a finite number\"}"
        #expect(
            try text("values", nil, batch)
                == "{\"device\":\"d\",\"group\":\"g\",\"timestamp\":1,\"values\":{\"x\":null,\"y\":[1.0,null]},\"errors\":{\"x\":\(error),\"y\":\(error)}}"
        )
        #expect(
            try text("tags", nil, batch).contains(
                "{\"name\":\"x\",\"value\":null,\"error\":\(error),\"quality\":\"value.not_a_number\",\"timestamp\":1}")
        )
        #expect(
            try text("values", "neuron", batch)
                == "{\"timestamp\":1,\"node\":\"d\",\"group\":\"g\",\"values\":{\"y\":[1.0,null]},\"errors\":{\"x\":3007},\"metas\":{}}"
        )
    }

    @Test("tags carries value, quality and source time of each; ecp value and type")
    func tags() throws {
        let tags = try JSONValue(parsing: text("tags", nil, batch(descriptor())))
        #expect(
            tags["tags"]?[0]
                == .object([
                    "name": "temperature", "value": .number(71.5), "quality": "good", "timestamp": 1_767_225_600_000,
                ]))
        #expect(tags["tags"]?[1]?["error"]?["native"] == 2)
        #expect(tags["tags"]?[1]?["quality"] == "modbus.illegal_data_address")
        #expect(tags["tags"]?[2]?["quality"] == "uncertain.last_usable")
        let ecp = try JSONValue(parsing: text("ecp", nil, batch(descriptor())))
        #expect(ecp["tags"]?.array?.map { $0["type"]?.integer ?? 0 } == [3, 2, 2, 1, 4, 4, 3, 4])
    }

    @Test("Neuron's dialect gives Neuron's shapes and numbers")
    func neuron() throws {
        let batch = batch(descriptor())
        let values = try text("values", "neuron", batch)
        #expect(
            values.hasPrefix(
                "{\"timestamp\":1767225600000,\"node\":\"press-1\",\"group\":\"fa\\\"st\",\"values\":{\"temperature\":71.5,\"count\":"
            ))
        #expect(values.hasSuffix("\"errors\":{\"flow\":2201},\"metas\":{}}"))
        let tags = try text("tags", "neuron", batch)
        #expect(
            tags.contains("\"tags\":[{\"name\":\"temperature\",\"value\":71.5},{\"name\":\"flow\",\"error\":2201},"))
        let ecp = try text("ecp", "neuron", batch)
        #expect(
            ecp.contains(
                "\"tags\":[{\"name\":\"temperature\",\"type\":3,\"value\":71.5},{\"name\":\"count\",\"type\":2,"))
        #expect(!ecp.contains("flow"))
    }

    @Test("of several samples of a tag, values has the last and tags has all")
    func sparse() throws {
        let descriptor = descriptor()
        let builder = SampleBatchBuilder(sparse: descriptor, timestamp: Timestamp(milliseconds: 5))
        builder.set(tag: 0, value: .float32(1))
        builder.set(tag: 3, value: .bool(false))
        builder.set(tag: 0, value: .float32(2))
        builder.setSourceTime(tag: 0, Timestamp(milliseconds: 4))
        let batch = builder.finish()
        #expect(try text("values", nil, batch).contains("\"values\":{\"on\":false,\"temperature\":2.0}}"))
        #expect(
            try JSONValue(parsing: text("tags", nil, batch))["tags"]?.array?.map { $0["timestamp"]?.integer } == [
                5, 5, 4,
            ])
    }

    @Test("a batch of another descriptor is still complete in itself")
    func otherDescriptor() throws {
        let encoder = try makeEncoder(descriptor: descriptor())
        let other = batch(descriptor())
        #expect(encoder.encode(other).string == (try text("values", nil, other)))
    }

    @Test("unknown formats and dialects name what there is")
    func unknown() {
        func message(_ format: String, _ dialect: String? = nil) -> String {
            do throws(Problem) { _ = try makeEncoder(format: format, dialect: dialect, descriptor: descriptor()) } catch
            { return error.message }
            return ""
        }
        #expect(message("xml") == "unknown format \"xml\"; known are values, tags, ecp")
        #expect(message("sparkplug") == "format \"sparkplug\" is not yet available; use one of values, tags, ecp")
        #expect(message("values", "x") == "unknown dialect \"x\" of format \"values\"; known are tundish, neuron")
    }
}

@Suite("Writes")
struct WriteFormatTests {
    @Test("an object of tags and values, in order")
    func plain() throws {
        let command = try WriteFormat.decode(
            Bytes("{\"a\":1,\"b\":2.5,\"c\":true,\"d\":\"x\",\"e\":[1,2],\"f\":18446744073709551615}"))
        #expect(
            command.values == [
                WriteItem("a", .int(1)), WriteItem("b", .float64(2.5)), WriteItem("c", .bool(true)),
                WriteItem("d", .string("x")),
                WriteItem("e", .array([.int(1), .int(2)])), WriteItem("f", .uint(.max)),
            ])
    }

    @Test("Neuron's requests, one tag or several")
    func neuron() throws {
        let one = try WriteFormat.decode(
            Bytes("{\"uuid\":\"u\",\"node\":\"n\",\"group\":\"g\",\"tag\":\"t\",\"value\":7}"), dialect: .neuron)
        #expect(one == WriteCommand(uuid: "u", device: "n", group: "g", values: [WriteItem("t", .int(7))]))
        let two = try WriteFormat.decode(
            Bytes("{\"uuid\":\"u\",\"tags\":[{\"tag\":\"t\",\"value\":7},{\"tag\":\"s\",\"value\":false}]}"),
            dialect: .neuron)
        #expect(two.values == [WriteItem("t", .int(7)), WriteItem("s", .bool(false))])
    }

    static let refused: [(String, String)] = [
        ("{", "the write is not JSON: byte 2: expected a key in double quotes"),
        ("[1]", "the write cannot be understood: expected an object such as {\"setpoint\": 42}, not a list"),
        ("{}", "the write cannot be understood: it names no tag"),
        (
            "{\"a\":null}",
            "the write cannot be understood: tag \"a\": null cannot be written; allowed are numbers, true, false, text and lists of them"
        ),
    ]

    @Test("what cannot be understood is refused with the reason", arguments: refused)
    func refusal(_ pair: (String, String)) {
        #expect { try WriteFormat.decode(Bytes(pair.0)) } throws: { ($0 as? Problem)?.message == pair.1 }
    }

    @Test("the answer says what became of each tag")
    func result() {
        let results = [
            WriteResult("setpoint", .success(.int(42))),
            WriteResult("mode", .failure(Problem("device.timeout", "no answer"))),
        ]
        let time = Timestamp(milliseconds: 9)
        #expect(
            WriteFormat.encodeResult(device: "d", group: "g", timestamp: time, results: results).string
                == "{\"device\":\"d\",\"group\":\"g\",\"timestamp\":9,\"results\":{\"setpoint\":{\"value\":42},\"mode\":{\"error\":{\"code\":\"device.timeout\",\"message\":\"no answer\"}}}}"
        )
        #expect(
            WriteFormat.encodeResult(
                device: "d", group: "g", timestamp: time, results: results, dialect: .neuron, uuid: "u"
            ).string
                == "{\"uuid\":\"u\",\"tags\":[{\"tag\":\"setpoint\",\"error\":0},{\"tag\":\"mode\",\"error\":3015}]}")
        #expect(
            WriteFormat.encodeResult(
                device: "d", group: "g", timestamp: time, results: [results[0]], dialect: .neuron, uuid: "u"
            ).string
                == "{\"uuid\":\"u\",\"error\":0}")
    }
}
