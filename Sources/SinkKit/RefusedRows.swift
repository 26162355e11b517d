import Formats
import Journal
package import Model
import Synchronization

/// A row that the other side did not take, with its words.
package struct SetApartRow: Sendable, Hashable {
    package var time: Timestamp
    package var code: String
    package var reason: String
    /// The row as it came, a JSON object.
    package var row: String
}

/// The refused rows of a sink: on disk, the newest within a bound; for people to look at.
final class RefusedRows: Sendable {
    static let bytesMax = 64 << 20
    /// Rows that can be listed.
    static let listedMax = 1000

    private struct State {
        var newest: [SetApartRow] = []
        var count: UInt64 = 0
    }

    private let journal: Journal
    private let state: Mutex<State>

    init(directory: String, files: any FileSystem, time: any TimeSource) throws(Problem) {
        journal = try Journal.open(
            directory: directory, files: files, time: time,
            options: JournalOptions(bytesMax: Self.bytesMax, onFull: .dropOldest))
        var state = State()
        let reader = try journal.reader("list")
        var position = journal.start
        while true {
            let read = try reader.read(from: position)
            for record in read.records {
                guard let row = Self.row(record.bytes) else { continue }
                state.count += 1
                state.newest.append(row)
                if state.newest.count >= 2 * Self.listedMax { state.newest.removeFirst(Self.listedMax) }
            }
            if read.next == position { break }
            position = read.next
        }
        self.state = Mutex(state)
    }

    /// Returns when they are durable.
    func add(_ rows: [SetApartRow]) async throws(Problem) {
        _ = try await journal.append(rows.map(Self.bytes))
        note(rows)
    }

    /// The same for a thread that may block.
    func addAndWait(_ rows: [SetApartRow]) -> Problem? {
        let answer = Monitor<Result<JournalPosition, Problem>?>(nil)
        journal.append(rows.map(Self.bytes)) { result in
            answer.signal { answer in
                answer = result
                return true
            }
        }
        switch answer.wait(until: { $0 != nil }, { $0 }) {
        case .failure(let problem): return problem
        case .success, nil:
            note(rows)
            return nil
        }
    }

    private func note(_ rows: [SetApartRow]) {
        state.withLock { state in
            state.count += UInt64(rows.count)
            state.newest.append(contentsOf: rows)
            let excess = state.newest.count - Self.listedMax
            if excess > 0 { state.newest.removeFirst(excess) }
        }
    }

    /// Rows on disk at the start, and since.
    var count: UInt64 { state.withLock { $0.count } }

    /// Newest first.
    func newest(_ limit: Int) -> [SetApartRow] { state.withLock { Array($0.newest.suffix(limit).reversed()) } }

    func close() async { await journal.close() }

    private static func bytes(_ row: SetApartRow) -> Bytes {
        var writer = JSONWriter()
        writer.json(
            .array([.integer(row.time.nanoseconds), .string(row.code), .string(row.reason), .string(row.row)]))
        return writer.bytes()
    }

    private static func row(_ bytes: Bytes) -> SetApartRow? {
        guard let parsed = try? JSONValue(parsing: bytes), let time = parsed[0]?.integer, let code = parsed[1]?.string,
            let reason = parsed[2]?.string, let row = parsed[3]?.string
        else { return nil }
        return SetApartRow(time: Timestamp(nanoseconds: time), code: code, reason: reason, row: row)
    }
}
