import Bus

/// What becomes of a connected client when rights have changed.
package enum ClientReview: Sendable {
    /// Its rights are asked anew, and its subscriptions with them.
    case keep
    case change(roles: [String], isSuperuser: Bool, mayWriteDevices: Bool)
    case disconnect(ReasonCode)
}

extension Exchange {
    /// Clients looked at in one turn of a loop: the others' messages go on between the turns.
    private static let reviewedPerTurn = 256

    /// Rules or rights have changed: every connected client is looked at, forgets what it remembers about its rights,
    /// and loses the subscriptions that it may not have any more. `review` is asked on the clients' event loops.
    package func reviewClients(_ review: @escaping @Sendable (ClientIdentity) -> ClientReview = { _ in .keep }) async {
        for shard in shards {
            var left = await shard.run { Array($0.connections.keys) }
            while !left.isEmpty {
                let part = Array(left.suffix(Self.reviewedPerTurn))
                left.removeLast(part.count)
                await shard.run { shard in
                    for id in part { shard.connections[id]?.review(review) }
                }
            }
        }
    }
}

extension Connection {
    fileprivate func review(_ review: (ClientIdentity) -> ClientReview) {
        // Who is not connected yet is asked everything when it is.
        guard state == .connected else {
            if state == .connecting, pendingConnect != nil { forgetAccess() }
            return
        }
        switch review(identity) {
        case .keep: break
        case .change(let roles, let isSuperuser, let mayWriteDevices):
            identity.roles = roles
            identity.isSuperuser = isSuperuser
            origin = Origin(
                .client, clientID: identity.clientID, username: identity.username, peer: context.peer,
                mayWriteDevices: mayWriteDevices)
        case .disconnect(let reason):
            disconnect(reason)
            return
        }
        forgetAccess()
        guard let session else { return }
        if let will = session.will, !mayPublish(will) {
            session.will = nil
            shard.counters.publishDenied += 1
        }
        reviewSubscriptions(session)
    }
}
