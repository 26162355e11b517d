import Model

/// One network subscriber of a topic.
struct RouteTarget {
    // Lifetime: a session that ends takes its subscriptions out of the tree first, which makes the route stale, and a
    // stale route is filled anew before its targets are looked at.
    unowned(unsafe) let session: Session
    let subscriptionID: UInt32
    let options: SubscriptionOptions
}

/// What clients from outside may not do with a topic, whatever their rights.
enum TopicGuard {
    case none
    /// `tundish/{device}/{group}/write`: only for those who may write to devices.
    case deviceWrite
    /// `$SYS` and `$share`, as Mosquitto refuses them.
    case reserved
}

/// A topic with its subscribers, remembered until a subscription changes them.
final class Route {
    let topic: Bytes
    let hash: UInt64
    let topicGuard: TopicGuard
    let places: TopicGenerations.Places
    var sum: UInt64 = 0
    /// The epoch at which `sum` was last compared; 0: never filled.
    var epoch: UInt64 = 0
    var targets: ContiguousArray<RouteTarget> = []
    var components: ContiguousArray<ComponentSubscription> = []
    var groups: ContiguousArray<SharedGroup> = []
    var shards: UInt64 = 0
    /// Of those, where sessions that outlive their connections want it.
    var durableShards: UInt64 = 0
    /// Whether a session or group of this shard keeps its messages in the log.
    var isKeptHere = false
    /// Components, and other shards, that want only typed samples.
    var sampleComponents: ContiguousArray<ComponentSubscription> = []
    var sampleShards: UInt64 = 0
    /// Nil unless somebody counts the topic's messages.
    var meters: RouteMeters?

    init(topic: Bytes, hash: UInt64, places: TopicGenerations.Places) {
        self.topic = topic
        self.hash = hash
        self.places = places
        topicGuard = topic.withUnsafeBytes(Self.topicGuard(of:))
    }

    var hasSubscribers: Bool { shards != 0 || !targets.isEmpty || !components.isEmpty || !groups.isEmpty }

    func isTopic(_ bytes: UnsafeRawBufferPointer) -> Bool {
        topic.count == bytes.count && topic.withUnsafeBytes { Self.areEqual($0, bytes) }
    }

    @inline(__always)
    private static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index &+ 8 <= a.count {
            if a.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                != b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            {
                return false
            }
            index &+= 8
        }
        while index < a.count {
            if a[index] != b[index] { return false }
            index &+= 1
        }
        return true
    }

    private static func topicGuard(of topic: UnsafeRawBufferPointer) -> TopicGuard {
        if topic.starts(with: "$SYS".utf8) || topic.starts(with: "$share".utf8) || topic.starts(with: "$events/".utf8) {
            return .reserved
        }
        guard topic.starts(with: "tundish/".utf8) else { return .none }
        let levels = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return levels.count == 4 && levels[3].elementsEqual("write".utf8) ? .deviceWrite : .none
    }
}

/// Topic bytes -> route. Open addressing over the topic's hash; emptied when it has reached its bound, so that topics
/// that nobody publishes to any more do not stay for ever.
struct RouteCache {
    private var slots: ContiguousArray<Route?> = ContiguousArray(repeating: nil, count: 256)
    private(set) var count = 0
    private(set) var cleared: UInt64 = 0
    let countMax: Int

    init(countMax: Int) { self.countMax = max(1, countMax) }

    @inline(__always)
    func find(_ topic: UnsafeRawBufferPointer, hash: UInt64) -> Route? {
        let mask = slots.count &- 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while let route = slots[index] {
            if route.hash == hash, route.isTopic(topic) { return route }
            index = (index &+ 1) & mask
        }
        return nil
    }

    mutating func insert(_ route: Route) {
        if count >= countMax {
            slots = ContiguousArray(repeating: nil, count: 256)
            count = 0
            cleared += 1
        } else if (count + 1) * 2 > slots.count {
            let old = slots
            slots = ContiguousArray(repeating: nil, count: old.count * 2)
            for case let route? in old { place(route) }
        }
        place(route)
        count += 1
    }

    private mutating func place(_ route: Route) {
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: route.hash) & mask
        while slots[index] != nil { index = (index + 1) & mask }
        slots[index] = route
    }
}
