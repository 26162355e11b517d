#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Model

/// The file of a Unix socket: who holds it, how it appears with the right permissions from its first moment, and how
/// it goes.
package struct UnixSocketPath: Sendable {
    private static let suffix = ".new"
    /// Longest path: the system's field, less its end and the suffix of the name under which a socket is made.
    package static let bytesMax =
        MemoryLayout<sockaddr_un>.size - MemoryLayout<sa_family_t>.size - 1 - suffix.utf8.count

    package let path: String

    package init(_ path: String) { self.path = path }

    /// Where to bind: beside the path, so that nobody can connect before the permissions are set.
    package var temporary: String { path + Self.suffix }

    /// Fails if someone listens there, or if it is something else than a socket. What nobody listens on any more is
    /// replaced by `publish`.
    package func check(listener: String) throws(Problem) {
        var status = stat()
        let arguments = ["listener": listener, "path": path]
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw Self.problem(listener, path, "cannot be examined", errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw Problem(
                "listener.not_a_socket",
                "listener \"\(listener)\": \(path) exists and is not a socket; choose another path or remove it",
                arguments)
        }
        if Self.answers(path) {
            throw Problem(
                "listener.path_in_use",
                "listener \"\(listener)\": another program listens on \(path); stop it or choose another path",
                arguments)
        }
    }

    /// Gives the bound socket its permissions and its name. Returns the file's identity for `remove`.
    package func publish(listener: String, mode: UInt16) throws(Problem) -> UInt64 {
        guard chmod(temporary, mode_t(mode)) == 0 else {
            throw Self.problem(listener, path, "cannot get mode \(String(mode, radix: 8))", errno)
        }
        guard rename(temporary, path) == 0 else { throw Self.problem(listener, path, "cannot be made", errno) }
        return Self.identity(path) ?? 0
    }

    /// Removes what a crash left of an earlier attempt.
    package func removeTemporary() { unlink(temporary) }

    /// Removes the socket, if it is still the one that `publish` made.
    package func remove(identity: UInt64) { if Self.identity(path) == identity { unlink(path) } }

    private static func identity(_ path: String) -> UInt64? {
        var status = stat()
        return lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    private static func answers(_ path: String) -> Bool {
        #if canImport(Glibc)
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        #else
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes.prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // A full backlog is a listener too.
        return result == 0 || errno == EAGAIN || errno == EINPROGRESS
    }

    private static func problem(_ listener: String, _ path: String, _ what: String, _ number: Int32) -> Problem {
        let reason = String(cString: strerror(number))
        return Problem(
            "listener.socket_file", "listener \"\(listener)\": the socket \(path) \(what): \(reason)",
            ["listener": listener, "path": path, "reason": reason])
    }
}
