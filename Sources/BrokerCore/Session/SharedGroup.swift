/// Names a shared subscription and the shard that owns it.
final class SharedGroupKey: Sendable {
    /// `$share/{name}/{pattern}`
    let text: String
    let pattern: String
    let owner: Int

    init(text: String, pattern: String, owner: Int) {
        self.text = text
        self.pattern = pattern
        self.owner = owner
    }
}

/// The members of a shared subscription, on the shard that owns it. MQTT 5.0, 4.8.2
final class SharedGroup {
    struct Member {
        var clientID: String
        var shard: Int
        var options: SubscriptionOptions
        var subscriptionID: UInt32
        var isOnline: Bool
        /// Its session outlives its connection.
        var isRecorded = false
    }

    let key: SharedGroupKey
    private(set) var members: [Member] = []
    private var turn = 0
    /// A member has or had a session that outlives its connection: what the group gets must be kept.
    var isDurable = false

    init(key: SharedGroupKey) { self.key = key }

    func join(_ member: Member) {
        if let index = members.firstIndex(where: { ExactText.areSame($0.clientID, member.clientID) }) {
            members[index] = member
        } else {
            members.append(member)
        }
    }

    /// Only the shard where the member lives can take it out: it may have moved on.
    func leave(clientID: String, shard: Int) {
        members.removeAll { ExactText.areSame($0.clientID, clientID) && $0.shard == shard }
    }

    func setOnline(_ isOnline: Bool, clientID: String, shard: Int) {
        guard let index = members.firstIndex(where: { ExactText.areSame($0.clientID, clientID) && $0.shard == shard })
        else { return }
        members[index].isOnline = isOnline
    }

    /// The next member in turn; one that is offline only if no other is there and the message can wait in its queue.
    func next(qos: UInt8) -> Member? {
        guard !members.isEmpty else { return nil }
        var fallback: Int?
        for offset in 1...members.count {
            let index = (turn + offset) % members.count
            if members[index].isOnline {
                turn = index
                return members[index]
            }
            if fallback == nil, qos > 0, members[index].options.qosValue > 0 { fallback = index }
        }
        guard let fallback else { return nil }
        turn = fallback
        return members[fallback]
    }
}
