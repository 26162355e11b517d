#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

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
}

/// What processes use of the machine.
enum Processes {
    /// User and system time of a process, in nanoseconds; 0 for process 0, which stands for one that is not known.
    static func used(_ pid: pid_t) throws(Problem) -> Int64 {
        guard pid != 0 else { return 0 }
        guard let time = processorTime(of: pid) else {
            throw Problem("bench.generator", "the processor time of process \(pid) cannot be read; has it ended?")
        }
        return time
    }

    /// The same of this process.
    static func usedHere() -> Int64 { processorTime(of: getpid()) ?? 0 }

    /// Resident memory of a process in bytes; nil where it cannot be read.
    static func residentBytes(_ pid: pid_t) -> Int? {
        guard let text = readSmallFile("/proc/\(pid)/status") else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }.map {
                $0 * 1024
            }
        }
        return nil
    }

    /// Lets this process and its children open as many files as the system permits; how many those are.
    static func raiseOpenFiles() -> Int {
        var limit = rlimit()
        #if canImport(Glibc)
            let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
            let kind = RLIMIT_NOFILE
        #endif
        guard getrlimit(kind, &limit) == 0 else { return 1024 }
        for wanted in [rlim_t(200_000), limit.rlim_max] {
            var raised = rlimit(rlim_cur: wanted, rlim_max: max(wanted, limit.rlim_max))
            if setrlimit(kind, &raised) == 0 { return Int(clamping: wanted) }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// At most 64 KiB.
    static func readSmallFile(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &bytes, bytes.count)
        return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }

    /// User and system time that a process has used, in nanoseconds; nil where it cannot be read.
    private static func processorTime(of pid: pid_t) -> Int64? {
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
