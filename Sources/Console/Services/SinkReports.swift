package import Model

/// `GET /api/v1/sinks/{name}/metrics`.
package struct SinkFigures: Sendable {
    /// Counters and gauges by name, in the order in which they are shown.
    package var figures: [(name: String, value: Double)]
    package var rowsPerSecond: Double
    /// Of the oldest row that waits; nil if none does.
    package var oldestSeconds: Double?
    package var state: String
    package var problem: Problem?

    package init(
        figures: [(name: String, value: Double)], rowsPerSecond: Double, oldestSeconds: Double?, state: String,
        problem: Problem?
    ) {
        self.figures = figures
        self.rowsPerSecond = rowsPerSecond
        self.oldestSeconds = oldestSeconds
        self.state = state
        self.problem = problem
    }
}

/// A row that the other side did not take.
package struct RefusedSinkRow: Sendable {
    package var time: Timestamp
    package var code: String
    package var reason: String
    package var row: String

    package init(time: Timestamp, code: String, reason: String, row: String) {
        self.time = time
        self.code = code
        self.reason = reason
        self.row = row
    }
}
