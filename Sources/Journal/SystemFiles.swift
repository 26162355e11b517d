#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Model
import Synchronization

/// The operating system's files.
package struct SystemFiles: FileSystem {
    package init() {}

    package func createDirectory(_ path: String) throws(Problem) {
        if path.isEmpty || path == "/" || path == "." { return }
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        let parent = FilePath.parent(of: path)
        try createDirectory(parent)
        if mkdir(path, 0o755) != 0, errno != EEXIST { throw failure("create the directory", path) }
        try syncDirectory(parent)
    }

    package func open(_ path: String, _ mode: FileMode) throws(Problem) -> any OpenFile {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        let descriptor = retrying { systemOpen(path, flags | O_CLOEXEC, 0o644) }
        if descriptor < 0 { throw failure("open", path) }
        return SystemFile(descriptor: descriptor, path: path)
    }

    package func list(_ directory: String) throws(Problem) -> [String] {
        guard let stream = opendir(directory) else { throw failure("list", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    package func remove(_ path: String) throws(Problem) {
        if unlink(path) != 0 { throw failure("remove", path) }
    }

    package func rename(_ path: String, to target: String) throws(Problem) {
        if systemRename(path, target) != 0 { throw failure("rename", path) }
    }

    package func syncDirectory(_ path: String) throws(Problem) {
        let descriptor = retrying { systemOpen(path, O_RDONLY | O_CLOEXEC, 0) }
        if descriptor < 0 { throw failure("open the directory", path) }
        defer { _ = systemClose(descriptor) }
        if retrying({ fsync(descriptor) }) != 0 { throw failure("sync the directory", path) }
    }

    package func size(_ path: String) throws(Problem) -> Int? {
        var status = stat()
        if stat(path, &status) == 0 { return Int(status.st_size) }
        if errno == ENOENT { return nil }
        throw failure("look at", path)
    }

    package func lock(_ path: String) throws(Problem) -> any FileLock {
        let descriptor = retrying { systemOpen(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        if descriptor < 0 { throw failure("open", path) }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let problem = errno == EWOULDBLOCK ? FileFault.locked.problem("lock", path) : failure("lock", path)
            _ = systemClose(descriptor)
            throw problem
        }
        return SystemLock(descriptor: descriptor)
    }
}

private final class SystemFile: OpenFile {
    private let descriptor: Mutex<Int32>
    private let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = Mutex(descriptor)
        self.path = path
    }

    deinit { close() }

    private var open: Int32 { descriptor.withLock { $0 } }

    func size() throws(Problem) -> Int {
        var status = stat()
        if fstat(open, &status) != 0 { throw failure("look at", path) }
        return Int(status.st_size)
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(Problem) -> Int {
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress {
            let count = pread(open, base + done, buffer.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("read", path)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Problem) {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count = pwrite(open, base + done, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("write to", path)
            }
            if count == 0 { throw FileFault.full.problem("write to", path) }
            done += count
        }
    }

    func truncate(to size: Int) throws(Problem) {
        if retrying({ ftruncate(open, off_t(size)) }) != 0 { throw failure("truncate", path) }
    }

    func sync() throws(Problem) {
        #if canImport(Darwin)
            if fcntl(open, F_FULLFSYNC) != 0 { throw failure("sync", path) }
        #else
            // EINTR is not retried: a sync that was broken off has not told whether data was lost.
            if fdatasync(open) != 0 { throw failure("sync", path) }
        #endif
    }

    func close() {
        let closing = descriptor.withLock { descriptor in
            defer { descriptor = -1 }
            return descriptor
        }
        if closing >= 0 { _ = systemClose(closing) }
    }
}

private final class SystemLock: FileLock {
    private let descriptor: Mutex<Int32>
    init(descriptor: Int32) { self.descriptor = Mutex(descriptor) }
    deinit { release() }

    func release() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { _ = systemClose(descriptor) }
            descriptor = -1
        }
    }
}

// The names that the types above use for their methods hide the C functions.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func systemRename(_ path: String, _ target: String) -> Int32 { rename(path, target) }

private func retrying(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

/// What `errno` says, as a problem.
private func failure(_ operation: String, _ path: String) -> Problem {
    let code = errno
    let fault: FileFault =
        switch code {
        case ENOENT, ENOTDIR: .notFound
        case EEXIST: .exists
        case EACCES, EPERM: .denied
        case ENOSPC, EDQUOT, EFBIG: .full
        case EMFILE, ENFILE: .tooManyOpen
        case EROFS: .readOnly
        default: .io
        }
    return fault.problem(operation, path, detail: String(cString: strerror(code)))
}
