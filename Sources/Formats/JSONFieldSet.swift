/// One step of the way to a field.
package enum JSONStep: Hashable, Sendable {
    case key(String)
    /// From 0.
    case element(Int)
}

/// The fields that somebody wants of a JSON text. Compiled once; `scan` finds all of them in one pass.
///
/// Slots are numbered in the order of the paths. The empty path is the whole text.
package final class JSONFieldSet: @unchecked Sendable {
    // Built during initialisation and never written again: that is what makes it Sendable.

    @usableFromInline
    struct Node {
        /// -1: only on the way to others.
        var slot: Int32 = -1
        var firstKey: Int32 = 0
        var keyCount: Int32 = 0
        var firstElement: Int32 = 0
        var elementCount: Int32 = 0
        /// Start and size (a power of two) of the node's part of `buckets`; 0: few keys, compared in turn.
        var firstBucket: Int32 = 0
        var bucketCount: Int32 = 0
    }

    struct Key {
        /// The first eight bytes, little-endian, zero-padded.
        var prefix: UInt64
        var offset: Int32
        var count: Int32
        var node: Int32
    }

    struct Element {
        var index: Int
        var node: Int32
    }

    package let paths: [[JSONStep]]
    private let nodes: UnsafeMutablePointer<Node>
    private let keys: UnsafeMutablePointer<Key>
    private let elements: UnsafeMutablePointer<Element>
    private let buckets: UnsafeMutablePointer<Int32>
    private let text: UnsafeMutablePointer<UInt8>

    package init(_ paths: [[JSONStep]]) {
        self.paths = paths
        var builder = FieldTreeBuilder()
        for (slot, path) in paths.enumerated() { builder.insert(path, slot: Int32(slot)) }
        builder.layOut()
        nodes = Self.moved(builder.nodes)
        keys = Self.moved(builder.keys)
        elements = Self.moved(builder.elements)
        buckets = Self.moved(builder.buckets)
        text = Self.moved(builder.text)
    }

    deinit {
        nodes.deallocate()
        keys.deallocate()
        elements.deallocate()
        buckets.deallocate()
        text.deallocate()
    }

    private static func moved<T>(_ values: [T]) -> UnsafeMutablePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(values.count, 1))
        for (index, value) in values.enumerated() { (memory + index).initialize(to: value) }
        return memory
    }

    /// Validates `text` and fills `slots`, which has one element per path; nil if it is JSON, else why not. The slots
    /// of a text that is not JSON are not to be used. At most 4 GiB.
    package func scan(
        _ text: UnsafeRawBufferPointer, into slots: UnsafeMutablePointer<JSONSlot>, depthMax: Int = 64
    ) -> JSONFailure? {
        for index in 0..<paths.count { slots[index] = .absent }
        guard text.count <= Int(UInt32.max) else { return JSONFailure(.tooLarge, 0) }
        var scanner = JSONScanner(
            text: text, fields: nodes, set: Unmanaged.passUnretained(self), slots: slots, depthMax: depthMax)
        return scanner.document(root: 0) ? nil : scanner.failure ?? JSONFailure(.valueExpected, 0)
    }

    @inline(__always)
    static func prefix(_ key: UnsafeRawBufferPointer) -> UInt64 {
        if key.count >= 8 { return key.loadUnaligned(as: UInt64.self) }
        var value: UInt64 = 0
        for index in 0..<key.count { value |= UInt64(key[index]) << UInt64(8 * index) }
        return value
    }

    @inline(__always)
    static func bucket(_ prefix: UInt64, _ count: Int, _ bucketCount: Int32) -> Int {
        let mixed = (prefix ^ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15
        return Int(mixed >> 32) & Int(bucketCount - 1)
    }

    func child(of node: Int32, key: UnsafeRawBufferPointer, isEscaped: Bool) -> Int32 {
        guard !isEscaped else { return childOfEscaped(node, key) }
        let prefix = Self.prefix(key)
        let parent = nodes[Int(node)]
        if parent.bucketCount > 0 {
            var bucket = Self.bucket(prefix, key.count, parent.bucketCount)
            while true {
                let index = buckets[Int(parent.firstBucket) + bucket]
                if index < 0 { return -1 }
                if matches(keys[Int(index)], prefix, key) { return keys[Int(index)].node }
                bucket = (bucket + 1) & Int(parent.bucketCount - 1)
            }
        }
        for index in Int(parent.firstKey)..<Int(parent.firstKey + parent.keyCount)
        where matches(keys[index], prefix, key) {
            return keys[index].node
        }
        return -1
    }

    @inline(__always)
    private func matches(_ candidate: Key, _ prefix: UInt64, _ key: UnsafeRawBufferPointer) -> Bool {
        guard candidate.prefix == prefix, Int(candidate.count) == key.count else { return false }
        var index = 8
        while index < key.count {
            guard text[Int(candidate.offset) + index] == key[index] else { return false }
            index += 1
        }
        return true
    }

    @inline(never)
    private func childOfEscaped(_ node: Int32, _ key: UnsafeRawBufferPointer) -> Int32 {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: key.count) { target in
            guard let base = target.baseAddress else { return -1 }
            let count = JSONText.unescape(key, to: base)
            return child(of: node, key: UnsafeRawBufferPointer(start: base, count: count), isEscaped: false)
        }
    }

    func child(of node: Int32, element: Int) -> Int32 {
        let parent = nodes[Int(node)]
        for index in Int(parent.firstElement)..<Int(parent.firstElement + parent.elementCount)
        where elements[index].index == element {
            return elements[index].node
        }
        return -1
    }
}

