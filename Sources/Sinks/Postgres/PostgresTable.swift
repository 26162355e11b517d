import Model
import SinkKit

/// The table that rows go into, and what is asked of it.
struct PostgresTable: Sendable {
    static let marks = "tundish_sink_marks"

    let parts: [String]
    let columns: [SinkColumn]
    /// Of an upsert; empty: rows are only added.
    let keys: [String]
    let isMade: Bool

    var quoted: String { parts.map(Self.quoted).joined(separator: ".") }
    var name: String { parts.joined(separator: ".") }

    static func quoted(_ name: String) -> String {
        "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// What makes the table.
    var definition: String {
        var lines = columns.map { "\(Self.quoted($0.name)) \(PostgresType.name(for: $0.type))" }
        if !keys.isEmpty { lines.append("PRIMARY KEY (\(keys.map(Self.quoted).joined(separator: ", ")))") }
        return "CREATE TABLE IF NOT EXISTS \(quoted) (\(lines.joined(separator: ", ")))"
    }

    private func run(_ session: PostgresSession, _ sql: String, _ parameters: [String], _ what: String)
        throws(SinkError)
        -> [[String]]
    {
        do throws(PostgresSession.Failure) {
            return try session.run(sql, parameters)
        } catch {
            var problem = PostgresProblems.statement(error, doing: what, isConnected: session.isConnected)
            // Two lanes make the same table at once: the other one has won.
            if problem.kind == .badBatch { problem.kind = .transient }
            throw problem
        }
    }

    /// The columns' types, in order, if the table takes what comes. With `makes` it is made where it is to be.
    func check(_ session: PostgresSession, makes: Bool) throws(SinkError) -> [PostgresType] {
        let sql = """
            SELECT a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                   a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '', a.attgenerated <> ''
            FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
            """
        let found = try run(session, sql, [quoted], "the table's columns cannot be read")
        if found.isEmpty {
            guard isMade else {
                throw SinkError(
                    .permanent,
                    Problem(
                        "postgres.table_missing",
                        "there is no table \(name) in the database; make it, or set createTable: true",
                        ["table": name]))
            }
            guard makes else { return [] }
            _ = try run(session, definition, [], "the table \(name) cannot be made")
            return try check(session, makes: false)
        }
        var types: [PostgresType] = []
        for column in columns {
            guard let row = found.first(where: { $0[0] == column.name }) else {
                throw SinkError(
                    .permanent,
                    Problem(
                        "postgres.column_missing",
                        "the table \(name) has no column \"\(column.name)\"; it has \(found.map { $0[0] }.joined(separator: ", "))",
                        ["table": name, "column": column.name]))
            }
            guard row[5] != "t", let type = UInt32(row[1]).flatMap({ PostgresType(rawValue: $0) }) else {
                throw SinkError(
                    .permanent,
                    Problem(
                        "postgres.column_type",
                        row[5] == "t"
                            ? "column \"\(column.name)\" of \(name) is generated and cannot be written"
                            : "column \"\(column.name)\" of \(name) is \(row[2]), which cannot be written yet",
                        ["table": name, "column": column.name, "type": row[2]]))
            }
            if let given = column.type, !type.takes(given) {
                throw SinkError(
                    .permanent,
                    Problem(
                        "postgres.type_clash",
                        "column \"\(column.name)\" of \(name) is \(row[2]), which does not take every \(given)",
                        ["table": name, "column": column.name, "type": row[2], "given": "\(given)"]))
            }
            types.append(type)
        }
        for row in found where row[3] == "t" && row[4] != "t" && !columns.contains(where: { $0.name == row[0] }) {
            throw SinkError(
                .permanent,
                Problem(
                    "postgres.column_not_filled",
                    "column \"\(row[0])\" of \(name) must not be null and has no default, but columns does not fill it",
                    ["table": name, "column": row[0]]))
        }
        return types
    }

    /// What a lane needs before its first row.
    func prepare(_ session: PostgresSession) throws(SinkError) -> [PostgresType] {
        let types = try check(session, makes: true)
        let marks = try run(session, "SELECT to_regclass($1)", [Self.marks], "the marks cannot be looked up")
        if marks.first?.first?.isEmpty ?? true {
            _ = try run(
                session,
                """
                CREATE TABLE IF NOT EXISTS \(Self.marks) (buffer text, division text, lane integer, number bigint NOT NULL,
                PRIMARY KEY (buffer, division, lane))
                """, [],
                "the table \(Self.marks), which says what was written, cannot be made")
        }
        if !keys.isEmpty {
            let list = columns.map { Self.quoted($0.name) }.joined(separator: ", ")
            _ = try run(
                session,
                "CREATE TEMPORARY TABLE tundish_stage ON COMMIT DELETE ROWS AS SELECT \(list) FROM \(quoted) WITH NO DATA",
                [], "the staging table cannot be made")
        }
        return types
    }

    /// Statements around a COPY that put a batch in place.
    var copyTarget: String {
        let list = columns.map { Self.quoted($0.name) }.joined(separator: ", ")
        return "COPY \(keys.isEmpty ? quoted : "tundish_stage") (\(list)) FROM STDIN (FORMAT BINARY)"
    }

    /// Of a key that comes twice in a batch the last row counts.
    var merge: String {
        guard !keys.isEmpty else { return "" }
        let list = columns.map { Self.quoted($0.name) }.joined(separator: ", ")
        let keyList = keys.map(Self.quoted).joined(separator: ", ")
        let others = columns.filter { !keys.contains($0.name) }.map { Self.quoted($0.name) }
        let action =
            others.isEmpty
            ? "NOTHING" : "UPDATE SET " + others.map { "\($0) = excluded.\($0)" }.joined(separator: ", ")
        return """
            ; INSERT INTO \(quoted) (\(list)) SELECT DISTINCT ON (\(keyList)) \(list) FROM tundish_stage \
            ORDER BY \(keyList), ctid DESC ON CONFLICT (\(keyList)) DO \(action)
            """
    }
}

/// One lane's connection.
final class PostgresLane: SinkConnection, @unchecked Sendable {
    // `known` is used by one call at a time, as the contract says: that is what makes it Sendable.
    private let line: BlockingLine
    private let session: PostgresSession
    private let table: PostgresTable
    private let types: [PostgresType]
    private let buffer: String
    private let timeout: Duration
    /// The mark that the database holds for the lane, by division and lane.
    private var known: SinkMark?

