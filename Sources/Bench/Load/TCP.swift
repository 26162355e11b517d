#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// Plain blocking sockets over IPv4.
enum TCP {
    /// `source`: an address of the loopback network to come from, as the last three of its bytes; 0: the system's choice.
    static func connect(host: String = "127.0.0.1", port: Int, timeoutSeconds: Int, source: UInt32 = 0) throws(Problem)
        -> CInt
    {
        guard var address = address(host: host, port: port) else {
            throw Problem("bench.connect", "\"\(host)\" is not an IPv4 address", ["host": host])
        }
        let descriptor = newSocket()
        guard descriptor >= 0 else {
            throw Problem("bench.connect", "cannot make a socket: \(errorText(errno))")
        }
        // A `timeval`, seconds and microseconds, whose Swift name belongs to whichever C module was read first.
        var time: (Int, Int) = (timeoutSeconds, 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<(Int, Int)>.size))
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        if source != 0 { bindSource(descriptor, source) }
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
            throw Problem("bench.connect", "cannot connect to \(host):\(port): \(text)", ["port": "\(port)"])
        }
        return descriptor
    }

    /// A port that nobody listens on now.
    static func freePort() throws(Problem) -> Int {
        let descriptor = newSocket()
        defer { close(descriptor) }
        guard var address = address(host: "127.0.0.1", port: 0) else { throw Problem("bench.port", "no loopback") }
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard status == 0 else { throw Problem("bench.port", "no free port: \(errorText(errno))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func newSocket() -> CInt {
        #if canImport(Glibc)
            socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            socket(AF_INET, SOCK_STREAM, 0)
        #endif
    }

    /// The port is chosen at connect, so that it need be free for this destination only.
    private static func bindSource(_ descriptor: CInt, _ source: UInt32) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = (0x7F00_0000 | source & 0xFF_FFFF).bigEndian
        #if os(Linux)
            var one: CInt = 1
            // IP_BIND_ADDRESS_NO_PORT
            setsockopt(descriptor, CInt(IPPROTO_IP), 24, &one, socklen_t(MemoryLayout<CInt>.size))
        #endif
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func address(host: String, port: Int) -> sockaddr_in? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port).bigEndian)
        guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address.sin_addr) == 1 else { return nil }
        return address
    }
}
