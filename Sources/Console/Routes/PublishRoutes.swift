import Bus
import Formats
import HTTPTypes
import Model

/// Publishing.
extension API {
    func publishRoutes() -> [Route] {
        [
            Route(
                .post, "\(API.base)/publish", "broker", "Publishes a message", answer: "PublishAnswer", handler: publish
            )
            .with {
                $0.access = .needs(.operate)
                $0.requestBody = RouteBody("PublishRequest")
                $0.bodyBytesMax = API.payloadBytesMax
            }
        ]
    }

    private func publish(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let body = try request.jsonObject()
        let name = try body.requiredText("topic", max: 65_535)
        let topic: Topic
        do {
            topic = try Topic(name)
        } catch {
            throw Refusal(.unprocessableContent, "topic.invalid", "\(error)", ["topic": name, "reason": error.reason])
        }
        let text = try body.optionalText("payload", max: API.payloadBytesMax) ?? ""
        let payload: Bytes
        switch try body.optionalText("encoding", max: 16) ?? "plain" {
        case "plain": payload = Bytes(text)
        case "base64":
            guard let bytes = Base64.decode(text) else {
                throw Refusal(
                    .unprocessableContent, "request.base64", "\"payload\" is not valid Base64", ["name": "payload"])
            }
            payload = Bytes(bytes)
        case let seen: throw JSONValue.wrong("encoding", .string(seen), "plain or base64")
        }
        let level = try body.optionalInteger("qos", in: 0...2) ?? 0
        let message = Message(
            topic: topic, payload: .bytes(payload), qos: QoS(rawValue: UInt8(level)) ?? .atMostOnce,
            retain: try body.optionalBool("retain") ?? false, receivedAt: options.time.now(),
            origin: Origin(.console, clientID: "console", username: try caller(request).username, peer: request.peer))
        switch await publisher.publishConfirmed([message]).first {
        case .accepted: return .json(.object(["outcome": "accepted"]))
        case .noSubscribers: return .json(.object(["outcome": "noSubscribers"]))
        case .refused(let problem): throw Refusal(.serviceUnavailable, problem)
        case nil: throw Refusal(.serviceUnavailable, "broker.stopped", "the broker is not running")
        }
    }
}
