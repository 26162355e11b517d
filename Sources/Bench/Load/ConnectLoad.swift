#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// Clients that connect, are let in and leave, so many at the same time.
final class ConnectLoad {
    private let plan: LoadPlan
    private let clock = SystemTime()
    private let poller: Poller
    private var sockets: [CInt]
    private var started = 0
    private var answered = 0

    /// Connections from one address of the loopback network, so that ports in TIME_WAIT are not met again.
    static let connectionsPerSource = 10_000

    init(plan: LoadPlan) throws(Problem) {
        self.plan = plan
        poller = try Poller()
        sockets = Array(repeating: -1, count: max(1, plan.connections))
    }

    deinit { for socket in sockets where socket >= 0 { close(socket) } }

    /// An address of the loopback network for a connection's number; `salt` keeps processes apart.
    static func source(of connection: Int, salt: Int) -> UInt32 {
        let number = UInt32(truncatingIfNeeded: connection / connectionsPerSource + salt % 200 * 256)
        return 0x01_0000 + number & 0xFFFF | 2
    }

    func run() throws -> LoadResult {
        for slot in sockets.indices { try begin(slot) }
        let measureFrom = clock.monotonicNanoseconds() + Int64(plan.warmUpSeconds * 1e9)
        let measureTo = measureFrom + Int64(plan.seconds * 1e9)
        var first: LoadMark?
        var watch = StallWatch(now: clock.monotonicNanoseconds())
        while true {
            let count = try poller.poll(milliseconds: 500)
            for number in 0..<count { try receive(poller.event(number).index) }
            let now = clock.monotonicNanoseconds()
            try watch.check(answered, now: now)
            if first == nil, now >= measureFrom { first = try mark() }
            if now >= measureTo, let first { return result(from: first, to: try mark()) }
        }
    }

    private func mark() throws(Problem) -> LoadMark {
        LoadMark(
            count: answered, broker: try Processes.used(plan.broker), own: Processes.usedHere(),
            wall: clock.monotonicNanoseconds())
    }

    private func result(from first: LoadMark, to last: LoadMark) -> LoadResult {
        var result = LoadResult()
        result.measured = LoadPhase(
            count: last.count - first.count, brokerNanoseconds: last.broker - first.broker,
            wallNanoseconds: last.wall - first.wall)
        result.generatorLoad = Double(last.own - first.own) / Double(max(last.wall - first.wall, 1))
        return result
    }

    private func begin(_ slot: Int) throws(Problem) {
        let source = Self.source(of: started, salt: Int(getpid()))
        let socket = try TCP.connect(
            host: plan.host, port: plan.port, timeoutSeconds: LoadConnection.answerSeconds,
            source: plan.host == "127.0.0.1" ? source : 0)
        sockets[slot] = socket
        let packet = MinimalMQTT.connect(clientID: "\(plan.tag)-\(started)")
        started += 1
        guard packet.withUnsafeBytes({ write(socket, $0.baseAddress, $0.count) }) == packet.count else {
            throw Problem("bench.generator", "the broker takes no CONNECT: \(errorText(errno))")
        }
        LoadConnection.setNonBlocking(socket)
        try poller.add(socket, index: slot)
    }

    private func receive(_ slot: Int) throws(Problem) {
        var answer: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &answer) { read(sockets[slot], $0.baseAddress, 4) }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count == 4, answer.0 == 0x20, answer.3 == 0 else {
            throw Problem("bench.generator", "the broker did not let a client in")
        }
        answered += 1
        LoadConnection.disconnect(sockets[slot])
        sockets[slot] = -1
        try begin(slot)
    }
}

/// Connections with one subscription each that do nothing more.
enum IdleLoad {
    /// Connects all, says `ready` and stays until it is ended or nobody is left to end it.
    static func run(_ plan: LoadPlan) throws {
        let clients = (0..<plan.connections).map { index in
            let number = plan.firstConnection + index
            return LoadConnection.Client(
                id: "\(plan.tag)-\(number)", filter: "\(plan.tag)/\(number)",
                source: plan.host == "127.0.0.1" ? ConnectLoad.source(of: number, salt: 201) : 0)
        }
        let sockets = try LoadConnection.openAll(plan, clients)
        defer { for socket in sockets { close(socket) } }
        print(ready)
        fflush(nil)
        let parent = getppid()
        while getppid() == parent { sleep(1) }
    }

    static let ready = "ready"
}
