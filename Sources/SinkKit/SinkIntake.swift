import Journal
import Model
import Synchronization

/// The bytes of a record in a sink's buffer: eight bytes of the rows' ordinal (how many came before it), eight of the
/// time when its first row came (nanoseconds since 1970), four of the number of rows; then each row, four bytes of
/// its length before it. Little-endian.
enum SinkRecord {
    static let headBytes = 20
    /// A record is closed when it is this long; small, because what of it is confirmed is only known to a lane.
    static let bytesMax = 256 << 10

    struct Head {
        var ordinal: UInt64
        var time: Int64
        var count: Int
    }

    static func head(_ bytes: UnsafeRawBufferPointer) -> Head? {
        guard bytes.count >= headBytes else { return nil }
        return Head(
            ordinal: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
            time: Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int64.self)),
            count: Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))))
    }

    /// Where the rows lie; nil if the lengths do not fit the record.
    static func rows(_ bytes: UnsafeRawBufferPointer) -> [Range<Int>]? {
        guard let head = head(bytes), head.count <= bytes.count else { return nil }
        var rows: [Range<Int>] = []
        rows.reserveCapacity(head.count)
        var at = headBytes
        for _ in 0..<head.count {
            guard at + 4 <= bytes.count else { return nil }
            let count = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            guard at + 4 + count <= bytes.count else { return nil }
            rows.append(at + 4..<at + 4 + count)
            at += 4 + count
        }
        return at == bytes.count ? rows : nil
    }
}

/// Takes rows and puts them into the journal: what comes while a group is being synced goes with the next one.
///
/// A row is kept once its group is synced; until then it waits in memory, within a bound. Where the disk refuses for
/// the moment it goes on waiting, and rows that come beyond the bound are refused and counted.
final class SinkIntake: Sendable {
    static let pendingBytesMax = 32 << 20

    private struct State {
        var open: [UInt8] = []
        var openRows = 0
        /// Closed records that have not been handed to the journal, oldest first.
        var closed: [[UInt8]] = []
        var closedRows = 0
        /// Handed to the journal and not answered.
        var underWay: [Bytes] = []
        var underWayRows = 0
        var pendingBytes = 0
        /// Rows that ever became durable: the ordinal of the first row of the next record.
        var ordinal: UInt64 = 0
        /// Nil while it is being replaced.
        var journal: Journal?
        var recordBytesMax = SinkRecord.bytesMax
        var isWriting = false
        var isClosed = false
        /// The journal must be opened again before it takes anything.
        var needsReopening = false
        var counts = Counts()
    }

    struct Counts {
        /// Rows that came.
        var offered: UInt64 = 0
        /// Rows that are durable.
        var journaled: UInt64 = 0
        /// Rows refused because the buffer, or the memory before it, was full.
        var refused: UInt64 = 0
        var pendingRows = 0
        var problem: Problem?
    }

    private let time: any TimeSource
    private let rowBytesMax = JournalOptions().recordBytesMax - SinkRecord.headBytes - 4
    private let state: Mutex<State>

    /// `ordinal`: rows that ever came before this start.
    init(journal: Journal, time: any TimeSource, ordinal: UInt64) {
        self.time = time
        var state = State()
        state.journal = journal
        state.recordBytesMax = Self.recordBytesMax(journal)
        state.ordinal = ordinal
        self.state = Mutex(state)
    }

    private static func recordBytesMax(_ journal: Journal) -> Int {
        min(SinkRecord.bytesMax, journal.options.bytesMax / 16)
    }

    /// The journal is about to be replaced: rows wait in memory until `attach`. What is under way is answered first.
    func detach() { state.withLock { $0.journal = nil } }

    func attach(_ journal: Journal) {
        let starts = state.withLock { state -> Bool in
            state.journal = journal
            state.recordBytesMax = Self.recordBytesMax(journal)
            state.needsReopening = false
            guard !state.isWriting else { return false }
            state.isWriting = true
            return true
        }
        if starts { write() }
    }

