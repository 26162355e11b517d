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

    /// Starts `executable`. With a core, the process and all its threads run only there. Without `capturesOutput` its
    /// standard output is thrown away; its standard error is ours.
    init(_ executable: String, _ arguments: [String], core: Int? = nil, capturesOutput: Bool = false) throws(Problem) {
        #if canImport(Glibc)
            var actions = posix_spawn_file_actions_t()
        #else
            var actions: posix_spawn_file_actions_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var ends: [CInt] = [-1, -1]
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
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
        let before = core.flatMap { _ in CPUCores.ofThisThread() }
        if let core { CPUCores.pinThisThread(to: [core]) }
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

/// The cores that a thread may run on. Where the system has no such thing, nothing is pinned.
enum CPUCores {
    /// `sched_getaffinity` and `sched_setaffinity` are GNU extensions that Swift's Glibc module leaves out.
    private typealias AffinityCall = @convention(c) (pid_t, Int, UnsafeMutableRawPointer?) -> CInt

    private static func affinityCall(_ name: String) -> AffinityCall? {
        #if os(Linux)
            guard let symbol = dlsym(nil, name) else { return nil }
            return unsafeBitCast(symbol, to: AffinityCall.self)
        #else
            return nil
        #endif
    }

    static func ofThisThread() -> [Int]? {
        var words = [UInt64](repeating: 0, count: 16)
        let size = words.count * 8
        guard let call = affinityCall("sched_getaffinity"),
            words.withUnsafeMutableBytes({ call(0, size, $0.baseAddress) }) >= 0
        else { return nil }
        return (0..<1024).filter { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
    }

    static func pinThisThread(to cores: [Int]) {
        var words = [UInt64](repeating: 0, count: 16)
        for core in cores where core < 1024 { words[core / 64] |= 1 << UInt64(core % 64) }
        let size = words.count * 8
        guard let call = affinityCall("sched_setaffinity") else { return }
        _ = words.withUnsafeMutableBytes { call(0, size, $0.baseAddress) }
    }

    /// User and system time that a process has used, in nanoseconds; nil where it cannot be read.
    static func processorTime(of pid: pid_t) -> Int64? {
        let descriptor = open("/proc/\(pid)/stat", O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &buffer, buffer.count)
        // The name, in parentheses, may hold anything; fields 14 and 15 are counted from behind it.
        guard count > 0, let end = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(end + 1)..<count].split(separator: UInt8(ascii: " "))
        guard fields.count > 13, let user = Int64(String(decoding: fields[11], as: UTF8.self)),
            let system = Int64(String(decoding: fields[12], as: UTF8.self))
        else { return nil }
        return (user + system) * (1_000_000_000 / Int64(sysconf(CInt(_SC_CLK_TCK))))
    }
}
