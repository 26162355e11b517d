import Foundation
import Model

/// Who publishes to whom: `groups` times, `publishers` on one topic that `subscribers` have subscribed to.
struct LoadShape: Codable, Hashable {
    var groups = 1
    var publishers = 1
    var subscribers = 1

    static func pairs(_ count: Int) -> LoadShape { LoadShape(groups: count) }
    static func fanIn(_ count: Int) -> LoadShape { LoadShape(publishers: count) }
    static func fanOut(_ count: Int) -> LoadShape { LoadShape(subscribers: count) }

    var publishersTotal: Int { groups * publishers }
    var subscribersTotal: Int { groups * subscribers }
}

/// What the generator's process is to do. It travels as JSON on the command line.
struct LoadPlan: Codable, Equatable {
    enum Mode: String, Codable {
        /// Each publisher sends a window of messages, and the next when all of it has arrived.
        case window
        /// A fixed rate, whatever the broker does: latency counts from the time a message was meant to leave.
        case rate
        /// Publishes to persistent sessions that are away, then lets them return.
        case store
        /// Connects, is answered, disconnects.
        case connect
        /// Connects, subscribes once, says so and stays until it is ended.
        case idle
    }

    /// Bytes that a payload begins its end with: publisher, sequence number, time.
    static let payloadBytesMin = 16

    var mode = Mode.window
    var host = "127.0.0.1"
    var port = 1883
    /// The broker's process, whose processor time is read; 0: not known, and the time is zero.
    var broker: Int32 = 0
    var shape = LoadShape()
    var qos = 0
    /// Messages that a publisher sends at once and may have under way.
    var window = 1
    var payloadBytes = 64
    /// Whether subscribers have persistent sessions.
    var isPersistent = false
    /// Publications per second of all publishers together; `rate` alone.
    var ratePerSecond = 0.0
    /// Most publications in all; 0: as many as the time allows. `store` alone.
    var messagesMax = 0
    /// `connect` and `idle`: connections at the same time.
    var connections = 0
    /// `idle`: the number of the first of them.
    var firstConnection = 0
    /// `connect`: with TLS, a full handshake each time.
    var usesTLS = false
    var warmUpSeconds = 0.5
    var seconds = 2.0
    /// Part of topics and client ids, so that nothing of an earlier run is met.
    var tag = "bench"
    /// Looks for work without sleeping; for a generator with a core of its own.
    var spins = false

    func validate() throws(Problem) {
        guard (1...65_535).contains(port), (0...2).contains(qos), (1...10_000).contains(window),
            (Self.payloadBytesMin...(16 << 20)).contains(payloadBytes), shape.groups > 0, shape.publishers > 0,
            shape.subscribers > 0, shape.publishersTotal <= 100_000, shape.subscribersTotal <= 100_000,
            ratePerSecond >= 0, ratePerSecond.isFinite, seconds > 0, seconds <= 600, warmUpSeconds >= 0,
            warmUpSeconds <= 60, (0...100_000).contains(connections), firstConnection >= 0,
            mode != .rate || ratePerSecond > 0
        else { throw Problem("bench.usage", "the plan of a load generator is out of range: \(self)") }
    }

    func encoded() throws -> String { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }

    static func decode(_ text: String) throws -> LoadPlan {
        let plan = try JSONDecoder().decode(LoadPlan.self, from: Data(text.utf8))
        try plan.validate()
        return plan
    }
}

/// Latencies of a run, in microseconds.
struct LatencySummary: Codable, Equatable {
    var p50 = 0.0
    var p99 = 0.0
    var max = 0.0
}

/// Something counted over a time.
struct LoadPhase: Codable, Equatable {
    /// Deliveries, acknowledgements or connections.
    var count = 0
    /// Processor time of the broker, user and system.
    var brokerNanoseconds: Int64 = 0
    var wallNanoseconds: Int64 = 0

    /// Nil where the broker's processor time is not known or too short to be told.
    var perCPUSecond: Double? {
        brokerNanoseconds > 0 ? Double(count) * 1e9 / Double(brokerNanoseconds) : nil
    }
    var perSecond: Double { Double(count) * 1e9 / Double(Swift.max(wallNanoseconds, 1)) }
}

/// What one run of the generator measured.
struct LoadResult: Codable, Equatable {
    var measured = LoadPhase()
    /// Of `store`: the messages of sessions that returned.
    var replayed: LoadPhase?
    var latency: LatencySummary?
    /// How late the generator itself was, 99 of 100 times, in microseconds; `rate` alone.
    var lateP99 = 0.0
    /// The part of the measured time that the generator's core was busy.
    var generatorLoad = 0.0
    var published = 0
    var account = DeliveryAccount.Totals()

    var line: String {
        get throws { "measured " + String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
    }

    init() {}

    /// Nil for a line that says something else.
    init?(line: some StringProtocol) {
        guard line.hasPrefix("measured "),
            let read = try? JSONDecoder().decode(LoadResult.self, from: Data(line.dropFirst(9).utf8))
        else { return nil }
        self = read
    }
}
