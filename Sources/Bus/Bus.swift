package import Model

/// The publish/subscribe contract that everyone inside the process uses. The broker core implements it; its
/// network clients are on the same bus.
package protocol Bus: Sendable {
    /// A way to publish in the name of `origin`. Messages of one publisher keep their order.
    func publisher(_ origin: Origin) -> any BusPublisher

    /// Subscribes; returns when every shard has installed the filters, so that what is published afterwards arrives.
    ///
    /// A message that several filters of the subscription match is delivered once. `deliver` is called with the
    /// messages of one turn, in order per publisher and topic, on an event loop of the broker: it must neither block
    /// nor compute at length, but put the messages into a queue of its own that has a bound and a counter
    /// (`MessageInbox`).
    func subscribe(
        _ filters: [TopicFilter], name: String, options: SubscribeOptions,
        deliver: @escaping @Sendable ([Message]) -> Void
    ) async throws -> any BusSubscription
}

package struct SubscribeOptions: Sendable {
    /// Deliver the retained messages that match, once, after subscribing.
    package var wantsRetained: Bool
    /// Deliver only messages with typed samples: what network clients publish then costs this subscriber, and them,
    /// nothing.
    package var samplesOnly: Bool

    package init(wantsRetained: Bool = false, samplesOnly: Bool = false) {
        self.wantsRetained = wantsRetained
        self.samplesOnly = samplesOnly
    }
}

package protocol BusSubscription: Sendable {
    /// Replaces the filters; returns when every shard has the new ones. What matches both before and after is not
    /// interrupted.
    func update(_ filters: [TopicFilter]) async throws
    /// Ends the subscription. Idempotent.
    func cancel() async
}

/// What became of a published message.
package enum PublishOutcome: Sendable, Equatable {
    /// Accepted, and durable where a subscriber, the retained store or a rule needs it to be.
    case accepted
    /// Accepted, but nobody subscribes.
    case noSubscribers
    /// Refused: a queue that must not drop is full, or the publisher is over its bound.
    case refused(Problem)
}

package protocol BusPublisher: Sendable {
    /// Hands the messages over; never blocks. False if the publisher's queue is full: then none was taken, and the
    /// caller counts the drop.
    @discardableResult
    func publish(_ messages: [Message]) -> Bool

    /// The same, and waits for what becomes of each message, in order.
    func publishConfirmed(_ messages: [Message]) async -> [PublishOutcome]
}
