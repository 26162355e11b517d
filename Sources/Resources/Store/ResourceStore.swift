import GRDB
import Journal
import Synchronization
package import Model

/// Everything that people have configured: typed documents with their revisions, in SQLite (WAL, synchronous FULL).
/// What a call has returned is on the disk.
///
/// One counter numbers the revisions: each transaction takes the next number, and every resource that it changes
/// has it from then on.
package final class ResourceStore: Sendable {
    package let registry: KindRegistry
    package let statuses: StatusBoard
    let database: StoreDatabase
    let pool: DatabasePool
    let path: String
    let time: any TimeSource
    let random: any RandomSource
    let watchers: Watchers
    let cache = SnapshotCache()

    /// Opens `resources.sqlite` in the directory, or makes it.
    package init(
        _ directory: DataDirectory, registry: KindRegistry, time: any TimeSource, random: any RandomSource
    ) throws(Problem) {
        self.registry = registry
        self.time = time
        self.random = random
        path = directory.file(StoreDatabase.file)
        let watchers = Watchers()
        self.watchers = watchers
        statuses = StatusBoard(time: time, watchers: watchers)
        database = StoreDatabase(sealer: try Sealer(directory))
        var configuration = Configuration()
        configuration.label = "resources"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 2
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            // A pool sets its writer to NORMAL when it opens, which a power cut makes forget what was committed.
            try pool.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
            try StoreDatabase.migrator().migrate(pool)
        } catch {
            throw DatabaseProblems.problem(error, path)
        }
    }

    /// Ends all watches and closes the database.
    package func close() {
        watchers.finish()
        // What is committed is on the disk; an error here can lose nothing.
        try? pool.close()
    }

    // MARK: Reading

    /// The revision of the newest change.
    package func revision() async throws(Rejection) -> Int64 {
        try await read { [database] db in try database.revision(db) }
    }

    package func get(_ key: ResourceKey) async throws(Rejection) -> ResourceSnapshot? {
        try await read { [self] db in try database.find(db, key).map { try snapshot(db, $0) } }
    }

    package func get(uid: String) async throws(Rejection) -> ResourceSnapshot? {
        try await read { [self] db in try database.find(db, uid: uid).map { try snapshot(db, $0) } }
    }

    /// All resources, or those of a kind, in the order of their names, with the store's revision that they are of.
    package func list(
        kind: String? = nil, space: String? = nil
    ) async throws(Rejection) -> (revision: Int64, items: [ResourceSnapshot]) {
        try await read { [self] db in
            (try database.revision(db), try database.list(db, kind: kind, space: space).map { try snapshot(db, $0) })
        }
    }

    /// What identifies the resources of a kind and their state, without reading their documents.
    package func index(kind: String? = nil) async throws(Rejection) -> (revision: Int64, items: [ResourceIndexEntry]) {
        try await read { [self] db in
            (try database.revision(db), try database.index(db, kind: kind))
        }
    }

    package func status(of snapshot: ResourceSnapshot) -> ResourceStatus {
        statuses[snapshot.uid]
            ?? ResourceStatus(observedRevision: 0, condition: Condition(.pending), since: snapshot.updatedAt)
    }

    /// Changes from now on. A watcher first subscribes, then lists, so that it misses nothing.
    package func watch(kinds: Set<String>? = nil, status: Bool = false) -> AsyncStream<ResourceEvent> {
        watchers.add(kinds: kinds, status: status)
    }

    /// Newest first. Works for deleted resources too, by their last name.
    package func history(_ key: ResourceKey, limit: Int = 100) async throws(Rejection) -> [RevisionEntry] {
        try await read { [self] db in
            let uid = try database.find(db, key)?.uid ?? database.lastUID(db, key)
            guard let uid else { throw Self.notFound(key) }
            return try database.history(db, uid: uid, limit: limit).map { entry in
                RevisionEntry(
                    revision: entry.row.revision, key: entry.row.key, uid: uid, author: entry.row.author,
                    source: entry.row.source, at: entry.row.updatedAt, action: entry.action,
                    shown: entry.body.flatMap { parsed($0, entry.row.key) }.map { shown($0) })
            }
        }
    }

    // MARK: Inside

    static func notFound(_ key: ResourceKey) -> Rejection {
        Rejection(
            Problem("resource.not_found", "there is no \(key)", ["kind": key.kind, "name": key.name]))
    }

    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws(Rejection) -> T {
        do { return try await pool.read(body) } catch { throw DatabaseProblems.rejection(error, path) }
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws(Rejection) -> T {
        do { return try await pool.write(body) } catch { throw DatabaseProblems.rejection(error, path) }
    }

    /// A stored text as a document; nil if it cannot be read, which only a damaged store brings about.
    func parsed(_ body: StoreDatabase.Body, _ key: ResourceKey) -> Document? {
        registry.reader.read(body.text, file: key.description, format: body.format).documents.first
    }

    func snapshot(_ db: Database, _ row: StoreDatabase.Row) throws -> ResourceSnapshot {
        if let cached = cache[row.uid, row.revision] { return cached }
        guard let body = try database.body(db, uid: row.uid, revision: row.revision) else {
            throw Problem("store.damaged", "the document of \(row.key) is missing: restore a backup", ["uid": row.uid])
        }
        var result = ResourceSnapshot(
            key: row.key, uid: row.uid, revision: row.revision, createdAt: row.createdAt, updatedAt: row.updatedAt,
            author: row.author, source: row.source, labels: [:], spec: .null, shown: SourceNode(.map([])), issues: [])
        let (documents, issues) = registry.reader.read(body.text, file: row.key.description, format: body.format)
        result.issues = issues.issues
        if let document = documents.first, let kind = registry[row.key.kind] {
            let (spec, issues) = Validator.validate(document, kind.schema)
            result.labels = document.labels
            result.description = document.description
            result.shown = shown(document)
            result.issues = issues.issues
            if issues.isValid { result.spec = spec }
        }
        cache.insert(result, bytes: body.text.utf8.count)
        return result
    }

    /// A document's spec without secrets.
    func shown(_ document: Document) -> SourceNode {
        guard let kind = registry[document.key.kind] else { return SourceNode(.map([])) }
        var spec = SpecTree.redacted(document.spec, kind.schema)
        for key in kind.hiddenKeys where spec[key] != nil { spec.set(key, SpecTree.redacted) }
        return spec
    }

    /// 128 random bits, as text.
    func newUID() -> String {
        let text = [random.next(), random.next()].map { number in
            Hexadecimal.text((0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) })
        }
        return text.joined()
    }
}

