import Journal
package import Model

/// Whose series there are: `catalogue.db`. Also keeps the layouts that batches in the journal refer to.
final class SeriesCatalogue: Sendable {
    private let connection: Monitor<SQLiteConnection>
    /// Counts the times the store was opened; chunk ids begin with it, so that none comes twice.
    let boot: Int64

    init(path: String) throws(Problem) {
        let connection = try SQLiteConnection(path)
        try connection.execute(
            """
            PRAGMA user_version=1;
            CREATE TABLE IF NOT EXISTS series(
                id INTEGER PRIMARY KEY, device TEXT NOT NULL, uid TEXT NOT NULL, grp TEXT NOT NULL, tag TEXT NOT NULL,
                scalar INTEGER NOT NULL, elements INTEGER NOT NULL, unit TEXT);
            CREATE INDEX IF NOT EXISTS series_name ON series(device, grp, tag);
            CREATE TABLE IF NOT EXISTS layout(hash INTEGER PRIMARY KEY, body BLOB NOT NULL);
            CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
            INSERT INTO meta VALUES('boot',1) ON CONFLICT(name) DO UPDATE SET value=value+1;
            """)
        var boot: Int64 = 0
        try connection.run("SELECT value FROM meta WHERE name='boot'") { _ in
        } row: { row in
            boot = row.integer(0)
            return true
        }
        self.boot = boot
        self.connection = Monitor(connection)
    }

    func close() { connection.withLock { $0.close() } }

    private func use<R>(_ body: (SQLiteConnection) throws(Problem) -> R) throws(Problem) -> R {
        let result: Result<R, Problem> = connection.withLock { connection in
            do throws(Problem) { return .success(try body(connection)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Keeps the layouts and their series; a series that is known gets its present names and type.
    func store(_ layouts: [Layout]) throws(Problem) {
        try use { connection throws(Problem) in
            try connection.transaction { () throws(Problem) in
                for layout in layouts { try Self.store(layout, connection) }
            }
        }
    }

    private static func store(_ layout: Layout, _ connection: SQLiteConnection) throws(Problem) {
        let body = layout.encoded()
        let result: Result<Void, Problem> = body.withUnsafeBytes { bytes in
            do throws(Problem) {
                return .success(
                    try connection.run("INSERT OR REPLACE INTO layout VALUES(?,?)") { row in
                        row.bind(1, Int64(bitPattern: layout.hash))
                        row.bind(2, bytes)
                    })
            } catch { return .failure(error) }
        }
        try result.get()
        let descriptor = layout.descriptor
        for (index, tag) in descriptor.tags.enumerated() {
            try connection.run("INSERT OR REPLACE INTO series VALUES(?,?,?,?,?,?,?,?)") { row in
                row.bind(1, Int64(bitPattern: descriptor.series[index].rawValue))
                row.bind(2, descriptor.device)
                row.bind(3, descriptor.deviceUID)
                row.bind(4, descriptor.group)
                row.bind(5, tag.name)
                row.bind(6, Int64(tag.type.scalar.rawValue))
                row.bind(7, Int64(tag.type.arrayCount))
                row.bind(8, tag.unit)
            }
        }
    }

    func layout(_ hash: UInt64) throws(Problem) -> Layout? {
        try use { connection throws(Problem) in
            var layout: Layout?
            try connection.run("SELECT body FROM layout WHERE hash=?") {
                $0.bind(1, Int64(bitPattern: hash))
            } row: { row in
                layout = Layout(row.blob(0))
                return true
            }
            return layout
        }
    }

    func info(_ id: SeriesID) throws(Problem) -> SeriesInfo? {
        try use { connection throws(Problem) in
            var info: SeriesInfo?
            try connection.run("SELECT * FROM series WHERE id=?") {
                $0.bind(1, Int64(bitPattern: id.rawValue))
            } row: { row in
                info = Self.info(row)
                return true
            }
            return info
        }
    }

    private static func info(_ row: SQLiteStatement) -> SeriesInfo? {
        guard let scalar = ScalarType(rawValue: UInt8(truncatingIfNeeded: row.integer(5))) else { return nil }
        return SeriesInfo(
            id: SeriesID(rawValue: UInt64(bitPattern: row.integer(0))), device: row.text(1) ?? "",
            deviceUID: row.text(2) ?? "", group: row.text(3) ?? "", tag: row.text(4) ?? "",
            type: ValueType(scalar, arrayCount: Int(row.integer(6))), unit: row.text(7))
    }

    private static func clauses(_ filter: SeriesFilter) -> (sql: String, values: [String]) {
        var clauses: [String] = []
        var values: [String] = []
        for (column, value) in [("device", filter.device), ("grp", filter.group), ("tag", filter.tag)] {
            if let value {
                clauses.append("\(column)=?")
                values.append(value)
            }
        }
        if let text = filter.text, !text.isEmpty {
            clauses.append("instr(lower(device||'/'||grp||'/'||tag), lower(?))>0")
            values.append(text)
        }
        return (clauses.isEmpty ? "" : " WHERE " + clauses.joined(separator: " AND "), values)
    }

    func find(_ filter: SeriesFilter, limit: Int, offset: Int) throws(Problem) -> [SeriesInfo] {
        let (sql, values) = Self.clauses(filter)
        return try use { connection throws(Problem) in
            var found: [SeriesInfo] = []
            try connection.run("SELECT * FROM series\(sql) ORDER BY device, grp, tag LIMIT ? OFFSET ?") { row in
                for (index, value) in values.enumerated() { row.bind(index + 1, value) }
                row.bind(values.count + 1, Int64(max(0, limit)))
                row.bind(values.count + 2, Int64(max(0, offset)))
            } row: { row in
                if let info = Self.info(row) { found.append(info) }
                return true
            }
            return found
        }
    }

    func count(_ filter: SeriesFilter = SeriesFilter()) throws(Problem) -> Int {
        let (sql, values) = Self.clauses(filter)
        return try use { connection throws(Problem) in
            var count = 0
            try connection.run("SELECT count(*) FROM series\(sql)") { row in
                for (index, value) in values.enumerated() { row.bind(index + 1, value) }
            } row: { row in
                count = Int(row.integer(0))
                return true
            }
            return count
        }
    }
}
