import Model
import SinkConformance
import SinkKit
import Synchronization

/// The other side of the toy sink: a table in memory that keeps marks, with faults on demand.
final class ToyServer: SinkPeer {
    struct State {
        var isThere = true
        var rows: [Int64] = []
        var marks: [String: SinkMark] = [:]
        var losesAnswer = false
        var batchSizes: [Int] = []
        /// Words of a person's mistake; every connection fails with them.
        var mistake: Problem?
        var namesBadRows = true
        var writes = 0
    }

    static let all = Mutex<[String: ToyServer]>([:])
    let name: String
    let state = Mutex(State())
    private let more: [ConfigEntry]

    init(_ name: String, _ more: [ConfigEntry] = []) {
        self.name = name
        self.more = more
        Self.all.withLock { $0[name] = self }
    }

    var spec: ConfigValue {
        .object(
            [
                ConfigEntry("type", .string("toy")),
                ConfigEntry("connection", .object([ConfigEntry("server", .string(name))])),
                ConfigEntry(
                    "columns",
                    .object([ConfigEntry("n", .string("${n}")), ConfigEntry("text", .string("<${text}>"))])),
                ConfigEntry("retry", .object(["first": .duration(5_000_000), "longest": .duration(50_000_000)])),
            ]
                + (more.contains { $0.key == "batch" }
                    ? []
                    : [ConfigEntry("batch", .object(["rowsMax": .integer(64), "delayMax": .duration(5_000_000)]))])
                + more)
    }

    var refusedRow: String? { #"{"n":"many","text":"x"}"# }
    func start() async {}
    func stop() async { _ = Self.all.withLock { $0.removeValue(forKey: name) } }
    func crash() async { state.withLock { $0.isThere = false } }
    func comeBack() async { state.withLock { $0.isThere = true } }
    func loseNextAnswer() async { state.withLock { $0.losesAnswer = true } }
    func rows() async -> [Int64] { state.withLock { $0.rows } }
}

struct ToySink: Sink {
    static let descriptor = SinkDescriptor(
        type: "toy", title: "Toy", titleChinese: "玩具",
        connection: Schema([Field("server", .string, required: true, help: "The server's name.")]), remembersMarks: true
    )

    let server: String
    let buffer: String

    init(_ configuration: ConfigValue, target: SinkTarget, environment: SinkEnvironment) throws(Problem) {
        server = configuration["server"]?.string ?? ""
        buffer = environment.buffer
    }

    func reach() throws(SinkError) -> ToyServer {
        guard let found = ToyServer.all.withLock({ $0[server] }), found.state.withLock({ $0.isThere }) else {
            throw SinkError(.transient, Problem("toy.away", "\(server) is away", ["server": server]))
        }
        if let mistake = found.state.withLock({ $0.mistake }) { throw SinkError(.permanent, mistake) }
        return found
    }

    func connect(lane: Int) async throws(SinkError) -> any SinkConnection { ToyConnection(self, try reach()) }

    func probe() async -> SinkHealth {
        do throws(SinkError) {
            _ = try reach()
            return .ready
        } catch {
            return .unavailable(error.problem)
        }
    }
}

final class ToyConnection: SinkConnection {
    let sink: ToySink
    let server: ToyServer

    init(_ sink: ToySink, _ server: ToyServer) {
        self.sink = sink
        self.server = server
    }

    func marks() async throws(SinkError) -> [SinkMark] {
        let prefix = sink.buffer + "/"
        return server.state.withLock { state in state.marks.filter { $0.key.hasPrefix(prefix) }.map(\.value) }
    }

    func write(_ batch: SinkBatch) async throws(SinkError) -> SinkOutcome {
        _ = try sink.reach()
        let key = "\(sink.buffer)/\(batch.mark.division)/\(batch.lane)"
        let error = server.state.withLock { state -> SinkError? in
            state.writes += 1
            let bad = (0..<batch.count).filter { if case .int = batch.values[0][$0] { false } else { true } }
            guard bad.isEmpty else {
                let refused = bad.map { RefusedRow(index: $0, code: "toy.number", reason: "n is not a number") }
                return SinkError(
                    .badBatch, Problem("toy.number", "n is not a number"), isConnectionSound: true,
                    refused: state.namesBadRows ? refused : [])
            }
            for value in batch.values[0] { if case .int(let number) = value { state.rows.append(number) } }
            state.marks[key] = batch.mark
            state.batchSizes.append(batch.count)
            guard state.losesAnswer else { return nil }
            state.losesAnswer = false
            return SinkError(.transient, Problem("toy.lost", "the answer was lost"))
        }
        if let error { throw error }
        return SinkOutcome()
    }

    func close() async {}
}
