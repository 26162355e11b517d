package import Model

/// What a client asks to be written to the tags of a group.
package struct WriteCommand: Sendable, Equatable {
    /// Neuron's request number, echoed in the answer; nil in Tundish's own shape.
    package var uuid: String?
    /// The device that a Neuron request names; in Tundish's own shape the topic names it.
    package var device: String?
    package var group: String?
    /// In the order of the text.
    package var values: [WriteItem]

    package init(uuid: String? = nil, device: String? = nil, group: String? = nil, values: [WriteItem]) {
        self.uuid = uuid
        self.device = device
        self.group = group
        self.values = values
    }
}

package struct WriteItem: Sendable, Equatable {
    package var tag: String
    package var value: Value

    package init(_ tag: String, _ value: Value) {
        self.tag = tag
        self.value = value
    }
}

/// What became of one tag of a write.
package struct WriteResult: Sendable, Equatable {
    package var tag: String
    /// The value as the device has confirmed it, or why it was not written.
    package var outcome: Result<Value, Problem>

    package init(_ tag: String, _ outcome: Result<Value, Problem>) {
        self.tag = tag
        self.outcome = outcome
    }
}

package enum WriteFormat {
    package static let tagsMax = 10_000
    package static let limits = JSONLimits(depthMax: 8, bytesMax: 4 << 20)

    /// Reads `{"tag": value, ...}`; in Neuron's dialect `{"uuid","node","group","tag","value"}` or `"tags": [{"tag",
    /// "value"}, ...]`. Errors: `write.not_json`, `write.shape`.
    package static func decode(
        _ payload: Bytes, dialect: FormatDialect = .tundish
    ) throws(Problem) -> WriteCommand {
        let json: JSONValue
        do throws(JSONFailure) {
            json = try JSONValue(parsing: payload, limits: limits)
        } catch {
            throw Problem("write.not_json", "the write is not JSON: \(error)", ["reason": "\(error)"])
        }
        guard case .object(let members) = json else {
            throw shape("expected an object such as {\"setpoint\": 42}, not \(kind(json))")
        }
        let command = dialect == .neuron ? try neuron(json) : try plain(members)
        guard !command.values.isEmpty else { throw shape("it names no tag") }
        guard command.values.count <= tagsMax else {
            throw shape("it names \(command.values.count) tags; at most \(tagsMax) are allowed")
        }
        return command
    }

    private static func plain(_ members: [JSONMember]) throws(Problem) -> WriteCommand {
        var values: [WriteItem] = []
        for member in members { values.append(try item(member.key, member.value)) }
        return WriteCommand(values: values)
    }

    private static func neuron(_ json: JSONValue) throws(Problem) -> WriteCommand {
        var values: [WriteItem] = []
        if let tags = json["tags"]?.array {
            for entry in tags {
                guard let tag = entry["tag"]?.string ?? entry["name"]?.string, let value = entry["value"] else {
                    throw shape("each of \"tags\" needs \"tag\" and \"value\"")
                }
                values.append(try item(tag, value))
            }
        } else if let tag = json["tag"]?.string, let value = json["value"] {
            values.append(try item(tag, value))
        } else {
            throw shape("expected \"tag\" and \"value\", or \"tags\": [{\"tag\", \"value\"}, ...]")
        }
        return WriteCommand(
            uuid: json["uuid"]?.string, device: json["node"]?.string ?? json["node_name"]?.string,
            group: json["group"]?.string ?? json["group_name"]?.string, values: values)
    }

    private static func item(_ tag: String, _ json: JSONValue) throws(Problem) -> WriteItem {
        guard let value = json.value else {
            throw shape(
                "tag \"\(tag)\": \(kind(json)) cannot be written; allowed are numbers, true, false, text and lists of them"
            )
        }
        return WriteItem(tag, value)
    }

    private static func shape(_ reason: String) -> Problem {
        Problem("write.shape", "the write cannot be understood: \(reason)", ["reason": reason])
    }

    private static func kind(_ json: JSONValue) -> String {
        switch json {
        case .null: "null"
        case .bool: "true or false"
        case .integer, .unsigned, .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// The answer to a write. Neuron's is `{"uuid", "error": 0}`, or the errors of each tag where several were asked.
    package static func encodeResult(
        device: String, group: String, timestamp: Timestamp, results: [WriteResult],
        dialect: FormatDialect = .tundish, uuid: String? = nil
    ) -> Bytes {
        var writer = JSONWriter(capacity: 128 + results.count * 48)
        if dialect == .neuron {
            writeNeuron(results, uuid, &writer)
            return writer.bytes()
        }
        writer.raw("{\"device\":")
        writer.string(device)
        writer.raw(",\"group\":")
        writer.string(group)
        writer.raw(",\"timestamp\":")
        writer.integer(timestamp.milliseconds)
        writer.raw(",\"results\":{")
        for (index, result) in results.enumerated() {
            if index > 0 { writer.byte(UInt8(ascii: ",")) }
            writer.string(result.tag)
            switch result.outcome {
            case .success(let value):
                writer.raw(":{\"value\":")
                writer.value(value)
                writer.byte(UInt8(ascii: "}"))
            case .failure(let problem):
                writer.raw(":{\"error\":")
                writer.problem(problem)
                writer.byte(UInt8(ascii: "}"))
            }
        }
        writer.raw("}}")
        return writer.bytes()
    }

    /// The answer to a write that was refused as a whole.
    package static func encodeRefusal(
        device: String, group: String, timestamp: Timestamp, problem: Problem,
        dialect: FormatDialect = .tundish, uuid: String? = nil
    ) -> Bytes {
        var writer = JSONWriter()
        if dialect == .neuron {
            writeNeuron([WriteResult("", .failure(problem))], uuid, &writer)
            return writer.bytes()
        }
        writer.raw("{\"device\":")
        writer.string(device)
        writer.raw(",\"group\":")
        writer.string(group)
        writer.raw(",\"timestamp\":")
        writer.integer(timestamp.milliseconds)
        writer.raw(",\"error\":")
        writer.problem(problem)
        writer.byte(UInt8(ascii: "}"))
        return writer.bytes()
    }

    private static func writeNeuron(_ results: [WriteResult], _ uuid: String?, _ writer: inout JSONWriter) {
        writer.raw("{\"uuid\":")
        writer.string(uuid ?? "")
        let failed = results.contains { if case .failure = $0.outcome { true } else { false } }
        if results.count == 1 || !failed {
            writer.raw(",\"error\":")
            writer.integer(failed ? neuronWriteError(results.first) : 0)
        } else {
            writer.raw(",\"tags\":[")
            for (index, result) in results.enumerated() {
                if index > 0 { writer.byte(UInt8(ascii: ",")) }
                writer.raw("{\"tag\":")
                writer.string(result.tag)
                writer.raw(",\"error\":")
                writer.integer(neuronWriteError(result))
                writer.byte(UInt8(ascii: "}"))
            }
            writer.byte(UInt8(ascii: "]"))
        }
        writer.byte(UInt8(ascii: "}"))
    }

    private static func neuronWriteError(_ result: WriteResult?) -> Int {
        guard case .failure(let problem) = result?.outcome else { return 0 }
        switch problem.code {
        case "device.unreachable", "device.not_connected": return 3002
        case "tag.not_writable": return 3004
        case "value.type_mismatch": return 3007
        case "device.timeout": return 3015
        case "tag.unknown", "tag.address_unknown": return 2201
        case "write.not_json", "write.shape": return 1002
        default: return 3001
        }
    }
}

extension JSONWriter {
    /// `{"code":...,"message":...}`.
    package mutating func problem(_ problem: Problem) {
        raw("{\"code\":")
        string(problem.code)
        raw(",\"message\":")
        string(problem.message)
        byte(UInt8(ascii: "}"))
    }
}
