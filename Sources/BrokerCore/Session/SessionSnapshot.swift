/// A session in the form in which it moves: between shards, and later between processes and nodes.
struct SessionSnapshot: Sendable {
    struct Subscription: Sendable {
        var filter: String
        var options: SubscriptionOptions
        var subscriptionID: UInt32
    }

    var clientID: String
    var subscriptions: [Subscription]
    var inflight: [InflightEntry]
    var nextPacketID: UInt16
    var queue: [QueuedMessage]
    var incoming: Set<UInt16>
    var expirySeconds: UInt32
    var received: UInt64
    var sent: UInt64
    var dropped: UInt64
}

import Model

extension Session {
    var snapshot: SessionSnapshot {
        SessionSnapshot(
            clientID: clientID,
            subscriptions: subscriptions.values.map {
                SessionSnapshot.Subscription(
                    filter: $0.filter.text, options: $0.options, subscriptionID: $0.subscriptionID)
            }, inflight: inflight.unfinished, nextPacketID: inflight.nextPacketID, queue: queue.elements,
            incoming: incoming, expirySeconds: expirySeconds, received: received, sent: sent, dropped: dropped)
    }

    /// Takes over what the session had on another shard. What arrived here meanwhile and there too is the same object
    /// and is kept once.
    func restore(_ snapshot: SessionSnapshot) {
        let arrived = queue.elements
        inflight.restore(snapshot.inflight, nextPacketID: snapshot.nextPacketID)
        queue.removeAll()
        var known: Set<ObjectIdentifier> = []
        for queued in snapshot.queue {
            known.insert(ObjectIdentifier(queued.message))
            queue.append(queued)
        }
        for queued in arrived where !known.contains(ObjectIdentifier(queued.message)) {
            enqueue(queued, onReplay: false)
        }
        incoming = snapshot.incoming
        received += snapshot.received
        sent += snapshot.sent
        dropped += snapshot.dropped
    }
}
