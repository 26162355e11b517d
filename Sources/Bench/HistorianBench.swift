import CZlib
import Historian
import Journal
import Model

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One figure of `bench historian` beside what it is held against.
package struct HistorianBenchFigure: Sendable {
    package var name: String
    package var value: Double
    package var unit: String
    /// Nil: shown for comparison.
    package var limit: Double?
    package var isMinimum = false

    package var isMet: Bool { limit.map { isMinimum ? value >= $0 : value <= $0 } ?? true }
}

/// `tundish bench historian`: points taken in per second and CPU time for it; bytes per point on disk for a seeded mix
/// of signals, each kind named, beside 16 bytes raw and gzip of the same; a day of one tag at 1 Hz read back. Works in
/// `directory`, which is removed afterwards. `scale` shortens it for tests.
package func runHistorianBench(
    directory: String = "/tmp/tundish-bench-historian-\(getpid())", scale: Double = 1,
    print line: (String) -> Void = { print($0) }
) async throws -> [HistorianBenchFigure] {
    let bench = HistorianBench(directory: directory, scale: scale)
    defer { bench.clean() }
    var figures = try await bench.rate()
    figures += try await bench.sizes()
    figures += try await bench.query()
    line("figure | value | limit | ok")
    for figure in figures {
        let limit = figure.limit.map { (figure.isMinimum ? ">= " : "<= ") + rounded($0) } ?? "-"
        line(
            "\(figure.name) | \(rounded(figure.value)) \(figure.unit) | \(limit) | \(figure.limit == nil ? "-" : figure.isMet ? "ok" : "NO")"
        )
    }
    return figures
}

private func rounded(_ value: Double) -> String {
    value >= 1000 ? String(Int(value.rounded())) : String((value * 1000).rounded() / 1000)
}

private struct HistorianBench {
    let directory: String
    let scale: Double
    private let files = SystemFiles()
    private let time = SystemTime()

    init(directory: String, scale: Double) {
        self.directory = directory
        self.scale = scale
    }

    func clean() { remove(directory) }

    private func remove(_ path: String) {
        for name in (try? files.list(path)) ?? [] {
            let child = FilePath.join(path, name)
            if (try? files.list(child)) != nil { remove(child) } else { try? files.remove(child) }
        }
        _ = rmdir(path)
    }

    private func scaled(_ count: Int) -> Int { max(1, Int(Double(count) * scale)) }

    private func since(_ start: Int64) -> Double { Double(time.monotonicNanoseconds() - start) / 1e9 }

    private static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Hands over all batches and waits until each is durable.
    private func feed(_ historian: Historian, _ batches: [SampleBatch], perAppend: Int) async throws {
        var at = 0
        while at < batches.count {
            // A window of appends whose completions share the journal's syncs.
            let window = min(at + perAppend * 64, batches.count)
            let pending = FeedWindow()
            while at < window {
                let end = min(at + perAppend, window)
                pending.add()
                historian.append(Array(batches[at..<end])) { pending.done($0) }
                at = end
            }
            if let problem = await pending.wait() { throw problem }
        }
    }

    func rate() async throws -> [HistorianBenchFigure] {
        let groups = 500
        let tags = 100
        let cycles = scaled(400)
        var plant = HistorianPlant(
            groups: groups, tags: tags, signals: [.walk, .walk, .counter, .steps, .booleans], seed: 1)
        var batches: [SampleBatch] = []
        for cycle in 0..<cycles { batches += plant.cycle(cycle, interval: HistorianPlant.second / 10) }
        let points = Double(groups * tags * cycles)
        let options = HistorianOptions(
            directory: FilePath.join(directory, "rate"), shards: 2, backlogPointsMax: Int(points))
        let historian = try await Historian.open(options)
        // The first batches carry layouts and fill the catalogue: that happens once, not per point.
        try await feed(historian, Array(batches.prefix(groups)), perAppend: 10)
        try await historian.checkpoint()
        let measured = Array(batches.dropFirst(groups))
        let cpu = Self.cpuSeconds()
        var start = time.monotonicNanoseconds()
        try await feed(historian, measured, perAppend: 10)
        // Until the last of them can be queried.
        _ = try await historian.last(plant.descriptors[groups - 1].series[0])
        let wall = since(start)
        let used = Self.cpuSeconds() - cpu
        start = time.monotonicNanoseconds()
        await historian.close()
        let closing = since(start)
        let usedWithClosing = Self.cpuSeconds() - cpu
        let count = points - Double(groups * tags)
        return [
            HistorianBenchFigure(
                name: "points in, two shards, acknowledged after sync", value: count / wall, unit: "points/s",
                limit: 1_000_000, isMinimum: true),
            HistorianBenchFigure(
                name: "points in per CPU-second, all written as chunks", value: count / usedWithClosing,
                unit: "points/s",
                limit: 500_000, isMinimum: true),
            HistorianBenchFigure(name: "CPU time to take in \(Int(count)) points", value: used, unit: "s"),
            HistorianBenchFigure(name: "writing all heads and closing", value: closing, unit: "s"),
        ]
    }

