#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// Who publishes to whom.
enum BrokerScenario: String, CaseIterable {
    /// Fifty publishers on one topic, one subscriber.
    case fanIn = "fan-in"
    /// Fifty publishers, each with a topic and a subscriber of its own.
    case pairs

    static let publishers = 50
    static let payloadBytes = 64

    var subscribers: Int { self == .fanIn ? 1 : Self.publishers }
    func topic(_ publisher: Int) -> String { self == .fanIn ? "bench/fan" : "bench/\(publisher)" }
}

/// The few packets of MQTT 3.1.1 that a load generator needs.
enum MinimalMQTT {
    static func connect(clientID: String) -> [UInt8] {
        packet(0x10, string("MQTT") + [4, 0x02, 0, 0] + string(clientID))
    }

    static func subscribe(_ filter: String) -> [UInt8] { packet(0x82, [0, 1] + string(filter) + [0]) }

    /// QoS 0.
    static func publish(_ topic: String, _ payload: [UInt8]) -> [UInt8] { packet(0x30, string(topic) + payload) }

    private static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var length = body.count
        repeat {
            bytes.append(UInt8(length & 0x7F) | (length > 0x7F ? 0x80 : 0))
            length >>= 7
        } while length > 0
        return bytes + body
    }

    private static func string(_ text: String) -> [UInt8] {
        let utf8 = Array(text.utf8)
        return [UInt8(utf8.count >> 8), UInt8(utf8.count & 0xFF)] + utf8
    }
}

/// What one run of the generator measured.
struct BrokerMeasurement: Equatable {
    var deliveries: Int
    var brokerNanoseconds: Int64
    var wallNanoseconds: Int64

    var deliveriesPerCPUSecond: Double { Double(deliveries) * 1e9 / Double(max(brokerNanoseconds, 1)) }

    var line: String { "measured \(deliveries) \(brokerNanoseconds) \(wallNanoseconds)" }

    init(deliveries: Int, brokerNanoseconds: Int64, wallNanoseconds: Int64) {
        self.deliveries = deliveries
        self.brokerNanoseconds = brokerNanoseconds
        self.wallNanoseconds = wallNanoseconds
    }

    init?(line: some StringProtocol) {
        let words = line.split(separator: " ")
        guard words.count == 4, words[0] == "measured", let deliveries = Int(words[1]), let broker = Int64(words[2]),
            let wall = Int64(words[3])
        else { return nil }
        self.init(deliveries: deliveries, brokerNanoseconds: broker, wallNanoseconds: wall)
    }
}

