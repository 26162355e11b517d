package import Bus
import Formats
package import Model

/// Rules over messages without a bus: for trials, benchmarks and tests. Belongs to one task.
package final class RulePipeline {
    private let core: StreamCore

    /// Errors: those of `StreamEngine.check`.
    package init(
        _ rules: [RuleConfiguration], time: any TimeSource = SystemTime(), random: any RandomSource = SystemRandom(),
        historian: (any HistorianOutput)? = nil, sinks: (any SinkOutputs)? = nil,
        options: StreamOptions = StreamOptions()
    ) throws(Problem) {
        core = StreamCore(time: time, random: random, options: options, historian: historian, sinks: sinks)
        for rule in rules { core.install(try CompiledRule(rule, sinks: sinks)) }
    }

    /// What the rules publish.
    package func process(_ messages: [Message]) -> [Message] {
        core.process(messages[...])
        defer { core.confirm(taken: true) }
        return core.takeMessages()
    }

    /// What is published because time has passed.
    package func tick() -> [Message] {
        core.tick()
        defer { core.confirm(taken: true) }
        return core.takeMessages()
    }

    package func acknowledge(rule: String, alarm: String, key: String? = nil) -> [Message] {
        _ = core.runner(rule)?.acknowledge(alarm: alarm, key: key, by: nil, core)
        defer { core.confirm(taken: true) }
        return core.takeMessages()
    }

    package func metrics(of rule: String) -> RuleMetrics? {
        core.runner(rule)?.report(monotonic: core.context.time.monotonicNanoseconds())
    }
}

/// A rule on sample messages, without an engine.
package enum RuleTrial {
    package enum Sample: Sendable {
        case json(Bytes)
        case samples(SampleBatch)
    }

    package struct Outcome: Sendable {
        /// Whether FROM takes the topic.
        package var matched: Bool
        package var passed: Bool
        /// The result as a JSON object; nil where the message did not pass.
        package var result: Bytes?
        package var messages: [Message]
        package var error: Problem?
    }

    /// Errors: those of `StreamEngine.check`, and `rule.topic` where the topic is none. Sinks are left out.
    package static func evaluate(
        _ rule: RuleConfiguration, topic: String, payload: Sample, at time: Timestamp
    ) throws(Problem) -> Outcome {
        let name: Topic
        do throws(TopicError) {
            name = try Topic(topic)
        } catch {
            throw Problem("rule.topic", "\(error)", ["topic": topic])
        }
        let body: Payload
        switch payload {
        case .json(let bytes): body = .bytes(bytes)
        case .samples(let batch):
            body = .samples(TypedPayload(batch, encoder: try makeEncoder(descriptor: batch.descriptor)))
        }
        // One more output, whose message is the result itself.
        var trial = rule
        trial.outputs = rule.outputs.filter { if case .sink = $0 { false } else { true } }
        trial.outputs.insert(.publish(PublishSpec(topic: "result")), at: 0)
        let pipeline = try RulePipeline([trial], time: ManualTime(time), historian: Discard())
        var messages = pipeline.process([
            Message(topic: name, payload: body, receivedAt: time, origin: Origin(.client, clientID: "trial"))
        ])
        let metrics = pipeline.metrics(of: rule.name) ?? RuleMetrics()
        let passed = metrics.passed > 0
        let result = passed && !messages.isEmpty ? messages.removeFirst().payload.bytes : nil
        return Outcome(
            matched: metrics.matched > 0, passed: passed, result: result, messages: messages, error: metrics.lastError)
    }

    /// The rule's plan as text. Errors: those of `StreamEngine.check`.
    package static func explain(_ rule: RuleConfiguration) throws(Problem) -> String {
        var checked = rule
        checked.outputs = rule.outputs.filter { if case .sink = $0 { false } else { true } }
        return try CompiledRule(checked).explanation
    }

    /// A statement without outputs is right. Errors: `rule.sql` with `line` and `column`.
    package static func check(sql: String, dialect: SQLDialect = .tundish) throws(Problem) {
        _ = try CompiledRule(RuleConfiguration(name: "check", sql: sql, dialect: dialect))
    }

    private struct Discard: HistorianOutput {
        func record(_ batch: SampleBatch, refused: @escaping @Sendable (Problem) -> Void) {}
    }
}
