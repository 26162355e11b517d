import Bus
import Formats
import Model
import Synchronization

@testable import Streams

let startOf2026 = Timestamp(milliseconds: 1_767_225_600_000)
let testClient = Origin(.client, clientID: "c1", username: "ann", peer: "10.0.0.7:51234")

func message(
    _ topic: String, _ payload: String, qos: QoS = .atMostOnce, retain: Bool = false, origin: Origin = testClient,
    properties: MessageProperties? = nil
) -> Message {
    Message(
        topic: Topic(unchecked: Bytes(topic)), payload: .bytes(Bytes(payload)), qos: qos, retain: retain,
        receivedAt: startOf2026, origin: origin, properties: properties)
}

/// The result of `SELECT expression AS r FROM "t" ` on a payload, as JSON text; or the error's message.
func result(_ expression: String, _ payload: String = "{}", dialect: SQLDialect = .tundish, topic: String = "a/b/c")
    -> String
{
    let sql =
        dialect == .ekuiper
        ? "SELECT \(expression) AS r FROM demo" : "SELECT \(expression) AS r FROM \"#\""
    return run(sql, payload, dialect: dialect, topic: topic, prefix: "{\"r\":")
}

/// The result of a statement as JSON text; `-` where WHERE is not true; or the error's message.
func run(
    _ sql: String, _ payload: String = "{}", dialect: SQLDialect = .tundish, topic: String = "a/b/c",
    prefix: String = ""
) -> String {
    run(sql, .json(Bytes(payload)), dialect: dialect, topic: topic, prefix: prefix)
}

func run(
    _ sql: String, _ payload: RuleTrial.Sample, dialect: SQLDialect = .tundish, topic: String = "a/b/c",
    prefix: String = ""
) -> String {
    let rule = RuleConfiguration(name: "r", sql: sql, dialect: dialect, streams: ["demo": "#"])
    do throws(Problem) {
        let outcome = try RuleTrial.evaluate(rule, topic: topic, payload: payload, at: startOf2026)
        if let error = outcome.error { return error.message }
        guard let result = outcome.result else { return "-" }
        let text = result.string
        return text.hasPrefix(prefix) && !prefix.isEmpty ? String(text.dropFirst(prefix.count).dropLast()) : text
    } catch {
        return error.message
    }
}

func pressBatch(
    temperature: Float = 71.5, count: Int64 = 7, flow: Quality = .badTimeout, speed: Quality = .uncertainLastUsable,
    time: Timestamp = startOf2026
) -> SampleBatch {
    let builder = SampleBatchBuilder(dense: pressDescriptor, timestamp: time)
    builder.set(tag: 0, value: .float32(temperature))
    builder.set(tag: 1, value: .int(count))
    builder.set(tag: 2, value: .float64(3.25), quality: flow)
    builder.set(tag: 3, value: .uint(UInt64.max), quality: speed)
    builder.set(tag: 4, value: .string("läuft"))
    builder.set(tag: 5, value: .bool(true))
    builder.set(tag: 6, value: .array([.int(4), .int(5)]))
    return builder.finish()
}

let pressDescriptor = BatchDescriptor(
    device: "press-1", deviceUID: "u1", group: "fast",
    tags: [
        Tag(name: "temperature", type: ValueType(.float32)), Tag(name: "count", type: ValueType(.int64)),
        Tag(name: "flow", type: ValueType(.float64)), Tag(name: "speed", type: ValueType(.uint64)),
        Tag(name: "state", type: ValueType(.string)), Tag(name: "on", type: ValueType(.bool)),
        Tag(name: "list", type: ValueType(.int16, arrayCount: 2)),
    ])

/// A bus in one lock: what is published is delivered at once to whoever subscribes.
final class LocalBus: Bus {
    struct Subscriber {
        var filters: [TopicFilter]
        var deliver: @Sendable ([Message]) -> Void
    }

    let subscribers = Mutex<[Int: Subscriber]>([:])
    let published = Mutex<[Message]>([])
    let updates = Mutex<[[String]]>([])
    let isFull = Mutex(false)
    let refusesUpdates = Mutex(false)

    func publisher(_ origin: Origin) -> any BusPublisher { Publisher(bus: self) }

    func subscribe(
        _ filters: [TopicFilter], name: String, options: SubscribeOptions,
        deliver: @escaping @Sendable ([Message]) -> Void
    ) async throws -> any BusSubscription {
        updates.withLock { $0.append(filters.map(\.text)) }
        let id = subscribers.withLock { table in
            table[table.count + 1] = Subscriber(filters: filters, deliver: deliver)
            return table.count
        }
        return Subscription(bus: self, id: id)
    }

    func deliver(_ messages: [Message]) {
        published.withLock { $0 += messages }
        for subscriber in subscribers.withLock({ Array($0.values) }) {
            let wanted = messages.filter { message in subscriber.filters.contains { $0.matches(message.topic) } }
            if !wanted.isEmpty { subscriber.deliver(wanted) }
        }
    }

    struct Publisher: BusPublisher {
        let bus: LocalBus
        func publish(_ messages: [Message]) -> Bool {
            if bus.isFull.withLock({ $0 }) { return false }
            bus.deliver(messages)
            return true
        }
        func publishConfirmed(_ messages: [Message]) async -> [PublishOutcome] {
            publish(messages)
                ? messages.map { _ in .accepted } : messages.map { _ in .refused(Problem("full", "full")) }
        }
    }

    struct Subscription: BusSubscription {
        let bus: LocalBus
        let id: Int
        func update(_ filters: [TopicFilter]) async throws {
            if bus.refusesUpdates.withLock({ $0 }) { throw Problem("test.refused", "not now") }
            bus.updates.withLock { $0.append(filters.map(\.text)) }
            bus.subscribers.withLock { $0[id]?.filters = filters }
        }
        func cancel() async { bus.subscribers.withLock { _ = $0.removeValue(forKey: id) } }
    }
}

/// Waits for a condition, with a deadline.
func eventually(_ condition: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
        if condition() { return true }
        await Task.yield()
    }
    return condition()
}

func makeJSON(_ batch: SampleBatch) throws(Problem) -> Bytes {
    try makeEncoder(descriptor: batch.descriptor).encode(batch)
}
