import Journal
import Model
import Synchronization

/// How the sink fares, and what it has done.
extension SinkHost {
    /// Probes at the start and while there is nothing to write, and takes care of a disk that has refused.
    func watch() async {
        var nextProbe = ContinuousClock.now
        while !isStopping {
            if ContinuousClock.now >= nextProbe {
                let isIdle = monitor.withLock { state in
                    state.lanes.allSatisfy { $0.underWay == nil && $0.problem == nil }
                }
                if isIdle {
                    let health = await sink.probe()
                    monitor.withLock { $0.health = health }
                    tell()
                }
                nextProbe = .now + Self.probeInterval
            }
            await buffer.intake.retry()
            rate()
            if await !rest(.seconds(1)) { break }
        }
        monitor.withLock { $0.tasksRunning -= 1 }
    }

    private func rate() {
        let now = time.monotonicNanoseconds()
        monitor.withLock { state in
            let elapsed = Double(now - state.window.start) / 1e9
            if state.window.start > 0, elapsed > 0 {
                state.report.rowsPerSecond = Double(state.report.written - state.window.rows) / elapsed
            }
            state.window = (now, state.report.written)
        }
    }

    func tell() {
        let status = status
        let isNew = lastStatus.withLock { last -> Bool in
            defer { last = status }
            return last != status
        }
        if isNew { onStatus(status) }
    }

    var status: SinkStatus {
        let intake = buffer.intake.counts.problem
        return monitor.withLock { state in
            let problems = state.lanes.compactMap(\.problem)
            if let failed = problems.first(where: { $0.state == .failed }) { return failed }
            if let degraded = problems.first { return degraded }
            if let problem = state.readProblem ?? intake { return SinkStatus(.degraded, problem) }
            switch state.health {
            case nil: return state.lanes.contains { $0.isConnected } ? SinkStatus(.running) : SinkStatus(.connecting)
            case .ready: return SinkStatus(.running)
            case .degraded(let problem): return SinkStatus(.degraded, problem)
            case .unavailable(let problem):
                // Rows have gone through since it was asked.
                return state.lanes.contains { $0.isConnected } ? SinkStatus(.running) : SinkStatus(.failed, problem)
            }
        }
    }

    var report: SinkReport {
        let counts = buffer.intake.counts
        let now = time.now().nanoseconds
        let stats = buffer.journal.stats
        var report = monitor.withLock { state -> SinkReport in
            var report = state.report
            report.inFlight = state.lanes.reduce(0) { $0 + ($1.underWay?.batch.count ?? 0) }
            let oldest = state.lanes.compactMap { lane -> Int64? in
                lane.underWay?.time ?? lane.ready.first?.time ?? (lane.openRecord == nil ? nil : lane.openTime)
            }.min()
            report.oldestAge = oldest.map { .nanoseconds(max(now - $0, 0)) }
            let unread = max(buffer.intake.ordinal, state.readOrdinal) - state.readOrdinal
            report.queued = UInt64(max(state.cachedRows, 0)) + unread
            return report
        }
        report.offered = counts.offered
        report.refused = counts.refused
        report.bytesOnDisk = stats.bytesOnDisk
        report.status = status
        return report
    }
}
