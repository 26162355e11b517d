#if os(Linux)
    import BrokerCore
    import CEpoll
    import Glibc
    import NIOCore

    /// A client's plain TCP or Unix socket on an epoll loop. Bytes are read into the loop's buffer and given to the
    /// connection in place; an idle client holds no buffer at all.
    final class EpollConnection: EpollHandler, Transport, ListenerClient {
        /// Unsent bytes above which the connection is told to wait, and below which it may go on.
        private static let unsentHigh = 512 << 10
        private static let unsentLow = 128 << 10
        /// A part of a packet up to this size is copied to the front of the next bytes rather than the other way round.
        private static let smallPart = 4096
        private static let growth = 64 << 10
        /// Reads of one connection before others have their turn.
        private static let readsMax = 4
        private static let lingerSeconds: Int64 = 2

        /// Why nothing is read at the moment.
        private struct Pauses: OptionSet {
            var rawValue: UInt8
            static let broker = Pauses(rawValue: 1)
            /// It waits for an answer to its CONNECT; what it sent beyond that stays where it is.
            static let undecided = Pauses(rawValue: 2)
            static let rate = Pauses(rawValue: 4)
        }

        private unowned let loop: EpollEventLoop
        private let arrival: Arrival
        /// -1: closed.
        private var descriptor: CInt
        /// Made when the first byte comes: who says nothing costs nothing.
        private var connection: Connection?
        /// What the connection has left unread: a part of a packet, or packets it cannot take now.
        private var unread = ByteBuffer()
        /// What the socket did not take yet.
        private var unsent = ByteBuffer()
        private var meter: ClientMeter
        private var lastSentTurn: UInt64 = 0
        private var pauses: Pauses = []
        /// The socket may have bytes that were not read.
        private var mayRead = false
        private var isPeerClosed = false
        private var isReceiving = false
        private var isFull = false
        private var isUnwritable = false
        private var isClosing = false
        private var isLingering = false

        /// Takes a socket that its loop has counted.
        init(_ arrival: Arrival, _ loop: EpollEventLoop, _ descriptor: CInt) {
            self.loop = loop
            self.arrival = arrival
            self.descriptor = descriptor
            meter = ClientMeter(arrival.listener, now: arrival.lane.now)
        }

        /// Begins to read; a socket that epoll refuses is closed.
        func start() {
            do { try loop.add(self, descriptor) } catch {
                arrival.fail(.other)
                finish()
            }
        }

        // MARK: Readiness

        override func ready(_ events: UInt32) {
            if events & EpollEvents.writable != 0, isFull { sendUnsent() }
            if events & (EpollEvents.readable | EpollEvents.peerClosed | EpollEvents.broken) == 0 { return }
            mayRead = true
            if events & (EpollEvents.peerClosed | EpollEvents.broken) != 0 { isPeerClosed = true }
            if isLingering {
                discard()
            } else if pauses.isEmpty {
                readSocket()
            } else if events & EpollEvents.broken != 0 {
                finishLater()
            }
        }

        override func loopStops() { finish() }

        private func readSocket() {
            var reads = 0
            while mayRead, pauses.isEmpty, descriptor >= 0, !isClosing {
                if reads == Self.readsMax {
                    loop.assumeIsolated().execute { self.readSocket() }
                    return
                }
                reads += 1
                if unread.readableBytes > Self.smallPart { readBehindPart() } else { readInPlace() }
            }
        }

        /// Reads into the loop's buffer, behind a small part of a packet that came before.
        private func readInPlace() {
            let kept = unread.readableBytes
            let buffer = loop.readBuffer
            if kept > 0 {
                unread.withUnsafeReadableBytes { buffer.copyMemory(from: $0) }
                unread = ByteBuffer()
            }
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[kept...])
            let count = readBytes(room)
            guard count > 0 || kept > 0 else { return }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<(kept + count)])
            if count == 0 {
                unread.writeBytes(bytes)
                return
            }
            let taken = give(bytes)
            if taken < bytes.count { unread.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[taken...])) }
            afterReceiving(taken)
        }

        /// Reads to the end of what is kept of a large packet.
        private func readBehindPart() {
            unread.discardReadBytes()
            let room = max(Self.growth, unread.readableBytes / 2)
            var count = 0
            unread.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                count = readBytes(target)
                return count
            }
            guard count > 0 else { return }
            receiveUnread()
        }

        /// 0: nothing came; what that means has been dealt with.
        @inline(__always)
        private func readBytes(_ target: UnsafeMutableRawBufferPointer) -> Int {
            switch EpollSocket.read(descriptor, target) {
            case .bytes(let count):
                if count == 0 {
                    mayRead = false
                    isPeerClosed = true
                    finishLater()
                } else if count < target.count, !isPeerClosed {
                    // A stream that gives less than asked has no more; the next bytes are told anew.
                    mayRead = false
                }
                return count
            case .wouldBlock: mayRead = false
            case .failed:
                mayRead = false
                isPeerClosed = true
                finishLater()
            }
            return 0
        }

        /// Gives bytes that have just come to the connection; how many it took.
        @inline(__always)
        private func give(_ bytes: UnsafeRawBufferPointer) -> Int {
            meter.received(bytes.count, now: loop.turnTime)
            guard let connection = connection ?? open() else { return 0 }
            if meter.isCounting { return giveCounted(bytes, connection) }
            isReceiving = true
            defer { isReceiving = false }
            return connection.receive(bytes)
        }

        private func open() -> Connection? {
            arrival.stage = .connect
            let made = arrival.lane.shard.accept(self, arrival.context)
            connection = made
            return made
        }

        private func giveCounted(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
            isReceiving = true
            defer { isReceiving = false }
            let now = loop.turnTime
            var total = 0
            while total < bytes.count, connection.isReading {
                let granted = meter.messageBudget(now: now)
                connection.publishBudget = granted
                if granted == 0 { break }
                let taken = connection.receive(UnsafeRawBufferPointer(rebasing: bytes[total...]))
                meter.published(granted &- connection.publishBudget, now: now)
                if taken == 0 { break }
                total += taken
            }
            return total
        }

        private func receiveUnread() {
            // A connection that becomes ready while it is being given bytes asks for more from within.
            guard let connection, !isReceiving, unread.readableBytes > 0 else { return }
            let taken = unread.withUnsafeReadableBytes { bytes in
                if meter.isCounting { return giveCounted(bytes, connection) }
                isReceiving = true
                defer { isReceiving = false }
                return connection.receive(bytes)
            }
            unread.moveReaderIndex(forwardBy: taken)
            if unread.readableBytes == 0 { unread = ByteBuffer() }
            afterReceiving(taken)
        }

        /// Draws the consequences of what was, and was not, taken.
        @inline(__always)
        private func afterReceiving(_ taken: Int) {
            guard let connection, descriptor >= 0 else { return }
            if arrival.stage == .connect, !connection.isAwaitingConnect { arrival.introduced() }
            if unread.readableBytes > 0 || meter.isLimiting {
                consider(connection, taken)
            } else {
                meter.partialBegan = nil
            }
        }

        private func consider(_ connection: Connection, _ taken: Int) {
            let isLeft = unread.readableBytes > 0
            if isLeft, connection.isUndecided { setPause(.undecided, true) }
            let wait = meter.nanosecondsToWait(now: loop.turnTime, wantsMessage: isLeft)
            if wait > 0 { pauseForRate(wait) }
            watchPartialPacket(taken)
        }

        // MARK: Rates, and packets that never end

        private func pauseForRate(_ nanoseconds: Int64) {
            guard !pauses.contains(.rate) else { return }
            setPause(.rate, true)
            connection?.isThrottled = true
            // Sleeping less than this would cost more than it limits.
            loop.assumeIsolated().scheduleTask(in: .nanoseconds(max(nanoseconds, 5_000_000))) {
                guard self.descriptor >= 0 else { return }
                self.connection?.isThrottled = false
                self.meter.partialBegan = nil
                self.pauses.remove(.rate)
                self.continueReading()
            }
        }

        private func watchPartialPacket(_ taken: Int) {
            guard unread.readableBytes > 0, pauses.isEmpty, arrival.stage == .done, connection?.isReading == true
            else {
                meter.partialBegan = nil
                return
            }
            if taken > 0 || meter.partialBegan == nil { meter.partialBegan = loop.turnTime }
            if !meter.isWatching { watch(packetNanoseconds) }
        }

        private var packetNanoseconds: Int64 {
            Int64(arrival.listener.configuration.bounds.packetSeconds) * 1_000_000_000
        }

        private func watch(_ nanoseconds: Int64) {
            meter.isWatching = true
            loop.assumeIsolated().scheduleTask(in: .nanoseconds(nanoseconds)) {
                self.meter.isWatching = false
                guard self.descriptor >= 0, let began = self.meter.partialBegan else { return }
                let left = began &+ self.packetNanoseconds &- self.loop.turnTime
                if left > 0 {
                    self.watch(left)
                } else {
                    self.arrival.fail(.packetTimeout)
                    self.connection?.disconnect(.keepAliveTimeout)
                }
            }
        }

        // MARK: Transport

        func send(_ buffer: ByteBuffer) {
            guard descriptor >= 0 else { return }
            lastSentTurn = loop.turn
            if isFull {
                unsent.writeImmutableBuffer(buffer)
            } else {
                let count = buffer.readableBytes
                let outcome = buffer.withUnsafeReadableBytes { EpollSocket.write(descriptor, $0) }
                switch outcome {
                case .bytes(count): return
                case .bytes(let sent):
                    unsent = buffer.getSlice(at: buffer.readerIndex + sent, length: count - sent) ?? ByteBuffer()
                case .wouldBlock: unsent = buffer
                case .failed:
                    isPeerClosed = true
                    finishLater()
                    return
                }
                isFull = true
                sendUnsent()
            }
            if unsent.readableBytes > Self.unsentHigh, !isUnwritable {
                isUnwritable = true
                connection?.transportWritable(false)
            }
        }

        private func sendUnsent() {
            guard descriptor >= 0 else { return }
            switch EpollSocket.drain(descriptor, &unsent) {
            case .bytes:
                isFull = false
                unsent = ByteBuffer()
            case .wouldBlock: if unsent.readerIndex > Self.unsentHigh { unsent.discardReadBytes() }
            case .failed:
                isPeerClosed = true
                finishLater()
                return
            }
            if isUnwritable, unsent.readableBytes < Self.unsentLow {
                isUnwritable = false
                connection?.transportWritable(true)
            }
            if isClosing, !isFull { finishOrLinger() }
        }

        func close() {
            guard descriptor >= 0, !isClosing else { return }
            isClosing = true
            unread = ByteBuffer()
            if !isFull {
                finishOrLinger()
                return
            }
            let drain = TimeAmount.seconds(Int64(arrival.listener.configuration.bounds.drainSeconds))
            loop.assumeIsolated().scheduleTask(in: drain) { self.finish() }
        }

        /// Everything is sent. A socket that is closed with bytes unread takes back what the peer has not read, the
        /// reason of the closing among it: so the peer is given a moment to read and to go.
        private func finishOrLinger() {
            guard lastSentTurn == loop.turn, !isPeerClosed, shutdown(descriptor, CInt(SHUT_WR)) == 0 else {
                finish()
                return
            }
            isLingering = true
            loop.assumeIsolated().scheduleTask(in: .seconds(Self.lingerSeconds)) { self.finish() }
            if mayRead { discard() }
        }

        private func discard() {
            for _ in 0..<Self.readsMax {
                switch EpollSocket.read(descriptor, loop.readBuffer) {
                case .bytes(let count) where count > 0: continue
                case .wouldBlock: return
                default:
                    finish()
                    return
                }
            }
            // Whoever sends that much after a goodbye does not listen.
            finish()
        }

        /// After the turn, in which the answers to what was read last are sent.
        private func finishLater() { loop.assumeIsolated().execute { self.finish() } }

        private func finish() {
            guard descriptor >= 0 else { return }
            let closing = descriptor
            forget()
            Glibc.close(closing)
        }

        private func forget(staysOpen: Bool = false) {
            loop.remove(descriptor, staysOpen: staysOpen)
            loop.unreserve()
            descriptor = -1
            unread = ByteBuffer()
            unsent = ByteBuffer()
            let reason = connection?.closeReason
            connection?.transportClosed()
            connection = nil
            arrival.ended(reason)
        }

        func setReading(_ isReading: Bool) { setPause(.broker, !isReading) }

        private func setPause(_ pause: Pauses, _ isOn: Bool) {
            if isOn {
                pauses.insert(pause)
            } else if pauses.remove(pause) != nil, pauses.isEmpty {
                resume()
            }
        }

        func resume() {
            // Not from within the call that made the connection ready.
            guard descriptor >= 0, unread.readableBytes > 0 || mayRead || !pauses.isEmpty else { return }
            loop.assumeIsolated().execute {
                self.pauses.remove(.undecided)
                self.continueReading()
            }
        }

        private func continueReading() {
            guard descriptor >= 0, !isClosing else { return }
            receiveUnread()
            readSocket()
        }

        func detach() -> DetachedSocket? {
            guard descriptor >= 0, !isClosing else { return nil }
            let detached = DetachedSocket(
                descriptor: descriptor, unread: Array(unread.readableBytesView), unsent: Array(unsent.readableBytesView)
            )
            forget(staysOpen: true)
            return detached
        }

        // MARK: ListenerClient

        func cutOff() { finish() }

        func dismiss(_ reason: ReasonCode) {
            if let connection { connection.disconnect(reason) } else { cutOff() }
        }
    }
#endif
