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
    enum Value: ServerChildChannelValue {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case webSocket(any Channel)

        var channel: any Channel {
            switch self {
            case .http(let channel): channel.channel
            case .webSocket(let channel): channel
            }
        }
    }

    /// Frames and messages beyond that close the connection.
    static let messageBytesMax = 1 << 20
    static let idleTimeout = Duration.seconds(90)

    let responder: HTTPChannelHandler.Responder
    let acceptSocket: @Sendable (any Channel, HTTPRequestHead) throws -> Void

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let upgrader = NIOTypedWebSocketServerUpgrader<Value>(
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
                        return .webSocket(channel)
                    }
                })
            let configuration = NIOUpgradableHTTPServerPipelineConfiguration<Value>(
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: [upgrader], notUpgradingCompletionHandler: { Self.continueAsHTTP($0, logger) }))
            return configuration
        }.flatMap { (configuration: NIOUpgradableHTTPServerPipelineConfiguration<Value>) in
            channel.pipeline.configureUpgradableHTTPServerPipeline(configuration: configuration).flatMap { $0 }
        }
    }

    private static func continueAsHTTP(_ channel: any Channel, _ logger: Logger) -> EventLoopFuture<Value> {
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
        switch value {
        case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
        case .webSocket(let channel):
            await withTaskCancellationHandler {
                // An error while closing is as good as closed.
                try? await channel.closeFuture.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        }
    }
}
