import Formats
import HTTPTypes
import Model

/// Clients and their subscriptions.
extension API {
    static let pageMax = 10_000

    func clientRoutes() -> [Route] {
        [
            Route(
                .get, "\(API.base)/clients", "broker", "Sessions of the broker, connected or not", answer: "ClientPage",
                handler: clients
            ).with {
                $0.access = .needs(.read)
                $0.query = [
                    RouteParameter("filter", "string", "Text in client id, user name, address or listener"),
                    RouteParameter("state", "string", "connected or disconnected"),
                    RouteParameter("slow", "boolean", "Only those with waiting or dropped messages"),
                    RouteParameter("sort", "string", ClientSort.names + "; with - before it: descending"),
                    RouteParameter("limit", "integer", "Clients on a page, 1000 by default"),
                    RouteParameter("offset", "integer", "Clients to leave out"),
                ]
            },
            Route(
                .get, "\(API.base)/clients/{id}", "broker", "One session with its queues, limits and subscriptions",
                answer: "ClientReport"
            ) { [services] request in
                let id = request.parameter("id")
                guard let report = await services.client(id) else { throw Refusal.notFound("client", id) }
                return .json(report.json)
            }.needs(.read),
            Route(.delete, "\(API.base)/clients/{id}", "broker", "Disconnects a client") { [services] request in
                let id = request.parameter("id")
                let isDiscarding = try request.query.flag("session")
                guard await services.disconnect(client: id, discarding: isDiscarding) else {
                    throw Refusal.notFound("client", id)
                }
                return .noContent
            }.with {
                $0.access = .needs(.operate)
                $0.success = .noContent
                $0.query = [RouteParameter("session", "boolean", "Forgets its session and what waits in it, too")]
            },
            Route(
                .get, "\(API.base)/subscriptions", "broker", "Who subscribes to what", answer: "SubscriptionPage",
                handler: subscriptions
            ).with {
                $0.access = .needs(.read)
                $0.query = [
                    RouteParameter("filter", "string", "Text in the topic filter or client id"),
                    RouteParameter("topic", "string", "Only filters that match this topic"),
                    RouteParameter("client", "string", "Only of this client"),
                    RouteParameter("limit", "integer", "Subscriptions on a page, 1000 by default"),
                    RouteParameter("offset", "integer", "Subscriptions to leave out"),
                ]
            },
        ]
    }

    private func clients(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let query = request.query
        var found = await services.clients()
        if let text = query.text("filter")?.lowercased() {
            found = found.filter { client in
                [client.clientID, client.username, client.peer, client.listener].contains {
                    $0?.lowercased().contains(text) ?? false
                }
            }
        }
        switch query.text("state") {
        case nil: break
        case "connected": found = found.filter { $0.state == .connected }
        case "disconnected": found = found.filter { $0.state == .disconnected }
        case let seen?: throw Self.wrongParameter("state", seen, "connected, disconnected")
        }
        if try query.flag("slow") { found = found.filter { $0.queued > 0 || $0.dropped > 0 } }
        if let text = query.text("sort") { try ClientSort.sort(&found, by: text) }
        return .json(try Self.page(found, query, \.json))
    }

    private func subscriptions(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let query = request.query
        var found = await services.subscriptions(client: query.text("client"))
        if let text = query.text("filter")?.lowercased() {
            found = found.filter { $0.filter.lowercased().contains(text) || $0.clientID.lowercased().contains(text) }
        }
        if let text = query.text("topic") {
            let topic = try Self.topic(text)
            found = found.filter { item in (try? TopicFilter(item.filter))?.matches(topic) ?? false }
        }
        return .json(try Self.page(found, query, \.json))
    }

    /// `total`, and the part of the items that was asked for.
    static func page<Item>(
        _ items: [Item], _ query: QueryItems, _ json: (Item) -> JSONValue
    ) throws(Refusal) -> JSONValue {
        let limit = try query.integer("limit", in: 1...pageMax, default: 1_000)
        let offset = try query.integer("offset", in: 0...Int.max, default: 0)
        return .object([
            "total": .count(items.count), "items": .array(items.dropFirst(offset).prefix(limit).map(json)),
        ])
    }

    static func topic(_ text: String) throws(Refusal) -> Topic {
        do {
            return try Topic(text)
        } catch {
            throw Refusal(.badRequest, "topic.invalid", "\(error)", ["topic": text, "reason": error.reason])
        }
    }

