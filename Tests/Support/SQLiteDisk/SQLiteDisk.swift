#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import GRDBSQLite
package import Journal
import Model
import Synchronization

/// Makes SQLite keep the databases of a directory on a `FileSystem`: with `FaultyFiles`, on a disk that can be full,
/// refuse, tear and lose power. For tests.
///
/// A VFS that is registered as the default one: every connection of the process goes through it, so nothing that
/// opens a database need know of it. Paths outside the mounted directories go straight to the system's VFS.
package enum SQLiteDisk {
    private static let volumes = Mutex<[String: DiskVolume]>([:])

    /// Puts `directory` (absolute; it need not exist) on `files`. Locks and shared memory begin anew: what opened
    /// databases there before, for instance ahead of a power cut, belongs to another life.
    package static func mount(_ directory: String, on files: any FileSystem) {
        _ = DiskVFS.isRegistered
        volumes.withLock { $0[directory] = DiskVolume(files: files) }
    }

    package static func unmount(_ directory: String) { volumes.withLock { $0[directory] = nil } }

    static func volume(of path: UnsafePointer<CChar>?) -> (volume: DiskVolume, path: String)? {
        guard let path else { return nil }
        let text = String(cString: path)
        return volumes.withLock { volumes in
            volumes.first { text.hasPrefix($0.key + "/") }.map { ($0.value, text) }
        }
    }
}

/// A mounted directory: its files, and what the connections to them share within the process.
final class DiskVolume: Sendable {
    let files: any FileSystem
    private let shared = Mutex<[String: SharedFile]>([:])

    init(files: any FileSystem) { self.files = files }

    func shared(_ path: String) -> SharedFile {
        shared.withLock { shared in
            if let known = shared[path] { return known }
            let fresh = SharedFile()
            shared[path] = fresh
            return fresh
        }
    }
}

enum DiskVFS {
    static let isRegistered: Bool = {
        guard let system else { return false }
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        // Whatever is not about files (time, randomness, waiting) stays the system's.
        vfs.initialize(to: system.pointee)
        vfs.pointee.pNext = nil
        vfs.pointee.zName = UnsafePointer(strdup("tundish-disk"))
        vfs.pointee.szOsFile = max(system.pointee.szOsFile, CInt(MemoryLayout<DiskFile.Handle>.size))
        vfs.pointee.xOpen = { _, path, file, flags, outFlags in open(path, file, flags, outFlags) }
        vfs.pointee.xDelete = { _, path, syncsDirectory in delete(path, syncsDirectory) }
        vfs.pointee.xAccess = { _, path, flags, result in access(path, flags, result) }
        vfs.pointee.xFullPathname = { _, path, size, result in fullPath(path, size, result) }
        return sqlite3_vfs_register(vfs, 1) == SQLITE_OK
    }()

    nonisolated(unsafe) private static let system: UnsafeMutablePointer<sqlite3_vfs>? = sqlite3_vfs_find(nil)

    private static func open(
        _ path: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: CInt,
        _ outFlags: UnsafeMutablePointer<CInt>?
    ) -> CInt {
        guard let file, let system else { return SQLITE_CANTOPEN }
        guard let (volume, path) = SQLiteDisk.volume(of: path) else {
            return system.pointee.xOpen(system, path, file, flags, outFlags)
        }
        file.pointee.pMethods = nil
        let mode: FileMode =
            flags & SQLITE_OPEN_CREATE != 0
            ? .create : flags & SQLITE_OPEN_READWRITE != 0 ? .readWrite : .read
        do throws(Problem) {
            let isNew = try volume.files.size(path) == nil
            let opened = DiskFile(
                file: try volume.files.open(path, mode), path: path, volume: volume,
                // As the system's VFS does it: a new log or journal brings the names of its directory to the disk.
                syncsDirectory: isNew && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) != 0)
            UnsafeMutableRawPointer(file).assumingMemoryBound(to: DiskFile.Handle.self).pointee.file =
                Unmanaged.passRetained(opened)
            file.pointee.pMethods = UnsafePointer(DiskFile.methods)
            outFlags?.pointee = flags
            return SQLITE_OK
        } catch { return DiskFile.code(error, SQLITE_CANTOPEN) }
    }

    private static func delete(_ path: UnsafePointer<CChar>?, _ syncsDirectory: CInt) -> CInt {
        guard let (volume, text) = SQLiteDisk.volume(of: path) else {
            return system.map { $0.pointee.xDelete($0, path, syncsDirectory) } ?? SQLITE_IOERR
        }
        do throws(Problem) {
            try volume.files.remove(text)
            if syncsDirectory != 0 { try volume.files.syncDirectory(FilePath.parent(of: text)) }
            return SQLITE_OK
        } catch { return error.fileFault == .notFound ? DiskFile.deleteNoEntry : DiskFile.deleteFailed }
    }

    private static func access(
        _ path: UnsafePointer<CChar>?, _ flags: CInt, _ result: UnsafeMutablePointer<CInt>?
    ) -> CInt {
        guard let (volume, text) = SQLiteDisk.volume(of: path) else {
            return system.map { $0.pointee.xAccess($0, path, flags, result) } ?? SQLITE_IOERR
        }
        do throws(Problem) {
            // To SQLite an empty file is none.
            result?.pointee = try volume.files.size(text) ?? 0 > 0 ? 1 : 0
            return SQLITE_OK
        } catch { return DiskFile.accessFailed }
    }

    private static func fullPath(
        _ path: UnsafePointer<CChar>?, _ size: CInt, _ result: UnsafeMutablePointer<CChar>?
    ) -> CInt {
        guard let (_, text) = SQLiteDisk.volume(of: path), let result else {
            return system.map { $0.pointee.xFullPathname($0, path, size, result) } ?? SQLITE_CANTOPEN
        }
        guard text.utf8.count < Int(size) else { return SQLITE_CANTOPEN }
        text.withCString { _ = strcpy(result, $0) }
        return SQLITE_OK
    }
}
