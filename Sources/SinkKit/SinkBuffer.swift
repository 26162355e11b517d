package import Journal
package import Model
import Synchronization

/// What a sink keeps on disk, for as long as its resource is there: the rows that wait, the rows that were refused,
/// and the buffer's own name. Outlives changes of the resource, so that none of them loses a row.
package final class SinkBuffer: Sendable {
    let directory: String
    /// See `SinkEnvironment.buffer`.
    let identity: String
    let intake: SinkIntake
    let refused: RefusedRows
    /// The ordinal of the first row that is not dealt with: what is missing from there on was dropped.
    private let expected: Mutex<UInt64>
    private let files: any FileSystem
    private let time: any TimeSource
    private let current: Mutex<(journal: Journal, policy: BufferPolicy)>

    /// Blocks on the disk.
    package init(
        directory: String, policy: BufferPolicy, files: any FileSystem, time: any TimeSource, random: any RandomSource
    ) throws(Problem) {
        self.directory = directory
        self.files = files
        self.time = time
        try files.createDirectory(directory)
        identity = try Self.identity(directory, files, random)
        let journal = try Journal.open(
            directory: FilePath.join(directory, "rows"), files: files, time: time, options: policy.journalOptions)
        let last = try journal.reader("sink").last()
        let ordinal = last.flatMap { $0.bytes.withUnsafeBytes { SinkRecord.head($0) } }.map {
            $0.ordinal + UInt64($0.count)
        }
        intake = SinkIntake(journal: journal, time: time, ordinal: ordinal ?? 0)
        let start = try Self.ordinal(journal)
        expected = Mutex(start ?? ordinal ?? 0)
        refused = try RefusedRows(directory: FilePath.join(directory, "refused"), files: files, time: time)
        current = Mutex((journal, policy))
    }

    private static func identity(
        _ directory: String, _ files: any FileSystem, _ random: any RandomSource
    ) throws(Problem) -> String {
        let path = FilePath.join(directory, "identity")
        if try files.size(path) != nil {
            let text = String(decoding: try files.contents(path, bytesMax: 64), as: UTF8.self)
            if text.utf8.count == 32 { return text }
        }
        func digits(_ number: UInt64) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        let made = digits(random.next()) + digits(random.next())
        try files.replace(path, with: Array(made.utf8))
        return made
    }

    /// Of the first record that the sink has not dealt with; nil if there is none.
    private static func ordinal(_ journal: Journal) throws(Problem) -> UInt64? {
        let reader = try journal.reader("sink")
        let record = try reader.read(from: reader.committed, bytesMax: 1).records.first
        return record.flatMap { $0.bytes.withUnsafeBytes { SinkRecord.head($0) } }?.ordinal
    }

    var expectedOrdinal: UInt64 { expected.withLock { $0 } }

    /// The sink has stopped: notes where the next one begins.
    func noteStop() {
        let durable = intake.durableOrdinal
        // A disk that cannot be read now keeps what was known.
        if let ordinal = try? Self.ordinal(journal) {
            expected.withLock { $0 = ordinal }
        } else if journal.stats.failure == nil {
            expected.withLock { $0 = durable }
        }
    }

    var journal: Journal { current.withLock { $0.journal } }

    /// Hands a row over; never blocks. False if it was refused, which is counted.
    package func offer(_ row: Bytes) -> Bool { intake.offer(row) }

    /// Another bound or policy: rows wait in memory while the journal is opened anew. Nobody may be reading.
    func change(_ policy: BufferPolicy) async throws(Problem) {
        guard current.withLock({ $0.policy != policy }) else { return }
        intake.detach()
        await journal.close()
        let journal = try Journal.open(
            directory: FilePath.join(directory, "rows"), files: files, time: time, options: policy.journalOptions)
        current.withLock { $0 = (journal, policy) }
        intake.attach(journal)
    }

    /// Everything that came is durable when it returns, unless the disk refuses.
    func close() async {
        intake.close()
        await journal.close()
        await refused.close()
    }

    /// Closes, and removes what is on disk. Returns what could not be removed.
    func remove() async -> Problem? {
        await close()
        do throws(Problem) {
            for part in ["rows", "refused"] {
                let directory = FilePath.join(directory, part)
                for name in try files.list(directory) { try files.remove(FilePath.join(directory, name)) }
            }
            try files.remove(FilePath.join(directory, "identity"))
        } catch {
            return error
        }
        return nil
    }
}
