package import Bus
package import Model
import NIOCore

/// Figures for people who look after the broker. Each call takes its snapshot on the shards' loops when it is asked for;
/// nothing here runs while nobody looks.
extension Exchange {
    /// Of `count` retained messages those that somebody published: without the broker's own under `$SYS`.
    package func retainedByPeople(of count: Int) async -> Int {
        guard let own = try? TopicFilter("$SYS/#") else { return count }
        return max(0, count - (await retained(own, limit: 10_000)).count)
    }

    /// Nil: there is no such session.
    package func client(_ clientID: String) async -> ClientDetail? {
        for shard in shards {
            if let found = await shard.run({ $0.sessions[clientID]?.detail }) { return found }
        }
        return nil
    }

    /// Subscriptions of clients, of one client if given; by client id and filter.
    package func subscriptionDetails(of clientID: String? = nil) async -> [SubscriptionDetail] {
        var all: [SubscriptionDetail] = []
        for shard in shards {
            all += await shard.run { shard in
                if let clientID { return shard.sessions[clientID]?.subscriptionDetails ?? [] }
                return shard.sessions.values.flatMap(\.subscriptionDetails)
            }
        }
        return all.sorted { ($0.clientID, $0.filter) < ($1.clientID, $1.filter) }
    }

    /// Disconnects the client and forgets its session: subscriptions and waiting messages are gone. False: there was none.
    package func discardSession(clientID: String) async -> Bool {
        guard await kick(clientID: clientID) else { return await endSession(clientID) != nil }
        // A connection ends with the turn of its loop.
        for _ in 0..<100 {
            if await endSession(clientID) != false { return true }
        }
        return true
    }

    /// Nil: there is none; false: it still has a connection.
    private func endSession(_ clientID: String) async -> Bool? {
        for shard in shards {
            let isEnded: Bool? = await shard.run { shard in
                guard let session = shard.sessions[clientID], !session.isLeaving else { return nil }
                guard session.connection == nil else { return false }
                session.will = nil
                shard.end(session, tellsOwner: true)
                return true
            }
            if let isEnded { return isEnded }
        }
        return nil
    }
}

extension Session {
    var subscriptionDetails: [SubscriptionDetail] {
        subscriptions.values.map { subscription in
            let options = subscription.options
            return SubscriptionDetail(
                clientID: clientID, filter: subscription.filter.text, qos: options.qosValue, noLocal: options.noLocal,
                retainAsPublished: options.retainAsPublished, retainHandling: options.retainHandling,
                subscriptionID: subscription.subscriptionID, shareName: subscription.filter.shareName,
                isInternal: false)
        }
    }

    fileprivate var detail: ClientDetail {
        ClientDetail(
            info: info, expirySeconds: expirySeconds, inflight: inflight.count, inflightMax: window,
            waiting: queue.count, waitingMax: shard.limits.sessionQueueMax, replaying: replay.count,
            awaitingRelease: incoming.count, unsentBytes: connection?.out.readableBytes ?? 0,
            isWritable: connection?.isWritable ?? true,
            silentNanoseconds: connection.map { max(0, shard.refreshNow() - $0.lastReceived) },
            willTopic: will?.message.topic.string, packetBytesMax: connection?.packetBytesMax,
            certificateSubject: connection?.identity.certificate?.subject,
            subscriptions: subscriptionDetails.sorted { $0.filter < $1.filter })
    }
}
