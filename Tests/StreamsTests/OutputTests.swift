import Bus
import Formats
import Model
import Synchronization
import Testing

@testable import Streams

@Suite("Outputs")
struct OutputTests {
    func pipeline(_ rule: RuleConfiguration, _ time: ManualTime = ManualTime(), historian: (any HistorianOutput)? = nil)
        throws -> RulePipeline
    {
        try RulePipeline([rule], time: time, historian: historian)
    }

    @Test("publish fills in topic and payload, and carries QoS and retain")
    func publish() throws {
        let rule = RuleConfiguration(
            name: "r", sql: "SELECT payload.device AS device, t FROM \"in/#\" WHERE t > 1",
            outputs: [
                .publish(PublishSpec(topic: "out/${device}", qos: 2, retain: true)),
                .publish(PublishSpec(topic: "text", payload: "${device}: ${upper(unit)} ${t + 1} ${.} ${missing}")),
            ])
        let pipeline = try pipeline(rule)
        let made = pipeline.process([
            message("in/a", "{\"device\":\"d/1\",\"t\":2,\"unit\":\"c\"}"), message("other", "{}"),
            message("in/a", "{\"t\":0}"),
        ])
        #expect(made.map(\.topic.string) == ["out/d/1", "text"])
        #expect(made[0].payload.bytes.string == "{\"device\":\"d/1\",\"t\":2}")
        #expect(made[0].qos == .exactlyOnce && made[0].retain && made[0].origin.kind == .rule)
        #expect(made[1].payload.bytes.string == "d/1: C 3 {\"device\":\"d/1\",\"t\":2} ")
        let metrics = try #require(pipeline.metrics(of: "r"))
        #expect((metrics.matched, metrics.passed, metrics.failed, metrics.emitted) == (2, 1, 0, 2))
    }

    @Test(
        "a topic that cannot be made fails the message, never the rule",
        arguments: ["null", "\"a/+\"", "\"\\u0000\"", "\"$SYS/x\""])
    func badTopic(_ device: String) throws {
        let rule = RuleConfiguration(
            name: "r", sql: "SELECT d FROM \"in\"", outputs: [.publish(PublishSpec(topic: "${d}"))])
        let pipeline = try pipeline(rule)
        #expect(pipeline.process([message("in", "{\"d\":\(device)}")]).isEmpty)
        #expect(pipeline.metrics(of: "r")?.lastError?.message == "the topic template gives no valid topic")
        #expect(pipeline.process([message("in", "{\"d\":\"ok\"}")]).count == 1)
        #expect(pipeline.metrics(of: "r")?.failed == 1)
    }

