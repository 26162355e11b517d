package import Model

/// The file calls that everything durable goes through, so that tests can fill the disk, tear writes, refuse to
/// sync, and cut the power. `SystemFiles` is the operating system; `FaultyFiles` is a disk in memory with faults.
///
/// Paths are absolute or relative to the working directory, parts separated by `/`. Calls block.
package protocol FileSystem: Sendable {
    /// Makes the directory and its parents; existing ones are fine. Durable when it returns.
    func createDirectory(_ path: String) throws(Problem)
    func open(_ path: String, _ mode: FileMode) throws(Problem) -> any OpenFile
    /// Names (not paths) of what is in the directory, in no order; without `.` and `..`.
    func list(_ directory: String) throws(Problem) -> [String]
    /// Removes a file; a file that is not there is an error (`file.not_found`).
    func remove(_ path: String) throws(Problem)
    /// Replaces what `target` names, in one step.
    func rename(_ path: String, to target: String) throws(Problem)
    /// Makes the names in the directory durable: what was created, renamed or removed in it.
    func syncDirectory(_ path: String) throws(Problem)
    /// Size in bytes; nil if there is no such file.
    func size(_ path: String) throws(Problem) -> Int?
    /// Makes the file if needed and locks it against other processes and other locks; held until released.
    /// Fails at once with `file.locked` if someone else holds it.
    func lock(_ path: String) throws(Problem) -> any FileLock
}

package enum FileMode: Sendable {
    /// Must exist.
    case read
    /// Must exist.
    case readWrite
    /// Made if absent, kept if not.
    case create
    /// Must not exist.
    case createNew
}

/// An open file. Safe to use from several threads; positions are explicit.
package protocol OpenFile: AnyObject, Sendable {
    func size() throws(Problem) -> Int
    /// Reads up to the buffer's size; less only at the end of the file. Returns the number of bytes read.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(Problem) -> Int
    /// Writes all bytes. After an error any part of them may have been written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Problem)
    func truncate(to size: Int) throws(Problem)
    /// Makes the content durable (fdatasync). After an error nothing written since the last successful sync may be
    /// believed to be durable, not even after a later sync that succeeds.
    func sync() throws(Problem)
    /// Idempotent.
    func close()
}

package protocol FileLock: AnyObject, Sendable {
    /// Idempotent.
    func release()
}

extension FileSystem {
    /// The whole file.
    package func contents(_ path: String, bytesMax: Int = 1 << 30) throws(Problem) -> [UInt8] {
        let file = try open(path, .read)
        defer { file.close() }
        let size = try file.size()
        if size > bytesMax {
            throw Problem(
                "file.too_big", "\(path) has \(size) bytes; at most \(bytesMax) are read",
                ["path": path, "size": String(size), "max": String(bytesMax)])
        }
        var bytes = [UInt8](repeating: 0, count: size)
        let result: Result<Int, Problem> = bytes.withUnsafeMutableBytes { buffer in
            do throws(Problem) { return .success(try file.read(at: 0, into: buffer)) } catch { return .failure(error) }
        }
        let count = try result.get()
        if count < size { bytes.removeLast(size - count) }
        return bytes
    }

    /// Replaces the file's content in one step, durably: a crash leaves the old or the new content, whole.
    package func replace(_ path: String, with bytes: [UInt8]) throws(Problem) {
        let temporary = path + ".new"
        let file = try open(temporary, .create)
        defer { file.close() }
        try file.truncate(to: 0)
        let result: Result<Void, Problem> = bytes.withUnsafeBytes { buffer in
            do throws(Problem) { return .success(try file.write(buffer, at: 0)) } catch { return .failure(error) }
        }
        try result.get()
        try file.sync()
        try rename(temporary, to: path)
        try syncDirectory(FilePath.parent(of: path))
    }
}

/// The little that is needed of paths.
package enum FilePath {
    /// `a/b` of `a/b/c`; `.` of `c`; `/` of `/c`.
    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    package static func join(_ directory: String, _ name: String) -> String {
        directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }
}

/// What went wrong with a file, as far as callers tell the cases apart.
package enum FileFault: String, Sendable, CaseIterable {
    case notFound = "file.not_found"
    case exists = "file.exists"
    case denied = "file.denied"
    case full = "file.full"
    case locked = "file.locked"
    case tooManyOpen = "file.too_many_open"
    case readOnly = "file.read_only"
    /// Anything else: the device fails.
    case io = "file.io"

    /// The sentence behind "cannot OPERATION PATH: ".
    var reason: String {
        switch self {
        case .notFound: "it does not exist"
        case .exists: "it exists already"
        case .denied: "permission denied; check its owner and mode"
        case .full: "the disk is full; free some space"
        case .locked: "another process uses it; is a second server running on this data directory?"
        case .tooManyOpen: "too many open files; raise the limit (ulimit -n)"
        case .readOnly: "the file system is read-only"
        case .io: "the device reports an error"
        }
    }

    package func problem(_ operation: String, _ path: String, detail: String? = nil) -> Problem {
        Problem(
            rawValue, "cannot \(operation) \(path): \(reason)" + (detail.map { " (\($0))" } ?? ""),
            ["path": path, "operation": operation].merging(detail.map { ["detail": $0] } ?? [:]) { a, _ in a })
    }
}

extension Problem {
    /// The file fault that this problem tells of, if it is one.
    package var fileFault: FileFault? { FileFault(rawValue: code) }
}
