import Model

/// Who subscribes to one filter.
final class SubscriberSet {
    var sessions: ContiguousArray<Subscription> = []
    var components: ContiguousArray<ComponentSubscription> = []
    var groups: ContiguousArray<SharedGroup> = []
    /// Other shards that want the filter, one bit each.
    var shards: UInt64 = 0
    /// Other shards that want of it only typed samples.
    var sampleShards: UInt64 = 0
    /// Other shards that want it for sessions that outlive their connections.
    var durableShards: UInt64 = 0

    func add(peer: Int, _ key: InterestKey) { self[keyPath: Self.mask(key)] |= 1 << UInt64(peer) }
    func remove(peer: Int, _ key: InterestKey) { self[keyPath: Self.mask(key)] &= ~(1 << UInt64(peer)) }

    private static func mask(_ key: InterestKey) -> ReferenceWritableKeyPath<SubscriberSet, UInt64> {
        key.isDurable ? \.durableShards : key.samplesOnly ? \.sampleShards : \.shards
    }

    var isEmpty: Bool {
        shards | sampleShards | durableShards == 0 && sessions.isEmpty && components.isEmpty && groups.isEmpty
    }
}

/// All filters of a shard as a tree of their levels. MQTT 5.0, 4.7
final class SubscriptionTree {
    final class Node {
        var children: [Bytes: Node] = [:]
        /// The child for `+`.
        var plus: Node?
        /// Filters that end here.
        var here: SubscriberSet?
        /// Filters that end here in `/#`.
        var below: SubscriberSet?

        var isEmpty: Bool { here == nil && below == nil && plus == nil && children.isEmpty }
    }

    private let root = Node()
    /// Filters in the tree.
    private(set) var filterCount = 0

    /// The subscribers of `filter`; made if absent and wanted.
    func subscribers(of filter: Bytes, create: Bool) -> SubscriberSet? {
        var node = root
        var rest = filter
        while true {
            let (level, tail) = Self.split(rest)
            if level.count == 1, level[0] == UInt8(ascii: "#") {
                if node.below == nil, create {
                    node.below = SubscriberSet()
                    filterCount += 1
                }
                return node.below
            }
            if level.count == 1, level[0] == UInt8(ascii: "+") {
                if node.plus == nil {
                    if !create { return nil }
                    node.plus = Node()
                }
                guard let next = node.plus else { return nil }
                node = next
            } else if let next = node.children[level] {
                node = next
            } else {
                if !create { return nil }
                let next = Node()
                // A copy of the level alone, so that the node does not keep the whole text.
                node.children[level.withUnsafeBytes { Bytes(copying: $0) }] = next
                node = next
            }
            guard let tail else { break }
            rest = tail
        }
        if node.here == nil, create {
            node.here = SubscriberSet()
            filterCount += 1
        }
        return node.here
    }

    /// Drops the filter's nodes if nobody subscribes to it any more.
    func prune(_ filter: Bytes) { _ = prune(root, filter) }

    private func prune(_ node: Node, _ rest: Bytes?) -> Bool {
        guard let rest else {
            if let set = node.here, set.isEmpty {
                node.here = nil
                filterCount -= 1
            }
            return node.isEmpty
        }
        let (level, tail) = Self.split(rest)
        if level.count == 1, level[0] == UInt8(ascii: "#") {
            if let set = node.below, set.isEmpty {
                node.below = nil
                filterCount -= 1
            }
        } else if level.count == 1, level[0] == UInt8(ascii: "+") {
            if let next = node.plus, prune(next, tail) { node.plus = nil }
        } else if let next = node.children[level], prune(next, tail) {
            node.children[level] = nil
        }
        return node.isEmpty
    }

    /// Calls `body` with the subscribers of every filter that matches `topic`. The recursion is as deep as the topic
    /// has levels, which the caller has bounded.
    func forEachMatch(_ topic: Bytes, _ body: (SubscriberSet) -> Void) {
        let isReserved = !topic.isEmpty && topic[0] == UInt8(ascii: "$")
        match(root, topic, isReserved, body)
    }

    private func match(_ node: Node, _ rest: Bytes?, _ isReserved: Bool, _ body: (SubscriberSet) -> Void) {
        // A wildcard in the first level does not match `$...`. [MQTT-4.7.2-1]
        if let set = node.below, !isReserved { body(set) }
        guard let rest else {
            if let set = node.here { body(set) }
            return
        }
        let (level, tail) = Self.split(rest)
        if let next = node.children[level] { match(next, tail, false, body) }
        if let next = node.plus, !isReserved { match(next, tail, false, body) }
    }

    /// The first level, and what follows its slash.
    static func split(_ text: Bytes) -> (Bytes, Bytes?) {
        let end = text.withUnsafeBytes { bytes in bytes.firstIndex(of: UInt8(ascii: "/")) }
        guard let end else { return (text, nil) }
        return (text.slice(0..<end), text.slice(end + 1..<text.count))
    }

    static func levelCount(_ text: UnsafeRawBufferPointer) -> Int {
        var count = 1
        for byte in text where byte == UInt8(ascii: "/") { count += 1 }
        return count
    }
}
