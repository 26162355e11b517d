/// A fast hash of topic bytes. Seeded, so that nobody outside can choose topics that collide; the seed is the same for
/// all shards, so that all agree on a topic's owner.
package struct TopicHash: Sendable {
    package let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    @inline(__always)
    package func callAsFunction(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = bytes.baseAddress else { return seed }
        var state = seed ^ (UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15)
        var index = 0
        while index &+ 8 <= bytes.count {
            state = Self.mix(state ^ base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index &+= 8
        }
        if index < bytes.count {
            var tail: UInt64 = 0
            while index < bytes.count {
                tail = tail << 8 | UInt64(base.load(fromByteOffset: index, as: UInt8.self))
                index &+= 1
            }
            state = Self.mix(state ^ tail)
        }
        return Self.mix(state)
    }

    package func callAsFunction(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { self(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return high ^ low
    }
}

/// Which part of all topics a change of a filter can touch, so that what a shard remembers of other topics stays valid.
///
/// Counters in a fixed table: one for a topic as a whole, one for each of its first three levels' prefixes, one for
/// all. A filter without wildcards moves its own counter, one with wildcards that of the literal levels before them.
struct TopicGenerations {
    static let slotCount = 4096
    private var counters = ContiguousArray<UInt32>(repeating: 0, count: slotCount)
    private var all: UInt32 = 0
    /// Moves with every change.
    private(set) var epoch: UInt64 = 1
    private let hash: TopicHash

    init(hash: TopicHash) { self.hash = hash }

    /// The table places that a topic depends on.
    struct Places {
        var whole: UInt16 = 0
        var first: UInt16 = 0
        var second: UInt16 = 0
        var third: UInt16 = 0
    }

    func places(of topic: UnsafeRawBufferPointer, hash whole: UInt64) -> Places {
        var places = Places(whole: Self.slot(whole))
        places.first = prefixSlot(topic, levels: 1)
        places.second = prefixSlot(topic, levels: 2)
        places.third = prefixSlot(topic, levels: 3)
        return places
    }

    @inline(__always)
    func sum(_ places: Places) -> UInt64 {
        UInt64(counters[Int(places.whole)]) &+ UInt64(counters[Int(places.first)])
            &+ UInt64(counters[Int(places.second)]) &+ UInt64(counters[Int(places.third)]) &+ UInt64(all)
    }

    mutating func changed(filter: UnsafeRawBufferPointer) {
        epoch &+= 1
        var literal = 0
        var index = 0
        var levelStart = 0
        while true {
            let isEnd = index == filter.count
            if isEnd || filter[index] == UInt8(ascii: "/") {
                literal += 1
                levelStart = index + 1
                if isEnd { break }
            } else if index == levelStart, filter[index] == UInt8(ascii: "+") || filter[index] == UInt8(ascii: "#") {
                if literal == 0 {
                    all &+= 1
                } else {
                    counters[Int(prefixSlot(filter, levels: min(literal, 3)))] &+= 1
                }
                return
            }
            index += 1
        }
        counters[Int(Self.slot(hash(filter)))] &+= 1
    }

    /// Salted by the number of levels; a topic with fewer levels has no such prefix and depends on the shorter ones.
    private func prefixSlot(_ topic: UnsafeRawBufferPointer, levels: Int) -> UInt16 {
        var end = 0
        var seen = 0
        while end < topic.count {
            if topic[end] == UInt8(ascii: "/") {
                seen += 1
                if seen == levels { break }
            }
            end += 1
        }
        return Self.slot(hash(UnsafeRawBufferPointer(rebasing: topic[..<end])) ^ 0x5555)
    }

    private static func slot(_ hash: UInt64) -> UInt16 { UInt16(hash % UInt64(slotCount)) }
}

extension TopicHash {
    /// The one of `count` shards that owns a client id, a shared group or a retained topic.
    @inline(__always)
    func owner(of text: String, among count: Int) -> Int { count == 1 ? 0 : Int((self(text) >> 32) % UInt64(count)) }
}
