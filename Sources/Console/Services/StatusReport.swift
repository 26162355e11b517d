package import Model

/// `GET /api/v1/status`.
package struct StatusReport: Sendable {
    package var name = "Tundish"
    package var version = ""
    package var startedAt = Timestamp(nanoseconds: 0)
    package var uptimeSeconds: Double = 0
    package var memoryBytes: Int = 0
    package var cpuSeconds: Double = 0
    /// The store's revision counter.
    package var revision: Int64 = 0
    package var devices = DeviceCounts()
    package var tags = TagCounts()
    package var rules = RuleCounts()
    package var clients = 0
    package var subscriptions = 0
    package var retained = 0
    /// The stations of the data's way, in order.
    package var flow: [FlowStation] = []
    package var historian = HistorianCounts()
    package var problems: [ReportedProblem] = []

    package init() {}
}

package struct DeviceCounts: Sendable {
    package var total = 0
    package var connected = 0
    package var degraded = 0
    package var disconnected = 0
    package init() {}
}

package struct TagCounts: Sendable {
    package var total = 0
    package var good = 0
    package var bad = 0
    package init() {}
}

package struct RuleCounts: Sendable {
    package var total = 0
    package var running = 0
    package var failed = 0
    package init() {}
}

package struct HistorianCounts: Sendable {
    package var points = 0
    package var bytes = 0
    package var series = 0
    /// Nil while nothing is stored.
    package var bytesPerPoint: Double?
    package init() {}
}

/// One station of the data's way.
package struct FlowStation: Sendable {
    package enum Station: String, Sendable { case devices, bus, rules, historian, mqtt }
    package enum Unit: String, Sendable { case tags, messages, points }
    package enum State: String, Sendable { case ok, warn, error }

    package var station: Station
    package var unit: Unit
    package var ratePerSecond: Double
    package var total: UInt64
    package var dropped: UInt64
    package var state: State

    package init(
        _ station: Station, unit: Unit, ratePerSecond: Double, total: UInt64, dropped: UInt64 = 0, state: State = .ok
    ) {
        self.station = station
        self.unit = unit
        self.ratePerSecond = ratePerSecond
        self.total = total
        self.dropped = dropped
        self.state = state
    }
}

/// Something that a person should look at, and which resource it concerns.
package struct ReportedProblem: Sendable {
    package enum Severity: String, Sendable { case info, warning, error }

    package var severity: Severity
    package var problem: Problem
    package var resource: (kind: String, name: String)?

    package init(_ severity: Severity, _ problem: Problem, resource: (kind: String, name: String)? = nil) {
        self.severity = severity
        self.problem = problem
        self.resource = resource
    }
}
