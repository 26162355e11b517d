#if os(Linux)
    import CEpoll
    import Glibc
    import Model
    import NIOCore

    /// A listening socket on one of the loops; what it accepts goes to the loop with the fewest connections.
    final class EpollAcceptor: EpollHandler, @unchecked Sendable {
        /// An accepted socket, on its loop, which counts it already. Whoever takes it closes it.
        typealias Take = @Sendable (EpollEventLoop, CInt, sockaddr_storage) -> Void

        /// Connections accepted before the other sockets of the loop have their turn.
        private static let batchMax = 64
        /// How long nothing is accepted after the process or the machine ran out of descriptors or memory.
        private static let pause = TimeAmount.milliseconds(100)
        static let backlog: CInt = 4096

        private let group: EpollEventLoopGroup
        private let loop: EpollEventLoop
        private let take: Take
        private let report: @Sendable (Problem) -> Void
        private var descriptor: CInt
        /// Kept so that with no descriptors left a client can still be accepted and told, by closing, to go.
        private var spare: CInt
        private var isScarce = false
        let address: SocketAddress?

        /// Listens at once; call `start` then. `report` is told when connections cannot be accepted, once each time.
        init(
            _ address: SocketAddress, group: EpollEventLoopGroup, report: @escaping @Sendable (Problem) -> Void,
            take: @escaping Take
        ) throws(EpollError) {
            self.group = group
            loop = group.loops[0]
            self.take = take
            self.report = report
            descriptor = try EpollSocket.listen(address, backlog: Self.backlog)
            spare = Self.openSpare()
            self.address = EpollSocket.localAddress(descriptor) ?? address
        }

        func start() async throws(EpollError) {
            let error: EpollError? = await withCheckedContinuation { continuation in
                loop.execute { continuation.resume(returning: self.register()) }
            }
            if let error { throw error }
        }

        private func register() -> EpollError? {
            do throws(EpollError) {
                try loop.add(self, descriptor, isWriting: false)
                return nil
            } catch {
                shut()
                return error
            }
        }

        func close() async {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                loop.execute {
                    self.loopStops()
                    continuation.resume()
                }
            }
        }

        override func loopStops() {
            guard descriptor >= 0 else { return }
            loop.remove(descriptor)
            shut()
        }

        private func shut() {
            Glibc.close(descriptor)
            if spare >= 0 { Glibc.close(spare) }
            descriptor = -1
            spare = -1
        }

        override func ready(_ events: UInt32) { acceptBatch() }

        private func acceptBatch() {
            var storage = sockaddr_storage()
            for _ in 0..<Self.batchMax {
                guard descriptor >= 0, !isScarce else { return }
                var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let accepted = tundish_accept(descriptor, &storage, &count)
                if accepted >= 0 {
                    hand(accepted, storage)
                    continue
                }
                switch errno {
                case EAGAIN: return
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    becomeScarce(errno)
                    return
                default:
                    // The client is gone again, or a signal came.
                    continue
                }
            }
            loop.execute { self.acceptBatch() }
        }

        private func hand(_ accepted: CInt, _ storage: sockaddr_storage) {
            let target = group.reserveLeastLoaded()
            if target === loop {
                take(target, accepted, storage)
            } else {
                let take = take
                target.execute { take(target, accepted, storage) }
            }
        }

        private static func openSpare() -> CInt { open("/dev/null", O_RDONLY | O_CLOEXEC) }

        /// Turns away one client, says what is the matter, and tries again a little later.
        private func becomeScarce(_ number: CInt) {
            isScarce = true
            if spare >= 0 {
                Glibc.close(spare)
                let accepted = tundish_accept(descriptor, nil, nil)
                if accepted >= 0 { Glibc.close(accepted) }
                spare = Self.openSpare()
            }
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            let text =
                number == EMFILE
                ? "the process may have \(limit.rlim_cur) files and connections open and has them; raise its limit (ulimit -n, LimitNOFILE)"
                : String(cString: strerror(number))
            report(
                Problem(
                    "listener.no_descriptors", "cannot accept connections: \(text)",
                    ["limit": "\(limit.rlim_cur)", "reason": String(cString: strerror(number))]))
            loop.scheduleTask(in: Self.pause) {
                self.isScarce = false
                if self.spare < 0, self.descriptor >= 0 { self.spare = Self.openSpare() }
                self.acceptBatch()
            }
        }
    }
#endif
