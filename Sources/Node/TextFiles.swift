#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// A text file, or standard input for `-`; at most 64 MiB.
func readTextFile(_ path: String) throws(Problem) -> String {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
    }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else {
            throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
        }
        if count == 0 { break }
        bytes.append(contentsOf: buffer[..<count])
        if bytes.count > 64 << 20 {
            throw Problem("file.too_large", "\(path): larger than 64 MiB", ["file": path])
        }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw Problem("file.not_utf8", "\(path): is not UTF-8 text", ["file": path])
    }
    return text
}

/// A file itself, or the resource files of a folder, in the order of their names. `-` is standard input.
func resourceFiles(_ path: String) throws(Problem) -> [String] {
    if path == "-" { return [path] }
    var status = stat()
    guard stat(path, &status) == 0 else {
        throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    guard let directory = opendir(path) else {
        throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        if name.hasSuffix(".yaml") || name.hasSuffix(".yml") || name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted().map { path.hasSuffix("/") ? path + $0 : path + "/" + $0 }
}
