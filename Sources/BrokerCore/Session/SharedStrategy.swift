import Synchronization

/// How the next member of a shared subscription is chosen; MQTT 5.0, 4.8.2 leaves it to the server. Always a member that
/// is connected, if there is one.
package enum SharedStrategy: String, Sendable, Hashable, CaseIterable {
    /// One after the other.
    case roundRobin
    case random
    /// The one with the fewest messages in flight and waiting, as its session last said.
    case leastInFlight
    /// One gets everything until it goes.
    case sticky
    /// All messages of a topic go to the same, as long as it is there.
    case hashTopic
    /// All messages of a publisher go to the same, as long as it is there.
    case hashClient
}

/// What a member has in flight and waiting, written by its shard and read by the group's.
final class MemberLoad: Sendable {
    private let count = Atomic<Int>(0)

    var messages: Int { count.load(ordering: .relaxed) }
    func set(_ messages: Int) { count.store(messages, ordering: .relaxed) }
    /// One more is on its way to the member.
    func add() { count.add(1, ordering: .relaxed) }
}

extension SharedGroup {
    /// What a choice may depend on beside the members.
    struct Choice {
        /// Of the topic or the publisher, or chance, as the strategy wants it.
        var key: UInt64 = 0
        var qos: UInt8
    }

    /// The next member; one that is offline only if no other is there and the message can wait in its queue.
    func next(_ choice: Choice) -> Member? {
        guard let index = pick(choice, { $0.isOnline }) ?? (choice.qos > 0 ? pick(choice, Self.canWait) : nil)
        else { return nil }
        turn = index
        return members[index]
    }

    private static func canWait(_ member: Member) -> Bool { !member.isOnline && member.options.qosValue > 0 }

    private func pick(_ choice: Choice, _ isEligible: (Member) -> Bool) -> Int? {
        switch strategy {
        case .roundRobin: first(after: turn, isEligible)
        case .random: first(after: Int(choice.key % UInt64(max(1, members.count))), isEligible)
        case .sticky: first(after: turn - 1, isEligible)
        case .leastInFlight: leastLoaded(isEligible)
        case .hashTopic, .hashClient: highest(choice.key, isEligible)
        }
    }

    private func first(after index: Int, _ isEligible: (Member) -> Bool) -> Int? {
        guard !members.isEmpty else { return nil }
        for offset in 1...members.count {
            let next = (index + offset + members.count) % members.count
            if isEligible(members[next]) { return next }
        }
        return nil
    }

    /// Of equals the next in turn.
    private func leastLoaded(_ isEligible: (Member) -> Bool) -> Int? {
        var best: (index: Int, messages: Int)?
        for offset in 1...max(1, members.count) where !members.isEmpty {
            let index = (turn + offset) % members.count
            guard isEligible(members[index]) else { continue }
            let messages = members[index].load.messages
            if best.map({ messages < $0.messages }) ?? true { best = (index, messages) }
        }
        return best?.index
    }

    /// The member whose hash with the key is highest: when one comes or goes, only its own keys move.
    private func highest(_ key: UInt64, _ isEligible: (Member) -> Bool) -> Int? {
        var best: (index: Int, weight: UInt64)?
        for index in members.indices where isEligible(members[index]) {
            var weight = (members[index].hash ^ key) &* 0x9E37_79B9_7F4A_7C15
            weight = (weight ^ weight >> 29) &* 0xBF58_476D_1CE4_E5B9
            weight ^= weight >> 32
            if best.map({ weight > $0.weight }) ?? true { best = (index, weight) }
        }
        return best?.index
    }
}
