package import Model
import Synchronization

/// The operating system's files, on a disk that another process makes fail and heals while a server runs: for tests of
/// whole processes. What is wrong stands in a control file, read anew for every call:
///
/// - `full`: nothing new is taken; of a write a part is there
/// - `read-only`: nothing is changed
/// - `failing-sync`: syncing fails, and of what it was to make durable a part is lost, as a kernel is free to do
///   that has told the error once
/// - anything else, or no such file: the disk works
package struct SwitchedFiles: FileSystem {
    private let base = SystemFiles()
    private let control: DiskControl

    /// `control`: path of the control file.
    package init(control: String) { self.control = DiskControl(path: control) }

    package func createDirectory(_ path: String) throws(Problem) {
        if (try? base.list(path)) == nil { try control.mayCreate("create the directory", path) }
        try base.createDirectory(path)
    }

    package func open(_ path: String, _ mode: FileMode) throws(Problem) -> any OpenFile {
        switch mode {
        case .read, .readWrite: break
        case .create: if try base.size(path) == nil { try control.mayCreate("open", path) }
        case .createNew: try control.mayCreate("open", path)
        }
        return SwitchedFile(try base.open(path, mode), path, control)
    }

    package func list(_ directory: String) throws(Problem) -> [String] { try base.list(directory) }

    package func remove(_ path: String) throws(Problem) {
        try control.mayChange("remove", path)
        try base.remove(path)
    }

    package func rename(_ path: String, to target: String) throws(Problem) {
        try control.mayChange("rename", path)
        try base.rename(path, to: target)
    }

    package func syncDirectory(_ path: String) throws(Problem) {
        if control.state == .failingSync { throw FileFault.io.problem("sync the directory", path) }
        try base.syncDirectory(path)
    }

    package func size(_ path: String) throws(Problem) -> Int? { try base.size(path) }

    package func lock(_ path: String) throws(Problem) -> any FileLock {
        try control.mayChange("lock", path)
        return try base.lock(path)
    }
}

private struct DiskControl: Sendable {
    enum State: String {
        case works
        case full
        case readOnly = "read-only"
        case failingSync = "failing-sync"
    }

    let path: String

    var state: State {
        guard let bytes = try? SystemFiles().contents(path, bytesMax: 64) else { return .works }
        return State(rawValue: String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)) ?? .works
    }

    func mayCreate(_ operation: String, _ path: String) throws(Problem) {
        if state == .full { throw FileFault.full.problem(operation, path) }
        try mayChange(operation, path)
    }

    func mayChange(_ operation: String, _ path: String) throws(Problem) {
        if state == .readOnly { throw FileFault.readOnly.problem(operation, path) }
    }
}

private final class SwitchedFile: OpenFile {
    private let base: any OpenFile
    private let path: String
    private let control: DiskControl
    /// What stood where something was written since the last sync, oldest first.
    private let unsynced = Mutex<[Overwritten]>([])

    private struct Overwritten {
        var offset: Int
        var bytes: [UInt8]
    }

    init(_ base: any OpenFile, _ path: String, _ control: DiskControl) {
        self.base = base
        self.path = path
        self.control = control
    }

    func size() throws(Problem) -> Int { try base.size() }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(Problem) -> Int {
        try base.read(at: offset, into: buffer)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Problem) {
        switch control.state {
        case .readOnly: throw FileFault.readOnly.problem("write to", path)
        case .full:
            try overwrite(UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2)), at: offset)
            throw FileFault.full.problem("write to", path)
        case .works, .failingSync: try overwrite(bytes, at: offset)
        }
    }

    private func overwrite(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Problem) {
        var old = [UInt8](repeating: 0, count: bytes.count)
        _ = try base.readAll(&old, at: offset, count: old.count)
        unsynced.withLock { $0.append(Overwritten(offset: offset, bytes: old)) }
        try base.write(bytes, at: offset)
    }

    func truncate(to size: Int) throws(Problem) {
        try control.mayChange("truncate", path)
        try base.truncate(to: size)
    }

    func sync() throws(Problem) {
        let written = unsynced.withLock { unsynced in
            defer { unsynced = [] }
            return unsynced
        }
        guard control.state == .failingSync else { return try base.sync() }
        // SQLite reads what it has written before it learns of the error; a kernel would show it that from memory.
        if !path.contains(".sqlite") {
            for lost in written.reversed() where Bool.random() { try putBack(lost) }
        }
        throw FileFault.io.problem("sync", path)
    }

    private func putBack(_ lost: Overwritten) throws(Problem) {
        let count = min(lost.bytes.count, try base.size() - lost.offset)
        if count > 0 { try base.writeAll(lost.bytes[..<count], at: lost.offset) }
    }

    func close() { base.close() }
}
