import Crypto
import GRDB
package import Model

/// A resource file of the configuration, as it was found at start.
package struct SourceFile: Sendable {
    package var path: String
    /// Its bytes, or why it could not be read. A file that cannot be read changes and prunes nothing.
    package var content: Result<[UInt8], Problem>

    package init(path: String, content: Result<[UInt8], Problem>) {
        self.path = path
        self.content = content
    }
}

/// What became of one file.
package struct FileOutcome: Sendable {
    package var path: String
    /// Nil: the file has not changed since it was applied, and nothing was done.
    package var result: ApplyResult?
    package var rejection: Rejection?
}

extension ResourceStore {
    /// Applies the resource files of the configuration, as a start does.
    ///
    /// - A file whose content is the same as when it was applied last is left alone, whatever has become of its
    ///   resources since: what someone changed or deleted in the console stays so.
    /// - Of a changed file, only those documents are applied whose own content has changed. They take over, also
    ///   from the console; the revision history keeps what was there.
    /// - A resource that the file does not hold any more is deleted if this file made it and nobody else has changed
    ///   it since; otherwise it stays, and the outcome says so.
    /// - A file that is no longer in one of `folders` counts as empty.
    ///
    /// Files that are right are applied in one transaction; one that is wrong is reported and changes nothing.
    package func applyFiles(
        _ files: [SourceFile], folders: [String] = [], author: String = "file"
    ) async -> [FileOutcome] {
        var outcomes: [FileOutcome] = []
        var readable: [ReadFile] = []
        for file in files {
            switch file.content {
            case .failure(let problem): outcomes.append(FileOutcome(path: file.path, rejection: Rejection(problem)))
            case .success(let bytes):
                let (documents, issues) = registry.reader.read(bytes, file: file.path)
                readable.append(
                    ReadFile(path: file.path, hash: Self.hash(bytes), documents: documents, issues: issues))
            }
        }
        let known = Set(files.map(\.path))
        do throws(Rejection) {
            for path in try await missing(from: known, folders: folders) {
                readable.append(ReadFile(path: path, hash: nil, documents: [], issues: IssueList()))
            }
        } catch {
            return outcomes + readable.map { FileOutcome(path: $0.path, rejection: error) }
        }
        outcomes += await applyTogether(readable, author)
        let order = Dictionary(files.enumerated().map { ($0.element.path, $0.offset) }) { first, _ in first }
        return outcomes.sorted { (order[$0.path] ?? .max, $0.path) < (order[$1.path] ?? .max, $1.path) }
    }

    private struct ReadFile: Sendable {
        var path: String
        /// Nil: the file is gone.
        var hash: String?
        var documents: [Document]
        var issues: IssueList

        var source: ChangeSource { ChangeSource(.file, path) }
    }

    /// All files at once, so that they may refer to each other; those that are refused drop out until the rest fits.
    private func applyTogether(_ all: [ReadFile], _ author: String) async -> [FileOutcome] {
        var outcomes: [FileOutcome] = []
        var rest: [ReadFile] = []
        for file in all {
            if file.issues.isValid {
                rest.append(file)
            } else {
                var issues = file.issues
                _ = registry.check(file.documents, &issues)
                outcomes.append(FileOutcome(path: file.path, rejection: Rejection(issues.issues)))
            }
        }
        while !rest.isEmpty {
            let files = rest
            do throws(Rejection) {
                let applied = try await write { [self] db in try apply(db, files, author) }
                return outcomes + applied
            } catch {
                // Each file that an issue names drops out; what names none concerns all.
                let named = Set(error.issues.filter { $0.severity == .error }.map(\.file))
                let refused = rest.filter { named.contains($0.path) }
                if refused.isEmpty {
                    return outcomes + rest.map { FileOutcome(path: $0.path, rejection: error) }
                }
                for file in refused {
                    let own = error.issues.filter { $0.file == file.path }
                    outcomes.append(FileOutcome(path: file.path, rejection: Rejection(own)))
                }
                rest.removeAll { named.contains($0.path) }
            }
        }
        return outcomes
    }

    private func apply(_ db: Database, _ files: [ReadFile], _ author: String) throws -> [FileOutcome] {
        var outcomes: [FileOutcome] = []
        let declared = Set(files.flatMap { $0.documents.map(\.key) })
        var issues = IssueList()
        _ = registry.check(files.flatMap(\.documents), &issues)
        guard issues.isValid else { throw Rejection(issues.issues) }
        // References may go from file to file, in both directions: one plan per file, but checked as one.
        var plans: [(file: ReadFile, plan: ChangePlan, hashes: [ResourceKey: String])] = []
        var together = ChangePlan(self, db, ChangeContext(author: author, source: ChangeSource(.file)))
        for file in files {
            let appliedHash = try database.fileHash(db, file.source)
            guard file.hash == nil || file.hash != appliedHash else {
                outcomes.append(FileOutcome(path: file.path))
                continue
            }
            var plan = ChangePlan(self, db, ChangeContext(author: author, source: file.source))
            let hashes = try fill(&plan, db, file, declared)
            together.join(plan)
            plans.append((file, plan, hashes))
        }
        try together.finish()
        for index in plans.indices {
            let (file, plan, hashes) = plans[index]
            var own = plan
            let revision = try commit(&own, db)
            try database.setFile(db, file.source, hash: file.hash, at: time.now(), hashes)
            outcomes.append(
                FileOutcome(
                    path: file.path,
                    result: ApplyResult(
                        dryRun: false, revision: revision, changes: own.steps.map(\.change), warnings: own.issues.issues
                    )))
        }
        return outcomes
    }

    /// Adds what the file itself says differently from last time; returns the hashes of its documents.
    private func fill(
        _ plan: inout ChangePlan, _ db: Database, _ file: ReadFile, _ declared: Set<ResourceKey>
    ) throws -> [ResourceKey: String] {
        let before = try database.fileDocuments(db, file.source)
        var hashes: [ResourceKey: String] = [:]
        var changed: [Document] = []
        for document in file.documents {
            let hash = Self.hash(Array(SourceWriter.json(document.root).utf8))
            hashes[document.key] = hash
            if before[document.key] != hash { changed.append(document) }
        }
        try plan.add(changed)
        for key in before.keys.sorted() where hashes[key] == nil && !declared.contains(key) {
            guard let row = try database.find(db, key) else { continue }
            if row.origin == file.source, row.source == file.source {
                try plan.delete(key)
                continue
            }
            plan.leave(
                key, row,
                Problem(
                    "resource.kept",
                    "\(key) is not in \(file.path) any more, but stays: \(row.author) changed it (\(row.source))",
                    ["kind": key.kind, "name": key.name, "author": row.author, "source": row.source.description]))
        }
        return hashes
    }

    /// Files that were applied from one of the folders and are not there any more.
    private func missing(from known: Set<String>, folders: [String]) async throws(Rejection) -> [String] {
        if folders.isEmpty { return [] }
        let sources = try await read { [database] db in try database.fileSources(db) }
        return sources.map(\.name).filter { path in
            !known.contains(path)
                && folders.contains { path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }
        }
    }

    static func hash(_ bytes: [UInt8]) -> String { Hexadecimal.text(SHA256.hash(data: bytes)) }
}
