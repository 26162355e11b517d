import Bus
import Model

/// The retained messages of the topics that a shard owns, as a tree of their levels. MQTT 5.0, 3.3.1.3
final class RetainedStore {
    private final class Node {
        var children: [Bytes: Node] = [:]
        var message: StoredMessage?
    }

    private let root = Node()
    private(set) var count = 0
    private(set) var byteCount = 0

    /// Stores the message, or removes what is stored if its payload is empty. [MQTT-3.3.1-6] False if the topic is new
    /// and the store already holds `countMax` messages.
    func set(_ message: StoredMessage, countMax: Int) -> Bool {
        if message.payload.bytes.isEmpty {
            remove(message.topic)
            return true
        }
        if count >= countMax, find(message.topic) == nil { return false }
        var node = root
        var rest: Bytes? = message.topic
        while let text = rest {
            let (level, tail) = SubscriptionTree.split(text)
            if let next = node.children[level] {
                node = next
            } else {
                let next = Node()
                node.children[level.withUnsafeBytes { Bytes(copying: $0) }] = next
                node = next
            }
            rest = tail
        }
        if let old = node.message {
            byteCount -= old.payload.bytes.count
        } else {
            count += 1
        }
        byteCount += message.payload.bytes.count
        node.message = message
        return true
    }

    /// In no order.
    var all: [StoredMessage] {
        var found: [StoredMessage] = []
        found.reserveCapacity(count)
        all(root) { found.append($0) }
        return found
    }

    func find(_ topic: Bytes) -> StoredMessage? {
        var node = root
        var rest: Bytes? = topic
        while let text = rest {
            let (level, tail) = SubscriptionTree.split(text)
            guard let next = node.children[level] else { return nil }
            node = next
            rest = tail
        }
        return node.message
    }

    func remove(_ topic: Bytes) { _ = remove(root, topic) }

    private func remove(_ node: Node, _ rest: Bytes?) -> Bool {
        if let rest {
            let (level, tail) = SubscriptionTree.split(rest)
            if let next = node.children[level], remove(next, tail) { node.children[level] = nil }
        } else if let old = node.message {
            byteCount -= old.payload.bytes.count
            count -= 1
            node.message = nil
        }
        return node.message == nil && node.children.isEmpty
    }

    /// The messages whose topics `filter` matches, without those that have expired at `now` (monotonic nanoseconds),
    /// which are removed.
    func matching(_ filter: Bytes, now: Int64, limit: Int = .max) -> [StoredMessage] {
        var found: [StoredMessage] = []
        var expired: [Bytes] = []
        collect(root, filter, isFirst: true) { message in
            if message.expiresAt <= now {
                expired.append(message.topic)
            } else if found.count < limit {
                found.append(message)
            }
        }
        for topic in expired { remove(topic) }
        return found
    }

    private func collect(_ node: Node, _ rest: Bytes?, isFirst: Bool, _ body: (StoredMessage) -> Void) {
        guard let rest else {
            if let message = node.message { body(message) }
            return
        }
        let (level, tail) = SubscriptionTree.split(rest)
        if level.count == 1, level[0] == UInt8(ascii: "#") {
            if !isFirst, let message = node.message { body(message) }
            for (name, next) in node.children where !(isFirst && Self.isReserved(name)) { all(next, body) }
        } else if level.count == 1, level[0] == UInt8(ascii: "+") {
            for (name, next) in node.children where !(isFirst && Self.isReserved(name)) {
                collect(next, tail, isFirst: false, body)
            }
        } else if let next = node.children[level] {
            collect(next, tail, isFirst: false, body)
        }
    }

    private func all(_ node: Node, _ body: (StoredMessage) -> Void) {
        if let message = node.message { body(message) }
        for next in node.children.values { all(next, body) }
    }

    private static func isReserved(_ level: Bytes) -> Bool { !level.isEmpty && level[0] == UInt8(ascii: "$") }
}
