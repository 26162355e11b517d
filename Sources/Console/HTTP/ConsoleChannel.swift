import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOWebSocket

/// One connection: HTTP until it asks to become a WebSocket.
struct ConsoleChannel: HTTPChannelHandler {
    enum Outcome: Sendable {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case webSocket
    }

    /// What the connection becomes is known only when its first request was read.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let negotiation: EventLoopFuture<Outcome>
    }

    /// Frames and messages beyond that close the connection.
    static let messageBytesMax = 1 << 20
    static let idleTimeout = Duration.seconds(90)
    /// A connection without a whole first request by then is closed.
    static let firstRequestTimeout = TimeAmount.seconds(30)

    let responder: HTTPChannelHandler.Responder
    let acceptSocket: @Sendable (any Channel, HTTPRequestHead) throws -> Void

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let upgrader = NIOTypedWebSocketServerUpgrader<Outcome>(
                maxFrameSize: Self.messageBytesMax,
                // Refusing here would close the connection without a word; it is accepted, and closed with a reason.
                shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(HTTPHeaders()) },
                upgradePipelineHandler: { [acceptSocket] channel, head in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOWebSocketFrameAggregator(
                                minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1024,
                                maxAccumulatedFrameSize: Self.messageBytesMax))
                        try acceptSocket(channel, head)
                        return .webSocket
                    }
                })
            var configuration = NIOUpgradableHTTPServerPipelineConfiguration<Outcome>(
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: [upgrader], notUpgradingCompletionHandler: { Self.continueAsHTTP($0, logger) }))
            // Requests are taken one after the other and errors answered by what handles the channel; doing either
            // twice ends in answers without a request.
            configuration.enablePipelining = false
            configuration.enableErrorHandling = false
            let negotiation = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                configuration: configuration)
            let deadline = channel.eventLoop.scheduleTask(in: Self.firstRequestTimeout) { channel.close(promise: nil) }
            negotiation.whenComplete { _ in deadline.cancel() }
            return Value(channel: channel, negotiation: negotiation)
        }
    }

    private static func continueAsHTTP(_ channel: any Channel, _ logger: Logger) -> EventLoopFuture<Outcome> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: idleTimeout, logger: logger))
            return .http(
                try NIOAsyncChannel(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
        }
    }

    func handle(value: Value, logger: Logger) async {
        // A connection that closes before its first request was read, or that sends nonsense, has no outcome.
        let outcome = try? await withTaskCancellationHandler {
            try await value.negotiation.get()
        } onCancel: {
            value.channel.close(promise: nil)
        }
        switch outcome {
        case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
        case .webSocket:
            await withTaskCancellationHandler {
                // An error while closing is as good as closed.
                try? await value.channel.closeFuture.get()
            } onCancel: {
                value.channel.close(promise: nil)
            }
        case nil: value.channel.close(promise: nil)
        }
    }
}
