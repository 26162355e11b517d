#if os(Linux)
    import CEpoll
    import Glibc
    import NIOCore

    /// The calls on a socket that does not block.
    enum EpollSocket {
        enum Outcome {
            case bytes(Int)
            /// Nothing to read, or no room to write.
            case wouldBlock
            case failed
        }

        @inline(__always)
        static func read(_ descriptor: CInt, _ target: UnsafeMutableRawBufferPointer) -> Outcome {
            while true {
                let count = recv(descriptor, target.baseAddress, target.count, 0)
                if count >= 0 { return .bytes(count) }
                if errno == EINTR { continue }
                return errno == EAGAIN ? .wouldBlock : .failed
            }
        }

        @inline(__always)
        static func write(_ descriptor: CInt, _ source: UnsafeRawBufferPointer) -> Outcome {
            while true {
                let count = Int(tundish_send(descriptor, source.baseAddress, UInt(source.count)))
                if count >= 0 { return .bytes(count) }
                if errno == EINTR { continue }
                return errno == EAGAIN ? .wouldBlock : .failed
            }
        }

        /// Sends what it can of `buffer`, until the socket is full.
        static func drain(_ descriptor: CInt, _ buffer: inout ByteBuffer) -> Outcome {
            var total = 0
            while buffer.readableBytes > 0 {
                let outcome = buffer.withUnsafeReadableBytes { write(descriptor, $0) }
                guard case .bytes(let count) = outcome else { return outcome }
                total += count
                buffer.moveReaderIndex(forwardBy: count)
            }
            return .bytes(total)
        }

        /// Listens on an address, or on the path of a Unix socket. Accepted sockets inherit the options.
        static func listen(_ address: SocketAddress, backlog: CInt) throws(EpollError) -> CInt {
            let descriptor = socket(address.protocolFamily, CInt(SOCK_STREAM.rawValue), 0)
            if descriptor < 0 { throw EpollError("socket") }
            do throws(EpollError) {
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                if fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0 { throw EpollError("fcntl") }
                if address.ipAddress != nil {
                    try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
                    try set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
                    try set(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
                }
                let status = address.withSockAddr { pointer, count in bind(descriptor, pointer, socklen_t(count)) }
                if status != 0 { throw EpollError("bind") }
                if Glibc.listen(descriptor, backlog) != 0 { throw EpollError("listen") }
            } catch {
                Glibc.close(descriptor)
                throw error
            }
            return descriptor
        }

        private static func set(
            _ descriptor: CInt, _ level: CInt, _ option: CInt, _ value: CInt
        ) throws(EpollError) {
            var value = value
            if setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size)) != 0 {
                throw EpollError("setsockopt")
            }
        }

        /// The address that a socket is bound to.
        static func localAddress(_ descriptor: CInt) -> SocketAddress? {
            var storage = sockaddr_storage()
            var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let status = withUnsafeMutablePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &count) }
            }
            return status == 0 ? socketAddress(storage) : nil
        }

        static func socketAddress(_ storage: sockaddr_storage) -> SocketAddress? {
            withUnsafeBytes(of: storage) { bytes in
                switch CInt(storage.ss_family) {
                case AF_INET: SocketAddress(bytes.load(as: sockaddr_in.self))
                case AF_INET6: SocketAddress(bytes.load(as: sockaddr_in6.self))
                default: nil
                }
            }
        }
    }

    extension PeerAddress {
        /// Of an accepted socket; a Unix socket's peer has no address of its own.
        init(_ storage: sockaddr_storage) {
            var storage = storage
            var port: CInt = 0
            let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
            defer { bytes.deallocate() }
            switch tundish_ip(&storage, bytes, &port) {
            case 4:
                let address = (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[$1]) }
                self.init(ip: NetworkAddress(v4: address), port: Int(port))
            case 6:
                self.init(ip: NetworkAddress(v6: UnsafeBufferPointer(start: bytes, count: 16)), port: Int(port))
            default: self.init(text: "unix:", ip: nil, isLocal: true)
            }
        }
    }
#endif