    var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            counts.pendingRows = state.openRows + state.closedRows + state.underWayRows
            return counts
        }
    }

    /// Never blocks. False: the row was refused, and counted.
    func offer(_ row: Bytes) -> Bool {
        let (taken, starts) = state.withLock { state -> (Bool, Bool) in
            state.counts.offered &+= 1
            guard !state.isClosed, row.count <= rowBytesMax,
                state.pendingBytes + row.count <= Self.pendingBytesMax
            else {
                state.counts.refused &+= 1
                if row.count > rowBytesMax {
                    state.counts.problem = Problem(
                        "sink.row_too_big", "a row of \(row.count) bytes was refused; at most \(rowBytesMax) are taken",
                        ["bytes": String(row.count), "limit": String(rowBytesMax)])
                }
                return (false, false)
            }
            if !state.open.isEmpty, state.open.count + row.count + 4 > state.recordBytesMax { Self.close(&state) }
            if state.open.isEmpty {
                // The ordinal is set when the record is handed over: what is refused then leaves no gap.
                Self.put(UInt64(0), &state.open)
                Self.put(UInt64(bitPattern: time.now().nanoseconds), &state.open)
                Self.put(UInt32(0), &state.open)
            }
            Self.put(UInt32(row.count), &state.open)
            row.withUnsafeBytes { state.open.append(contentsOf: $0) }
            state.openRows += 1
            state.pendingBytes += row.count
            let starts = !state.isWriting
            if starts { state.isWriting = true }
            return (true, starts)
        }
        if starts { write() }
        return taken
    }

    private static func put<T: FixedWidthInteger>(_ value: T, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func close(_ state: inout State) {
        guard state.openRows > 0 else { return }
        let count = UInt32(state.openRows).littleEndian
        withUnsafeBytes(of: count) { for (index, byte) in $0.enumerated() { state.open[16 + index] = byte } }
        state.closed.append(state.open)
        state.closedRows += state.openRows
        state.open = []
        state.openRows = 0
    }

    /// Hands over all that waits. Only one such call at a time: `isWriting`.
    private func write() {
        let (records, journal) = state.withLock { state -> ([Bytes], Journal?) in
            if state.underWay.isEmpty {
                if state.closed.isEmpty { Self.close(&state) }
                // As much as the buffer can hold beside what is there: a small one takes small groups.
                let bytesMax = (state.journal?.options.bytesMax ?? 0) / 8
                var bytes = 0
                var taken = 0
                while taken < state.closed.count, bytes == 0 || bytes + state.closed[taken].count <= bytesMax {
                    var next = state.closed[taken]
                    bytes += next.count
                    taken += 1
                    withUnsafeBytes(of: (state.ordinal + UInt64(state.underWayRows)).littleEndian) { ordinal in
                        for (index, byte) in ordinal.enumerated() { next[index] = byte }
                    }
                    let rows = next.withUnsafeBytes { SinkRecord.head($0) }?.count ?? 0
                    state.underWay.append(Bytes(next))
                    state.underWayRows += rows
                    state.closedRows -= rows
                }
                state.closed.removeFirst(taken)
            }
            if state.underWay.isEmpty || state.needsReopening || state.journal == nil { state.isWriting = false }
            return state.isWriting ? (state.underWay, state.journal) : ([], nil)
        }
        guard let journal else { return }
        journal.append(records) { [weak self] result in self?.answered(result) }
    }

    private func answered(_ result: Result<JournalPosition, Problem>) {
        let goesOn = state.withLock { state -> Bool in
            switch result {
            case .success:
                state.counts.journaled &+= UInt64(state.underWayRows)
                state.ordinal &+= UInt64(state.underWayRows)
                state.counts.problem = nil
                Self.forget(&state)
                return true
            case .failure(let problem):
                state.counts.problem = problem
                // Full by the buffer's own bound, not because the disk is.
                if problem.code == "journal.full", problem.arguments["max"] != nil {
                    // The policy says so: what does not fit is refused.
                    state.counts.refused &+= UInt64(state.underWayRows)
                    Self.forget(&state)
                    return true
                }
                // The disk refuses: the rows wait for `retry`.
                state.needsReopening = true
                state.isWriting = false
                return false
            }
        }
        if goesOn { write() }
    }

    private static func forget(_ state: inout State) {
        state.pendingBytes -= state.underWay.reduce(0) { $0 + $1.count - SinkRecord.headBytes } - 4 * state.underWayRows
        state.underWay = []
        state.underWayRows = 0
    }

    /// After the disk refused: opens the journal again and hands over what has waited. From time to time.
    func retry() async {
        guard let journal = state.withLock({ $0.needsReopening && !$0.isClosed ? $0.journal : nil }) else { return }
        do throws(Problem) {
            if journal.stats.failure != nil { try await journal.reopen() }
        } catch {
            return state.withLock { $0.counts.problem = error }
        }
        let starts = state.withLock { state -> Bool in
            state.needsReopening = false
            guard !state.isWriting else { return false }
            state.isWriting = true
            return true
        }
        if starts { write() }
    }

    /// Takes no more; what waits is written as the journal closes, as far as the disk lets it.
    func close() {
        let starts = state.withLock { state -> Bool in
            state.isClosed = true
            guard !state.isWriting, !state.needsReopening else { return false }
            state.isWriting = true
            return true
        }
        if starts { write() }
    }

    /// Whether all that came is durable or refused.
    var isSettled: Bool {
        state.withLock { $0.openRows == 0 && $0.closed.isEmpty && $0.underWay.isEmpty }
    }
}

extension SinkIntake {
    /// Rows that ever came into the buffer.
    var ordinal: UInt64 {
        state.withLock { $0.ordinal + UInt64($0.openRows + $0.closedRows + $0.underWayRows) }
    }

    /// The same without those that are not durable yet.
    var durableOrdinal: UInt64 { state.withLock { $0.ordinal } }
}
