import Journal
import Model
import Synchronization

/// Days since 1970 in UTC: the unit of files and of retention.
typealias Day = Int32

let nanosecondsPerDay: Int64 = 86_400_000_000_000

@inline(__always)
func day(of time: Int64) -> Day {
    let quotient = time / nanosecondsPerDay
    return Day(truncatingIfNeeded: time % nanosecondsPerDay < 0 ? quotient - 1 : quotient)
}

/// A chunk on its way into a file.
struct ChunkRow {
    var id: Int64
    var series: SeriesID
    var start: Int64
    var end: Int64
    var count: Int
    /// Points of it that are new: not in the version of this chunk that is there already.
    var added: Int
    var bytes: [UInt8]
}

/// Which files there are, and where: `DIRECTORY/days/YYYY-MM-DD-sSHARD.db`.
final class DayIndex: Sendable {
    let directory: String
    private let days: Mutex<[Day: Set<Int>]>

    init(directory: String, files: any FileSystem) throws(Problem) {
        self.directory = FilePath.join(directory, "days")
        try files.createDirectory(self.directory)
        var found: [Day: Set<Int>] = [:]
        for name in try files.list(self.directory) {
            if let (day, shard) = Self.parse(name) { found[day, default: []].insert(shard) }
        }
        days = Mutex(found)
    }

    func path(_ day: Day, _ shard: Int) -> String {
        FilePath.join(
            directory, "\(Timestamp(nanoseconds: Int64(day) * nanosecondsPerDay).description.prefix(10))-s\(shard).db")
    }

    private static func parse(_ name: String) -> (Day, Int)? {
        guard name.hasSuffix(".db"), let mark = name.range(ofLast: "-s"),
            let shard = Int(name[mark.upperBound...].dropLast(3)),
            let time = Timestamp(rfc3339: String(name[..<mark.lowerBound]) + "T00:00:00Z")
        else { return nil }
        return (day(of: time.nanoseconds), shard)
    }

    func add(_ day: Day, _ shard: Int) { days.withLock { _ = $0[day, default: []].insert(shard) } }
    func remove(_ day: Day, _ shard: Int) {
        days.withLock { days in
            days[day]?.remove(shard)
            if days[day]?.isEmpty ?? false { days[day] = nil }
        }
    }

    func shards(of day: Day) -> [Int] { days.withLock { $0[day].map { $0.sorted() } ?? [] } }
    /// In order of time.
    func all() -> [(day: Day, shards: [Int])] {
        days.withLock { days in days.sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted()) } }
    }
}

extension String {
    fileprivate func range(ofLast mark: String) -> Range<String.Index>? {
        var end = endIndex
        while let start = index(end, offsetBy: -mark.count, limitedBy: startIndex) {
            if self[start...].hasPrefix(mark) { return start..<index(start, offsetBy: mark.count) }
            if end == startIndex { return nil }
            end = index(before: end)
        }
        return nil
    }
}

/// The file of one shard and day, as its shard's thread writes it.
final class DayFile {
    private let connection: SQLiteConnection

    init(path: String) throws(Problem) {
        connection = try SQLiteConnection(path)
        // Chunk ids grow, so that new rows are appended and pages fill up. `progress` says up to which intake
        // position the points of a series are in this file; it is what keeps a replay from doubling them.
        try connection.execute(
            """
            PRAGMA user_version=1;
            CREATE TABLE IF NOT EXISTS chunk(
                id INTEGER PRIMARY KEY, series INTEGER NOT NULL, start INTEGER NOT NULL, finish INTEGER NOT NULL,
                count INTEGER NOT NULL, data BLOB NOT NULL);
            CREATE INDEX IF NOT EXISTS chunk_series ON chunk(series, start);
            CREATE TABLE IF NOT EXISTS progress(series INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
            """)
    }

    /// Writes chunks and how far they take their series, together, durably.
    func write(_ chunks: [ChunkRow], progress: [(SeriesID, Int64)]) throws(Problem) {
        try connection.transaction { () throws(Problem) in
            var added: Int64 = 0
            for chunk in chunks {
                added += Int64(chunk.added)
                let result: Result<Void, Problem> = chunk.bytes.withUnsafeBytes { bytes in
                    do throws(Problem) {
                        return .success(
                            try connection.run("INSERT OR REPLACE INTO chunk VALUES(?,?,?,?,?,?)") { row in
                                row.bind(1, chunk.id)
                                row.bind(2, Int64(bitPattern: chunk.series.rawValue))
                                row.bind(3, chunk.start)
                                row.bind(4, chunk.end)
                                row.bind(5, Int64(chunk.count))
                                row.bind(6, bytes)
                            })
                    } catch { return .failure(error) }
                }
                try result.get()
            }
            for (series, position) in progress {
                try connection.run(
                    "INSERT INTO progress VALUES(?1,?2) ON CONFLICT(series) DO UPDATE SET upto=max(upto,?2)"
                ) { row in
                    row.bind(1, Int64(bitPattern: series.rawValue))
                    row.bind(2, position)
                }
            }
            try connection.run(
                "INSERT INTO meta VALUES('points',?1) ON CONFLICT(name) DO UPDATE SET value=value+?1"
            ) { $0.bind(1, added) }
        }
    }

    func close() { connection.close() }

    /// How far each series had come in the file; for a replay.
    static func progress(path: String) throws(Problem) -> [SeriesID: Int64] {
        let connection = try SQLiteConnection(path, isReadOnly: true)
        var positions: [SeriesID: Int64] = [:]
        try connection.run("SELECT series, upto FROM progress") { _ in
        } row: { row in
            positions[SeriesID(rawValue: UInt64(bitPattern: row.integer(0)))] = row.integer(1)
            return true
        }
        return positions
    }

    /// How many points are in the file. A file whose making a power cut has interrupted is completed first: it may
    /// have no tables yet, or a journal that only a writer can roll back.
    static func points(path: String) throws(Problem) -> Int {
        do throws(Problem) { return try storedPoints(path) } catch {
            try DayFile(path: path).close()
            return try storedPoints(path)
        }
    }

    private static func storedPoints(_ path: String) throws(Problem) -> Int {
        let connection = try SQLiteConnection(path, isReadOnly: true)
        var points = 0
        try connection.run("SELECT value FROM meta WHERE name='points'") { _ in
        } row: { row in
            points = Int(row.integer(0))
            return true
        }
        return points
    }
}
