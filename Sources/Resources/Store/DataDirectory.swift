#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Journal
package import Model

/// The folder that holds everything a node keeps. One process at a time may use it.
package final class DataDirectory: Sendable {
    /// Grows when a release changes what lies in the folder. Each release opens its predecessor's.
    package static let format = 1

    package let path: String
    package let files: any FileSystem
    private let lock: any FileLock

    /// Makes the folder if needed, locks it, and checks its format. Fails with `data.newer` if a later release has
    /// written it, `data.foreign` if the format cannot be read, `file.locked` if another process uses it.
    package init(_ path: String, files: any FileSystem) throws(Problem) {
        self.path = path
        self.files = files
        try files.createDirectory(path)
        try restrict(path, 0o700)
        lock = try files.lock(FilePath.join(path, "lock"))
        do throws(Problem) {
            try Self.checkFormat(path, files)
        } catch {
            lock.release()
            throw error
        }
    }

    private static func checkFormat(_ path: String, _ files: any FileSystem) throws(Problem) {
        let file = FilePath.join(path, "format")
        guard try files.size(file) != nil else {
            try files.replace(file, with: Array("\(format)\n".utf8))
            return
        }
        let text = String(decoding: try files.contents(file, bytesMax: 64), as: UTF8.self)
        guard let found = Int(text.filter { $0 != "\n" && $0 != "\r" }), found > 0 else {
            throw Problem(
                "data.foreign", "\(file) does not name a data format; is \(path) Tundish's data directory?",
                ["path": path])
        }
        if found > format {
            throw Problem(
                "data.newer",
                "data directory \(path) has format \(found); this release knows formats up to \(format): "
                    + "use the newer release, or restore a backup", ["path": path, "format": String(found)])
        }
    }

    package func file(_ name: String) -> String { FilePath.join(path, name) }

    /// Gives the folder free for another process. Idempotent.
    package func release() { lock.release() }

    /// Writes a file that only its owner may read.
    package func writePrivate(_ name: String, _ bytes: [UInt8]) throws(Problem) {
        let target = file(name)
        let temporary = target + ".new"
        let open = try files.open(temporary, .create)
        defer { open.close() }
        // The mode before the content, so that at no time anyone else can read it.
        try restrict(temporary, 0o600)
        try open.truncate(to: 0)
        let result: Result<Void, Problem> = bytes.withUnsafeBytes { buffer in
            do throws(Problem) { return .success(try open.write(buffer, at: 0)) } catch { return .failure(error) }
        }
        try result.get()
        try open.sync()
        try files.rename(temporary, to: target)
        try files.syncDirectory(path)
    }

    /// The content of a file of the folder; nil if there is none.
    package func read(_ name: String, bytesMax: Int) throws(Problem) -> [UInt8]? {
        guard try files.size(file(name)) != nil else { return nil }
        return try files.contents(file(name), bytesMax: bytesMax)
    }
}

/// Sets the mode of a file or folder. A file layer without modes has no such path: nothing to do there.
private func restrict(_ path: String, _ mode: mode_t) throws(Problem) {
    if chmod(path, mode) == 0 || errno == ENOENT { return }
    throw Problem(
        "file.denied", "cannot set the mode of \(path): is it yours?", ["path": path, "operation": "protect"])
}