    static func topicFilter(_ text: String) throws(Refusal) -> TopicFilter {
        do {
            return try TopicFilter(text)
        } catch {
            throw Refusal(.badRequest, "topic.invalid", "\(error)", ["topic": text, "reason": error.reason])
        }
    }

    static func wrongParameter(_ name: String, _ seen: String, _ allowed: String) -> Refusal {
        Refusal(
            .badRequest, "request.parameter", "query parameter \"\(name)\" is \"\(seen)\": must be one of \(allowed)",
            ["parameter": name, "seen": seen, "allowed": allowed])
    }
}

/// By what clients are sorted.
enum ClientSort: String, CaseIterable {
    case clientID = "clientId"
    case username, peer, listener, connectedAt, subscriptions, received, sent, queued, dropped

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    static func sort(_ clients: inout [ClientInfo], by text: String) throws(Refusal) {
        let isDescending = text.hasPrefix("-")
        guard let key = ClientSort(rawValue: isDescending ? String(text.dropFirst()) : text) else {
            throw API.wrongParameter("sort", text, names)
        }
        // Equal ones by client id, so that pages fit together.
        clients.sort { a, b in
            let order = key.order(a, b)
            if order == 0 { return a.clientID < b.clientID }
            return isDescending ? order > 0 : order < 0
        }
    }

    private func order(_ a: ClientInfo, _ b: ClientInfo) -> Int {
        func compare<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a > b ? 1 : 0 }
        return switch self {
        case .clientID: compare(a.clientID, b.clientID)
        case .username: compare(a.username ?? "", b.username ?? "")
        case .peer: compare(a.peer ?? "", b.peer ?? "")
        case .listener: compare(a.listener ?? "", b.listener ?? "")
        case .connectedAt: compare(a.connectedAt?.nanoseconds ?? 0, b.connectedAt?.nanoseconds ?? 0)
        case .subscriptions: compare(a.subscriptions, b.subscriptions)
        case .received: compare(a.received, b.received)
        case .sent: compare(a.sent, b.sent)
        case .queued: compare(a.queued, b.queued)
        case .dropped: compare(a.dropped, b.dropped)
        }
    }
}

extension ClientInfo {
    fileprivate var members: [JSONMember] {
        [
            JSONMember("clientId", .string(clientID)),
            username.map { JSONMember("username", .string($0)) },
            JSONMember("protocol", .string(self.protocol)),
            peer.map { JSONMember("peer", .string($0)) },
            listener.map { JSONMember("listener", .string($0)) },
            connectedAt.map { JSONMember("connectedAt", .time($0)) },
            JSONMember("keepAlive", .count(keepAliveSeconds)), JSONMember("cleanStart", .bool(cleanStart)),
            JSONMember("subscriptions", .count(subscriptions)), JSONMember("received", .count(received)),
            JSONMember("sent", .count(sent)), JSONMember("queued", .count(queued)),
            JSONMember("dropped", .count(dropped)), JSONMember("state", .string(state.rawValue)),
        ].compactMap(\.self)
    }

    fileprivate var json: JSONValue { .object(members) }
}

extension ClientReport {
    fileprivate var json: JSONValue {
        let own: JSONValue = .object([
            "sessionExpirySeconds": expirySeconds == .max ? nil : .integer(Int64(expirySeconds)),
            "inflight": .count(inflight), "inflightMax": .count(inflightMax), "waiting": .count(waiting),
            "waitingMax": .count(waitingMax), "awaitingRelease": .count(awaitingRelease),
            "unsentBytes": .count(unsentBytes), "slow": .bool(!isWritable),
            "silentMilliseconds": silentMilliseconds.map(JSONValue.integer),
            "willTopic": willTopic.map(JSONValue.string), "packetBytesMax": packetBytesMax.map { .count($0) },
            "certificateSubject": certificateSubject.map(JSONValue.string),
            "filters": .array(subscriptions.map(\.json)),
        ])
        return .object(info.members + (own.members ?? []))
    }
}

extension SubscriptionInfo {
    fileprivate var json: JSONValue {
        .object([
            "clientId": .string(clientID), "filter": .string(filter), "qos": .integer(Int64(qos)),
            "noLocal": .bool(noLocal), "retainAsPublished": .bool(retainAsPublished),
            "retainHandling": .integer(Int64(retainHandling)),
            "subscriptionId": subscriptionID == 0 ? nil : .integer(Int64(subscriptionID)),
            "share": shareName.map(JSONValue.string),
        ])
    }
}
