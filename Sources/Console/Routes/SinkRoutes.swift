import Formats
import HTTPTypes
import Model

/// Sinks at work: what they have written, what waits, what was refused.
extension API {
    static let refusedRowsMax = 1000

    func sinkRoutes() -> [Route] {
        [
            Route(
                .get, "\(API.base)/sinks/{name}/metrics", "sinks", "What a sink has written and what waits",
                answer: "SinkMetrics"
            ) { [services] request in
                let name = request.parameter("name")
                guard let report = await services.sinkFigures(name) else { throw Refusal.notFound("sink", name) }
                return .json(report.json)
            }.needs(.read),
            Route(
                .get, "\(API.base)/sinks/{name}/refused", "sinks",
                "The newest rows that the other side did not take, with its words", answer: "RefusedRows"
            ) { [services] request in
                let name = request.parameter("name")
                let limit = try request.query.integer("limit", in: 1...Self.refusedRowsMax, default: 100)
                guard let rows = await services.refusedRows(ofSink: name, limit: limit) else {
                    throw Refusal.notFound("sink", name)
                }
                return .json(.object(["items": .array(rows.map(\.json))]))
            }.with {
                $0.access = .needs(.read)
                $0.query = [RouteParameter("limit", "integer", "Rows, 100 by default")]
            },
        ]
    }
}

extension SinkFigures {
    fileprivate var json: JSONValue {
        var members = figures.map { JSONMember($0.name, .count(Int($0.value))) }
        members.append(JSONMember("rowsPerSecond", .number(rowsPerSecond)))
        if let oldestSeconds { members.append(JSONMember("oldestSeconds", .number(oldestSeconds))) }
        members.append(JSONMember("state", .string(state)))
        if let problem { members.append(JSONMember("problem", problem.json)) }
        return .object(members)
    }
}

extension RefusedSinkRow {
    fileprivate var json: JSONValue {
        .object(["time": .time(time), "code": .string(code), "reason": .string(reason), "row": .string(row)])
    }
}
