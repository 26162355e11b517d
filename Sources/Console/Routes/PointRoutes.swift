import Formats
import HTTPTypes
import Model

/// Points from programs that have no device of their own: laboratories, imports, scripts.
extension API {
    static let pointsMax = 10_000

    func pointRoutes() -> [Route] {
        [
            Route(
                .post, "\(API.base)/points", "data", "Keeps points in the historian; answers when they are on the disk",
                answer: "PointsAnswer", handler: record
            ).with {
                $0.access = .needs(.operate)
                $0.requestBody = RouteBody("PointsRequest")
                $0.bodyBytesMax = 4 << 20
            }
        ]
    }

    private func record(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let body = try request.jsonObject()
        guard let items = body["points"]?.array, (1...Self.pointsMax).contains(items.count) else {
            throw Refusal(
                .unprocessableContent, "points.count", "\"points\" must be a list of 1 to \(Self.pointsMax) points",
                ["allowed": "1...\(Self.pointsMax)"])
        }
        try await services.record(items.map(point))
        return .json(.object(["accepted": .count(items.count)]))
    }

    private func point(_ item: JSONValue) throws(Refusal) -> RecordedPoint {
        let tag = try item.requiredText("tag", max: 1024)
        guard let path = TagPath(tag) else { throw JSONValue.wrong("tag", .string(tag), "a path device/group/tag") }
        var time: Timestamp?
        switch item["time"] {
        case nil, .null?: break
        case .integer(let milliseconds)?: time = Timestamp(milliseconds: milliseconds)
        case .string(let text)?:
            guard let read = Timestamp(rfc3339: text) else {
                throw JSONValue.wrong("time", .string(text), "Unix milliseconds or RFC 3339")
            }
            time = read
        case let other?: throw JSONValue.wrong("time", other, "Unix milliseconds or RFC 3339")
        }
        guard let given = item["value"], let value = given.value else {
            throw JSONValue.wrong("value", item["value"] ?? .null, "a number, a truth or a text")
        }
        return RecordedPoint(path: path, time: time, value: value)
    }
}
