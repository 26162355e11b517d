import Synchronization

/// A number that only grows. For counting off the hot path; there, count in plain integers of the owner and
/// report them from `MetricSource.collect`.
package final class Counter: Sendable {
    private let value = Atomic<UInt64>(0)
    package init() {}
    package func add(_ amount: Int = 1) { value.wrappingAdd(UInt64(truncatingIfNeeded: amount), ordering: .relaxed) }
    package var count: UInt64 { value.load(ordering: .relaxed) }
}

/// What a metric is, for Prometheus' `# TYPE` line.
package enum MetricKind: String, Sendable {
    case counter
    case gauge
}

/// One reading. Names follow Prometheus: `tundish_broker_messages_received_total`, units in the name.
package struct MetricSample: Sendable, Hashable {
    package var name: String
    package var kind: MetricKind
    package var help: String
    /// Label pairs, in order.
    package var labels: [String: String]
    package var value: Double

    package init(_ name: String, _ kind: MetricKind, _ help: String, labels: [String: String] = [:], _ value: Double) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.value = value
    }
}

/// Whoever counts something. Asked when metrics are scraped, so that counting itself costs an addition.
package protocol MetricSource: Sendable {
    func collect() async -> [MetricSample]
}
