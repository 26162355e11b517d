import BrokerCore
import NIOCore
import NIOSSL
import NIOTLS

/// Between NIO's channel and the broker's connection: gives it bytes as they come, in place, and sends what it has
/// gathered. The last handler of its pipeline, and over plain TCP the only one.
final class ConnectionHandler: ChannelInboundHandler, Transport, ListenerClient {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let arrival: Arrival
    private var context: ChannelHandlerContext?
    /// Made when the first byte of MQTT comes: who says nothing costs nothing.
    private var connection: Connection?
    /// What the connection has left unread: a part of a packet, or packets it cannot take now.
    private var unread = ByteBuffer()
    private var isReceiving = false
    private var isClosing = false
    private var isClosed = false
    private var pauses: Pauses = []
    private var meter: ClientMeter

    /// Why nothing is read at the moment.
    private struct Pauses: OptionSet {
        var rawValue: UInt8
        static let broker = Pauses(rawValue: 1)
        /// It waits for an answer to its CONNECT; what it sent beyond that stays where it is.
        static let undecided = Pauses(rawValue: 2)
        static let rate = Pauses(rawValue: 4)
    }

    init(_ arrival: Arrival) {
        self.arrival = arrival
        meter = ClientMeter(arrival.listener, now: arrival.lane.now)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        var buffer = unwrapInboundIn(data)
        if connection == nil {
            arrival.stage = .connect
            connection = arrival.lane.shard.accept(self, arrival.context)
        }
        meter.received(buffer.readableBytes, now: arrival.lane.now)
        if unread.readableBytes == 0, !meter.isCounting, pauses.isEmpty, let connection {
            let taken = buffer.withUnsafeReadableBytes { connection.receive($0) }
            buffer.moveReaderIndex(forwardBy: taken)
            if buffer.readableBytes > 0 { unread = buffer }
            afterReceiving(taken)
            return
        }
        if unread.readableBytes == 0 { unread = buffer } else { unread.writeBuffer(&buffer) }
        receiveUnread()
    }

    private func receiveUnread() {
        // A connection that becomes ready while it is being given bytes asks for more from within.
        guard let connection, !isReceiving else { return }
        isReceiving = true
        var total = 0
        while unread.readableBytes > 0, connection.isReading {
            connection.publishBudget = meter.messageBudget(now: arrival.lane.now)
            let granted = connection.publishBudget
            if granted == 0 { break }
            let taken = unread.withUnsafeReadableBytes { connection.receive($0) }
            meter.published(granted &- connection.publishBudget, now: arrival.lane.now)
            if taken == 0 { break }
            total += taken
            unread.moveReaderIndex(forwardBy: taken)
        }
        if unread.readableBytes == 0 { unread = ByteBuffer() }
        isReceiving = false
        afterReceiving(total)
    }

    /// Draws the consequences of what was, and was not, taken.
    private func afterReceiving(_ taken: Int) {
        guard let connection, !isClosed else { return }
        if arrival.stage == .connect, !connection.isAwaitingConnect { arrival.introduced() }
        setPause(.undecided, unread.readableBytes > 0 && connection.isUndecided)
        let wait = meter.nanosecondsToWait(now: arrival.lane.now, wantsMessage: unread.readableBytes > 0)
        if wait > 0 { pauseForRate(wait) }
        watchPartialPacket(taken)
    }

    // MARK: Rates

    private func pauseForRate(_ nanoseconds: Int64) {
        guard !pauses.contains(.rate), let context else { return }
        setPause(.rate, true)
        connection?.isThrottled = true
        // Sleeping less than this would cost more than it limits.
        let delay = max(nanoseconds, 5_000_000)
        context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay)) { self.endRatePause() }
    }

    private func endRatePause() {
        guard !isClosed else { return }
        connection?.isThrottled = false
        setPause(.rate, false)
        meter.partialBegan = nil
        receiveUnread()
    }

    // MARK: Packets that never end

    private func watchPartialPacket(_ taken: Int) {
        guard unread.readableBytes > 0, pauses.isEmpty, arrival.stage == .done, connection?.isReading == true else {
            meter.partialBegan = nil
            return
        }
        if taken > 0 || meter.partialBegan == nil { meter.partialBegan = arrival.lane.now }
        if !meter.isWatching { watch(Int64(arrival.listener.configuration.bounds.packetSeconds) * 1_000_000_000) }
    }

    private func watch(_ nanoseconds: Int64) {
        guard let context else { return }
        meter.isWatching = true
        context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(nanoseconds)) {
            self.meter.isWatching = false
            guard !self.isClosed, let began = self.meter.partialBegan else { return }
            let limit = Int64(self.arrival.listener.configuration.bounds.packetSeconds) * 1_000_000_000
            let left = began &+ limit &- self.arrival.lane.now
            if left > 0 {
                self.watch(left)
            } else {
                self.arrival.fail(.packetTimeout)
                self.connection?.disconnect(.keepAliveTimeout)
            }
        }
    }

    // MARK: Channel

    func channelInactive(context: ChannelHandlerContext) { closed() }

    func handlerRemoved(context: ChannelHandlerContext) {
        closed()
        self.context = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event {
            guard arrival.tlsCompleted(context) else {
                context.close(promise: nil)
                return
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The peer went away or the socket failed: the connection ends as by any loss of the network. A failed
        // handshake is counted as such.
        if arrival.stage == .tls, (error as? NIOSSLError).map({ $0 != .uncleanShutdown }) ?? (error is BoringSSLError) {
            arrival.fail(.tlsHandshake)
        }
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection?.transportWritable(context.channel.isWritable)
    }

    private func closed() {
        guard !isClosed else { return }
        isClosed = true
        unread = ByteBuffer()
        let reason = connection?.closeReason
        connection?.transportClosed()
        connection = nil
        arrival.ended(reason)
    }

    // MARK: Transport

    func send(_ buffer: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }

    func close() {
        guard let context, !isClosing, !isClosed else { return }
        isClosing = true
        // What is still unsent goes out first; a client that does not read is cut off after a while.
        let sent = context.writeAndFlush(wrapOutboundOut(ByteBuffer()))
        sent.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        guard !isClosed else { return }
        let drain = TimeAmount.seconds(Int64(arrival.listener.configuration.bounds.drainSeconds))
        context.eventLoop.assumeIsolated().scheduleTask(in: drain) {
            if !self.isClosed { self.cutOff() }
        }
    }

    func setReading(_ isReading: Bool) { setPause(.broker, !isReading) }

    private func setPause(_ pause: Pauses, _ isOn: Bool) {
        let wasEmpty = pauses.isEmpty
        if isOn { pauses.insert(pause) } else { pauses.remove(pause) }
        guard wasEmpty != pauses.isEmpty else { return }
        context?.channel.setOption(ChannelOptions.autoRead, value: !wasEmpty).whenFailure { _ in
            // Only a channel that is closed refuses, and there is nothing left to read from that.
        }
    }

    func resume() {
        guard let context, unread.readableBytes > 0 || pauses.contains(.undecided) else { return }
        // Not from within the call that made the connection ready.
        context.eventLoop.assumeIsolated().execute {
            guard !self.isClosed else { return }
            self.setPause(.undecided, false)
            self.receiveUnread()
        }
    }

    // MARK: ListenerClient

    func cutOff() { if let cut = arrival.cut { cut() } else { context?.channel.close(promise: nil) } }

    func dismiss(_ reason: ReasonCode) {
        if let connection { connection.disconnect(reason) } else { cutOff() }
    }
}