    func sizes() async throws -> [HistorianBenchFigure] {
        var figures = [HistorianBenchFigure(name: "raw: time and value", value: 16, unit: "bytes/point")]
        for signal in HistorianSignal.allCases {
            let (stored, gzip) = try await size([signal])
            figures.append(HistorianBenchFigure(name: signal.rawValue, value: stored, unit: "bytes/point"))
            figures.append(HistorianBenchFigure(name: "  gzip of the same", value: gzip, unit: "bytes/point"))
        }
        let (stored, gzip) = try await size(HistorianSignal.mix)
        figures.append(
            HistorianBenchFigure(name: "the mix without the noise", value: stored, unit: "bytes/point", limit: 2))
        figures.append(HistorianBenchFigure(name: "  gzip of the same", value: gzip, unit: "bytes/point"))
        return figures
    }

    /// Bytes per point of the files, indexes and all, and of gzip over the series one behind another, each as times
    /// and then values, 8 bytes each (strings as their text).
    private func size(_ signals: [HistorianSignal]) async throws -> (stored: Double, gzip: Double) {
        let tags = 20
        let cycles = scaled(14_400)
        var plant = HistorianPlant(groups: 1, tags: tags, signals: signals, seed: 2)
        var batches: [SampleBatch] = []
        for cycle in 0..<cycles { batches += plant.cycle(cycle) }
        let path = FilePath.join(directory, "size-\(signals[0].rawValue)-\(signals.count)")
        let historian = try await Historian.open(HistorianOptions(directory: path, shards: 1))
        try await feed(historian, batches, perAppend: 50)
        await historian.close()
        var bytes = 0
        let days = FilePath.join(path, "days")
        for name in try files.list(days) { bytes += try files.size(FilePath.join(days, name)) ?? 0 }
        var columns: [UInt8] = []
        for tag in 0..<tags {
            for batch in batches { withUnsafeBytes(of: batch.timestamp.nanoseconds) { columns += $0 } }
            for batch in batches {
                if batch.descriptor.tags[tag].type.isInline {
                    withUnsafeBytes(of: batch.slots[tag]) { columns += $0 }
                } else {
                    columns += Array(batch.blobBytes(tag)) + [0]
                }
            }
        }
        let points = Double(tags * cycles)
        return (Double(bytes) / points, Double(gzipBytes(columns)) / points)
    }

    /// Length of what `gzip` makes of the bytes at its usual level.
    private func gzipBytes(_ bytes: [UInt8]) -> Int {
        var stream = z_stream()
        let made = deflateInit2_(
            &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard made == Z_OK else { return bytes.count }
        defer { deflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))))
        return input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                _ = deflate(&stream, Z_FINISH)
                return Int(stream.total_out)
            }
        }
    }

    func query() async throws -> [HistorianBenchFigure] {
        let cycles = scaled(86_400)
        var plant = HistorianPlant(groups: 1, tags: 20, signals: HistorianSignal.mix, seed: 3)
        let historian = try await Historian.open(
            HistorianOptions(directory: FilePath.join(directory, "query"), shards: 1))
        for part in 0..<(cycles + 999) / 1000 {
            var batches: [SampleBatch] = []
            for cycle in part * 1000..<min((part + 1) * 1000, cycles) { batches += plant.cycle(cycle) }
            try await feed(historian, batches, perAppend: 50)
        }
        let range = TimeRange(
            from: HistorianPlant.start, to: HistorianPlant.start.advanced(nanoseconds: 86_400 * HistorianPlant.second))
        var ranges: [Double] = []
        var buckets: [Double] = []
        var last: [Double] = []
        for tag in 0..<20 {
            let series = plant.descriptors[0].series[tag]
            var start = time.monotonicNanoseconds()
            let columns = try await historian.range(series, range)
            ranges.append(since(start) * 1000)
            guard columns.count == cycles else {
                throw Problem("bench.historian", "\(columns.count) of \(cycles) points came back")
            }
            start = time.monotonicNanoseconds()
            _ = try await historian.buckets(series, range, width: .seconds(60))
            buckets.append(since(start) * 1000)
            start = time.monotonicNanoseconds()
            _ = try await historian.last(series)
            last.append(since(start) * 1000)
        }
        await historian.close()
        return [
            HistorianBenchFigure(
                name: "\(cycles) points of one tag, 24 h at 1 Hz, worst of 20", value: max(ranges.max() ?? 0, 0),
                unit: "ms", limit: 50),
            HistorianBenchFigure(
                name: "the same in buckets of a minute, worst of 20", value: buckets.max() ?? 0, unit: "ms", limit: 50),
            HistorianBenchFigure(name: "last value, worst of 20", value: last.max() ?? 0, unit: "ms", limit: 50),
        ]
    }
}

/// Waits for a number of completions.
private final class FeedWindow: Sendable {
    private struct State {
        var open = 0
        var problem: Problem?
        var waiter: CheckedContinuation<Problem?, Never>?
    }
    private let state = Monitor(State())

    func add() { state.withLock { $0.open += 1 } }

    func done(_ problem: Problem?) {
        let (waiter, failure) = state.withLock { state -> (CheckedContinuation<Problem?, Never>?, Problem?) in
            state.open -= 1
            if let problem { state.problem = problem }
            guard state.open == 0 else { return (nil, nil) }
            defer { state.waiter = nil }
            return (state.waiter, state.problem)
        }
        waiter?.resume(returning: failure)
    }

    func wait() async -> Problem? {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.open == 0 { return true }
                state.waiter = continuation
                return false
            }
            if isDone { continuation.resume(returning: state.withLock { $0.problem }) }
        }
    }
}
