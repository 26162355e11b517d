import Formats
package import Model
import Resources

/// What the verbs about the broker print.
package enum ListForm: String, Sendable, CaseIterable { case table, json, yaml }

/// `tundish clients`, `subscriptions`, `retained`, `topics` and `listeners` over REST.
extension RemoteCommands {
    private static let pageMax = 10_000

    package func clients(
        filter: String?, state: String?, isSlow: Bool, sort: String?, limit: Int, form: ListForm
    ) async throws(Problem) {
        let query = Self.query([
            ("filter", filter), ("state", state), ("slow", isSlow ? "true" : nil), ("sort", sort),
            ("limit", "\(limit)"),
        ])
        let json = try success(await client.get("/api/v1/clients" + query))
        try show(json, form) { item in
            [
                text(item["clientId"]), text(item["state"]), text(item["username"]), text(item["protocol"]),
                text(item["peer"]), text(item["subscriptions"]), text(item["received"]), text(item["sent"]),
                text(item["queued"]), text(item["dropped"]),
            ]
        } header: {
            [
                "CLIENT", "STATE", "USER", "PROTOCOL", "ADDRESS", "FILTERS", "RECEIVED", "SENT", "QUEUED", "DROPPED",
            ]
        }
        note(json, form)
    }

    package func client(_ id: String, form: ListForm) async throws(Problem) {
        let json = try success(await client.get("/api/v1/clients/" + percentEncoded(id)))
        guard form == .table else { return print(json, form) }
        let rows = (json.members ?? []).filter { $0.key != "filters" }.map { member in
            [member.key, member.key == "connectedAt" ? time(member.value) : plain(member.value)]
        }
        output.table(["FIELD", "VALUE"], rows)
        let filters = json["filters"]?.array ?? []
        if filters.isEmpty { return }
        output.line("")
        output.table(
            ["FILTER", "QOS", "SHARE"], filters.map { [text($0["filter"]), text($0["qos"]), text($0["share"])] })
    }

    package func disconnect(_ id: String, forgetsSession: Bool) async throws(Problem) {
        _ = try success(
            await client.send(
                "DELETE", "/api/v1/clients/\(percentEncoded(id))\(forgetsSession ? "?session=true" : "")"))
        output.line(forgetsSession ? "\(id) is disconnected and its session forgotten" : "\(id) is disconnected")
    }

    package func subscriptions(
        filter: String?, client id: String?, topic: String?, limit: Int, form: ListForm
    ) async throws(Problem) {
        let query = Self.query([("filter", filter), ("client", id), ("topic", topic), ("limit", "\(limit)")])
        let json = try success(await client.get("/api/v1/subscriptions" + query))
        try show(json, form) { item in
            [text(item["filter"]), text(item["qos"]), text(item["share"]), text(item["clientId"])]
        } header: {
            ["FILTER", "QOS", "SHARE", "CLIENT"]
        }
        note(json, form)
    }

    package func retained(filter: String?, limit: Int, form: ListForm) async throws(Problem) {
        let json = try success(
            await client.get("/api/v1/retained" + Self.query([("filter", filter), ("limit", "\(limit)")])))
        try show(json, form) { item in
            let payload = text(item["payload"])
            return [
                text(item["topic"]), text(item["qos"]), time(item["at"]),
                payload.count > 80 ? payload.prefix(79) + "…" : payload,
            ]
        } header: {
            ["TOPIC", "QOS", "AT", "PAYLOAD"]
        }
        if form == .table, json["more"] == true { output.line("... and more: pass --limit, or a filter") }
    }

    /// The payload as it is; anything but `table` prints all that is known of the message.
    package func retainedMessage(_ topic: String, form: ListForm) async throws(Problem) {
        let json = try success(await client.get("/api/v1/retained/" + percentEncoded(topic)))
        guard form == .table else { return print(json, form) }
        if json["encoding"]?.string == "base64" {
            output.error("tundish: the payload is not text; in Base64:")
        }
        output.line(text(json["payload"]))
    }

    package func deleteRetained(_ topic: String) async throws(Problem) {
        _ = try success(await client.send("DELETE", "/api/v1/retained/" + percentEncoded(topic)))
        output.line("\(topic) retains nothing any more")
    }

