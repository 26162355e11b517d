/// Memory for the text that one message's evaluation makes; given back all at once. Bounded.
struct Arena: ~Copyable {
    static let bytesMax = 4 << 20
    private static let chunkBytes = 16 << 10

    private var chunks: [UnsafeMutablePointer<UInt8>] = []
    private var large: [UnsafeMutablePointer<UInt8>] = []
    private var chunk = 0
    private var used = 0
    private(set) var total = 0

    deinit {
        for chunk in chunks { chunk.deallocate() }
        for block in large { block.deallocate() }
    }

    @inline(__always)
    mutating func reset() {
        guard total > 0 else { return }
        chunk = 0
        used = 0
        total = 0
        if !large.isEmpty {
            for block in large { block.deallocate() }
            large.removeAll(keepingCapacity: true)
        }
    }

    /// Nil when the message's bound is reached.
    mutating func allocate(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
        guard count >= 0, total + count <= Self.bytesMax else { return nil }
        total += max(count, 1)
        if count > Self.chunkBytes {
            let block = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
            large.append(block)
            return block
        }
        if chunks.isEmpty { chunks.append(.allocate(capacity: Self.chunkBytes)) }
        if used + count > Self.chunkBytes {
            chunk += 1
            used = 0
            if chunk == chunks.count { chunks.append(.allocate(capacity: Self.chunkBytes)) }
        }
        defer { used += count }
        return chunks[chunk] + used
    }
}
