import BrokerCore
import Bus
import Model
import NIOCore

/// The client's side of the conversation.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Waiting {
        case publish(EventLoopPromise<ReasonCode>)
        case list(EventLoopPromise<[ReasonCode]>)
    }

    private let options: MQTTClient.Options
    private let version: ProtocolVersion
    private let sink: AsyncStream<PublishPacket>.Continuation
    private let dropped: Counter
    private let answered: EventLoopPromise<ConnackPacket>
    private var context: ChannelHandlerContext?
    private var unread = ByteBuffer()
    private var waiting: [UInt16: Waiting] = [:]
    private var incoming: Set<UInt16> = []
    private var lastID: UInt16 = 0
    private var keepAlive: RepeatedTask?
    private var aliases: [UInt16: String] = [:]

    init(
        _ options: MQTTClient.Options, sink: AsyncStream<PublishPacket>.Continuation, dropped: Counter,
        answered: EventLoopPromise<ConnackPacket>
    ) {
        self.options = options
        version = options.connect.version
        self.sink = sink
        self.dropped = dropped
        self.answered = answered
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) { start(context) }

    private func start(_ context: ChannelHandlerContext) { write(.connect(options.connect)) }

    func channelInactive(context: ChannelHandlerContext) { end(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(error)
        context.close(promise: nil)
    }

    private func end(_ error: (any Error)?) {
        let problem = error ?? Problem("mqtt.connection_lost", "the MQTT server closed the connection")
        keepAlive?.cancel()
        keepAlive = nil
        answered.fail(problem)
        let all = waiting
        waiting = [:]
        for item in all.values {
            switch item {
            case .publish(let promise): promise.fail(problem)
            case .list(let promise): promise.fail(problem)
            }
        }
        sink.finish()
        context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        unread.writeBuffer(&buffer)
        do {
            while let (packet, count) = try unread.withUnsafeReadableBytes({ bytes throws(CodecError) in
                try Packet.decode(bytes, version: version, packetBytesMax: options.packetBytesMax)
            }) {
                unread.moveReaderIndex(forwardBy: count)
                receive(packet)
            }
            if unread.readableBytes == 0 { unread.clear() } else { unread.discardReadBytes() }
        } catch {
            end(error)
            context.close(promise: nil)
        }
    }

    private func receive(_ packet: Packet) {
        switch packet {
        case .connack(let connack): receive(connack)
        case .publish(let message): receive(message)
        case .puback(let packet): finish(packet.packetID, packet.reason)
        case .pubrec(let packet):
            if packet.reason.isError {
                finish(packet.packetID, packet.reason)
            } else {
                write(.pubrel(AcknowledgePacket(packetID: packet.packetID)))
            }
        case .pubrel(let packet):
            incoming.remove(packet.packetID)
            write(.pubcomp(AcknowledgePacket(packetID: packet.packetID)))
        case .pubcomp(let packet): finish(packet.packetID, packet.reason)
        case .suback(let packet), .unsuback(let packet):
            if case .list(let promise)? = waiting.removeValue(forKey: packet.packetID) {
                promise.succeed(packet.reasons)
            }
        case .disconnect(let packet):
            let code = String(packet.reason.rawValue, radix: 16)
            end(Problem("mqtt.disconnected", "the MQTT server disconnected with reason 0x\(code)", ["reason": code]))
        default: break
        }
    }

    private func receive(_ connack: ConnackPacket) {
        guard connack.reason == .success else {
            let code = String(connack.reason.rawValue, radix: 16)
            answered.fail(
                Problem(
                    "mqtt.refused", "the MQTT server refused the connection with reason 0x\(code)", ["reason": code]))
            context?.close(promise: nil)
            return
        }
        let seconds = Int64(connack.properties.serverKeepAlive ?? options.connect.keepAliveSeconds)
        if seconds > 0, let context {
            let interval = TimeAmount.milliseconds(seconds * 750)
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            keepAlive = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
                bound.value.write(.pingreq)
            }
        }
        answered.succeed(connack)
    }

    private func receive(_ received: PublishPacket) {
        var message = received
        if let alias = message.properties.topicAlias {
            if message.topic.isEmpty { message.topic = aliases[alias] ?? "" } else { aliases[alias] = message.topic }
        }
        // A QoS 2 message that comes again was passed on already. [MQTT-4.3.3-10]
        if message.qos != .exactlyOnce || incoming.insert(message.packetID).inserted {
            if case .dropped = sink.yield(message) { dropped.add() }
        }
        switch message.qos {
        case .atMostOnce: break
        case .atLeastOnce: write(.puback(AcknowledgePacket(packetID: message.packetID)))
        case .exactlyOnce: write(.pubrec(AcknowledgePacket(packetID: message.packetID)))
        }
    }

    private func finish(_ id: UInt16, _ reason: ReasonCode) {
        if case .publish(let promise)? = waiting.removeValue(forKey: id) { promise.succeed(reason) }
    }

    // MARK: Requests

    func publish(_ packet: PublishPacket) -> EventLoopFuture<ReasonCode> {
        guard let context else { return failed() }
        if packet.qos == .atMostOnce {
            let sent = context.eventLoop.makePromise(of: Void.self)
            write(.publish(packet), sent)
            return sent.futureResult.map { .success }
        }
        guard let id = takeID() else { return full() }
        var packet = packet
        packet.packetID = id
        let promise = context.eventLoop.makePromise(of: ReasonCode.self)
        waiting[id] = .publish(promise)
        write(.publish(packet))
        return promise.futureResult
    }

    func subscribe(_ packet: SubscribePacket) -> EventLoopFuture<[ReasonCode]> {
        guard let id = takeID() else { return full() }
        var packet = packet
        packet.packetID = id
        return request(id, .subscribe(packet))
    }

    func unsubscribe(_ packet: UnsubscribePacket) -> EventLoopFuture<[ReasonCode]> {
        guard let id = takeID() else { return full() }
        var packet = packet
        packet.packetID = id
        return request(id, .unsubscribe(packet))
    }

    func disconnect(_ reason: ReasonCode) -> EventLoopFuture<Void> {
        guard let context else { return failed() }
        let sent = context.eventLoop.makePromise(of: Void.self)
        write(.disconnect(ReasonPacket(reason: reason)), sent)
        context.close(promise: nil)
        return sent.futureResult
    }

    private func request(_ id: UInt16, _ packet: Packet) -> EventLoopFuture<[ReasonCode]> {
        guard let context else { return failed() }
        let promise = context.eventLoop.makePromise(of: [ReasonCode].self)
        waiting[id] = .list(promise)
        write(packet)
        return promise.futureResult
    }

    private func takeID() -> UInt16? {
        guard waiting.count < 65_535 else { return nil }
        repeat { lastID = lastID == .max ? 1 : lastID + 1 } while waiting[lastID] != nil
        return lastID
    }

    private func failed<T>() -> EventLoopFuture<T> {
        answered.futureResult.eventLoop.makeFailedFuture(
            Problem("mqtt.connection_lost", "the connection to the MQTT server was lost"))
    }

    private func full<T>() -> EventLoopFuture<T> {
        answered.futureResult.eventLoop.makeFailedFuture(
            Problem("mqtt.busy", "65,535 requests are unanswered already"))
    }

    private func write(_ packet: Packet, _ promise: EventLoopPromise<Void>? = nil) {
        guard let context else {
            promise?.fail(Problem("mqtt.connection_lost", "the connection to the MQTT server was lost"))
            return
        }
        let bytes = packet.encoded(version)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: promise)
    }
}
