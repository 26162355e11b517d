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

    /// Connects and is let in; the socket still blocks.
    static func open(_ plan: LoadPlan, clientID: String, isClean: Bool = true, source: UInt32 = 0) throws(Problem)
        -> CInt
    {
        let socket = try TCP.connect(
            host: plan.host, port: plan.port, timeoutSeconds: answerSeconds, source: source)
        do throws(Problem) {
            try exchange(socket, MinimalMQTT.connect(clientID: clientID, isClean: isClean), expecting: 0x20)
        } catch {
            close(socket)
            throw error
        }
        return socket
    }

    static func subscribe(_ socket: CInt, _ filter: String, qos: Int) throws(Problem) {
        try exchange(socket, MinimalMQTT.subscribe(filter, qos: qos), expecting: 0x90)
    }

    /// Says good-bye and closes.
    static func disconnect(_ socket: CInt) {
        _ = MinimalMQTT.disconnect.withUnsafeBytes { write(socket, $0.baseAddress, $0.count) }
        close(socket)
    }

    static func setNonBlocking(_ socket: CInt) { _ = fcntl(socket, F_SETFL, O_NONBLOCK) }

    /// Sends a packet and reads its acknowledgement, whose last byte must not be a refusal. It reads no further than
    /// that, because messages may follow.
    private static func exchange(_ socket: CInt, _ packet: [UInt8], expecting type: UInt8) throws(Problem) {
        guard packet.withUnsafeBytes({ write(socket, $0.baseAddress, $0.count) }) == packet.count else {
            throw Problem("bench.generator", "the broker takes no packets: \(errorText(errno))")
        }
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
