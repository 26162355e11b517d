import Bus
import Formats
import Model
import Synchronization
import Testing

@testable import Console

@Suite("REST")
struct RESTTests {
    private let spec: JSONValue = .object(["spec": .object(["driver": "modbus_tcp"])])

    @Test("a resource is created without If-Match, changed only with the revision that was read, and deleted")
    func conditionalChanges() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let path = "/api/v1/devices/press-1"
            let made = try await harness.call("PUT", path, Harness.token, spec)
            #expect(made.status == 201)
            #expect(made.headers["etag"] == "\"1\"")
            #expect(made.json["author"]?.string == "robot")
            #expect(made.json["source"]?.string == "rest")

            let blind = try await harness.call("PUT", path, Harness.token, spec)
            #expect(blind.status == 428)
            #expect(blind.code == "request.precondition_required")
            #expect(blind.headers["etag"] == "\"1\"")

            func put(_ match: String) async throws -> TestResponse {
                try await harness.call("PUT", path, Harness.token.merging(["If-Match": match]) { $1 }, spec)
            }
            let stale = try await put("\"7\"")
            #expect(stale.status == 412)
            #expect(stale.headers["etag"] == "\"1\"")
            #expect(try await put("\"1\"").status == 200)
            #expect(try await put("2").headers["etag"] == "\"3\"")
            #expect(try await put("W/\"3\"").status == 200)
            #expect(try await put("*").status == 200)
            #expect(try await put("\"x\"").status == 400)
            let got = try await harness.call("GET", path)
            #expect(got.headers["etag"] == "\"5\"")
            #expect(try await harness.call("GET", "/api/v1/devices").json["items"]?.array?.count == 1)
            #expect(try await harness.call("DELETE", path).status == 204)
            let gone = try await harness.call("GET", path)
            #expect(gone.status == 404)
            #expect(gone.code == "resource.unknown")
        }
    }

    @Test("If-Match: * does not create")
    func starDoesNotCreate() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let answer = try await harness.call(
                "PUT", "/api/v1/devices/new", Harness.token.merging(["If-Match": "*"]) { $1 }, spec)
            #expect(answer.status == 412)
        }
    }

    @Test("the source of a change is the page, the program, or what the header names")
    func sources() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie), "X-Tundish-Request": "1"]
            #expect(
                try await harness.call("PUT", "/api/v1/devices/a", cookie, spec).json["source"]?.string == "console")
            let named = Harness.token.merging(["X-Tundish-Source": "plant.yaml"]) { $1 }
            #expect(
                try await harness.call("PUT", "/api/v1/devices/b", named, spec).json["source"]?.string == "plant.yaml")
        }
    }

    @Test("a name may contain an escaped slash and letters of any script")
    func names() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let answer = try await harness.call("PUT", "/api/v1/devices/%E5%8E%8B%E6%9C%BA%2F1", Harness.token, spec)
            #expect(answer.json["name"]?.string == "压机/1")
        }
    }

    @Test("changing a user ends that user's sessions")
    func userChangeEndsSessions() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let cookie = ["Cookie": try #require(try await harness.logIn().cookie)]
            #expect(
                try await harness.call(
                    "PUT", "/api/v1/users/ann", Harness.token.merging(["If-Match": "*"]) { $1 }, spec
                ).status == 412)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 200)
            #expect(try await harness.call("PUT", "/api/v1/users/ann", Harness.token, spec).status == 201)
            #expect(
                try await harness.call(
                    "PUT", "/api/v1/users/ann", Harness.token.merging(["If-Match": "*"]) { $1 }, spec
                ).status == 200)
            #expect(try await harness.call("GET", "/api/v1/status", cookie).status == 401)
        }
    }

    @Test("an apply takes YAML and JSON, tells what changed, and names each place that is wrong")
    func apply() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let connection = try await harness.connect()
            defer { connection.close() }
            let yaml = Harness.token.merging(["Content-Type": "application/yaml; charset=utf-8"]) { $1 }
            let good = try await connection.request(
                "POST", "/api/v1/apply?dryRun=true", yaml, body: Array("kind: Device".utf8))
            #expect(good.status == 200)
            #expect(good.json["dryRun"] == true)
            #expect(good.json["changes"]?[0]?["diff"]?[0]?["path"]?.string == "groups[0].interval")
            let bad = try await connection.request("POST", "/api/v1/apply", yaml, body: Array("bad: 1".utf8))
            #expect(bad.status == 422)
            let issue = try #require(bad.json["issues"]?[0])
            #expect(issue["line"]?.integer == 3 && issue["column"]?.integer == 5)
            #expect(issue["code"]?.string == "key.unknown")
            #expect(issue["known"]?[0]?.string == "interval")
            let html = Harness.token.merging(["Content-Type": "text/html"]) { $1 }
            #expect(try await connection.request("POST", "/api/v1/apply", html, body: [0x20]).status == 415)
            let flag = try await connection.request("POST", "/api/v1/apply?dryRun=maybe", yaml, body: Array("a".utf8))
            #expect(flag.status == 400)
        }
    }

    @Test("schemas and drivers are data for forms")
    func schemas() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let kinds = try await harness.call("GET", "/api/v1/schema")
            #expect(kinds.json["kinds"]?[1]?.string == "Device")
            let field = try await harness.call("GET", "/api/v1/schema/devices").json["fields"]?[0]
            #expect(
                field?["type"]?.string == "duration" && field?["min"]?.string == "1ms" && field?["max"]?.string == "1m")
            #expect(field?["required"] == true)
            #expect(try await harness.call("GET", "/api/v1/schema/Nothing").code == "kind.unknown")
            #expect(
                try await harness.call("GET", "/api/v1/drivers").json[0]?["connection"]?["fields"]?[0]?["name"]?.string
                    == "host")
        }
    }

    @Test("tags come with value and quality, bad ones with an error")
    func tags() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let page = try await harness.call("GET", "/api/v1/tags?filter=temp&limit=2").json
            #expect(page["total"]?.integer == 2)
            #expect(page["items"]?[0]?["value"]?.number == 71.5)
            #expect(page["items"]?[0]?["quality"]?.string == "good")
            #expect(page["items"]?[1]?["value"] == .null)
            #expect(page["items"]?[1]?["error"]?["code"]?.string == "device.timeout")
            let wrong = try await harness.call("GET", "/api/v1/tags?limit=-1")
            #expect(wrong.status == 400)
            #expect(wrong.code == "request.parameter")
        }
    }

    @Test("a write keeps 64-bit integers exact and tells the result of each tag")
    func write() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let connection = try await harness.connect()
            defer { connection.close() }
            let text =
                #"{"device":"press-1","group":"fast","values":{"big":9223372036854775807,"huge":18446744073709551615,"mode":1}}"#
            let answer = try await connection.request("POST", "/api/v1/write", Harness.token, body: Array(text.utf8))
            #expect(answer.status == 200)
            #expect(answer.text.contains("\"big\":{\"value\":9223372036854775807}"))
            #expect(answer.text.contains("\"huge\":{\"value\":18446744073709551615}"))
            #expect(answer.json["results"]?["mode"]?["error"]?["code"]?.string == "device.timeout")
            let seen = harness.services.state.withLock { $0.writes }
            #expect(seen.first?.author == "robot")
            #expect(seen.first?.values.first?.value == .int(.max))
        }
    }

    @Test("a problem that a part throws becomes the status that fits its code")
    func problemStatus() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let body: JSONValue = .object(["device": "x", "group": "g", "values": .object(["t": 1])])
            for (code, status) in [
                ("device.unknown", 404), ("device.timeout", 504), ("queue.full", 503), ("value.out_of_range", 422),
            ] {
                harness.services.state.withLock { $0.writeProblem = Problem(code, "why", ["device": "x"]) }
                let answer = try await harness.call("POST", "/api/v1/write", Harness.token, body)
                #expect(answer.status == status)
                #expect(answer.code == code)
                #expect(answer.json["arguments"]?["device"]?.string == "x")
                #expect(answer.json["detail"]?.string == "why")
                #expect(answer.json["status"]?.integer == Int64(status))
            }
        }
    }

    @Test(
        "malformed bodies are refused with what is wrong",
        arguments: [
            ("{", 400, "request.json"), ("[1]", 400, "request.json_object"), ("", 400, "request.json"),
            ("{\"device\":1}", 422, "request.value"), ("{\"device\":\"d\"}", 422, "request.missing"),
            ("{\"device\":\"d\",\"group\":\"g\",\"values\":{}}", 422, "request.value"),
            ("{\"device\":\"d\",\"group\":\"g\",\"values\":{\"t\":null}}", 422, "request.value"),
            (String(repeating: "[", count: 100_000), 400, "request.json"),
            ("{\"device\":\"\u{FFFD}", 400, "request.json"),
        ])
    func malformedBodies(text: String, status: Int, code: String) async throws {
        try await Harness.run { (harness: Harness) async throws in
            let connection = try await harness.connect()
            defer { connection.close() }
            let answer = try await connection.request("POST", "/api/v1/write", Harness.token, body: Array(text.utf8))
            #expect(answer.status == status)
            #expect(answer.code == code)
        }
    }

    @Test("a body beyond the bound is refused, declared or not")
    func hugeBody() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let declared = try await harness.connect()
            try await declared.send(
                "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-token\r\nContent-Length: 99999999\r\n\r\n"
            )
            #expect(try await declared.response().status == 413)
            declared.close()

            let chunked = try await harness.connect()
            try await chunked.send(
                "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-token\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            let chunk = "8000\r\n" + String(repeating: "x", count: 0x8000) + "\r\n"
            for _ in 0..<4 { try await chunked.send(chunk) }
            #expect(try await chunked.response().code == "request.too_large")
            chunked.close()
        }
    }

    @Test("bytes that are no HTTP get no more than an error, and the server goes on")
    func garbage() async throws {
        try await Harness.run { (harness: Harness) async throws in
            var random = SplitMix64(seed: 7)
            for _ in 0..<20 {
                let connection = try await harness.connect()
                let bytes = (0..<Int(random.next() % 400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                try? await connection.send(bytes + Array("\r\n\r\n".utf8))
                connection.close()
            }
            #expect(try await harness.call("GET", "/healthz").status == 200)
        }
    }

    @Test("a query is read from a body and from a query string alike")
    func queries() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let post = try await harness.call(
                "POST", "/api/v1/query", Harness.token,
                .object([
                    "tags": .array(["d/g/t"]), "from": 1_000, "to": "1970-01-01T00:01:00Z", "bucket": "1s",
                    "aggregates": .array(["max", "count"]),
                ]))
            #expect(post.status == 200)
            #expect(post.json["series"]?[0]?["rows"]?[0] == .array([1, .number(0.1), "good"]))
            #expect(post.json["series"]?[0]?["rows"]?[1] == .array([2, .null, "device.timeout"]))
            let get = try await harness.call(
                "GET", "/api/v1/query?tags=d/g/t&from=1000&to=60000&bucket=1s&aggregates=max,count")
            #expect(get.status == 200)
            let seen = harness.services.state.withLock { $0.queries }
            #expect(seen.count == 2)
            #expect(seen[0].from == seen[1].from && seen[0].to == seen[1].to)
            #expect(seen[0].resolution == .bucket(nanoseconds: 1_000_000_000))
            #expect(seen[0].aggregates == [.max, .count])
        }
    }

    @Test(
        "a query that cannot be answered says why",
        arguments: [
            "last=24h", "tags=a/b&last=1h", "tags=a/b/c", "tags=a/b/c&last=soon", "tags=a/b/c&from=5&to=4",
            "tags=a/b/c&last=24h&bucket=1ms", "tags=a/b/c&last=1h&aggregates=median", "tags=a/b/c&from=yesterday",
        ])
    func wrongQueries(query: String) async throws {
        try await Harness.run { (harness: Harness) async throws in
            #expect(try await harness.call("GET", "/api/v1/query?\(query)").status == 422)
            #expect(harness.services.state.withLock { $0.queries.isEmpty })
        }
    }

    @Test("publishing tells whether anybody subscribes, takes Base64, and refuses wildcards")
    func publish() async throws {
        try await Harness.run { (harness: Harness) async throws in
            func publish(_ body: JSONValue) async throws -> TestResponse {
                try await harness.call("POST", "/api/v1/publish", Harness.token, body)
            }
            let alone = try await publish(.object(["topic": "a/b", "payload": "hello", "qos": 1, "retain": true]))
            #expect(alone.json["outcome"]?.string == "noSubscribers")
            let message = try #require(harness.bus.published.withLock { $0.first })
            #expect(message.payload.bytes.string == "hello")
            #expect(message.qos == .atLeastOnce && message.retain)
            #expect(message.origin.kind == .console && message.origin.username == "robot")
            _ = try await publish(.object(["topic": "a", "payload": "AP8=", "encoding": "base64"]))
            #expect(harness.bus.published.withLock { $0.last?.payload.bytes.array } == [0, 255])
            #expect(
                try await publish(.object(["topic": "a", "payload": "A", "encoding": "base64"])).code
                    == "request.base64")
            #expect(try await publish(.object(["topic": "a/#"])).code == "topic.invalid")
            #expect(try await publish(.object(["topic": "a", "qos": 3])).status == 422)
        }
    }

    @Test("a payload that is no text is shown in Base64")
    func binaryPayload() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let item = try await harness.call("GET", "/api/v1/retained").json["items"]?[0]
            #expect(item?["payload"]?.string == "/wA=")
            #expect(item?["encoding"]?.string == "base64")
        }
    }

    @Test("Base64 reads back what it wrote, for every length")
    func base64() {
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 73 &+ 200) }
            let text = Base64.encode(Bytes(bytes))
            #expect(text.utf8.count % 4 == 0)
            #expect(Base64.decode(text) == bytes)
        }
        for wrong in ["A", "AA", "AAA", "A===", "====", "AA=A", "AA A"] {
            #expect(Base64.decode(wrong) == nil, "\(wrong)")
        }
    }

    @Test("an unknown path is a problem document, a wrong method names the right ones")
    func unknownPaths() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let unknown = try await harness.call("GET", "/api/v1/nothing")
            #expect(unknown.status == 404)
            #expect(unknown.code == "path.unknown")
            let wrong = try await harness.call("DELETE", "/api/v1/status")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "GET")
            #expect(try await harness.call("GET", "/api/v1/devices/x/diagnostics").code == "device.unknown")
            #expect(
                try await harness.call("GET", "/api/v1/devices/press-1/diagnostics").json["counters"]?["requests"]?
                    .integer == 7)
            #expect(try await harness.call("GET", "/api/v1/rules/hot/metrics").json["perSecond"]?.number == 0.5)
            #expect(try await harness.call("GET", "/api/v1/sinks/plant-db/metrics").json["state"]?.string == "failed")
            let refused = try await harness.call("GET", "/api/v1/sinks/plant-db/refused?limit=5").json["items"]
            #expect(refused?[0]?["reason"]?.string == "no number")
            #expect(try await harness.call("GET", "/api/v1/sinks/none/refused").status == 404)
        }
    }

    @Test("HEAD is GET without the body")
    func head() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let answer = try await harness.call("HEAD", "/api/v1/status")
            #expect(answer.status == 200)
            #expect(Int(answer.headers["content-length"] ?? "") ?? 0 > 100)
        }
    }

    @Test("metrics are Prometheus text with one header per name; health checks tell what they should")
    func observability() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let metrics = try await harness.call("GET", "/metrics", [:])
            #expect(metrics.status == 200)
            #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(
                metrics.text.hasPrefix(
                    """
                    # HELP tundish_x_total Xs.
                    # TYPE tundish_x_total counter
                    tundish_x_total{a="1",b="say \\"hi\\""} 3
                    tundish_x_total 4
                    # HELP tundish_y Ys.
                    # TYPE tundish_y gauge
                    tundish_y 0.5

                    """))
            #expect(metrics.text.contains("tundish_console_live_sockets 0"))
            #expect(try await harness.call("GET", "/healthz", [:]).text == "ok\n")
            #expect(try await harness.call("GET", "/readyz", [:]).status == 200)
            harness.services.state.withLock { $0.isReady = false }
            let notReady = try await harness.call("GET", "/readyz", [:])
            #expect(notReady.status == 503)
            #expect(notReady.json["reasons"]?[0]?["code"]?.string == "a.b")
        }
    }

    @Test("a port in use is one clear sentence")
    func portInUse() async throws {
        try await Harness.run { (harness: Harness) async throws in
            do {
                try await Harness.run({ $0.port = harness.port }) { _ in }
                Issue.record("two consoles on one port")
            } catch let problem as Problem {
                #expect(problem.code == "console.port_in_use")
                #expect(problem.arguments["address"] == "127.0.0.1:\(harness.port)")
            }
        }
    }

    @Test("after a stop the port is free")
    func stopFreesThePort() async throws {
        var port = 0
        try await Harness.run { (harness: Harness) async throws in
            port = harness.port
            let open = try await harness.openLive()
            try await open.sendText("{\"op\":\"ping\"}")
            _ = try await open.message()
            await harness.server.stop()
            #expect(try await open.closeCode() == 1001)
        }
        try await Harness.run({ $0.port = port }) { #expect($0.port == port) }
    }
}
