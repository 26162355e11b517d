import Bus
import Formats
import Model
import Synchronization
import Testing

@testable import Streams

@Suite("Stream engine")
struct EngineTests {
    func rule(_ name: String, _ sql: String, to topic: String) -> RuleConfiguration {
        RuleConfiguration(name: name, sql: sql, outputs: [.publish(PublishSpec(topic: topic))])
    }

    func texts(_ bus: LocalBus, _ topic: String) -> [String] {
        bus.published.withLock { $0 }.filter { $0.topic.string == topic }.map(\.payload.bytes.string)
    }

    @Test("rules come, change and go while others run")
    func life() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        try await engine.apply(rule("one", "SELECT x FROM \"in/#\"", to: "one"))
        try await engine.apply(rule("two", "SELECT x + 1 AS x FROM \"in/a\", \"in/#\"", to: "two"))
        #expect(bus.updates.withLock { $0.last } == ["in/#", "in/a"])
        bus.deliver([message("in/a", "{\"x\":1}"), message("other", "{\"x\":1}")])
        #expect(await eventually { texts(bus, "two").count == 1 })
        #expect(texts(bus, "one") == ["{\"x\":1}"] && texts(bus, "two") == ["{\"x\":2}"])
        try await engine.apply(rule("two", "SELECT x * 10 AS x FROM \"new\"", to: "two"))
        #expect(bus.updates.withLock { $0.last } == ["in/#", "new"])
        bus.deliver([message("in/a", "{\"x\":2}"), message("new", "{\"x\":3}")])
        #expect(await eventually { texts(bus, "two").count == 2 })
        #expect(texts(bus, "one") == ["{\"x\":1}", "{\"x\":2}"] && texts(bus, "two").last == "{\"x\":30}")
        #expect(engine.metrics(of: "one")?.matched == 2 && engine.metrics(of: "two")?.matched == 1)
        try await engine.remove("one")
        try await engine.remove("one")
        #expect(
            bus.updates.withLock { $0.last } == ["new"] && engine.ruleNames == ["two"]
                && engine.metrics(of: "one") == nil)
        var disabled = rule("two", "SELECT x FROM \"new\"", to: "two")
        disabled.isEnabled = false
        try await engine.apply(disabled)
        #expect(engine.ruleNames.isEmpty && bus.subscribers.withLock { $0.isEmpty })
        await engine.stop()
    }

    /// Alarm states by topic, as they were published and retained.
    private func alarms(_ bus: LocalBus) -> [String] {
        bus.published.withLock { $0 }.filter { $0.topic.string.hasPrefix("alarms/") && $0.retain }.map { message in
            let json = try? JSONValue(parsing: message.payload.bytes)
            return "\(message.topic.string) \(json?["state"]?.string ?? "?")"
        }
    }

    @Test("the alarms of a rule that is removed, disabled or given another alarm return to normal, retained")
    func alarmsEnd() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        var hot = RuleConfiguration(
            name: "hot", sql: "SELECT device, t FROM \"in\" WHERE t > 80",
            outputs: [.alarm(AlarmSpec(name: "overheat"))])
        func raise(_ device: String, _ count: Int) async {
            bus.deliver([message("in", "{\"device\":\"\(device)\",\"t\":90}")])
            #expect(await eventually { alarms(bus).count == count })
        }
        try await engine.apply(hot)
        await raise("a", 1)
        await raise("b", 2)
        try await engine.remove("hot")
        #expect(alarms(bus).suffix(2) == ["alarms/overheat/a normal", "alarms/overheat/b normal"])

        try await engine.apply(hot)
        await raise("a", 5)
        hot.sql = "SELECT device, t FROM \"in\" WHERE t > 70"
        try await engine.apply(hot)
        #expect(alarms(bus).count == 5, "the alarm is the same: its states stay")
        hot.outputs = [.alarm(AlarmSpec(name: "too-hot"))]
        try await engine.apply(hot)
        #expect(alarms(bus).last == "alarms/overheat/a normal")

        await raise("c", 7)
        hot.isEnabled = false
        try await engine.apply(hot)
        #expect(alarms(bus).last == "alarms/too-hot/c normal")
        await engine.stop()
    }

    @Test("topics of a removed rule that cannot be given up are an error, counted, and given up with the next try")
    func staleTopics() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        try await engine.apply(rule("one", "SELECT x FROM \"a\"", to: "one"))
        try await engine.apply(rule("two", "SELECT x FROM \"b\"", to: "two"))
        bus.refusesUpdates.withLock { $0 = true }
        do throws(Problem) {
            try await engine.remove("one")
            Issue.record("nobody was told")
        } catch { #expect(error.code == "rule.subscribe" && error.message.contains("\"one\"")) }
        let failures = await engine.collect().first { $0.name == "tundish_streams_subscription_failures_total" }
        #expect(failures?.value == 1)
        #expect(engine.ruleNames == ["two"])
        bus.refusesUpdates.withLock { $0 = false }
        try await engine.remove("one")
        #expect(bus.updates.withLock { $0.last } == ["b"])
        await engine.stop()
    }

    @Test("a rule that is wrong is refused and the one that runs stays")
    func refused() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        try await engine.apply(rule("r", "SELECT x FROM \"in\"", to: "out"))
        await #expect(throws: Problem.self) { try await engine.apply(rule("r", "SELECT FROM \"in\"", to: "out")) }
        bus.deliver([message("in", "{\"x\":1}")])
        #expect(await eventually { texts(bus, "out") == ["{\"x\":1}"] })
        await engine.stop()
    }

    @Test("messages that fail are counted with the last error, and the rule goes on")
    func failures() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        try await engine.apply(rule("r", "SELECT x + 1 AS y FROM \"in\"", to: "out"))
        bus.deliver(["{", "\u{FF}", "[]", "{\"x\":{}}", "{\"x\":41}"].map { message("in", $0) })
        #expect(await eventually { texts(bus, "out").contains("{\"y\":42}") })
        let metrics = try #require(engine.metrics(of: "r"))
        #expect((metrics.matched, metrics.passed, metrics.failed, metrics.emitted) == (5, 5, 3, 2))
        #expect(
            metrics.lastError?.message
                == "line 1, column 10: the operator cannot be applied to an object and an integer")
        #expect(metrics.lastErrorAt == startOf2026)
        let samples = await engine.collect()
        #expect(samples.first { $0.name == "tundish_rule_failed_total" }?.value == 3)
        await engine.stop()
    }

    @Test("rules that feed each other are warned about where it can be seen, and cut off by hops")
    func loops() async throws {
        let bus = LocalBus()
        var options = StreamOptions()
        options.hopsMax = 5
        let engine = StreamEngine(bus: bus, time: ManualTime(), options: options)
        let warnings = try await engine.apply(rule("self", "SELECT x FROM \"a/#\"", to: "a/${x}"))
        #expect(warnings.map(\.code) == ["rule.loop"])
        bus.deliver([message("a/0", "{\"x\":1}")])
        #expect(await eventually { engine.metrics(of: "self")?.lastError?.code == "rule.loop" })
        #expect(texts(bus, "a/1").count == 5)
        #expect(try engine.check(rule("ok", "SELECT x FROM \"a/#\"", to: "b/${x}")).isEmpty)
        #expect(try engine.check(rule("ok", "SELECT x FROM \"a/+\"", to: "a/b/c")).isEmpty)
        #expect(try engine.check(rule("no", "SELECT x FROM \"a/+/c\"", to: "a/${x}/d")).count == 1)
        await engine.stop()
    }

    @Test("what the bus cannot take is counted as dropped")
    func full() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        try await engine.apply(rule("r", "SELECT x FROM \"in\"", to: "out"))
        bus.isFull.withLock { $0 = true }
        bus.deliver([message("in", "{\"x\":1}")])
        #expect(await eventually { engine.metrics(of: "r")?.dropped == 1 })
        #expect(engine.metrics(of: "r")?.emitted == 0)
        await engine.stop()
    }

    @Test("messages beyond the inbox are dropped and counted")
    func inbox() async throws {
        let bus = LocalBus()
        var options = StreamOptions()
        options.inboxMessagesMax = 10
        let engine = StreamEngine(bus: bus, time: ManualTime(), options: options)
        try await engine.apply(rule("r", "SELECT x FROM \"in\"", to: "out"))
        bus.deliver((0..<100).map { message("in", "{\"x\":\($0)}") })
        #expect(await eventually { texts(bus, "out").count == 10 })
        #expect(engine.dropped == 90)
        await engine.stop()
    }

    @Test("a thousand rules on one topic read the payload once and all see it")
    func many() throws {
        let rules = (0..<1000).map {
            rule("r\($0)", "SELECT values.t AS t FROM \"in\" WHERE values.t > \($0)", to: "out/\($0)")
        }
        let pipeline = try RulePipeline(rules, time: ManualTime())
        let made = pipeline.process([message("in", "{\"values\":{\"t\":499.5}}")])
        #expect(made.count == 500)
        #expect(Set(made.map(\.payload.bytes.string)) == ["{\"t\":499.5}"])
    }

    @Test("an alarm keeps its states while its rule's statement changes")
    func replacedAlarm() async throws {
        let bus = LocalBus()
        let engine = StreamEngine(bus: bus, time: ManualTime())
        var rule = RuleConfiguration(
            name: "r", sql: "SELECT x FROM \"in\" WHERE x > 1", outputs: [.alarm(AlarmSpec(name: "a", topic: "al"))])
        try await engine.apply(rule)
        bus.deliver([message("in", "{\"x\":2}")])
        #expect(await eventually { texts(bus, "al").count == 1 })
        rule.sql = "SELECT x FROM \"in\" WHERE x > 5"
        try await engine.apply(rule)
        bus.deliver([message("in", "{\"x\":2}")])
        #expect(await eventually { texts(bus, "al").count == 2 })
        #expect(texts(bus, "al")[1].contains("\"state\":\"rtn_unack\""))
        await engine.stop()
    }

    @Test("an alarm with a delay is raised by the clock alone")
    func ticking() async throws {
        let bus = LocalBus()
        let time = ManualTime()
        let engine = StreamEngine(bus: bus, time: time)
        try await engine.apply(
            RuleConfiguration(
                name: "r", sql: "SELECT x FROM \"in\" WHERE x > 1",
                outputs: [.alarm(AlarmSpec(name: "a", topic: "al", key: "k", onDelay: .seconds(1)))]))
        bus.deliver([message("in", "{\"x\":2}")])
        #expect(await eventually { engine.metrics(of: "r")?.passed == 1 })
        #expect(texts(bus, "al").isEmpty)
        time.advance(nanoseconds: 1_000_000_000)
        engine.tick()
        #expect(await eventually { texts(bus, "al").count == 1 })
        #expect(engine.acknowledge(rule: "r", alarm: "a") == 1)
        #expect(texts(bus, "al").count == 2)
        await engine.stop()
    }
}
