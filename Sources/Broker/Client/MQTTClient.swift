package import BrokerCore
package import Bus
package import Model
package import NIOCore
import NIOPosix

/// A small MQTT client: for the command line, for sinks and for tests.
package final class MQTTClient: Sendable {
    package struct Options: Sendable {
        package var host = "127.0.0.1"
        package var port = 1883
        package var connect = ConnectPacket()
        package var timeout = Duration.seconds(10)
        /// Received messages that wait to be read from `messages`; newer ones are dropped and counted.
        package var receivedMax = 100_000
        /// Greatest packet accepted from the server.
        package var packetBytesMax = FixedHeader.remainingCountMax

        package init(
            host: String = "127.0.0.1", port: Int = 1883, clientID: String = "", version: ProtocolVersion = .v5
        ) {
            self.host = host
            self.port = port
            connect.clientID = clientID
            connect.version = version
            connect.keepAliveSeconds = 60
        }
    }

    /// What the server answered to CONNECT.
    package let connack: ConnackPacket
    /// Messages in the order in which they came; ends with the connection.
    package let messages: AsyncStream<PublishPacket>
    /// Messages lost because nobody read `messages`.
    package let dropped: Counter
    private let channel: any Channel
    private let handler: NIOLoopBound<ClientHandler>
    private let version: ProtocolVersion

    private init(
        connack: ConnackPacket, messages: AsyncStream<PublishPacket>, dropped: Counter, channel: any Channel,
        handler: NIOLoopBound<ClientHandler>, version: ProtocolVersion
    ) {
        self.connack = connack
        self.messages = messages
        self.dropped = dropped
        self.channel = channel
        self.handler = handler
        self.version = version
    }

    /// Connects and waits for the server's answer. Fails if it cannot be reached or refuses.
    package static func connect(_ options: Options, group: any EventLoopGroup) async throws(Problem) -> MQTTClient {
        let (stream, sink) = AsyncStream.makeStream(
            of: PublishPacket.self, bufferingPolicy: .bufferingOldest(options.receivedMax))
        let dropped = Counter()
        let loop = group.next()
        let answered = loop.makePromise(of: ConnackPacket.self)
        let address = "\(options.host):\(options.port)"
        do {
            let channel = try await ClientBootstrap(group: loop)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connectTimeout(.nanoseconds(options.timeout.nanoseconds))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            ClientHandler(options, sink: sink, dropped: dropped, answered: answered))
                    }
                }
                .connect(host: options.host, port: options.port).get()
            let timer = loop.scheduleTask(in: .nanoseconds(options.timeout.nanoseconds)) {
                answered.fail(
                    Problem("mqtt.timeout", "\(address) did not answer CONNECT in time", ["address": address]))
            }
            let connack = try await answered.futureResult.get()
            timer.cancel()
            let handler = try await loop.submit {
                NIOLoopBound(try channel.pipeline.syncOperations.handler(type: ClientHandler.self), eventLoop: loop)
            }.get()
            return MQTTClient(
                connack: connack, messages: stream, dropped: dropped, channel: channel, handler: handler,
                version: options.connect.version)
        } catch let problem as Problem {
            throw problem
        } catch {
            answered.fail(error)
            throw Problem("mqtt.unreachable", "cannot connect to \(address): \(error)", ["address": address])
        }
    }

    /// Publishes and waits for the acknowledgement that `qos` asks for; its reason code may be an error.
    @discardableResult
    package func publish(
        _ topic: String, _ payload: Bytes, qos: QoS = .atMostOnce, retain: Bool = false,
        properties: Properties = Properties()
    ) async throws(Problem) -> ReasonCode {
        let packet = PublishPacket(topic: topic, payload: payload, qos: qos, retain: retain, properties: properties)
        return try await call { $0.publish(packet) }
    }

    /// Subscribes; one reason code per filter.
    package func subscribe(
        _ entries: [SubscribePacket.Entry], properties: Properties = Properties()
    ) async throws(Problem) -> [ReasonCode] {
        try await call { $0.subscribe(SubscribePacket(packetID: 0, entries: entries, properties: properties)) }
    }

    @discardableResult
    package func subscribe(_ filter: String, qos: QoS = .atMostOnce) async throws(Problem) -> ReasonCode {
        try await subscribe([SubscribePacket.Entry(filter, SubscriptionOptions(qos: qos))]).first ?? .unspecifiedError
    }

    package func unsubscribe(_ filters: [String]) async throws(Problem) -> [ReasonCode] {
        try await call { $0.unsubscribe(UnsubscribePacket(packetID: 0, filters: filters)) }
    }

    /// Says goodbye and closes.
    package func disconnect(_ reason: ReasonCode = .success) async {
        // A connection that has gone already needs no goodbye.
        _ = try? await call { $0.disconnect(reason) }
        try? await channel.closeFuture.get()
    }

    /// Closes without a goodbye, as a lost network does.
    package func drop() async {
        channel.close(promise: nil)
        try? await channel.closeFuture.get()
    }

    private func call<T: Sendable>(
        _ body: @escaping @Sendable (ClientHandler) -> EventLoopFuture<T>
    ) async throws(Problem) -> T {
        do {
            return try await channel.eventLoop.flatSubmit { [handler] in body(handler.value) }.get()
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem("mqtt.connection_lost", "the connection to the MQTT server was lost: \(error)")
        }
    }
}
