import GRDBSQLite
import Journal
import Model
import Synchronization

/// One open file, as SQLite holds it. Used by one connection, which SQLite never enters twice at once.
final class DiskFile {
    /// What SQLite allocates for each file it opens.
    struct Handle {
        var base: sqlite3_file
        var file: Unmanaged<DiskFile>?
    }

    static let readFailed = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let writeFailed = SQLITE_IOERR | 3 << 8
    static let syncFailed = SQLITE_IOERR | 4 << 8
    static let directorySyncFailed = SQLITE_IOERR | 5 << 8
    static let truncateFailed = SQLITE_IOERR | 6 << 8
    static let sizeFailed = SQLITE_IOERR | 7 << 8
    static let deleteFailed = SQLITE_IOERR | 10 << 8
    static let accessFailed = SQLITE_IOERR | 13 << 8
    static let deleteNoEntry = SQLITE_IOERR | 23 << 8

    private let file: any OpenFile
    private let path: String
    private let volume: DiskVolume
    private let shared: SharedFile
    private var syncsDirectory: Bool
    private var lock = SQLITE_LOCK_NONE
    private var memoryLocks = MemoryLocks()
    private var mapsMemory = false

    init(file: any OpenFile, path: String, volume: DiskVolume, syncsDirectory: Bool) {
        self.file = file
        self.path = path
        self.volume = volume
        self.syncsDirectory = syncsDirectory
        shared = volume.shared(path)
    }

    static func code(_ problem: Problem, _ otherwise: CInt) -> CInt {
        problem.fileFault == .full ? SQLITE_FULL : otherwise
    }

    nonisolated(unsafe) static let methods: UnsafeMutablePointer<sqlite3_io_methods> = {
        var methods = sqlite3_io_methods()
        methods.iVersion = 2
        methods.xClose = { file in DiskFile.end(file) }
        methods.xRead = { file, buffer, count, offset in DiskFile.of(file)?.read(buffer, count, offset) ?? readFailed }
        methods.xWrite = { file, buffer, count, offset in
            DiskFile.of(file)?.write(buffer, count, offset) ?? writeFailed
        }
        methods.xTruncate = { file, size in DiskFile.of(file)?.truncate(size) ?? truncateFailed }
        methods.xSync = { file, _ in DiskFile.of(file)?.sync() ?? syncFailed }
        methods.xFileSize = { file, size in DiskFile.of(file)?.size(size) ?? sizeFailed }
        methods.xLock = { file, level in DiskFile.of(file)?.raise(level) ?? SQLITE_IOERR }
        methods.xUnlock = { file, level in DiskFile.of(file)?.lower(level) ?? SQLITE_IOERR }
        methods.xCheckReservedLock = { file, result in
            result?.pointee = DiskFile.of(file)?.shared.isReserved ?? false ? 1 : 0
            return SQLITE_OK
        }
        methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.xSectorSize = { _ in 4096 }
        // Like the system's VFS: a write that loses power leaves the bytes beside it alone.
        methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        methods.xShmMap = { file, region, size, extends, result in
            DiskFile.of(file)?.map(region, size, extends != 0, result) ?? SQLITE_IOERR
        }
        methods.xShmLock = { file, slot, count, flags in DiskFile.of(file)?.lock(slot, count, flags) ?? SQLITE_IOERR }
        methods.xShmBarrier = { _ in atomicMemoryFence(ordering: .sequentiallyConsistent) }
        methods.xShmUnmap = { file, _ in DiskFile.of(file)?.unmap() ?? SQLITE_IOERR }
        let pointer = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        pointer.initialize(to: methods)
        return pointer
    }()

    private static func handle(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<Handle>? {
        file.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: Handle.self) }
    }

    private static func of(_ file: UnsafeMutablePointer<sqlite3_file>?) -> DiskFile? {
        handle(file)?.pointee.file?.takeUnretainedValue()
    }

    private static func end(_ file: UnsafeMutablePointer<sqlite3_file>?) -> CInt {
        guard let handle = handle(file), let opened = handle.pointee.file else { return SQLITE_OK }
        handle.pointee.file = nil
        let file = opened.takeRetainedValue()
        _ = file.unmap()
        _ = file.lower(SQLITE_LOCK_NONE)
        file.file.close()
        return SQLITE_OK
    }

    // MARK: Content

    private func read(_ buffer: UnsafeMutableRawPointer?, _ count: CInt, _ offset: Int64) -> CInt {
        let target = UnsafeMutableRawBufferPointer(start: buffer, count: Int(count))
        do throws(Problem) {
            let size = try file.size()
            let found = Int(offset) < size ? try file.read(at: Int(offset), into: target) : 0
            if found == target.count { return SQLITE_OK }
            // SQLite relies on zeros behind the end.
            UnsafeMutableRawBufferPointer(rebasing: target[found...]).initializeMemory(as: UInt8.self, repeating: 0)
            return Self.shortRead
        } catch { return Self.readFailed }
    }

    private func write(_ buffer: UnsafeRawPointer?, _ count: CInt, _ offset: Int64) -> CInt {
        do throws(Problem) {
            try file.write(UnsafeRawBufferPointer(start: buffer, count: Int(count)), at: Int(offset))
            return SQLITE_OK
        } catch { return Self.code(error, Self.writeFailed) }
    }

    private func truncate(_ size: Int64) -> CInt {
        do throws(Problem) {
            try file.truncate(to: Int(size))
            return SQLITE_OK
        } catch { return Self.truncateFailed }
    }

    private func sync() -> CInt {
        do throws(Problem) { try file.sync() } catch { return Self.code(error, Self.syncFailed) }
        guard syncsDirectory else { return SQLITE_OK }
        do throws(Problem) {
            try volume.files.syncDirectory(FilePath.parent(of: path))
            syncsDirectory = false
            return SQLITE_OK
        } catch { return Self.directorySyncFailed }
    }

    private func size(_ result: UnsafeMutablePointer<Int64>?) -> CInt {
        do throws(Problem) {
            result?.pointee = Int64(try file.size())
            return SQLITE_OK
        } catch { return Self.sizeFailed }
    }

    // MARK: Locks

    private func raise(_ level: CInt) -> CInt {
        if level <= lock { return SQLITE_OK }
        guard shared.raise(from: lock, to: level) else { return SQLITE_BUSY }
        lock = level
        return SQLITE_OK
    }

    private func lower(_ level: CInt) -> CInt {
        if level >= lock { return SQLITE_OK }
        shared.lower(from: lock, to: level)
        lock = level
        return SQLITE_OK
    }

    // MARK: The write-ahead log's index, in memory that the connections share

    private func map(
        _ region: CInt, _ size: CInt, _ extends: Bool,
        _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> CInt {
        if !mapsMemory { shared.beginMapping() }
        mapsMemory = true
        result?.pointee = shared.region(Int(region), size: Int(size), extends: extends)
        return SQLITE_OK
    }

    private func lock(_ slot: CInt, _ count: CInt, _ flags: CInt) -> CInt {
        let slots = UInt8(truncatingIfNeeded: ((1 << count) - 1) << slot)
        return shared.lockMemory(slots, flags, &memoryLocks) ? SQLITE_OK : SQLITE_BUSY
    }

    private func unmap() -> CInt {
        guard mapsMemory else { return SQLITE_OK }
        mapsMemory = false
        shared.unlockMemory(&memoryLocks)
        shared.endMapping()
        return SQLITE_OK
    }
}
