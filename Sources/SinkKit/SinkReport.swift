package import Model

/// How a sink fares.
package struct SinkStatus: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        case connecting
        case running
        /// Works in part, or not at the moment; tries again by itself.
        case degraded
        /// Waits for a person; looks from time to time whether it was mended.
        case failed
        /// Switched off; rows wait.
        case stopped
    }

    package var state: State
    package var problem: Problem?

    package init(_ state: State, _ problem: Problem? = nil) {
        self.state = state
        self.problem = problem
    }
}

/// What a sink has done since its start, and what waits. Every row that was offered is in exactly one of `refused`
/// (never taken), `written`, `setApart`, `dropped`, `damaged`, `queued`, or was in the buffer before the start.
package struct SinkReport: Sendable, Hashable {
    package var offered: UInt64 = 0
    /// Rows not taken into the buffer: it was full, or the disk refused for too long.
    package var refused: UInt64 = 0
    /// Rows that the other side has confirmed.
    package var written: UInt64 = 0
    /// Of those, rows that it had already, from before a lost connection or a restart.
    package var known: UInt64 = 0
    /// Rows that the other side will never take.
    package var setApart: UInt64 = 0
    /// Rows that gave way to newer ones because the buffer was full.
    package var dropped: UInt64 = 0
    /// Rows that the disk has lost.
    package var damaged: UInt64 = 0
    /// Rows in the buffer, those in flight included.
    package var queued: UInt64 = 0
    package var inFlight: Int = 0
    package var batches: UInt64 = 0
    package var retries: UInt64 = 0
    package var rowsPerSecond: Double = 0
    /// Of the oldest row that waits; nil if none does.
    package var oldestAge: Duration?
    package var bytesOnDisk: Int = 0
    package var status = SinkStatus(.connecting)

    package func metrics(sink: String) -> [MetricSample] {
        let labels = ["sink": sink]
        func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricSample {
            MetricSample("tundish_sink_\(name)_total", .counter, help, labels: labels, Double(value))
        }
        func gauge(_ name: String, _ help: String, _ value: Double) -> MetricSample {
            MetricSample("tundish_sink_\(name)", .gauge, help, labels: labels, value)
        }
        return [
            counter("rows_offered", "Rows that rules brought.", offered),
            counter("rows_refused", "Rows not taken because the buffer was full or the disk refused.", refused),
            counter("rows_written", "Rows that the other side has confirmed.", written),
            counter("rows_known", "Rows of those that the other side had already.", known),
            counter("rows_set_apart", "Rows that the other side will never take.", setApart),
            counter("rows_dropped", "Rows that gave way to newer ones in a full buffer.", dropped),
            counter("rows_damaged", "Rows that the disk has lost.", damaged),
            counter("batches_written", "Batches that the other side has confirmed.", batches),
            counter("retries", "Batches or connections tried again.", retries),
            gauge("rows_queued", "Rows that wait, those in flight included.", Double(queued)),
            gauge("rows_in_flight", "Rows handed to the other side and not confirmed.", Double(inFlight)),
            gauge("buffer_bytes", "What the buffer takes on disk.", Double(bytesOnDisk)),
            gauge("oldest_row_age_seconds", "Age of the oldest row that waits.", oldestAge.map(\.inSeconds) ?? 0),
            gauge("up", "1 while rows go through.", status.state == .running ? 1 : 0),
        ]
    }
}

extension Duration {
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
