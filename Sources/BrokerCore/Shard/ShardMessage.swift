/// A connection that asks for its client's session.
final class Claim: Sendable {
    let clientID: String
    let connectionID: UInt64
    /// The connection's shard.
    let shard: Int
    let cleanStart: Bool
    /// Number in the log of the session that has ended for this; 0: none has.
    let ended: UInt64

    init(clientID: String, connectionID: UInt64, shard: Int, cleanStart: Bool, ended: UInt64 = 0) {
        self.clientID = clientID
        self.connectionID = connectionID
        self.shard = shard
        self.cleanStart = cleanStart
        self.ended = ended
    }

    func ending(_ session: UInt64) -> Claim {
        Claim(clientID: clientID, connectionID: connectionID, shard: shard, cleanStart: cleanStart, ended: session)
    }
}

/// A message of a shared subscription on its way between the group's owner and a member's shard.
final class SharedDelivery: Sendable {
    let group: SharedGroupKey
    let clientID: String
    let queued: QueuedMessage

    init(group: SharedGroupKey, clientID: String, queued: QueuedMessage) {
        self.group = group
        self.clientID = clientID
        self.queued = queued
    }
}

/// A member that joins a shared subscription.
final class GroupJoin: Sendable {
    let group: SharedGroupKey
    let member: SharedGroup.Member
    let token: UInt64

    init(group: SharedGroupKey, member: SharedGroup.Member, token: UInt64) {
        self.group = group
        self.member = member
        self.token = token
    }
}

/// What a shard finds in a snapshot on its way.
final class MovingSession: Sendable {
    let claim: Claim
    let snapshot: SessionSnapshot
    init(claim: Claim, snapshot: SessionSnapshot) {
        self.claim = claim
        self.snapshot = snapshot
    }
}

/// What shards tell each other. Between two shards the order is kept.
enum ShardMessage: Sendable {
    /// For the receiver's own subscribers.
    case publish(StoredMessage)
    /// The same, for several that need not be kept.
    case frames(FrameBatch)
    /// For the receiver's retained store.
    case retain(StoredMessage)

    // Filters that a shard wants.
    case wants(InterestKey, token: UInt64)
    case wantsNoMore(InterestKey)
    case installed(InterestKey, token: UInt64)

    // Retained messages for a new subscription.
    case findRetained(filter: String, token: UInt64)
    case foundRetained([StoredMessage], token: UInt64)

    // Who has a client's session. The owner of the client id is asked by `claim`; `granted` ends the search.
    case claim(Claim)
    case refused(Claim)
    case granted(Claim)
    case surrender(Claim)
    /// The holder's answer to `surrender`: install these subscriptions, then say `handOver`.
    case prepare(MovingSession)
    case handOver(Claim)
    case arrived(MovingSession)
    case settled(clientID: String, isHeld: Bool)
    case released(clientID: String)

    // Shared subscriptions, at the group's owner.
    case join(GroupJoin)
    case joined(token: UInt64)
    case leave(SharedGroupKey, clientID: String)
    case online(SharedGroupKey, clientID: String, Bool)
    case giveBack(SharedDelivery)
    /// To the member's shard.
    case shared(SharedDelivery)

    case kick(clientID: String)

    // At start: this shard has installed what it had in the log; it knows what all others have installed.
    case installedAll
    case ready

    // See `Compaction`.
    case compact(before: UInt64, round: Int)
    case compactWritten(round: Int)
    case compactDone(round: Int, isDirty: Bool)
}

/// What a turn has gathered for one other shard, in order.
struct Outbox {
    struct Batch: Sendable {
        var messages: ContiguousArray<ShardMessage> = []
        /// Messages, those within `frames` counted singly.
        var count = 0
    }

    private var batch = Batch()
    /// The last of `batch`, as long as it may grow.
    private var frames: FrameBatch?
    /// Bytes that the last frames took: what the next are likely to.
    private var framesCapacity = 0

    var count: Int { batch.count }

    mutating func append(_ message: ShardMessage) {
        closeFrames()
        batch.messages.append(message)
        batch.count += 1
    }

    @inline(__always)
    mutating func append(frameOf publication: inout Publication) {
        if let frames, !frames.isFull {
            frames.append(&publication)
        } else {
            openFrames().append(&publication)
        }
        batch.count &+= 1
    }

    private mutating func openFrames() -> FrameBatch {
        closeFrames()
        let opened = FrameBatch(capacity: framesCapacity)
        frames = opened
        batch.messages.append(.frames(opened))
        return opened
    }

    private mutating func closeFrames() {
        guard let frames else { return }
        framesCapacity = frames.byteCount
        self.frames = nil
    }

    mutating func take() -> Batch {
        closeFrames()
        let taken = batch
        batch = Batch()
        return taken
    }
}
