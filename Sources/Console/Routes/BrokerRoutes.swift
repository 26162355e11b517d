import Formats
import HTTPTypes
import Model

/// Retained messages, listeners, topic metrics, refusals.
extension API {
    func brokerRoutes() -> [Route] {
        publishRoutes() + clientRoutes() + retainedRoutes() + [
            Route(
                .get, "\(API.base)/broker/listeners", "broker", "Listeners as they run, with what they refused and why",
                answer: "ListenerList"
            ) { [services] _ in
                .json(.object(["items": .array(await services.listeners().map(\.json))]))
            }.needs(.read),
            Route(
                .get, "\(API.base)/broker/refusals", "broker",
                "Who was not let in or not let do something lately, with the reason; newest first",
                answer: "RefusalPage"
            ) { [services] request in
                .json(try API.page(await services.refusals(), request.query, \.json))
            }.with {
                $0.access = .needs(.read)
                $0.query = [
                    RouteParameter("limit", "integer", "Refusals on a page, 1000 by default"),
                    RouteParameter("offset", "integer", "Refusals to leave out"),
                ]
            },
        ] + topicMetricsRoutes()
    }

    private func retainedRoutes() -> [Route] {
        [
            Route(
                .get, "\(API.base)/retained", "broker", "Retained messages by topic", answer: "RetainedPage",
                handler: retained
            ).with {
                $0.access = .needs(.read)
                $0.query = [
                    RouteParameter(
                        "filter", "string", "A topic filter; without one, all but the broker's own under $SYS"),
                    RouteParameter("text", "string", "Text in the topic"),
                    RouteParameter("limit", "integer", "Messages on a page, 1000 by default"),
                    RouteParameter("offset", "integer", "Messages to leave out"),
                ]
            },
            Route(
                .get, "\(API.base)/retained/{topic}", "broker",
                "One retained message; / in its topic is written as %2F", answer: "Retained"
            ) { [services] request in
                let text = request.parameter("topic")
                _ = try API.topic(text)
                let found = await services.retained(filter: try API.topicFilter(text), limit: 1)
                guard let message = found.first else { throw Refusal.notFound("retained message", text) }
                return .json(message.json)
            }.needs(.read),
            Route(
                .delete, "\(API.base)/retained/{topic}", "broker",
                "Removes a retained message, as an empty retained message does"
            ) { [services] request in
                let text = request.parameter("topic")
                let topic = try API.topic(text)
                guard try await services.deleteRetained(topic: topic, by: try caller(request).username) else {
                    throw Refusal.notFound("retained message", text)
                }
                return .noContent
            }.with {
                $0.access = .needs(.operate)
                $0.success = .noContent
            },
        ]
    }

    /// Looks at no more than a page's worth and one: `total` is exact up to there, and `more` says that there are
    /// others.
    private func retained(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let query = request.query
        let limit = try query.integer("limit", in: 1...Self.pageMax, default: 1_000)
        let offset = try query.integer("offset", in: 0...1_000_000, default: 0)
        let filter = try query.text("filter").map(API.topicFilter)
        let text = query.text("text")?.lowercased()
        var found = await services.retained(filter: filter, limit: text == nil ? offset + limit + 1 : .max)
        if let text { found = found.filter { $0.topic.lowercased().contains(text) } }
        let page = found.dropFirst(offset).prefix(limit)
        return .json(
            .object([
                "total": .count(found.count), "more": .bool(found.count > offset + limit),
                "items": .array(page.map(\.json)),
            ]))
    }

    private func topicMetricsRoutes() -> [Route] {
        let path = "\(API.base)/topic-metrics"
        return [
            Route(
                .get, path, "broker", "What topics carry, for the filters that are counted", answer: "TopicMetricsList"
            ) { [services] _ in
                .json(.object(["items": .array(await services.topicMetrics().map(\.json))]))
            }.needs(.read),
            Route(.post, path, "broker", "Counts the messages of a topic filter from now on") { [services] request in
                let filter = try API.topicFilter(try request.jsonObject().requiredText("filter", max: 65_535))
                do {
                    try await services.startTopicMetrics(filter)
                } catch let problem as Problem where problem.code == "topic_metrics.exists" {
                    throw Refusal(.conflict, problem)
                }
                return ConsoleResponse(status: .created)
            }.with {
                $0.access = .needs(.operate)
                $0.requestBody = RouteBody("TopicMetricsRequest")
                $0.success = .created
            },
            Route(
                .delete, "\(path)/{filter}", "broker", "Stops counting a topic filter; / in it is written as %2F"
            ) { [services] request in
                let filter = request.parameter("filter")
                guard await services.stopTopicMetrics(filter) else { throw Refusal.notFound("topic metric", filter) }
                return .noContent
            }.with {
                $0.access = .needs(.operate)
                $0.success = .noContent
            },
        ]
    }
}

extension RetainedInfo {
    fileprivate var json: JSONValue {
        .object(
            [JSONMember("topic", .string(topic))] + PayloadJSON.members(payload)
                + [JSONMember("qos", .integer(Int64(qos))), JSONMember("at", .time(receivedAt))])
    }
}

extension ListenerReport {
    fileprivate var json: JSONValue {
        .object([
            "name": .string(name), "protocol": .string(self.protocol), "address": .string(address),
            "connections": .count(connections), "halfOpen": .count(halfOpen), "accepted": .count(accepted),
            "refused": .count(refused),
            "closed": .object(closed.sorted { $0.key < $1.key }.map { JSONMember($0.key, .count($0.value)) }),
            "certificateExpires": certificateExpires.map(JSONValue.time),
            "problems": .array(problems.map(\.json)),
        ])
    }
}

extension TopicMetricsReport {
    fileprivate var json: JSONValue {
        .object([
            "filter": .string(filter), "startedAt": .time(startedAt),
            "received": .count(received.reduce(0, &+)),
            "receivedByQos": .array(received.map { .count($0) }), "receivedBytes": .count(receivedBytes),
            "sent": .count(sent), "dropped": .count(dropped), "receivedPerSecond": .number(receivedPerSecond),
            "sentPerSecond": .number(sentPerSecond), "droppedPerSecond": .number(droppedPerSecond),
        ])
    }
}

extension AccessRefusal {
    fileprivate var json: JSONValue {
        .object([
            "at": .time(at), "action": .string(action.rawValue), "clientId": .string(clientID),
            "username": username.map(JSONValue.string), "peer": .string(peer), "listener": .string(listener),
            "cause": .string(cause), "detail": .string(detail), "by": .string(by),
        ])
    }
}
