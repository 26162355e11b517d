import Bus
import Formats
import Model
import Node
import Streams

/// One figure of `bench rules` beside what it is held against.
package struct RulesBenchFigure: Sendable {
    package var name: String
    /// Per CPU-second of one thread.
    package var value: Double
    package var limit: Double
    package var unit: String
}

/// Measures rules on one thread, without broker and sockets, from message to encoded result: a filter and projection
/// on distinct JSON messages of 200 bytes; the same on typed samples; 1,000 rules on one topic. Prints each figure
/// beside its limit.
package func runRulesBench(
    seconds: Double = 2, print line: (String) -> Void = { print($0) }
) async throws -> [RulesBenchFigure] {
    var bench = RulesBench(seconds: seconds)
    let figures = try bench.run()
    for figure in figures {
        let verdict = figure.value >= figure.limit ? "ok" : "below"
        line("\(figure.name): \(whole(figure.value)) \(figure.unit) (limit \(whole(figure.limit)), \(verdict))")
    }
    return figures
}

private func whole(_ value: Double) -> String {
    guard value >= 1000 else { return "\((value * 10).rounded() / 10)" }
    var digits = String(Int(value))
    var at = digits.count - 3
    while at > 0 {
        digits.insert(",", at: digits.index(digits.startIndex, offsetBy: at))
        at -= 3
    }
    return digits
}

private struct RulesBench {
    private static let messageCount = 10_000
    private static let batchMessages = 500
    private static let ruleCount = 1000

    let seconds: Double
    private var random = SplitMix64(seed: 2026)
    private let origin = Origin(.client, clientID: "bench")
    private let time = SystemTime().now()

    init(seconds: Double) { self.seconds = seconds }

    mutating func run() throws -> [RulesBenchFigure] {
        let json = jsonMessages()
        let typed = try typedMessages()
        let filter = RuleConfiguration(
            name: "filter",
            sql: """
                SELECT device, values.temperature AS temperature, values.pressure AS pressure, timestamp
                FROM "acme/+/press/+/fast" WHERE values.temperature > 20 AND values.pressure < 12
                """,
            outputs: [.publish(PublishSpec(topic: "hot/${device}"))])
        let onJSON = try rate([filter], json)
        let onTyped = try rate([filter], typed)
        // All look at the same two fields; one in ten passes.
        let many = (0..<Self.ruleCount).map { index in
            RuleConfiguration(
                name: "r\(index)",
                sql: """
                    SELECT device, values.temperature AS temperature FROM "acme/+/press/+/fast"
                    WHERE values.temperature > \(70 + index % 40)
                    """,
                outputs: [.publish(PublishSpec(topic: "out/\(index)"))])
        }
        let shared = try rate(many, Array(json.prefix(200))) * Double(Self.ruleCount)
        return [
            RulesBenchFigure(
                name: "one rule, distinct JSON of 200 bytes, result encoded", value: onJSON, limit: 400_000,
                unit: "messages/s per core"),
            RulesBenchFigure(
                name: "one rule, typed samples, result encoded", value: onTyped, limit: 800_000,
                unit: "batches/s per core"),
            RulesBenchFigure(
                name: "1,000 rules on one topic, one parse: evaluations", value: shared, limit: 4_000_000,
                unit: "evaluations/s per core"),
            RulesBenchFigure(
                name: "1,000 rules against 1,000 times one rule, cost ratio", value: shared / onJSON, limit: 1,
                unit: "times cheaper per rule"),
        ]
    }

    /// Messages per CPU-second of this thread.
    private func rate(_ rules: [RuleConfiguration], _ messages: [Message]) throws -> Double {
        let pipeline = try RulePipeline(rules)
        let batches = stride(from: 0, to: messages.count, by: Self.batchMessages).map {
            Array(messages[$0..<min($0 + Self.batchMessages, messages.count)])
        }
        var published = 0
        for batch in batches.prefix(2) { published += pipeline.process(batch).count }
        guard published > 0 else { throw Problem("bench.rules", "the rules publish nothing") }
        var count = 0
        let start = cpuSeconds()
        var elapsed = 0.0
        while elapsed < seconds {
            for batch in batches {
                published += pipeline.process(batch).count
                count += batch.count
            }
            elapsed = cpuSeconds() - start
        }
        return Double(count) / elapsed
    }

    private func cpuSeconds() -> Double { ProcessFigures.cpuSeconds() }

    private mutating func topic(_ press: Int) -> Topic {
        Topic(unchecked: Bytes("acme/plant1/press/press-\(press)/fast"))
    }

    private mutating func decimal(_ low: Double, _ high: Double) -> Double {
        let unit = Double(random.next() >> 11) * 0x1p-53
        return ((low + unit * (high - low)) * 100).rounded() / 100
    }

    private mutating func jsonMessages() -> [Message] {
        (0..<Self.messageCount).map { index in
            let press = index % 50
            var text = """
                {"device":"press-\(press)","group":"fast","timestamp":\(time.milliseconds + Int64(index)),"values":{"temperature":\(decimal(40, 110)),"pressure":\(decimal(2, 11)),"position":\(decimal(0, 400)),"cycle":\(index),"state":"pressing"},"note":"
                """
            text += String(repeating: "x", count: max(0, 200 - text.utf8.count - 2)) + "\"}"
            return Message(topic: topic(press), payload: .bytes(Bytes(text)), receivedAt: time, origin: origin)
        }
    }

    private mutating func typedMessages() throws -> [Message] {
        let tags = ["temperature", "pressure", "position"].map { Tag(name: $0, type: ValueType(.float32)) }
        var groups: [(BatchDescriptor, any PayloadEncoder)] = []
        for press in 0..<50 {
            let descriptor = BatchDescriptor(
                device: "press-\(press)", deviceUID: "press-\(press)", group: "fast",
                tags: tags + [Tag(name: "cycle", type: ValueType(.int64))])
            groups.append((descriptor, try makeEncoder(descriptor: descriptor)))
        }
        return (0..<Self.messageCount).map { index in
            let (descriptor, encoder) = groups[index % 50]
            let builder = SampleBatchBuilder(
                dense: descriptor, timestamp: Timestamp(milliseconds: time.milliseconds + Int64(index)))
            builder.set(tag: 0, value: .float32(Float(decimal(40, 110))))
            builder.set(tag: 1, value: .float32(Float(decimal(2, 11))))
            builder.set(tag: 2, value: .float32(Float(decimal(0, 400))))
            builder.set(tag: 3, value: .int(Int64(index)))
            return Message(
                topic: topic(index % 50), payload: .samples(TypedPayload(builder.finish(), encoder: encoder)),
                receivedAt: time, origin: origin)
        }
    }
}
