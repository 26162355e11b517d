import GRDBSQLite
import Model

/// One connection to an SQLite file, by the C interface: chunks are written and read by the thousand. Used by one
/// thread at a time, which is what makes it Sendable.
final class SQLiteConnection: @unchecked Sendable {
    private var handle: OpaquePointer?
    private let path: String
    private var statements: [String: OpaquePointer] = [:]

    /// WAL; `synchronous` FULL, so that a commit is durable when it returns.
    init(_ path: String, isReadOnly: Bool = false) throws(Problem) {
        self.path = path
        let flags =
            (isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        if code != SQLITE_OK {
            let problem = failure(code)
            close()
            throw problem
        }
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 5000)
        if !isReadOnly {
            try execute("PRAGMA page_size=8192")
            try execute("PRAGMA journal_mode=WAL")
            try execute("PRAGMA synchronous=FULL")
        }
        try execute("PRAGMA cache_size=-1024")
    }

    deinit { close() }

    func close() {
        for statement in statements.values { sqlite3_finalize(statement) }
        statements = [:]
        if let handle { sqlite3_close_v2(handle) }
        handle = nil
    }

    func execute(_ sql: String) throws(Problem) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK, code != SQLITE_ROW, code != SQLITE_DONE { throw failure(code) }
    }

    /// All of it or nothing.
    func transaction(_ body: () throws(Problem) -> Void) throws(Problem) {
        try execute("BEGIN IMMEDIATE")
        do throws(Problem) {
            try body()
            try execute("COMMIT")
        } catch {
            // The first error is the one to tell; a rollback after it fails only if SQLite has rolled back already.
            _ = sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    /// Runs a statement that is prepared once; `row` is called for each row until it returns false.
    func run(
        _ sql: String, _ bind: (SQLiteStatement) -> Void = { _ in }, row: (SQLiteStatement) -> Bool = { _ in true }
    ) throws(Problem) {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        bind(SQLiteStatement(statement: statement))
        while true {
            let code = sqlite3_step(statement)
            if code == SQLITE_DONE { return }
            if code != SQLITE_ROW { throw failure(code) }
            if !row(SQLiteStatement(statement: statement)) { return }
        }
    }

    private func prepared(_ sql: String) throws(Problem) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw failure(code) }
        statements[sql] = statement
        return statement
    }

    private func failure(_ code: CInt) -> Problem {
        let text = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        let (kind, sentence) =
            switch code & 0xFF {
            case SQLITE_FULL: ("historian.full", "cannot write \(path): the disk is full; free some space")
            case SQLITE_IOERR:
                ("historian.io", "cannot use \(path): the device reports an error (\(text), SQLite \(code))")
            case SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM:
                ("historian.denied", "cannot open or write \(path): check its owner and mode (\(text))")
            case SQLITE_CORRUPT, SQLITE_NOTADB:
                ("historian.damaged", "\(path) is damaged: restore it from a backup, or move it away")
            default: ("historian.database", "\(path): \(text) (SQLite \(code))")
            }
        return Problem(kind, sentence, ["path": path, "detail": text, "code": String(code)])
    }
}

/// A prepared statement, to bind to and to read from. Parameters count from 1, columns from 0.
struct SQLiteStatement {
    fileprivate let statement: OpaquePointer

    func bind(_ index: Int, _ value: Int64) { sqlite3_bind_int64(statement, CInt(index), value) }

    func bind(_ index: Int, _ value: String) {
        sqlite3_bind_text(statement, CInt(index), value, -1, unsafeBitCast(-1, to: sqlite3_destructor_type.self))
    }

    func bind(_ index: Int, _ value: String?) {
        if let value { bind(index, value) } else { sqlite3_bind_null(statement, CInt(index)) }
    }

    /// The bytes must live until the statement has run.
    func bind(_ index: Int, _ value: UnsafeRawBufferPointer) {
        sqlite3_bind_blob64(statement, CInt(index), value.baseAddress, UInt64(value.count), nil)
    }

    func integer(_ column: Int) -> Int64 { sqlite3_column_int64(statement, CInt(column)) }

    func text(_ column: Int) -> String? { sqlite3_column_text(statement, CInt(column)).map { String(cString: $0) } }

    /// Valid until the next row.
    func blob(_ column: Int) -> UnsafeRawBufferPointer {
        let base = sqlite3_column_blob(statement, CInt(column))
        return UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(statement, CInt(column))))
    }
}