    init(
        line: BlockingLine, session: PostgresSession, table: PostgresTable, types: [PostgresType], buffer: String,
        timeout: Duration
    ) {
        self.line = line
        self.session = session
        self.table = table
        self.types = types
        self.buffer = buffer
        self.timeout = timeout
    }

    private var marks: [SinkMark] = []

    func marks() async throws(SinkError) -> [SinkMark] {
        let (session, buffer, timeout) = (session, buffer, timeout)
        let read = await line.run(session, within: timeout) { () -> Result<[SinkMark], SinkError> in
            do throws(PostgresSession.Failure) {
                let rows = try session.run(
                    "SELECT division, lane, number FROM \(PostgresTable.marks) WHERE buffer = $1", [buffer])
                return .success(
                    rows.compactMap { row in
                        guard let lane = Int(row[1]), let number = UInt64(row[2]) else { return nil }
                        return SinkMark(division: row[0], lane: lane, number: number)
                    })
            } catch {
                return .failure(
                    PostgresProblems.statement(error, doing: "the marks cannot be read", isConnected: false))
            }
        }
        marks = try read.get()
        return marks
    }

    func write(_ batch: SinkBatch) async throws(SinkError) -> SinkOutcome {
        let target = batch.mark
        if known?.division != target.division || known?.lane != target.lane {
            known = marks.first { $0.division == target.division && $0.lane == target.lane }
        }
        let (session, buffer, table, types, known, timeout) = (session, buffer, table, types, known, timeout)
        let failure = await line.run(session, within: timeout) { () -> SinkError? in
            do throws(SinkError) {
                try Self.write(batch, session, table, types, buffer: buffer, known: known)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        self.known = target
        return SinkOutcome()
    }

    private static func write(
        _ batch: SinkBatch, _ session: PostgresSession, _ table: PostgresTable, _ types: [PostgresType], buffer: String,
        known: SinkMark?
    ) throws(SinkError) {
        var encoder = CopyEncoder()
        encoder.begin()
        var refused: [RefusedRow] = []
        for row in 0..<batch.count {
            if let (column, why) = encoder.row(batch.values.lazy.map { $0[row] }, types) {
                refused.append(
                    RefusedRow(index: row, code: "22000", reason: "column \"\(batch.columns[column].name)\": \(why)"))
            }
        }
        guard refused.isEmpty else {
            throw SinkError(
                .badBatch, Problem(refused[0].code, refused[0].reason), isConnectionSound: true, refused: refused)
        }
        encoder.end()
        let (mark, literal) = (batch.mark, Self.literal)
        let place = "\(literal(buffer)), \(literal(mark.division)), \(mark.lane)"
        // The mark moves on only from where this lane left it: whoever else has moved it has written these rows.
        let move =
            known.map {
                "UPDATE \(PostgresTable.marks) SET number = \(mark.number) "
                    + "WHERE (buffer, division, lane) = (\(place)) AND number = \($0.number) RETURNING 1"
            }
            ?? "INSERT INTO \(PostgresTable.marks) VALUES (\(place), \(mark.number)) ON CONFLICT DO NOTHING RETURNING 1"
        let statements = """
            BEGIN; WITH moved AS (\(move)) SELECT count(*) FROM moved; \(table.copyTarget)\(table.merge); COMMIT
            """
        do throws(PostgresSession.Failure) {
            try session.copy(statements, encoder.bytes) { rows in
                rows.first?.first == "1" ? nil : "another connection has written for this lane"
            }
        } catch {
            if session.isConnected { _ = try? session.run("ROLLBACK") }
            if error.code == "mark" {
                throw SinkError(.transient, Problem("postgres.lane_taken", error.message))
            }
            throw PostgresProblems.statement(
                error, doing: "rows cannot be written to \(table.name)", isConnected: session.isConnected)
        }
    }

    private static func literal(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }

    func close() async {
        let session = session
        line.post { session.close() }
    }
}
