#if os(Linux)
    import CEpoll
    import Glibc
    import NIOCore
    import Synchronization

    /// NIO's channel over a socket of an epoll loop: for what has handlers between the socket and MQTT, as TLS and
    /// WebSocket have, on the same loops and shards as plain connections.
    final class EpollChannel: EpollHandler, Channel, ChannelCore, @unchecked Sendable {
        private static let readsMax = 4
        private static let readBytesMax = 64 << 10

        private let loop: EpollEventLoop
        private var descriptor: CInt
        let localAddress: SocketAddress?
        let remoteAddress: SocketAddress?
        private let closePromise: EventLoopPromise<Void>
        private let active = Atomic<Bool>(false)
        private let writable = Atomic<Bool>(true)

        // Reading
        private var autoRead = true
        private var wantsRead = false
        private var mayRead = false
        private var isPeerClosed = false

        // Writing
        private struct Pending {
            var buffer: ByteBuffer
            var promise: EventLoopPromise<Void>?
        }
        private var pending = CircularBuffer<Pending>()
        private var flushed = 0
        private var unsentBytes = 0
        private var isFull = false
        private var isOutputClosed = false
        private var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 512 << 10)

        /// Takes a socket that its loop has counted; on the loop.
        init(_ loop: EpollEventLoop, _ descriptor: CInt, remoteAddress: SocketAddress?) {
            self.loop = loop
            self.descriptor = descriptor
            self.remoteAddress = remoteAddress
            localAddress = EpollSocket.localAddress(descriptor)
            closePromise = loop.makePromise()
            super.init()
            _ = pipeline
        }

        /// Sets the handlers up by `initialise` and begins; a channel whose initialisation fails is closed.
        func start(_ initialise: (any Channel) -> EventLoopFuture<Void>) {
            initialise(self).assumeIsolated().whenComplete { [self] result in
                guard descriptor >= 0 else { return }
                do {
                    try result.get()
                    try loop.add(self, descriptor)
                } catch {
                    close0(error: error, mode: .all, promise: nil)
                    return
                }
                active.store(true, ordering: .relaxed)
                pipeline.syncOperations.fireChannelRegistered()
                pipeline.syncOperations.fireChannelActive()
                if autoRead { pipeline.syncOperations.read() }
            }
        }

        // MARK: Channel

        let allocator = ByteBufferAllocator()
        var parent: (any Channel)? { nil }
        var eventLoop: any EventLoop { loop }
        var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
        var isActive: Bool { active.load(ordering: .relaxed) }
        var isWritable: Bool { writable.load(ordering: .relaxed) }
        var _channelCore: any ChannelCore { self }

        /// Made in `init`, so that other threads may ask for it.
        private(set) lazy var pipeline = ChannelPipeline(channel: self)

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
            if loop.inEventLoop { return loop.makeCompletedFuture { try set(option, value) } }
            return loop.submit { try self.set(option, value) }
        }

        func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
            if loop.inEventLoop { return loop.makeCompletedFuture { try self.get(option) } }
            return loop.submit { try self.get(option) }
        }

        private func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
            switch (option, value) {
            case (_ as ChannelOptions.Types.AutoReadOption, let isOn as Bool):
                let was = autoRead
                autoRead = isOn
                if isOn, !was { pipeline.syncOperations.read() }
            case (
                _ as ChannelOptions.Types.WriteBufferWaterMarkOption,
                let mark as ChannelOptions.Types.WriteBufferWaterMark
            ):
                waterMark = mark
                noteUnsent()
            default: throw ChannelError.operationUnsupported
            }
        }

        private func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            let value: Any? =
                switch option {
                case _ as ChannelOptions.Types.AutoReadOption: autoRead
                case _ as ChannelOptions.Types.AllowRemoteHalfClosureOption: false
                case _ as ChannelOptions.Types.WriteBufferWaterMarkOption: waterMark
                default: nil
                }
            guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
            return value
        }

        // MARK: Readiness

        override func ready(_ events: UInt32) {
            if events & EpollEvents.writable != 0, isFull {
                isFull = false
                sendFlushed()
            }
            if events & (EpollEvents.readable | EpollEvents.peerClosed | EpollEvents.broken) == 0 { return }
            mayRead = true
            if events & (EpollEvents.peerClosed | EpollEvents.broken) != 0 { isPeerClosed = true }
            if events & EpollEvents.broken != 0, !wantsRead {
                fail(ChannelError.eof)
            } else {
                readSocket()
            }
        }

        override func loopStops() { fail(EventLoopError.shutdown) }

        private func fail(_ error: any Error) { close0(error: error, mode: .all, promise: nil) }

        private func readSocket() {
            var reads = 0
            while wantsRead, mayRead, descriptor >= 0 {
                if reads == Self.readsMax {
                    loop.assumeIsolated().execute { self.readSocket() }
                    return
                }
                reads += 1
                let target = UnsafeMutableRawBufferPointer(rebasing: loop.readBuffer[..<Self.readBytesMax])
                switch EpollSocket.read(descriptor, target) {
                case .bytes(let count):
                    if count == 0 {
                        fail(ChannelError.eof)
                        return
                    }
                    if count < target.count, !isPeerClosed { mayRead = false }
                    wantsRead = false
                    let bytes = ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: target[..<count]))
                    pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
                    pipeline.syncOperations.fireChannelReadComplete()
                    if autoRead, descriptor >= 0 { pipeline.syncOperations.read() }
                case .wouldBlock: mayRead = false
                case .failed:
                    let error = IOError(errnoCode: errno, reason: "recv")
                    pipeline.syncOperations.fireErrorCaught(error)
                    fail(error)
                    return
                }
            }
        }

        private func sendFlushed() {
            while flushed > 0, !isFull, descriptor >= 0 {
                var buffer = pending[pending.startIndex].buffer
                let before = buffer.readableBytes
                switch EpollSocket.drain(descriptor, &buffer) {
                case .bytes:
                    unsentBytes -= before
                    flushed -= 1
                    pending.removeFirst().promise?.succeed(())
                case .wouldBlock:
                    unsentBytes -= before - buffer.readableBytes
                    pending[pending.startIndex].buffer = buffer
                    isFull = true
                case .failed:
                    fail(IOError(errnoCode: errno, reason: "send"))
                    return
                }
            }
            noteUnsent()
        }

        private func noteUnsent() {
            let was = writable.load(ordering: .relaxed)
            let isNow = unsentBytes <= (was ? waterMark.high : waterMark.low)
            guard was != isNow, descriptor >= 0 else { return }
            writable.store(isNow, ordering: .relaxed)
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }

        // MARK: ChannelCore

        func localAddress0() throws -> SocketAddress {
            guard let localAddress else { throw ChannelError.unknownLocalAddress }
            return localAddress
        }

        func remoteAddress0() throws -> SocketAddress {
            guard let remoteAddress else { throw ChannelError.operationUnsupported }
            return remoteAddress
        }

        func register0(promise: EventLoopPromise<Void>?) { promise?.succeed(()) }
        func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed(()) }
        func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
            promise?.fail(ChannelError.operationUnsupported)
        }
        func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
            promise?.fail(ChannelError.operationUnsupported)
        }

        func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
            guard descriptor >= 0 else {
                promise?.fail(ChannelError.ioOnClosedChannel)
                return
            }
            guard !isOutputClosed else {
                promise?.fail(ChannelError.outputClosed)
                return
            }
            guard let buffer = tryUnwrapData(data, as: ByteBuffer.self) else {
                promise?.fail(ChannelError.operationUnsupported)
                return
            }
            unsentBytes += buffer.readableBytes
            pending.append(Pending(buffer: buffer, promise: promise))
            noteUnsent()
        }

        func flush0() {
            flushed = pending.count
            if !isFull { sendFlushed() }
        }

        func read0() {
            guard descriptor >= 0 else { return }
            wantsRead = true
            // Not from within a handler's call.
            if mayRead { loop.assumeIsolated().execute { self.readSocket() } }
        }

        func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            guard descriptor >= 0 else {
                promise?.fail(ChannelError.alreadyClosed)
                return
            }
            switch mode {
            case .output:
                isOutputClosed = true
                _ = shutdown(descriptor, CInt(SHUT_WR))
                promise?.succeed(())
            case .input:
                _ = shutdown(descriptor, CInt(SHUT_RD))
                promise?.succeed(())
            case .all: closeAll(error, promise)
            }
        }

        private func closeAll(_ error: any Error, _ promise: EventLoopPromise<Void>?) {
            let closing = descriptor
            let wasActive = active.exchange(false, ordering: .relaxed)
            if wasActive { loop.remove(closing) }
            loop.unreserve()
            descriptor = -1
            Glibc.close(closing)
            let unsent = pending
            pending = CircularBuffer()
            flushed = 0
            unsentBytes = 0
            for write in unsent { write.promise?.fail(error) }
            promise?.succeed(())
            if wasActive {
                pipeline.syncOperations.fireChannelInactive()
                pipeline.syncOperations.fireChannelUnregistered()
            }
            // Handlers may still be in a call.
            loop.assumeIsolated().execute {
                self.removeHandlers(pipeline: self.pipeline)
                self.closePromise.succeed(())
            }
        }

        func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
            promise?.fail(ChannelError.operationUnsupported)
        }

        func channelRead0(_ data: NIOAny) {
            // Nobody wanted it.
        }

        func errorCaught0(error: any Error) {
            // No handler dealt with it; those that matter close the channel.
        }
    }
#endif
