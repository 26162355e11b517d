import Bus
import Formats
import Model
import Synchronization
import Testing

@testable import Console

@Suite("Live WebSocket")
struct LiveTests {
    private func subscribe(_ id: Int, _ tags: [String], interval: Int = 100) -> String {
        JSONValue.object([
            "op": "subscribe", "id": .integer(Int64(id)), "tags": .array(tags.map(JSONValue.string)),
            "intervalMilliseconds": .integer(Int64(interval)),
        ]).text
    }

    @Test("tags come whole at first, then only what changed, and bad ones as null with their code")
    func tags() async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.services.set("d/g/a", .float32(71.5), at: 1000)
            harness.services.set("d/g/b", .int(-3), at: 1000)
            let socket = try await harness.openLive()
            defer { socket.close() }
            try await socket.sendText(subscribe(1, ["d/g/a", "d/g/b", "nobody/g/x"]))
            let first = try await socket.message()
            #expect(first["id"]?.integer == 1)
            let rows = try #require(first["t"]?.array)
            #expect(rows[0] == .array([0, 1000, .number(71.5)]))
            #expect(rows[1] == .array([1, 1000, -3]))
            #expect(rows[2][2] == .null && rows[2][3]?.string == "tag.unknown")
            harness.services.set("d/g/b", nil, at: 1100, code: "device.timeout")
            #expect(try await socket.message()["t"] == .array([.array([1, 1100, .null, "device.timeout"])]))
            harness.services.set("d/g/a", .float32(72), at: 1200)
            #expect(try await socket.message()["t"] == .array([.array([0, 1200, .number(72)])]))
        }
    }

    @Test("a tag's name may contain slashes, a wrong path is named")
    func paths() async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.services.set("d/g/line/1/speed", .bool(true), at: 1)
            let socket = try await harness.openLive()
            defer { socket.close() }
            try await socket.sendText(subscribe(1, ["d/g/line/1/speed"]))
            #expect(try await socket.message()["t"]?[0]?[2] == true)
            try await socket.sendText(subscribe(2, ["d/g"]))
            let refused = try await socket.message()
            #expect(refused["id"]?.integer == 2)
            #expect(refused["error"]?["code"]?.string == "live.tags")
        }
    }

    @Test("what is not on screen is not asked for, and after an unsubscribe nothing comes")
    func unsubscribe() async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.services.set("d/g/a", .int(1), at: 1)
            let socket = try await harness.openLive()
            defer { socket.close() }
            try await socket.sendText(subscribe(1, ["d/g/a"]))
            _ = try await socket.message()
            try await socket.sendText("{\"op\":\"unsubscribe\",\"id\":1}")
            try await socket.sendText("{\"op\":\"ping\"}")
            #expect(try await socket.message()["op"]?.string == "pong")
            let calls = harness.services.state.withLock { $0.liveCalls }
            harness.services.set("d/g/a", .int(2), at: 2)
            for _ in 0..<20 {
                try await socket.sendText("{\"op\":\"ping\"}")
                #expect(try await socket.message()["op"]?.string == "pong")
            }
            #expect(harness.services.state.withLock { $0.liveCalls } <= calls + 1)
        }
    }

    @Test("many pages share one look at the values and one status")
    func shared() async throws {
        try await Harness.run({ $0.reportTick = .seconds(3600) }) { (harness: Harness) async throws in
            harness.services.set("d/g/a", .int(1), at: 1)
            var sockets: [TestConnection] = []
            for _ in 0..<20 {
                let socket = try await harness.openLive()
                try await socket.sendText(subscribe(1, ["d/g/a"], interval: 3_600_000))
                #expect(try await socket.message()["t"] == .array([.array([0, 1, 1])]))
                sockets.append(socket)
            }
            // Each came at its own time, so each was asked for; none was asked for twice.
            #expect(harness.services.state.withLock { $0.liveCalls } <= 20)
            for socket in sockets { socket.close() }
        }
    }

    @Test("status and diagnostics come each tick; a device that is unknown is an error, once")
    func reports() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let socket = try await harness.openLive()
            defer { socket.close() }
            try await socket.sendText("{\"op\":\"subscribe\",\"id\":2,\"status\":true}")
            #expect(try await socket.message()["status"]?["version"]?.string == "1.2.3")
            let second = try await socket.message()
            #expect(second["id"]?.integer == 2)
            #expect(second["status"]?["flow"]?[0]?["ratePerSecond"]?.number == 1234.5)
            try await socket.sendText("{\"op\":\"unsubscribe\",\"id\":2}")
            try await socket.sendText("{\"op\":\"subscribe\",\"id\":3,\"device\":\"press-1\"}")
            try await socket.sendText("{\"op\":\"subscribe\",\"id\":4,\"device\":\"nobody\"}")
            var diagnostics = 0
            var errors = 0
            while diagnostics < 3 {
                let message = try await socket.message()
                if message["diagnostics"] != nil {
                    diagnostics += 1
                    #expect(message["diagnostics"]?["endpoint"]?.string == "127.0.0.1:1502")
                } else if message["error"] != nil {
                    errors += 1
                    #expect(message["error"]?["code"]?.string == "device.unknown")
                }
            }
            #expect(errors == 1)
        }
    }

    @Test("messages of topics come in order, and the subscription ends with the page")
    func topics() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let socket = try await harness.openLive()
            try await socket.sendText("{\"op\":\"subscribe\",\"id\":4,\"topics\":[\"alarms/#\"]}")
            try await socket.sendText("{\"op\":\"ping\"}")
            #expect(try await socket.message()["op"]?.string == "pong")
            #expect(harness.bus.subscriptionCount == 1)
            let origin = Origin(.system, clientID: "t")
            for number in 0..<3 {
                let topic = try Topic(number == 1 ? "other" : "alarms/\(number)")
                _ = harness.bus.send([
                    Message(
                        topic: topic, payload: .bytes("{}"), retain: true, receivedAt: Timestamp(milliseconds: 8),
                        origin: origin)
                ])
            }
            var topics: [String] = []
            while topics.count < 2 {
                for message in try await socket.message()["m"]?.array ?? [] {
                    topics.append(message["topic"]?.string ?? "")
                    #expect(
                        message["payload"]?.string == "{}" && message["at"]?.integer == 8 && message["retain"] == true)
                }
            }
            #expect(topics == ["alarms/0", "alarms/2"])
            socket.close()
            while harness.bus.subscriptionCount > 0 { await Task.yield() }
        }
    }

    @Test("without authentication the socket is accepted and closed with 1008")
    func unauthenticated() async throws {
        try await Harness.run { (harness: Harness) async throws in
            for headers in [[:], ["Authorization": "Bearer wrong"], ["Cookie": "tundish_session=made-up"]] {
                let socket = try await harness.openLive(headers)
                #expect(try await socket.closeCode() == 1008)
            }
            let elsewhere = try await harness.connect()
            #expect(try await elsewhere.upgrade("/elsewhere", Harness.token).status == 101)
            #expect(try await elsewhere.closeCode() == 1008)
        }
    }

    @Test("a token may stand in the query; a cookie needs the console's own origin")
    func origins() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let byQuery = try await harness.connect()
            #expect(try await byQuery.upgrade("/api/v1/live?token=secret-token").status == 101)
            try await byQuery.sendText("{\"op\":\"ping\"}")
            #expect(try await byQuery.message()["op"]?.string == "pong")
            let cookie = try #require(try await harness.logIn().cookie)
            func open(_ origin: String?) async throws -> TestConnection {
                var headers = ["Cookie": cookie, "Host": "127.0.0.1:\(harness.port)"]
                headers["Origin"] = origin
                return try await harness.openLive(headers)
            }
            let own = try await open("http://127.0.0.1:\(harness.port)")
            try await own.sendText("{\"op\":\"ping\"}")
            #expect(try await own.message()["op"]?.string == "pong")
            for origin in ["http://evil.example", "null", nil, "http://127.0.0.1:1"] {
                #expect(try await open(origin).closeCode() == 1008, "\(origin ?? "none")")
            }
        }
    }

    @Test("a page that does not read gets the newest values later, without a queue that grows")
    func slowReader() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let tags = (0..<2_000).map { "d/g/tag-\($0)" }
            func setAll(_ round: Int64) {
                for tag in tags {
                    harness.services.set(tag, .string(String(repeating: "x", count: 60) + "\(round)"), at: round)
                }
            }
            setAll(0)
            let slow = try await harness.openLive()
            try await slow.sendText(subscribe(1, tags))
            _ = try await slow.message()
            try await slow.setReading(false)
            // More than all the buffers between the ends hold; a page that reads keeps pace.
            let quick = try await harness.openLive()
            try await quick.sendText(subscribe(1, [tags[0]]))
            let counters = harness.server.liveCounters
            for round in Int64(1)...2_000 where counters.skipped.count < 5 {
                setAll(round)
                _ = try await quick.message()
            }
            #expect(counters.skipped.count >= 5)
            setAll(9_999)
            try await slow.setReading(true)
            var newest: [Int64: Int64] = [:]
            while newest.values.count(where: { $0 == 9_999 }) < tags.count {
                for row in try await slow.message()["t"]?.array ?? [] {
                    if let index = row[0]?.integer, let time = row[1]?.integer {
                        #expect(time >= newest[index] ?? 0)
                        newest[index] = time
                    }
                }
            }
            slow.close()
            quick.close()
        }
    }

    @Test(
        "malformed requests are answered with an error and the socket goes on",
        arguments: [
            ("{", "live.json"), ("[]", "live.op"), ("{\"op\":\"dance\",\"id\":1}", "live.op"),
            ("{\"op\":\"subscribe\"}", "live.id"),
            ("{\"op\":\"subscribe\",\"id\":1}", "live.subject"),
            ("{\"op\":\"subscribe\",\"id\":1,\"tags\":[]}", "live.tags"),
            ("{\"op\":\"subscribe\",\"id\":1,\"tags\":[1]}", "live.tags"),
            ("{\"op\":\"subscribe\",\"id\":1,\"topics\":[\"a/#/b\"]}", "topic.invalid"),
            ("{\"op\":\"subscribe\",\"id\":1,\"tags\":[\"a/b/c\"],\"intervalMilliseconds\":\"x\"}", "live.interval"),
        ])
    func malformed(text: String, code: String) async throws {
        try await Harness.run { (harness: Harness) async throws in
            let socket = try await harness.openLive()
            defer { socket.close() }
            try await socket.sendText(text)
            #expect(try await socket.message()["error"]?["code"]?.string == code)
            try await socket.sendText("{\"op\":\"ping\"}")
            #expect(try await socket.message()["op"]?.string == "pong")
        }
    }

    @Test("frames that are against the protocol close the socket, and the server goes on")
    func garbageFrames() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let binary = try await harness.openLive()
            try await binary.sendFrame(2, [1, 2, 3])
            #expect(try await binary.closeCode() == 1003)
            let huge = try await harness.openLive()
            try await huge.send([0x81, 0xFF, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
            #expect(try await huge.closeCode() != nil)
            var random = SplitMix64(seed: 11)
            for _ in 0..<20 {
                let socket = try await harness.openLive()
                try? await socket.send((0..<300).map { _ in UInt8(truncatingIfNeeded: random.next()) })
                socket.close()
            }
            #expect(try await harness.call("GET", "/healthz").status == 200)
        }
    }

    @Test("a page may have only so many subscriptions")
    func subscriptionBound() async throws {
        try await Harness.run({ $0.reportTick = .seconds(3600) }) { (harness: Harness) async throws in
            let socket = try await harness.openLive()
            defer { socket.close() }
            for id in 0...LivePage.subscriptionsMax {
                try await socket.sendText("{\"op\":\"subscribe\",\"id\":\(id),\"topics\":[\"a\"]}")
            }
            let refused = try await socket.message()
            #expect(refused["id"]?.integer == Int64(LivePage.subscriptionsMax))
            #expect(refused["error"]?["code"]?.string == "live.subscriptions")
        }
    }

    @Test("when the session ends, so does its socket")
    func sessionEnd() async throws {
        let time = ManualTime()
        try await Harness.run({ $0.time = time }) { (harness: Harness) async throws in
            let cookie = try #require(try await harness.logIn().cookie)
            let socket = try await harness.openLive([
                "Cookie": cookie, "Host": "127.0.0.1", "Origin": "http://127.0.0.1",
            ])
            try await socket.sendText("{\"op\":\"ping\"}")
            #expect(try await socket.message()["op"]?.string == "pong")
            harness.server.sessions.endAll(of: "ann")
            time.advance(nanoseconds: 11_000_000_000)
            #expect(try await socket.closeCode() == 1008)
        }
    }

    @Test("the server pings, and closes a page that gives no sign of life")
    func silence() async throws {
        let time = ManualTime()
        try await Harness.run({ $0.time = time }) { (harness: Harness) async throws in
            let socket = try await harness.openLive()
            #expect(try await socket.frame()?.opcode == 9)
            time.advance(nanoseconds: 61_000_000_000)
            #expect(try await socket.closeCode() == 1001)
        }
    }

    @Test("seeded nonsense never breaks the request reader")
    func fuzzRequests() {
        let seeds = [
            "{\"op\":\"subscribe\",\"id\":1,\"tags\":[\"a/b/c\"],\"intervalMilliseconds\":500}",
            "{\"op\":\"subscribe\",\"id\":4,\"topics\":[\"alarms/#\",\"$share/g/a\"]}", "{\"op\":\"ping\"}",
        ].map { Array($0.utf8) }
        var random = SplitMix64(seed: 5)
        for round in 0..<3_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<(random.next() % 6) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if round % 3 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
            _ = try? LiveRequest(parsing: Bytes(bytes))
        }
    }
}