/// A closed loop over raw sockets and poll, as cheap as it can be made: each publisher sends a window of messages
/// in one write and the next when all of it has arrived, so that every broker sees the same pattern.
final class BrokerGenerator {
    private let window: Int
    private var polled: [pollfd] = []
    private var publishers: [CInt] = []
    private var subscribers: [CInt] = []
    /// The bytes of a publisher's window.
    private var windows: [[UInt8]] = []
    private var outstanding: [Int]
    /// Of each subscriber: the begin of a packet whose rest has not come.
    private var leftovers: [[UInt8]]
    private var ready: [Int] = []
    private var deliveries = 0
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)

    static let connectSeconds = 10
    static let stallNanoseconds: Int64 = 3_000_000_000

    /// Connects and subscribes everybody.
    init(scenario: BrokerScenario, window: Int, port: Int) throws(Problem) {
        self.window = window
        outstanding = Array(repeating: 0, count: BrokerScenario.publishers)
        leftovers = Array(repeating: [], count: scenario.subscribers)
        for index in 0..<scenario.subscribers {
            let socket = try Self.connect(port: port, clientID: "sub-\(index)")
            try Self.exchange(socket, MinimalMQTT.subscribe(scenario.topic(index)), expecting: 0x90)
            subscribers.append(socket)
            polled.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0))
        }
        for index in 0..<BrokerScenario.publishers {
            publishers.append(try Self.connect(port: port, clientID: "pub-\(index)"))
            // The last two bytes tell whose message it is.
            let payload =
                [UInt8](repeating: 0x2A, count: BrokerScenario.payloadBytes - 2) + [
                    UInt8(index >> 8), UInt8(index & 0xFF),
                ]
            let packet = MinimalMQTT.publish(scenario.topic(index), payload)
            windows.append(Array(repeatElement(packet, count: window).joined()))
        }
        for socket in publishers + subscribers { _ = fcntl(socket, F_SETFL, O_NONBLOCK) }
    }

    deinit {
        for socket in publishers + subscribers { close(socket) }
        buffer.deallocate()
    }

    /// Runs a warm-up and then `seconds`, watching the processor time of the broker.
    func run(broker: pid_t, warmUpSeconds: Double, seconds: Double) throws(Problem) -> BrokerMeasurement {
        let clock = SystemTime()
        for publisher in publishers.indices { try send(publisher) }
        let measureFrom = clock.monotonicNanoseconds() + Int64(warmUpSeconds * 1e9)
        var started: (deliveries: Int, broker: Int64, wall: Int64)?
        var lastProgress = clock.monotonicNanoseconds()
        while true {
            let count = poll(&polled, nfds_t(polled.count), 500)
            if count < 0, errno != EINTR { throw Problem("bench.generator", "poll: \(errorText(errno))") }
            let before = deliveries
            if count > 0 {
                for index in polled.indices where polled[index].revents != 0 { try receive(index) }
            }
            let now = clock.monotonicNanoseconds()
            if deliveries > before { lastProgress = now }
            if now - lastProgress > Self.stallNanoseconds {
                throw Problem("bench.generator", "the broker lost a message or stands still: nothing arrived for 3 s")
            }
            guard now >= measureFrom else { continue }
            if let started {
                guard now - started.wall >= Int64(seconds * 1e9) else { continue }
                return BrokerMeasurement(
                    deliveries: deliveries - started.deliveries,
                    brokerNanoseconds: try Self.used(broker) - started.broker,
                    wallNanoseconds: now - started.wall)
            }
            started = (deliveries, try Self.used(broker), now)
        }
    }

    private static func used(_ broker: pid_t) throws(Problem) -> Int64 {
        guard let time = CPUCores.processorTime(of: broker) else {
            throw Problem("bench.generator", "the processor time of process \(broker) cannot be read")
        }
        return time
    }

    private func send(_ publisher: Int) throws(Problem) {
        outstanding[publisher] = window
        let socket = publishers[publisher]
        let sent = windows[publisher].withUnsafeBytes { write(socket, $0.baseAddress, $0.count) }
        // All that was sent before has arrived, so there is room unless the connection is gone.
        guard sent == windows[publisher].count else {
            throw Problem("bench.generator", "a publisher cannot send: \(errorText(errno))")
        }
    }

    private func receive(_ subscriber: Int) throws(Problem) {
        let kept = leftovers[subscriber].count
        leftovers[subscriber].withUnsafeBytes { buffer.copyMemory(from: $0) }
        let count = read(subscribers[subscriber], buffer.baseAddress?.advanced(by: kept), buffer.count - kept)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { throw Problem("bench.generator", "the broker closed a subscriber's connection") }
        let used = parse(UnsafeRawBufferPointer(rebasing: buffer[..<(kept + count)]))
        leftovers[subscriber] = Array(buffer[used..<(kept + count)])
        for publisher in ready { try send(publisher) }
        ready.removeAll(keepingCapacity: true)
    }

    /// Counts whole packets; how many bytes they take.
    private func parse(_ bytes: UnsafeRawBufferPointer) -> Int {
        var position = 0
        while true {
            var length = 0
            var shift = 0
            var cursor = position + 1
            var isComplete = false
            while cursor < bytes.count, shift <= 21 {
                let byte = bytes[cursor]
                cursor += 1
                length |= Int(byte & 0x7F) << shift
                shift += 7
                if byte & 0x80 == 0 {
                    isComplete = true
                    break
                }
            }
            guard isComplete, cursor + length <= bytes.count else { return position }
            position = cursor + length
            guard bytes[cursor - 1 - (shift / 7)] >> 4 == 3, length >= 2 else { continue }
            deliveries += 1
            let publisher = Int(bytes[position - 2]) << 8 | Int(bytes[position - 1])
            guard publisher < outstanding.count else { continue }
            outstanding[publisher] -= 1
            if outstanding[publisher] == 0 { ready.append(publisher) }
        }
    }

    private static func connect(port: Int, clientID: String) throws(Problem) -> CInt {
        let descriptor = try TCP.connect(port: port, timeoutSeconds: connectSeconds)
        try exchange(descriptor, MinimalMQTT.connect(clientID: clientID), expecting: 0x20)
        return descriptor
    }

    /// Sends a packet and reads its acknowledgement, whose last byte must not be a refusal.
    private static func exchange(_ socket: CInt, _ packet: [UInt8], expecting type: UInt8) throws(Problem) {
        guard packet.withUnsafeBytes({ write(socket, $0.baseAddress, $0.count) }) == packet.count else {
            throw Problem("bench.generator", "the broker takes no packets: \(errorText(errno))")
        }
        var answer: [UInt8] = []
        var byte: UInt8 = 0
        while answer.count < 2 || answer.count < 2 + Int(answer[1]) {
            guard read(socket, &byte, 1) == 1 else {
                throw Problem("bench.generator", "the broker does not answer: \(errorText(errno))")
            }
            answer.append(byte)
        }
        guard answer[0] == type, let last = answer.last, type == 0x90 ? last < 0x80 : last == 0 else {
            throw Problem("bench.generator", "the broker refused a client: \(answer)")
        }
    }
}

/// Plain blocking sockets on loopback.
enum TCP {
    static func connect(port: Int, timeoutSeconds: Int) throws(Problem) -> CInt {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        var address = loopback(port: port)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #if canImport(Glibc)
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #else
                    Darwin.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #endif
            }
        }
        guard status == 0 else {
            let text = errorText(errno)
            close(descriptor)
            throw Problem("bench.connect", "cannot connect to 127.0.0.1:\(port): \(text)", ["port": "\(port)"])
        }
        return descriptor
    }

    /// A port that nobody listens on now.
    static func freePort() throws(Problem) -> Int {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        defer { close(descriptor) }
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard status == 0 else { throw Problem("bench.port", "no free port: \(errorText(errno))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
