#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// One client of the generator.
struct LoadConnection {
    var socket: CInt
    /// The begin of a packet whose rest has not come.
    var leftover: [UInt8] = []
    /// Bytes that the system has not taken yet.
    var unsent: [UInt8] = []

    init(socket: CInt) { self.socket = socket }

    static let answerSeconds = 10

    /// A client that is to be there.
    struct Client {
        var id: String
        /// What it subscribes to, if anything.
        var filter: String?
        var isClean = true
        var source: UInt32 = 0
    }

    /// Connects many, with their subscriptions, so many at a time that a backlog holds them; the sockets still block.
    /// The packets leave before the answers are awaited, which a server has to accept. MQTT 3.1.1, 3.1.4
    static func openAll(_ plan: LoadPlan, _ clients: [Client]) throws(Problem) -> [CInt] {
        var sockets: [CInt] = []
        do throws(Problem) {
            while sockets.count < clients.count {
                let first = sockets.count
                let group = clients[first..<min(first + atOnce, clients.count)]
                for client in group {
                    let socket = try TCP.connect(
                        host: plan.host, port: plan.port, timeoutSeconds: answerSeconds, source: client.source)
                    sockets.append(socket)
                    var packets = MinimalMQTT.connect(clientID: client.id, isClean: client.isClean)
                    if let filter = client.filter { packets += MinimalMQTT.subscribe(filter, qos: plan.qos) }
                    try put(socket, packets)
                }
                for (offset, client) in group.enumerated() {
                    try expect(sockets[first + offset], 0x20)
                    if client.filter != nil { try expect(sockets[first + offset], 0x90) }
                }
            }
        } catch {
            for socket in sockets { close(socket) }
            throw error
        }
        return sockets
    }

    private static let atOnce = 50

    /// Says good-bye and closes.
    static func disconnect(_ socket: CInt) {
        _ = MinimalMQTT.disconnect.withUnsafeBytes { write(socket, $0.baseAddress, $0.count) }
        close(socket)
    }

    static func setNonBlocking(_ socket: CInt) { _ = fcntl(socket, F_SETFL, O_NONBLOCK) }

    private static func put(_ socket: CInt, _ packet: [UInt8]) throws(Problem) {
        guard packet.withUnsafeBytes({ write(socket, $0.baseAddress, $0.count) }) == packet.count else {
            throw Problem("bench.generator", "the broker takes no packets: \(errorText(errno))")
        }
    }

    /// Reads an acknowledgement, whose last byte must not be a refusal; no further, because messages may follow.
    private static func expect(_ socket: CInt, _ type: UInt8) throws(Problem) {
        var answer = try take(socket, 2)
        answer += try take(socket, Int(answer[1]))
        guard answer[0] == type, let last = answer.last, type == 0x90 ? last < 0x80 : last == 0 else {
            throw Problem("bench.generator", "the broker refused a client: \(answer)")
        }
    }

    private static func take(_ socket: CInt, _ count: Int) throws(Problem) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let got = bytes.withUnsafeMutableBytes { read(socket, $0.baseAddress?.advanced(by: have), count - have) }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else {
                throw Problem(
                    "bench.generator", "the broker does not answer: \(got == 0 ? "it closed" : errorText(errno))")
            }
            have += got
        }
        return bytes
    }
}