    package func topicMetrics(form: ListForm) async throws(Problem) {
        let json = try success(await client.get("/api/v1/topic-metrics"))
        try show(json, form) { item in
            [
                text(item["filter"]), text(item["received"]), rate(item["receivedPerSecond"]),
                text(item["receivedBytes"]), text(item["sent"]), rate(item["sentPerSecond"]), text(item["dropped"]),
                time(item["startedAt"]),
            ]
        } header: {
            ["FILTER", "IN", "IN/S", "BYTES", "OUT", "OUT/S", "DROPPED", "SINCE"]
        }
    }

    package func startTopicMetrics(_ filter: String) async throws(Problem) {
        _ = try success(await post("/api/v1/topic-metrics", .object([JSONMember("filter", .string(filter))])))
        output.line("counting \(filter)")
    }

    package func stopTopicMetrics(_ filter: String) async throws(Problem) {
        _ = try success(await client.send("DELETE", "/api/v1/topic-metrics/" + percentEncoded(filter)))
        output.line("not counting \(filter) any more")
    }

    package func listeners(form: ListForm) async throws(Problem) {
        let json = try success(await client.get("/api/v1/broker/listeners"))
        try show(json, form) { item in
            let closed = (item["closed"]?.members ?? []).map { "\($0.key) \(plain($0.value))" }
            return [
                text(item["name"]), "\(text(item["protocol"]))://\(text(item["address"]))", text(item["connections"]),
                text(item["accepted"]), text(item["refused"]), closed.joined(separator: ", "),
            ]
        } header: {
            ["LISTENER", "ADDRESS", "CONNECTED", "ACCEPTED", "REFUSED", "ENDED BY"]
        }
    }

    package func refusals(limit: Int, form: ListForm) async throws(Problem) {
        let json = try success(await client.get("/api/v1/broker/refusals" + Self.query([("limit", "\(limit)")])))
        try show(json, form) { item in
            [
                time(item["at"]), text(item["action"]), text(item["clientId"]), text(item["username"]),
                text(item["peer"]), text(item["cause"]), text(item["detail"]), text(item["by"]),
            ]
        } header: {
            ["AT", "ACTION", "CLIENT", "USER", "ADDRESS", "CAUSE", "DETAIL", "BY"]
        }
    }

    // MARK: Forms

    private func show(
        _ json: JSONValue, _ form: ListForm, _ row: (JSONValue) -> [String], header: () -> [String]
    ) throws(Problem) {
        guard form == .table else { return print(json, form) }
        output.table(header(), (json["items"]?.array ?? []).map(row))
    }

    private func note(_ json: JSONValue, _ form: ListForm) {
        let shown = json["items"]?.array?.count ?? 0
        guard form == .table, let total = json["total"]?.integer, total > shown else { return }
        output.line("... \(shown) of \(total): pass --limit, or a filter")
    }

    private func print(_ json: JSONValue, _ form: ListForm) {
        guard form == .yaml else {
            output.line(json.text)
            return
        }
        var text = SourceWriter.yaml(json.node)
        if text.hasSuffix("\n") { text.removeLast() }
        output.line(text)
    }

    private func text(_ value: JSONValue?) -> String { value.map(plain) ?? "-" }
    private func time(_ value: JSONValue?) -> String {
        value?.integer.map { Timestamp(milliseconds: $0).description } ?? "-"
    }

    /// One digit after the point.
    private func rate(_ value: JSONValue?) -> String {
        guard let number = value?.number else { return "-" }
        let tenths = Int64((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func query(_ items: [(String, String?)]) -> String {
        let given = items.compactMap { name, value in value.map { "\(name)=\(percentEncoded($0))" } }
        return given.isEmpty ? "" : "?" + given.joined(separator: "&")
    }
}

extension JSONValue {
    fileprivate var node: SourceNode {
        switch self {
        case .object(let members): .map(members.map { SourceEntry($0.key, $0.value.node) })
        case .array(let items): SourceNode(.list(items.map(\.node)))
        case .string(let text): .text(text)
        case .null: SourceNode(.null)
        default: SourceNode(.scalar(text, .plain))
        }
    }
}
