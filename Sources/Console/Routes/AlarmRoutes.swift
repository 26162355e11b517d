import Formats
import HTTPTypes
import Model

/// Alarms: their states, and saying that one was seen. ISA-18.2
extension API {
    func alarmRoutes() -> [Route] {
        [
            Route(.get, "\(API.base)/alarms", "alarms", "Alarms and their states", answer: "AlarmList") {
                [services] _ in
                .json(.object(["items": .array(await services.alarms().map(\.json))]))
            }.needs(.read),
            Route(
                .post, "\(API.base)/alarms/{id}/acknowledge", "alarms",
                "Acknowledges an alarm; its id is its topic, with / written as %2F", answer: "Acknowledged",
                handler: acknowledge
            ).needs(.operate),
        ]
    }

    private func acknowledge(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let id = request.parameter("id")
        do {
            let count = try await services.acknowledge(alarm: id, by: try caller(request).username)
            return .json(.object(["id": .string(id), "acknowledged": .count(count)]))
        } catch let problem as Problem where problem.code == "alarm.nothing_to_acknowledge" {
            throw Refusal(.conflict, problem)
        }
    }
}

extension AlarmInfo {
    fileprivate var json: JSONValue {
        let own: JSONValue = .object([
            "id": .string(id), "name": .string(name), "device": device.map(JSONValue.string), "state": .string(state),
            "severity": .string(severity), "message": .string(message), "raisedAt": .time(raisedAt),
        ])
        let members = own.members ?? []
        return .object(members + details.filter { detail in !members.contains { $0.key == detail.key } })
    }
}