/// Gathers paths in a tree, then lays it out in flat tables.
private struct FieldTreeBuilder {
    private struct Branch {
        var slot: Int32 = -1
        var keys: [(String, Int)] = []
        var elements: [(Int, Int)] = []
    }

    private static let keysComparedMax = 8

    private var branches: [Branch] = [Branch()]
    var nodes: [JSONFieldSet.Node] = []
    var keys: [JSONFieldSet.Key] = []
    var elements: [JSONFieldSet.Element] = []
    var buckets: [Int32] = []
    var text: [UInt8] = []

    mutating func insert(_ path: [JSONStep], slot: Int32) {
        var branch = 0
        for step in path {
            switch step {
            case .key(let name):
                if let known = branches[branch].keys.first(where: { $0.0 == name }) {
                    branch = known.1
                } else {
                    branches[branch].keys.append((name, branches.count))
                    branch = branches.count
                    branches.append(Branch())
                }
            case .element(let index):
                if let known = branches[branch].elements.first(where: { $0.0 == index }) {
                    branch = known.1
                } else {
                    branches[branch].elements.append((index, branches.count))
                    branch = branches.count
                    branches.append(Branch())
                }
            }
        }
        branches[branch].slot = slot
    }

    mutating func layOut() {
        for branch in branches {
            var node = JSONFieldSet.Node()
            node.slot = branch.slot
            node.firstKey = Int32(keys.count)
            node.keyCount = Int32(branch.keys.count)
            for (name, child) in branch.keys {
                let bytes = Array(name.utf8)
                let prefix = bytes.withUnsafeBytes { JSONFieldSet.prefix($0) }
                keys.append(
                    JSONFieldSet.Key(
                        prefix: prefix, offset: Int32(text.count), count: Int32(bytes.count), node: Int32(child)))
                text += bytes
            }
            node.firstElement = Int32(elements.count)
            node.elementCount = Int32(branch.elements.count)
            for (index, child) in branch.elements {
                elements.append(JSONFieldSet.Element(index: index, node: Int32(child)))
            }
            if branch.keys.count > Self.keysComparedMax { hash(&node) }
            nodes.append(node)
        }
    }

    private mutating func hash(_ node: inout JSONFieldSet.Node) {
        var size: Int32 = 16
        while size < node.keyCount * 2 { size *= 2 }
        node.firstBucket = Int32(buckets.count)
        node.bucketCount = size
        buckets += [Int32](repeating: -1, count: Int(size))
        for index in node.firstKey..<node.firstKey + node.keyCount {
            let key = keys[Int(index)]
            var bucket = JSONFieldSet.bucket(key.prefix, Int(key.count), size)
            while buckets[Int(node.firstBucket) + bucket] >= 0 { bucket = (bucket + 1) & Int(size - 1) }
            buckets[Int(node.firstBucket) + bucket] = index
        }
    }
}
