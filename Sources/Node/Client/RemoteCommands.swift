import Formats
import Journal
package import Model

/// The verbs that talk to a running server over its REST interface.
package struct RemoteCommands: Sendable {
    let client: ServerClient
    let output: CommandOutput

    /// Absent values come from `TUNDISH_SERVER`, `TUNDISH_TOKEN`, and the data directory's `admin.token`.
    package init(
        server: String?, token: String?, dataDirectory: String?, output: CommandOutput = .standard
    ) throws(Problem) {
        let url = server ?? environment("TUNDISH_SERVER") ?? "http://127.0.0.1:18083"
        var found = token ?? environment("TUNDISH_TOKEN")
        if found == nil {
            let folder = dataDirectory ?? environment("TUNDISH_DATA_DIRECTORY") ?? "./data"
            found = (try? readTextFile(folder + "/admin.token"))?.split(whereSeparator: \.isWhitespace).first.map(
                String.init)
        }
        client = try ServerClient(url: url, token: found)
        self.output = output
    }

    package func apply(files: [String], isDryRun: Bool) async throws(Problem) {
        if files.isEmpty { throw Problem("usage", "name at least one file with -f") }
        for file in files {
            let text = try readTextFile(file)
            let type = file.hasSuffix(".json") ? "application/json" : "application/yaml"
            let answer = try await client.send(
                "POST", "/api/v1/apply\(isDryRun ? "?dryRun=true" : "")", content: (type, Array(text.utf8)),
                headers: [("X-Tundish-Source", "cli:" + (file == "-" ? "stdin" : file))])
            let json = try success(answer)
            let changes = json["changes"]?.array ?? []
            for change in changes { printChange(change) }
            let changed = changes.filter { $0["action"]?.string != "unchanged" }.count
            output.line(
                "\(isDryRun ? "plan" : "applied"): \(changed) to change, \(changes.count - changed) unchanged"
                    + (json["revision"]?.integer.map { isDryRun ? "" : ", revision \($0)" } ?? ""))
        }
    }

    private func printChange(_ change: JSONValue) {
        let action = change["action"]?.string ?? "?"
        let mark = ["create": "+", "update": "~", "delete": "-"][action] ?? " "
        output.line("\(mark) \(change["kind"]?.string ?? "?") \(change["name"]?.string ?? "?"): \(action)")
        for difference in change["diff"]?.array ?? [] where action == "update" {
            let before = difference["before"].map(\.text) ?? "absent"
            let after = difference["after"].map(\.text) ?? "absent"
            output.line("    \(difference["path"]?.string ?? ""): \(before) -> \(after)")
        }
    }

    package func get(kind: String, name: String?, form: String) async throws(Problem) {
        let path = try "/api/v1/" + plural(kind) + (name.map { "/" + percentEncoded($0) } ?? "")
        let answer = try await client.send("GET", path, headers: form == "yaml" ? [("Accept", "application/yaml")] : [])
        if form == "yaml", answer.isSuccess, answer.header("Content-Type")?.hasPrefix("application/yaml") == true {
            output.line(answer.text)
            return
        }
        let json = try success(answer)
        if form == "table" {
            let rows = (name == nil ? json["items"]?.array ?? [] : [json]).map { item in
                [
                    item["kind"]?.string ?? "", item["name"]?.string ?? "", item["revision"].map(\.text) ?? "",
                    item["status"]?["state"]?.string ?? "",
                    item["status"]?["message"]?.string ?? "",
                ]
            }
            output.table(["KIND", "NAME", "REVISION", "STATE", "MESSAGE"], rows)
        } else {
            output.line(json.text)
        }
    }

    package func delete(kind: String, name: String) async throws(Problem) {
        _ = try success(
            await client.send("DELETE", "/api/v1/\(plural(kind))/\(percentEncoded(name))", headers: [("If-Match", "*")])
        )
        output.line("deleted \(kind) \(name)")
    }

    package func history(kind: String, name: String) async throws(Problem) {
        let json = try success(await client.get("/api/v1/\(plural(kind))/\(percentEncoded(name))/history"))
        let rows = (json["items"]?.array ?? []).map { item in
            [
                item["revision"].map(\.text) ?? "",
                item["at"]?.integer.map { Timestamp(milliseconds: $0).description } ?? "",
                item["action"]?.string ?? "", item["author"]?.string ?? "", item["source"]?.string ?? "",
            ]
        }
        output.table(["REVISION", "AT", "ACTION", "AUTHOR", "SOURCE"], rows)
    }

    package func rollback(kind: String, name: String, to revision: Int64) async throws(Problem) {
        let body = JSONValue.object([JSONMember("to", .integer(revision))])
        let json = try success(
            await post("/api/v1/\(plural(kind))/\(percentEncoded(name))/rollback", body))
        output.line(
            "\(kind) \(name) is as it was at revision \(revision); it is now revision \(json["revision"].map(\.text) ?? "?")"
        )
    }

    package func read(tag path: String) async throws(Problem) {
        let (device, group, tag) = try split(path)
        let json = try success(
            await client.get(
                "/api/v1/tags?device=\(percentEncoded(device))&group=\(percentEncoded(group))&filter=\(percentEncoded(tag))&limit=1000"
            ))
        guard let item = (json["items"]?.array ?? []).first(where: { $0["tag"]?.string == tag }) else {
            throw Problem("tag.unknown", "there is no tag \"\(path)\"", ["tag": path])
        }
        if let error = item["error"], error != .null {
            throw Problem(
                error["code"]?.string ?? "error", "\(path): \(error["message"]?.string ?? "no value")", ["tag": path])
        }
        let unit = item["unit"]?.string.map { " " + $0 } ?? ""
        let time = item["timestamp"]?.integer.map { "  " + Timestamp(milliseconds: $0).description } ?? ""
        let quality = item["quality"]?.string ?? "good"
        output.line("\(item["value"].map(plain) ?? "null")\(unit)\(time)\(quality == "good" ? "" : "  \(quality)")")
    }

    package func write(tag path: String, value: String) async throws(Problem) {
        let (device, group, tag) = try split(path)
        let parsed = (try? JSONValue(parsing: value)) ?? .string(value)
        let body = JSONValue.object([
            JSONMember("device", .string(device)), JSONMember("group", .string(group)),
            JSONMember("values", .object([JSONMember(tag, parsed)])),
        ])
        let json = try success(await post("/api/v1/write", body))
        let result = json["results"]?[tag]
        if let error = result?["error"] {
            throw Problem(
                error["code"]?.string ?? "error", "\(path): \(error["message"]?.string ?? error.text)", ["tag": path])
        }
        output.line("\(path) = \(result?["value"].map(plain) ?? parsed.text), confirmed by the device")
    }

    package func query(_ request: HistoryRequest, form: String) async throws(Problem) {
        let json = try success(await post("/api/v1/query", request.json))
        if form == "json" {
            output.line(json.text)
            return
        }
        for series in json["series"]?.array ?? [] {
            let columns = (series["columns"]?.array ?? []).compactMap(\.string)
            let unit = series["unit"]?.string.map { " (\($0))" } ?? ""
            output.line("\(series["tag"]?.string ?? "?")\(unit)")
            let rows = (series["rows"]?.array ?? []).map { row in
                (row.array ?? []).enumerated().map { index, cell in
                    index == 0
                        ? cell.integer.map { Timestamp(milliseconds: $0).description } ?? plain(cell) : plain(cell)
                }
            }
            output.table(columns, rows)
        }
    }

    func post(_ path: String, _ body: JSONValue) async throws(Problem) -> ServerAnswer {
        try await client.send("POST", path, content: ("application/json", Array(body.text.utf8)))
    }

    /// The answer's JSON, or what the server complains about, one line per issue.
    func success(_ answer: ServerAnswer) throws(Problem) -> JSONValue {
        let json = answer.body.isEmpty ? .object([]) : (try? JSONValue(parsing: Bytes(answer.body)))
        if answer.isSuccess, let json { return json }
        if answer.status == 401 {
            throw Problem(
                "client.unauthorized",
                "the server wants a token: pass --token, set TUNDISH_TOKEN, or name its data directory with --data-dir")
        }
        guard let json else {
            throw Problem("client.answer", "the server answered with status \(answer.status) and no JSON")
        }
        var text = json["detail"]?.string ?? json["title"]?.string ?? "status \(answer.status)"
        for issue in json["issues"]?.array ?? [] {
            let file = issue["file"]?.string ?? "input"
            let line = issue["line"].map(\.text) ?? "0"
            let column = issue["column"].map(\.text) ?? "0"
            text += "\n\(file):\(line):\(column): \(issue["message"]?.string ?? "")"
        }
        throw Problem(json["code"]?.string ?? "client.refused", text)
    }

    private func split(_ path: String) throws(Problem) -> (device: String, group: String, tag: String) {
        let parts = path.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else {
            throw Problem("tag.path", "tag \"\(path)\": expected DEVICE/GROUP/TAG", ["tag": path])
        }
        return (parts[0], parts[1], parts[2])
    }

    func plain(_ value: JSONValue) -> String { value.string ?? value.text }

    /// `device`, `Device` and `devices` name the same collection.
    private func plural(_ kind: String) throws(Problem) -> String {
        let lower = kind.lowercased()
        let name = lower.hasSuffix("s") ? lower : lower + "s"
        guard lower.allSatisfy({ $0.isLetter }), !lower.isEmpty else {
            throw Problem("kind.unknown", "\"\(kind)\" is not a kind of resource", ["kind": kind])
        }
        return name
    }
}

/// What `tundish query` asks for, as typed.
package struct HistoryRequest: Sendable {
    let json: JSONValue

    package init(
        tags: [String], from: String?, to: String?, last: String?, bucket: String?, buckets: Int?, aggregates: String?,
        limit: Int?
    ) {
        func time(_ text: String) -> JSONValue { Int64(text).map(JSONValue.integer) ?? .string(text) }
        let isOpen = from == nil && to == nil && last == nil
        json = .object([
            "tags": .array(tags.map(JSONValue.string)),
            "from": from.map(time), "to": to.map(time),
            "last": isOpen ? .string("1h") : last.map(JSONValue.string),
            "bucket": bucket.map(JSONValue.string), "buckets": buckets.map { .integer(Int64($0)) },
            "aggregates": aggregates.map { .array($0.split(separator: ",").map { .string(String($0)) }) },
            "limit": limit.map { .integer(Int64($0)) },
        ])
    }
}
