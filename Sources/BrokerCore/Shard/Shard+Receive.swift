import Model

extension Shard {
    /// What another shard, or this one, says.
    func receive(_ message: ShardMessage, from sender: Int) {
        switch message {
        case .publish(let stored):
            compactionMeets(stored)
            deliver(fromPeer: stored)
        case .frames(let batch): deliver(fromPeer: batch)
        case .retain(let stored):
            compactionMeets(stored)
            keepRetained(stored)
        case .wants(let key, let token): peerWants(key, token: token, peer: sender)
        case .wantsNoMore(let key): peerWantsNoMore(key, peer: sender)
        case .installed(let key, let token): installed(key, token: token)
        case .findRetained(let filter, let token):
            post(sender, .foundRetained(retained.matching(Bytes(filter), now: now), token: token))
        case .foundRetained(let found, let token):
            if compaction != nil { for stored in found { compactionMeets(stored) } }
            awaiting.removeValue(forKey: token)?(message)
        case .joined(let token): awaiting.removeValue(forKey: token)?(message)
        case .claim(let claim): ownerClaim(claim)
        case .refused(let claim): connections[claim.connectionID]?.refuse(.serverBusy)
        case .granted(let claim): granted(claim)
        case .surrender(let claim): surrender(claim)
        case .prepare(let moving): prepare(moving, from: sender)
        case .handOver(let claim): handOverSession(claim)
        case .arrived(let moving): arrived(moving)
        case .settled(let clientID, let isHeld): ownerSettled(clientID, shard: sender, isHeld: isHeld)
        case .released(let clientID): ownerReleased(clientID, shard: sender)
        case .join(let join): ownerJoin(join, from: sender)
        case .leave(let key, let clientID): ownerLeave(key, clientID: clientID, shard: sender)
        case .online(let key, let clientID, let isOnline):
            groups[key.text]?.setOnline(isOnline, clientID: clientID, shard: sender)
        case .giveBack(let delivery):
            compactionMeets(delivery.queued.message)
            redispatch(delivery)
        case .shared(let delivery):
            compactionMeets(delivery.queued.message)
            deliverShared(delivery)
        case .installedAll: peerInstalledAll()
        case .ready: peerReady()
        case .compact(let before, let round): startCompaction(before: before, round: round)
        case .compactWritten(let round): peerCompacted(round: round)
        case .compactDone(let round, let isDirty): compactionDone(round: round, isDirty: isDirty)
        case .kick(let clientID): sessions[clientID]?.connection?.disconnect(.administrativeAction)
        }
    }
}
