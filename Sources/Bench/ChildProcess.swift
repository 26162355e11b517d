#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// A process that a benchmark starts and ends, by its id and never by a name.
final class ChildProcess {
    let pid: pid_t
    /// Its standard output, if it was asked for; -1 otherwise.
    private let output: CInt
    private var isReaped = false

    /// Starts `executable`. With cores, the process and all its threads run only there. Without `capturesOutput` its
    /// standard output is thrown away; its standard error is ours, unless it is silenced.
    init(
        _ executable: String, _ arguments: [String], cores: [Int] = [], capturesOutput: Bool = false,
        silencesErrors: Bool = false
    ) throws(Problem) {
        #if canImport(Glibc)
            var actions = posix_spawn_file_actions_t()
        #else
            var actions: posix_spawn_file_actions_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var ends: [CInt] = [-1, -1]
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if silencesErrors { posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) }
        if capturesOutput {
            guard pipe(&ends) == 0 else { throw Problem("bench.process", "cannot make a pipe: \(errorText(errno))") }
            posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
            posix_spawn_file_actions_addclose(&actions, ends[0])
            posix_spawn_file_actions_addclose(&actions, ends[1])
        } else {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        // A child inherits the affinity of the thread that makes it, so that there is no moment without it.
        let before = cores.isEmpty ? nil : CPUCores.ofThisThread()
        if !cores.isEmpty { CPUCores.pinThisThread(to: cores) }
        var id: pid_t = 0
        let status = posix_spawnp(&id, executable, &actions, nil, words, environ)
        if let before { CPUCores.pinThisThread(to: before) }
        if capturesOutput { close(ends[1]) }
        output = ends[0]
        pid = id
        guard status == 0 else {
            if output >= 0 { close(output) }
            throw Problem(
                "bench.process", "cannot start \(executable): \(errorText(status))", ["executable": executable])
        }
    }

    /// All of its standard output, until it closes it; at most 1 MiB. Then its exit code.
    func readToEnd() -> (text: String, exitCode: Int32) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            bytes += buffer[..<count]
        }
        return (String(decoding: bytes, as: UTF8.self), wait())
    }

    /// The first line of its standard output, without its end; what there is if it closes it before. At most 4 KiB.
    func readLine() -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while bytes.count < 4096 {
            let count = read(output, &byte, 1)
            if count < 0, errno == EINTR { continue }
            if count <= 0 || byte == UInt8(ascii: "\n") { break }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Asks it to end, and after two seconds ends it.
    func stop() {
        guard !isReaped else { return }
        kill(pid, SIGTERM)
        for _ in 0..<200 {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid {
                isReaped = true
                return
            }
            usleep(10_000)
        }
        kill(pid, SIGKILL)
        _ = wait()
    }

    /// Whether it is still there.
    var isRunning: Bool {
        guard !isReaped else { return false }
        var status: Int32 = 0
        if waitpid(pid, &status, WNOHANG) == pid { isReaped = true }
        return !isReaped
    }

    private func wait() -> Int32 {
        guard !isReaped else { return 0 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        isReaped = true
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }

    deinit {
        stop()
        if output >= 0 { close(output) }
    }
}

func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