package struct ResourceIndexEntry: Sendable, Hashable {
    package var key: ResourceKey
    package var uid: String
    package var revision: Int64
    /// The greatest of its own and of the secrets that it refers to: what changes when it must be applied anew.
    package var effectiveRevision: Int64
}

extension ResourceStore: MetricSource {
    package func collect() async -> [MetricSample] {
        var samples = [
            MetricSample(
                "tundish_resources_watch_resyncs_total", .counter, "Watchers that were too slow and had to look again.",
                Double(watchers.resyncs.count))
        ]
        if let index = try? await index() {
            samples.append(
                MetricSample("tundish_resources_revision", .gauge, "The store's revision.", Double(index.revision)))
            for (kind, items) in Dictionary(grouping: index.items, by: \.key.kind).sorted(by: { $0.key < $1.key }) {
                samples.append(
                    MetricSample(
                        "tundish_resources", .gauge, "Resources by kind.", labels: ["kind": kind], Double(items.count)))
            }
        }
        return samples
    }
}

/// The newest snapshots of small documents, so that lists need not be parsed again and again.
final class SnapshotCache: Sendable {
    /// Bytes of text whose snapshots are kept.
    static let bytesMax = 4 << 20
    static let entryBytesMax = 256 << 10

    private struct Entry {
        var snapshot: ResourceSnapshot
        var bytes: Int
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var bytes = 0
    }

    private let state = Mutex(State())

    subscript(_ uid: String, _ revision: Int64) -> ResourceSnapshot? {
        state.withLock { state in
            guard let entry = state.entries[uid], entry.snapshot.revision == revision else { return nil }
            return entry.snapshot
        }
    }

    func insert(_ snapshot: ResourceSnapshot, bytes: Int) {
        guard bytes <= Self.entryBytesMax else { return }
        state.withLock { state in
            if state.bytes + bytes > Self.bytesMax { state = State() }
            let old = state.entries.updateValue(Entry(snapshot: snapshot, bytes: bytes), forKey: snapshot.uid)
            if let old, old.snapshot.revision > snapshot.revision { state.entries[snapshot.uid] = old }
            state.bytes += bytes - (old?.bytes ?? 0)
        }
    }
}
