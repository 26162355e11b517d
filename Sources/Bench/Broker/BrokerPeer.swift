#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Foundation
import Model

/// A broker that can be measured, and how it comes to run.
struct BrokerPeer: Equatable {
    enum Origin: Equatable {
        /// This program or another build of it; `threads` event loops.
        case tundish(executable: String, arguments: [String], threads: Int)
        case mosquitto(executable: String)
        /// Runs already; process 0 if it is not known.
        case running(host: String, port: Int, pid: Int32)
    }

    var name: String
    var origin: Origin

    /// Reads `name=host:port[:pid]`.
    static func running(_ text: String) throws(Problem) -> BrokerPeer {
        let problem = Problem(
            "bench.usage",
            "--peer \"\(text)\": expected NAME=HOST:PORT or NAME=HOST:PORT:PID, the host by its IPv4 address",
            ["peer": text])
        let halves = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard halves.count == 2, !halves[0].isEmpty else { throw problem }
        let words = halves[1].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2 || words.count == 3, !words[0].isEmpty, let port = Int(words[1]),
            (1...65_535).contains(port), let pid = words.count == 3 ? Int32(words[2]) : 0, pid >= 0
        else { throw problem }
        return BrokerPeer(name: halves[0], origin: .running(host: words[0], port: port, pid: pid))
    }

    /// Reads `name=executable arguments...`, split at spaces.
    static func tundish(_ text: String) throws(Problem) -> BrokerPeer {
        let halves = text.split(separator: "=", maxSplits: 1).map(String.init)
        let words = halves.count == 2 ? halves[1].split(separator: " ").map(String.init) : []
        guard let executable = words.first else {
            throw Problem(
                "bench.usage", "--tundish \"\(text)\": expected NAME=EXECUTABLE, or \"NAME=EXECUTABLE ARGUMENTS\"",
                ["peer": text])
        }
        return BrokerPeer(
            name: halves[0],
            origin: .tundish(executable: executable, arguments: Array(words.dropFirst()), threads: 1))
    }

    /// With its version, where it can be asked.
    var description: String {
        switch origin {
        case .tundish(let executable, let arguments, _):
            let version = Self.firstLine(executable, ["--version"]) ?? ""
            return (version.hasPrefix(name) ? version : name + " " + version)
                + (arguments.isEmpty ? "" : " with " + arguments.joined(separator: " "))
        case .mosquitto(let executable):
            return Self.firstLine(executable, ["-h"])?.replacingOccurrences(of: " version", with: "") ?? name
        case .running(let host, let port, _): return "\(name) at \(host):\(port)"
        }
    }

    private static func firstLine(_ executable: String, _ arguments: [String]) -> String? {
        guard let process = try? ChildProcess(executable, arguments, capturesOutput: true, silencesErrors: true) else {
            return nil
        }
        let line = process.readToEnd().text.split(separator: "\n").first.map(String.init)
        return line?.isEmpty ?? true ? nil : line
    }

    /// Debian's, if it is there.
    static var mosquitto: BrokerPeer? {
        let candidates = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        return candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }).map {
            BrokerPeer(name: "mosquitto", origin: .mosquitto(executable: $0))
        }
    }
}

/// A broker while it runs.
final class RunningBroker {
    let peer: BrokerPeer
    let host: String
    let port: Int
    let pid: Int32
    private let process: ChildProcess?

    /// What the brokers have in common.
    struct Place {
        var folder: URL
        /// A broker with one loop has the first.
        var cores: [Int]
        /// Certificate and key, where the listener speaks TLS.
        var tls: BenchCertificate?
    }

    /// Starts it, or looks whether it is there, and waits until it listens.
    init(_ peer: BrokerPeer, _ place: Place) throws {
        self.peer = peer
        switch peer.origin {
        case .running(let host, let port, let pid):
            (self.host, self.port, self.pid) = (host, port, pid)
            process = nil
        case .tundish(let executable, let arguments, let threads):
            (host, port) = ("127.0.0.1", try TCP.freePort())
            process = try Self.startTundish(executable, arguments, threads: threads, port: port, place)
            pid = process?.pid ?? 0
        case .mosquitto(let executable):
            (host, port) = ("127.0.0.1", try TCP.freePort())
            process = try Self.startMosquitto(executable, port: port, place)
            pid = process?.pid ?? 0
        }
        try waitUntilItListens()
    }

    func stop() { process?.stop() }

    private static func startTundish(
        _ executable: String, _ arguments: [String], threads: Int, port: Int, _ place: Place
    ) throws -> ChildProcess {
        setenv("TUNDISH_LOG_LEVEL", "error", 1)
        var mqttPort = port
        if let tls = place.tls {
            mqttPort = try TCP.freePort()
            let file = place.folder.appending(path: "listener-\(port).yaml")
            try """
            kind: Listener
            name: bench-tls
            spec:
              protocol: mqtts
              bind: "127.0.0.1:\(port)"
              tls: { certificate: { file: "\(tls.certificate)" }, key: { file: "\(tls.key)" } }

            """.write(to: file, atomically: true, encoding: .utf8)
            setenv("TUNDISH_RESOURCES", file.path, 1)
        }
        defer { unsetenv("TUNDISH_RESOURCES") }
        let data = place.folder.appending(path: "data-\(port)")
        return try ChildProcess(
            executable,
            [
                "serve", "--mqtt", "127.0.0.1:\(mqttPort)", "--console", "127.0.0.1:\(try TCP.freePort())",
                "--data-dir", data.path, "--threads", "\(threads)",
            ] + arguments, cores: threads > 1 ? place.cores : Array(place.cores.prefix(1)))
    }

    private static func startMosquitto(_ executable: String, port: Int, _ place: Place) throws -> ChildProcess {
        let folder = place.folder.appending(path: "mosquitto-\(port)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "mosquitto.conf")
        // Its own default of 20 messages in flight would make it wait for acknowledgements that others need not wait for.
        try """
        listener \(port) 127.0.0.1
        allow_anonymous true
        persistence false
        log_type none
        set_tcp_nodelay true
        max_inflight_messages 0
        max_queued_messages 1000000
        \(place.tls.map { "certfile \($0.certificate)\nkeyfile \($0.key)\n" } ?? "")
        """.write(to: file, atomically: true, encoding: .utf8)
        return try ChildProcess(executable, ["-c", file.path], cores: Array(place.cores.prefix(1)))
    }

    private func waitUntilItListens() throws {
        for _ in 0..<600 {
            if let socket = try? TCP.connect(host: host, port: port, timeoutSeconds: 1) {
                close(socket)
                return
            }
            guard process?.isRunning ?? false else { break }
            usleep(50_000)
        }
        stop()
        throw Problem(
            "bench.start", "\(peer.name) does not listen on \(host):\(port)", ["broker": peer.name, "port": "\(port)"])
    }
}
