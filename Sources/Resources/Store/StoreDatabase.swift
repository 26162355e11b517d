import GRDB
import Journal
import Model

/// The tables of `resources.sqlite`, and the ways in which they are read and written.
struct StoreDatabase: Sendable {
    static let file = "resources.sqlite"
    /// Revisions kept of one resource, and the bytes that they may take together; the newest always stays.
    static let revisionsMax = 100
    static let revisionBytesMax = 16 << 20
    /// Deleted resources whose history is kept.
    static let deletedMax = 1000
    /// Documents from this size on are stored compressed.
    static let compressedFrom = 4096

    let sealer: Sealer

    enum Encoding: Int {
        case plain = 0
        case zlib = 1
    }

    /// A row of `resource`.
    struct Row: Sendable {
        var uid: String
        var key: ResourceKey
        var revision: Int64
        var createdAt: Timestamp
        var updatedAt: Timestamp
        var author: String
        var source: ChangeSource
        /// Who made it.
        var origin: ChangeSource
    }

    /// A document's text as it is stored.
    struct Body: Sendable {
        var text: String
        var format: DocumentFormat
        var isSealed: Bool
    }

    static func migrator() -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
                    INSERT INTO counter VALUES (1, 0);
                    CREATE TABLE resource (
                        uid TEXT PRIMARY KEY, space TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        revision INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
                        author TEXT NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL,
                        UNIQUE (space, kind, name)) WITHOUT ROWID;
                    CREATE TABLE revision (
                        uid TEXT NOT NULL, revision INTEGER NOT NULL, space TEXT NOT NULL, kind TEXT NOT NULL,
                        name TEXT NOT NULL, action TEXT NOT NULL, author TEXT NOT NULL, source TEXT NOT NULL,
                        at INTEGER NOT NULL, format INTEGER NOT NULL, encoding INTEGER NOT NULL,
                        sealed INTEGER NOT NULL, body BLOB, PRIMARY KEY (uid, revision));
                    CREATE INDEX revision_name ON revision (space, kind, name, revision);
                    CREATE TABLE reference (
                        uid TEXT NOT NULL, space TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        PRIMARY KEY (uid, space, kind, name)) WITHOUT ROWID;
                    CREATE INDEX reference_target ON reference (space, kind, name);
                    CREATE TABLE file_source (source TEXT PRIMARY KEY, hash TEXT NOT NULL, applied INTEGER NOT NULL)
                        WITHOUT ROWID;
                    CREATE TABLE file_document (
                        source TEXT NOT NULL, space TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        hash TEXT NOT NULL, PRIMARY KEY (source, space, kind, name)) WITHOUT ROWID;
                    CREATE TABLE token (
                        id TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
                        created INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID;
                    """)
        }
        return migrator
    }

    // MARK: Resources

    func revision(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT revision FROM counter") ?? 0
    }

    func nextRevision(_ db: Database) throws -> Int64 {
        try db.execute(sql: "UPDATE counter SET revision = revision + 1")
        return try revision(db)
    }

    private static let columns = "uid, space, kind, name, revision, created, updated, author, source, origin"

    private func row(_ row: GRDB.Row) -> Row {
        Row(
            uid: row[0], key: ResourceKey(space: row[1], kind: row[2], name: row[3]), revision: row[4],
            createdAt: Timestamp(nanoseconds: row[5]), updatedAt: Timestamp(nanoseconds: row[6]), author: row[7],
            source: ChangeSource(row[8]) ?? ChangeSource(.system), origin: ChangeSource(row[9]) ?? ChangeSource(.system)
        )
    }

    func find(_ db: Database, _ key: ResourceKey) throws -> Row? {
        try GRDB.Row.fetchOne(
            db, sql: "SELECT \(Self.columns) FROM resource WHERE space = ? AND kind = ? AND name = ?",
            arguments: [key.space, key.kind, key.name]
        ).map(row)
    }

    func find(_ db: Database, uid: String) throws -> Row? {
        try GRDB.Row.fetchOne(db, sql: "SELECT \(Self.columns) FROM resource WHERE uid = ?", arguments: [uid]).map(row)
    }

    /// In the order of their names.
    func list(_ db: Database, kind: String?, space: String?) throws -> [Row] {
        try GRDB.Row.fetchAll(
            db,
            sql: """
                SELECT \(Self.columns) FROM resource WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR space = ?2)
                ORDER BY space, kind, name
                """, arguments: [kind, space]
        ).map(row)
    }

    func index(_ db: Database, kind: String?) throws -> [ResourceIndexEntry] {
        try GRDB.Row.fetchAll(
            db,
            sql: """
                SELECT r.space, r.kind, r.name, r.uid, r.revision, max(r.revision, coalesce((
                    SELECT max(s.revision) FROM reference f
                    JOIN resource s ON s.space = f.space AND s.kind = f.kind AND s.name = f.name
                    WHERE f.uid = r.uid AND f.kind = ?2), 0))
                FROM resource r WHERE ?1 IS NULL OR r.kind = ?1 ORDER BY r.space, r.kind, r.name
                """, arguments: [kind, ResourceKind.secretName]
        ).map { row in
            ResourceIndexEntry(
                key: ResourceKey(space: row[0], kind: row[1], name: row[2]), uid: row[3], revision: row[4],
                effectiveRevision: row[5])
        }
    }

    func insert(_ db: Database, _ row: Row) throws {
        try db.execute(
            sql: "INSERT INTO resource (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            arguments: [
                row.uid, row.key.space, row.key.kind, row.key.name, row.revision, row.createdAt.nanoseconds,
                row.updatedAt.nanoseconds, row.author, row.source.description, row.origin.description,
            ])
    }

    func update(_ db: Database, _ row: Row) throws {
        try db.execute(
            sql: """
                UPDATE resource SET name = ?, revision = ?, updated = ?, author = ?, source = ?, origin = ? WHERE uid = ?
                """,
            arguments: [
                row.key.name, row.revision, row.updatedAt.nanoseconds, row.author, row.source.description,
                row.origin.description, row.uid,
            ])
    }

    func delete(_ db: Database, uid: String) throws {
        try db.execute(sql: "DELETE FROM resource WHERE uid = ?", arguments: [uid])
        try db.execute(sql: "DELETE FROM reference WHERE uid = ?", arguments: [uid])
        try db.execute(
            sql: """
                DELETE FROM revision WHERE uid IN (
                    SELECT uid FROM revision WHERE action = 'delete' AND uid NOT IN (SELECT uid FROM resource)
                    ORDER BY revision DESC LIMIT -1 OFFSET ?)
                """, arguments: [Self.deletedMax])
    }

    // MARK: References

    func setReferences(_ db: Database, uid: String, space: String, _ references: [ResourceReference]) throws {
        try db.execute(sql: "DELETE FROM reference WHERE uid = ?", arguments: [uid])
        for reference in references {
            try db.execute(
                sql: "INSERT OR IGNORE INTO reference VALUES (?, ?, ?, ?)",
                arguments: [uid, space, reference.kind, reference.name])
        }
    }

    /// Who needs the resource.
    func users(_ db: Database, of key: ResourceKey) throws -> [Row] {
        try GRDB.Row.fetchAll(
            db,
            sql: """
                SELECT \(Self.columns) FROM resource WHERE uid IN (
                    SELECT uid FROM reference WHERE space = ? AND kind = ? AND name = ?) ORDER BY kind, name
                """, arguments: [key.space, key.kind, key.name]
        ).map(row)
    }

    // MARK: Revisions

    /// `row` as it is after the change. A nil body: a deletion.
    func addRevision(_ db: Database, _ row: Row, _ action: ChangeAction, _ body: Body?) throws {
        var bytes = body.map { Array($0.text.utf8) }
        var encoding = Encoding.plain
        if let plain = bytes, plain.count >= Self.compressedFrom, let small = Compression.compress(plain) {
            bytes = small
            encoding = .zlib
        }
        if let body, body.isSealed, let plain = bytes { bytes = try sealer.seal(plain, uid: row.uid) }
        try db.execute(
            sql: """
                INSERT INTO revision
                    (uid, revision, space, kind, name, action, author, source, at, format, encoding, sealed, body)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                row.uid, row.revision, row.key.space, row.key.kind, row.key.name, action.rawValue, row.author,
                row.source.description, row.updatedAt.nanoseconds, (body?.format ?? .yaml).rawValue, encoding.rawValue,
                body?.isSealed ?? false, bytes.map { blob($0) },
            ])
        try trim(db, uid: row.uid)
    }

    private func trim(_ db: Database, uid: String) throws {
        let sizes = try GRDB.Row.fetchAll(
            db, sql: "SELECT revision, coalesce(length(body), 0) FROM revision WHERE uid = ? ORDER BY revision DESC",
            arguments: [uid])
        var bytes = 0
        for (index, size) in sizes.enumerated() {
            bytes += size[1] as Int
            guard index > 0, index >= Self.revisionsMax || bytes > Self.revisionBytesMax else { continue }
            try db.execute(
                sql: "DELETE FROM revision WHERE uid = ? AND revision <= ?", arguments: [uid, size[0] as Int64])
            return
        }
    }

    func body(_ db: Database, uid: String, revision: Int64) throws -> Body? {
        let row = try GRDB.Row.fetchOne(
            db, sql: "SELECT format, encoding, sealed, body FROM revision WHERE uid = ? AND revision = ?",
            arguments: [uid, revision])
        return try row.flatMap { row in try body(row, 0, uid: uid) }
    }

    private func body(_ row: GRDB.Row, _ column: Int, uid: String) throws -> Body? {
        let stored: DatabaseValue = row[column + 3]
        guard case .blob = stored.storage else { return nil }
        var bytes = bytes(stored)
        let isSealed: Bool = row[column + 2]
        if isSealed { bytes = try sealer.open(bytes, uid: uid) }
        if row[column + 1] as Int == Encoding.zlib.rawValue {
            guard let plain = Compression.expand(bytes) else {
                throw Problem("store.damaged", "a stored document is damaged: restore a backup", ["uid": uid])
            }
            bytes = plain
        }
        return Body(
            text: String(decoding: bytes, as: UTF8.self), format: DocumentFormat(rawValue: row[column]) ?? .yaml,
            isSealed: isSealed)
    }

    struct HistoryRow {
        var row: Row
        var action: ChangeAction
        var body: Body?
    }

    /// Newest first.
    func history(_ db: Database, uid: String, limit: Int) throws -> [HistoryRow] {
        let rows = try GRDB.Row.fetchAll(
            db,
            sql: """
                SELECT format, encoding, sealed, body, revision, space, kind, name, action, author, source, at
                FROM revision WHERE uid = ? ORDER BY revision DESC LIMIT ?
                """, arguments: [uid, limit])
        return try rows.map { row in
            let source = ChangeSource(row[10]) ?? ChangeSource(.system)
            let at = Timestamp(nanoseconds: row[11])
            return HistoryRow(
                row: Row(
                    uid: uid, key: ResourceKey(space: row[5], kind: row[6], name: row[7]), revision: row[4],
                    createdAt: at, updatedAt: at, author: row[9], source: source, origin: source),
                action: ChangeAction(rawValue: row[8]) ?? .update, body: try body(row, 0, uid: uid))
        }
    }

    /// The resource that had the name last, though it may be deleted.
    func lastUID(_ db: Database, _ key: ResourceKey) throws -> String? {
        try String.fetchOne(
            db,
            sql: "SELECT uid FROM revision WHERE space = ? AND kind = ? AND name = ? ORDER BY revision DESC LIMIT 1",
            arguments: [key.space, key.kind, key.name])
    }

    // MARK: Files

    func fileHash(_ db: Database, _ source: ChangeSource) throws -> String? {
        try String.fetchOne(db, sql: "SELECT hash FROM file_source WHERE source = ?", arguments: [source.description])
    }

    func fileSources(_ db: Database) throws -> [ChangeSource] {
        try String.fetchAll(db, sql: "SELECT source FROM file_source ORDER BY source").compactMap { ChangeSource($0) }
    }

    func fileDocuments(_ db: Database, _ source: ChangeSource) throws -> [ResourceKey: String] {
        let rows = try GRDB.Row.fetchAll(
            db, sql: "SELECT space, kind, name, hash FROM file_document WHERE source = ?",
            arguments: [source.description])
        var documents: [ResourceKey: String] = [:]
        for row in rows { documents[ResourceKey(space: row[0], kind: row[1], name: row[2])] = row[3] as String }
        return documents
    }

    /// Nil hash: the file is no more.
    func setFile(
        _ db: Database, _ source: ChangeSource, hash: String?, at: Timestamp, _ documents: [ResourceKey: String]
    ) throws {
        let name = source.description
        try db.execute(sql: "DELETE FROM file_document WHERE source = ?", arguments: [name])
        try db.execute(sql: "DELETE FROM file_source WHERE source = ?", arguments: [name])
        guard let hash else { return }
        try db.execute(sql: "INSERT INTO file_source VALUES (?, ?, ?)", arguments: [name, hash, at.nanoseconds])
        for (key, hash) in documents {
            try db.execute(
                sql: "INSERT INTO file_document VALUES (?, ?, ?, ?, ?)",
                arguments: [name, key.space, key.kind, key.name, hash])
        }
    }
}
