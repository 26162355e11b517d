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
        /// Of the client identifier.
        var hash: UInt64
        let load: MemberLoad
        /// Its session outlives its connection.
        var isRecorded = false
    }

    let key: SharedGroupKey
    private(set) var members: [Member] = []
    /// Index of the member that was chosen last.
    var turn = 0
    var strategy: SharedStrategy
    /// A member has or had a session that outlives its connection: what the group gets must be kept.
    var isDurable = false

    init(key: SharedGroupKey, strategy: SharedStrategy) {
        self.key = key
        self.strategy = strategy
    }

    func join(_ member: Member) {
        if let index = members.firstIndex(where: { ExactText.areSame($0.clientID, member.clientID) }) {
            members[index] = member
        } else {
            members.append(member)
        }
    }

    /// Only the shard where the member lives can take it out: it may have moved on.
    func leave(clientID: String, shard: Int) {
        guard let index = members.firstIndex(where: { ExactText.areSame($0.clientID, clientID) && $0.shard == shard })
        else { return }
        members.remove(at: index)
        // Whose turn it was stays so; if he has gone himself it is the one before, so that the next one follows.
        if turn >= index { turn -= 1 }
    }

    func setOnline(_ isOnline: Bool, clientID: String, shard: Int) {
        guard let index = members.firstIndex(where: { ExactText.areSame($0.clientID, clientID) && $0.shard == shard })
        else { return }
        members[index].isOnline = isOnline
    }
}
