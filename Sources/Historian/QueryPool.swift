import Journal
import Model

/// Two threads that read files for queries, with a bounded queue.
final class QueryPool: Sendable {
    private struct State {
        var jobs: [@Sendable (HistoryReader) -> Void] = []
        var isClosing = false
    }

    private let state = Monitor(State())
    private let jobsMax: Int
    let refused = Counter()

    init(shared: HistorianShared, jobsMax: Int, threads: Int = 2) {
        self.jobsMax = jobsMax
        let state = state
        for number in 0..<threads {
            WorkerThread.start("history-\(number)") {
                let reader = HistoryReader(shared: shared)
                while true {
                    let job = state.wait(until: { !$0.jobs.isEmpty || $0.isClosing }) { state in
                        state.jobs.isEmpty ? nil : state.jobs.removeFirst()
                    }
                    guard let job else { return reader.forget { _ in false } }
                    reader.forget { path in (try? shared.files.size(path)) ?? nil != nil }
                    job(reader)
                }
            }
        }
    }

    func close() {
        state.signal { state in
            state.isClosing = true
            return true
        }
    }

    func run<R: Sendable>(
        _ body: @escaping @Sendable (HistoryReader) throws(Problem) -> R
    ) async throws(Problem) -> R {
        let result: Result<R, Problem> = await withCheckedContinuation { continuation in
            var refusal: Problem?
            state.signal { state in
                if state.isClosing {
                    refusal = Problem("historian.closed", "the historian is closed")
                } else if state.jobs.count >= jobsMax {
                    refusal = Problem(
                        "historian.busy", "\(jobsMax) queries wait already; try again later", ["max": String(jobsMax)])
                } else {
                    state.jobs.append { reader in
                        do throws(Problem) { continuation.resume(returning: .success(try body(reader))) } catch {
                            continuation.resume(returning: .failure(error))
                        }
                    }
                    return true
                }
                return false
            }
            if let refusal {
                refused.add()
                continuation.resume(returning: .failure(refusal))
            }
        }
        return try result.get()
    }
}
