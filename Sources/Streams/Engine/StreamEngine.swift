package import Bus
package import Model

/// Limits of the engine.
package struct StreamOptions: Sendable {
    /// Messages that wait for evaluation; further ones are dropped and counted.
    package var inboxMessagesMax = 65_536
    /// Rules in a chain that one message may pass.
    package var hopsMax = 16
    /// Alarm states per output.
    package var alarmKeysMax = 100_000
    package init() {}
}

/// Runs rules over the messages of a bus.
package final class StreamEngine: Sendable, MetricSource {
    package init(
        bus: any Bus, time: any TimeSource = SystemTime(), historian: (any HistorianOutput)? = nil,
        sinks: (any SinkOutputs)? = nil, options: StreamOptions = StreamOptions()
    ) {}

    /// Checks a rule without running it. Returns warnings. Errors: `rule.sql` with `line` and `column`, ...
    package func check(_ rule: RuleConfiguration) throws(Problem) -> [Problem] { [] }

    /// Adds a rule, or replaces the one of the same name, without disturbing the others. Returns warnings.
    @discardableResult
    package func apply(_ rule: RuleConfiguration) async throws(Problem) -> [Problem] { [] }

    /// Idempotent.
    package func remove(_ name: String) async {}

    package func metrics(of rule: String) -> RuleMetrics? { nil }

    /// The rule's plan as text.
    package func explain(_ name: String) -> String? { nil }

    /// Ends the subscription and all rules.
    package func stop() async {}

    package func collect() async -> [MetricSample] { [] }
}

/// A rule on sample messages, without an engine.
package enum RuleTrial {
    package enum Payload: Sendable {
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

    package static func evaluate(
        _ rule: RuleConfiguration, topic: String, payload: Payload, at time: Timestamp
    ) throws(Problem) -> Outcome {
        Outcome(matched: false, passed: false, result: nil, messages: [], error: nil)
    }

    package static func explain(_ rule: RuleConfiguration) throws(Problem) -> String { "" }
}
