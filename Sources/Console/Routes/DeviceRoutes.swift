import Formats
import HTTPTypes
import Model

/// Devices at work: diagnostics, tags with their newest values, writing; and rules at work.
extension API {
    static let tagPageMax = 10_000
    static let writeTagsMax = 10_000

    func deviceRoutes() -> [Route] {
        [
            Route(
                .get, "\(API.base)/devices/{name}/diagnostics", "devices", "What a device does", answer: "Diagnostics"
            ) { [services] request in
                let name = request.parameter("name")
                guard let report = await services.diagnostics(device: name) else {
                    throw Refusal.notFound("device", name)
                }
                return .json(report.json)
            }.needs(.read),
            Route(
                .get, "\(API.base)/rules/{name}/metrics", "rules", "What a rule does", answer: "RuleMetrics"
            ) { [services] request in
                let name = request.parameter("name")
                guard let metrics = await services.ruleMetrics(name) else { throw Refusal.notFound("rule", name) }
                return .json(metrics.json)
            }.needs(.read),
            Route(.get, "\(API.base)/tags", "data", "Tags and their newest values", answer: "TagPage", handler: tags)
                .with {
                    $0.access = .needs(.read)
                    $0.query = [
                        RouteParameter("filter", "string", "Text in device, group, tag, description or address"),
                        RouteParameter("device", "string", "Only of this device"),
                        RouteParameter("group", "string", "Only of this group"),
                        RouteParameter("limit", "integer", "Tags on a page, 200 by default"),
                        RouteParameter("offset", "integer", "Tags to leave out"),
                    ]
                },
            Route(
                .post, "\(API.base)/write", "data", "Writes tags of a group; answers when the device has confirmed",
                answer: "WriteAnswer", handler: write
            ).with {
                $0.access = .needs(.operate)
                $0.requestBody = RouteBody("WriteRequest")
                $0.bodyBytesMax = 4 << 20
            },
        ]
    }

    private func tags(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let query = TagQuery(
            text: request.query.text("filter"), device: request.query.text("device"),
            group: request.query.text("group"),
            limit: try request.query.integer("limit", in: 0...Self.tagPageMax, default: 200),
            offset: try request.query.integer("offset", in: 0...Int.max, default: 0))
        let page = await services.tags(query)
        return .json(.object(["total": .count(page.total), "items": .array(page.items.map(\.json))]))
    }

    private func write(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let body = try request.jsonObject()
        let device = try body.requiredText("device", max: 1024)
        let group = try body.requiredText("group", max: 1024)
        let members = try body.requiredMembers("values")
        guard (1...Self.writeTagsMax).contains(members.count) else {
            throw Refusal(
                .unprocessableContent, "request.value", "\"values\" must name from 1 to \(Self.writeTagsMax) tags",
                ["name": "values", "allowed": "1...\(Self.writeTagsMax)"])
        }
        var items: [WriteItem] = []
        for member in members {
            guard let value = member.value.value else {
                throw JSONValue.wrong("values.\(member.key)", member.value, "a value that a tag can have")
            }
            items.append(WriteItem(member.key, value))
        }
        let author = try caller(request).username
        let answer = try await services.write(WriteRequest(device: device, group: group, values: items, author: author))
        let results = answer.results.map { result in
            switch result.outcome {
            case .success(let value): JSONMember(result.tag, .object(["value": value.json]))
            case .failure(let problem): JSONMember(result.tag, .object(["error": problem.json]))
            }
        }
        return .json(
            .object([
                "device": .string(device), "group": .string(group), "timestamp": .time(answer.timestamp),
                "results": .object(results),
            ]))
    }
}

extension TagInfo {
    fileprivate var json: JSONValue {
        .object([
            "device": .string(device), "group": .string(group), "tag": .string(tag.name),
            "type": .string(tag.type.description), "unit": tag.unit.map(JSONValue.string),
            "description": tag.description.map(JSONValue.string), "access": .string(tag.access.rawValue),
            "address": address.map(JSONValue.string), "value": value?.json ?? .null,
            "quality": .string(quality.isGood ? "good" : name.code),
            "error": quality.isBad ? .object(["code": .string(name.code), "message": .string(name.message)]) : nil,
            "timestamp": timestamp.map(JSONValue.time),
        ])
    }

    private var name: StatusName { status ?? quality.name() }
}

extension DeviceDiagnostics {
    var json: JSONValue {
        .object([
            "device": .string(device), "driver": .string(driver), "endpoint": .string(endpoint),
            "state": .string(state.rawValue), "since": .time(since),
            "lastError": lastError.map {
                .object([
                    "code": .string($0.problem.code), "message": .string($0.problem.message),
                    "arguments": $0.problem.argumentsJSON, "at": .time($0.at),
                ])
            },
            "counters": .object(counters.sorted { $0.key < $1.key }.map { JSONMember($0.key, .count($0.value)) }),
            "roundTripMilliseconds": .object([
                "last": roundTripLast.map(JSONValue.number), "mean": roundTripMean.map(JSONValue.number),
                "max": roundTripMax.map(JSONValue.number),
            ]),
            "groups": .array(groups.map(\.json)),
        ])
    }
}

extension GroupDiagnostics {
    fileprivate var json: JSONValue {
        .object([
            "name": .string(name), "topic": .string(topic), "intervalMilliseconds": .number(intervalMilliseconds),
            "tags": .count(tags), "good": .count(good), "bad": .count(bad), "cycles": .count(cycles),
            "skipped": .count(skipped), "lastCycleAt": lastCycleAt.map(JSONValue.time),
            "lastCycleMilliseconds": lastCycleMilliseconds.map(JSONValue.number),
            "requestsPerCycle": .count(requestsPerCycle),
        ])
    }
}

extension RuleMetrics {
    fileprivate var json: JSONValue {
        .object([
            "matched": .count(matched), "passed": .count(passed), "failed": .count(failed), "emitted": .count(emitted),
            "lastError": lastError?.json, "perSecond": .number(perSecond),
        ])
    }
}