    @Test("wrong outputs are refused when the rule is checked")
    func refused() {
        func error(_ output: RuleOutput) -> String {
            do throws(Problem) {
                _ = try CompiledRule(RuleConfiguration(name: "r", sql: "SELECT a FROM \"t\"", outputs: [output]))
            } catch { return error.message }
            return ""
        }
        #expect(
            error(.publish(PublishSpec(topic: "a/#")))
                == "rule \"r\": topic \"a/#\", column 3: a topic that is published to has no wildcard")
        #expect(error(.publish(PublishSpec(topic: "a/${b"))) == "template \"a/${b\": \"${\" without \"}\"")
        #expect(
            error(.publish(PublishSpec(topic: "a/${b +}")))
                == "template \"a/${b +}\": ${b +}: expected an expression, not the end of the statement")
        #expect(error(.sink("db")) == "rule \"r\": sinks are not available yet (sink \"db\")")
    }

    final class Recorder: HistorianOutput {
        let batches = Mutex<[SampleBatch]>([])
        let refuses = Mutex(false)
        func record(_ batch: SampleBatch, refused: @escaping @Sendable (Problem) -> Void) {
            if refuses.withLock({ $0 }) { return refused(Problem("journal.full", "the disk is full")) }
            batches.withLock { $0.append(batch) }
        }
    }

    @Test("historian makes tags of columns; integers become floats when a fraction comes")
    func historian() throws {
        let recorder = Recorder()
        let rule = RuleConfiguration(
            name: "r", sql: "SELECT device, timestamp, t, s, b, n FROM \"in\"",
            outputs: [.historian(HistorianSpec(group: "g-${topic}"))])
        let pipeline = try pipeline(rule, historian: recorder)
        _ = pipeline.process([
            message("in", "{\"device\":\"d\",\"timestamp\":5,\"t\":1,\"s\":\"x\",\"b\":true}"),
            message("in", "{\"t\":1.5,\"s\":3}"), message("in", "{\"device\":\"d\"}"),
        ])
        let batches = recorder.batches.withLock { $0 }
        #expect(batches.count == 2)
        #expect(
            batches[0].descriptor.device == "d" && batches[0].descriptor.group == "g-in"
                && batches[0].timestamp.milliseconds == 5)
        #expect(batches[0].descriptor.tags.map { "\($0.name) \($0.type)" } == ["t int64", "s string", "b bool"])
        #expect((0..<3).map { batches[0].value($0) } == [.int(1), .string("x"), .bool(true)])
        #expect(batches[1].descriptor.device == "r" && batches[1].timestamp == startOf2026)
        #expect(batches[1].value(0) == .float64(1.5))
    }

    @Test("what the historian refuses, at once or later, counts as dropped and is the rule's last error")
    func historianRefuses() throws {
        let recorder = Recorder()
        let rule = RuleConfiguration(
            name: "r", sql: "SELECT t FROM \"in\"", outputs: [.historian(HistorianSpec())])
        let pipeline = try pipeline(rule, historian: recorder)
        _ = pipeline.process([message("in", "{\"t\":1}")])
        recorder.refuses.withLock { $0 = true }
        _ = pipeline.process([message("in", "{\"t\":2}"), message("in", "{\"t\":3}")])
        let metrics = try #require(pipeline.metrics(of: "r"))
        #expect((metrics.emitted, metrics.dropped, metrics.failed) == (1, 2, 2))
        #expect(metrics.lastError?.message == "the historian refused a result: the disk is full")
    }

    @Test("an alarm is raised once per key and returns to normal, with ISA-18.2's states, retained")
    func alarm() throws {
        let rule = RuleConfiguration(
            name: "hot", sql: "SELECT device, t FROM \"in\" WHERE t > 80",
            outputs: [.alarm(AlarmSpec(name: "overheat", severity: .high, message: "${device} at ${t}"))])
        let pipeline = try pipeline(rule)
        func send(_ device: String, _ t: String) -> [String] {
            pipeline.process([message("in", "{\"device\":\"\(device)\",\"t\":\(t)}")]).map(describe)
        }
        #expect(send("a", "70") == [])
        #expect(send("a", "81") == ["alarms/overheat/a unack_active UNACK high a at 81 retained 1"])
        #expect(send("a", "90") == [])
        #expect(send("b", "99") == ["alarms/overheat/b unack_active UNACK high b at 99 retained 1"])
        // Unknown is neither true nor false: nothing changes.
        #expect(send("a", "null") == [])
        #expect(
            pipeline.acknowledge(rule: "hot", alarm: "overheat", key: "b").map(describe) == [
                "alarms/overheat/b ack_active ACKED high b at 99 retained 1"
            ])
        #expect(send("b", "10") == ["alarms/overheat/b normal NORM high b at 10 retained 1"])
        #expect(send("a", "60") == ["alarms/overheat/a rtn_unack RTNUN high a at 60 retained 1"])
        #expect(send("a", "85") == ["alarms/overheat/a unack_active UNACK high a at 85 retained 1"])
        #expect(send("a", "60").count == 1)
        #expect(
            pipeline.acknowledge(rule: "hot", alarm: "overheat").map(describe) == [
                "alarms/overheat/a normal NORM high a at 60 retained 1"
            ])
        #expect(pipeline.metrics(of: "hot")?.failed == 0)
    }

    private func describe(_ message: Message) -> String {
        let json = try? JSONValue(parsing: message.payload.bytes)
        return [
            message.topic.string, json?["state"]?.string ?? "?", json?["isa182"]?.string ?? "?",
            json?["severity"]?.string ?? "?",
            json?["message"]?.string ?? "?", message.retain ? "retained" : "-", "\(message.qos.rawValue)",
        ].joined(separator: " ")
    }

    @Test("delays hold back what does not last")
    func delays() throws {
        let time = ManualTime()
        let rule = RuleConfiguration(
            name: "slow", sql: "SELECT 1 AS one FROM \"in\" WHERE t > 80",
            outputs: [.alarm(AlarmSpec(name: "a", topic: "al", onDelay: .seconds(5), offDelay: .seconds(2)))])
        let pipeline = try pipeline(rule, time)
        func send(_ t: Int) -> Int { pipeline.process([message("in", "{\"t\":\(t)}")]).count }
        #expect(send(90) == 0)
        time.advance(nanoseconds: 4_000_000_000)
        #expect(pipeline.tick().isEmpty)
        #expect(send(10) == 0 && send(90) == 0)
        time.advance(nanoseconds: 4_900_000_000)
        #expect(pipeline.tick().isEmpty)
        time.advance(nanoseconds: 100_000_000)
        let raised = pipeline.tick()
        #expect(raised.map(\.topic.string) == ["al"])
        #expect(send(10) == 0)
        time.advance(nanoseconds: 1_000_000_000)
        #expect(send(95) == 0)
        time.advance(nanoseconds: 5_000_000_000)
        #expect(pipeline.tick().isEmpty)
        #expect(send(10) == 0)
        time.advance(nanoseconds: 2_000_000_000)
        // The message finds the delay over before the clock does.
        #expect(send(10) == 1)
        #expect(pipeline.tick().isEmpty)
    }

    @Test("alarm states are bounded, and refusals are counted")
    func bounded() throws {
        var options = StreamOptions()
        options.alarmKeysMax = 3
        let rule = RuleConfiguration(
            name: "r", sql: "SELECT device FROM \"in\" WHERE t", outputs: [.alarm(AlarmSpec(name: "a"))])
        let pipeline = try RulePipeline([rule], time: ManualTime(), options: options)
        func send(_ device: Int, _ t: Bool) -> Int {
            pipeline.process([message("in", "{\"device\":\"\(device)\",\"t\":\(t)}")]).count
        }
        #expect((1...4).map { send($0, true) } == [1, 1, 1, 0])
        #expect(pipeline.metrics(of: "r")?.failed == 1)
        #expect(send(1, false) == 1)
        #expect(send(5, true) == 1)
    }

    @Test("the configuration is read from a validated spec")
    func configuration() throws {
        let spec = ConfigValue.object([
            "sql": .string("SELECT * FROM demo"), "dialect": .string("ekuiper"),
            "streams": .object(["demo": .string("a/#")]),
            "outputs": .list([
                .object(["publish": .object(["topic": .string("x"), "qos": .integer(1), "retain": .bool(true)])]),
                .object(["historian": .object(["device": .string("d")])]),
                .object([
                    "alarm": .object([
                        "name": .string("n"), "severity": .string("critical"), "onDelay": .duration(2_000_000_000),
                    ])
                ]),
                .object(["sink": .string("db")]),
            ]),
        ])
        let rule = try RuleConfiguration(name: "r", spec)
        #expect(rule.dialect == .ekuiper && rule.streams == ["demo": "a/#"] && rule.isEnabled)
        #expect(
            rule.outputs == [
                .publish(PublishSpec(topic: "x", qos: 1, retain: true)), .historian(HistorianSpec(device: "d")),
                .alarm(AlarmSpec(name: "n", severity: .critical, onDelay: .seconds(2))), .sink("db"),
            ])
        #expect(
            RuleConfiguration.schema.fields.map(\.name) == [
                "sql", "dialect", "streams", "enabled", "description", "outputs",
            ])
    }
}
