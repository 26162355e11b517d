package import Model

/// Where the shards' blocks of records become durable: one for all shards. Called on the shards' event loops unless
/// said otherwise; never blocks there.
package protocol DurabilityStore: AnyObject, Sendable {
    /// `wake` is called, on any thread, when `durableNumber` of that shard has moved or `isRefusing` has changed. It is
    /// not called again before `durableNumber` of that shard has been asked.
    func attach(shard: Int, wake: @escaping @Sendable () -> Void)
    /// A number for the next block of any shard; grows, across restarts too.
    func nextBlockNumber() -> UInt64
    /// Takes a block. Blocks become durable in the order in which they were taken, whatever fails meanwhile.
    func append(_ block: Bytes, number: UInt64, shard: Int)
    /// The newest block of a shard that is durable, as are all blocks taken before it.
    func durableNumber(shard: Int) -> UInt64
    /// Nothing becomes durable at the moment, and too much waits already.
    var isRefusing: Bool { get }
    /// Why; nil while all is well.
    var problem: Problem? { get }

    /// Runs `work` on a thread of its own, one piece after the other: reading blocks that thread.
    func onWorker(_ work: @escaping @Sendable () -> Void)
    /// Gives all durable blocks to `body`, oldest first. On the worker thread, before anything is appended.
    func forEachBlock(_ body: (Bytes) -> Void) throws(Problem)
    /// The bytes from a place on, in the order of `places`: at least one record each, nil where it is gone. On the
    /// worker thread.
    func read(_ places: [RecordPlace]) throws(Problem) -> [Bytes?]
    /// Nothing before this block is needed any more.
    func release(before number: UInt64)
    /// A block that has about so many bytes before it; nil if there is none.
    func block(behind bytes: Int) -> UInt64?
    /// Size of what is kept, in bytes.
    var byteCount: Int { get }
}

/// Where a record stands: its block's number and its offset in the block, in bytes.
package struct RecordPlace: Hashable, Sendable, Comparable {
    /// Number in bits 24-63, offset in bits 0-23. 0: nowhere.
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package init(block: UInt64, offset: Int) { rawValue = block << 24 | UInt64(offset) & 0xFF_FFFF }

    package var block: UInt64 { rawValue >> 24 }
    package var offset: Int { Int(rawValue & 0xFF_FFFF) }
    package static let none = RecordPlace(rawValue: 0)
    package static func < (a: RecordPlace, b: RecordPlace) -> Bool { a.rawValue < b.rawValue }
}

/// The beginning of a block: version, shard, number, wall clock. All integers little-endian.
package struct BlockHeader: Sendable, Hashable {
    package static let byteCount = 20
    package static let version: UInt8 = 1

    package var shard: UInt16
    package var number: UInt64
    /// Nanoseconds since 1970.
    package var wall: Int64

    package init(shard: UInt16, number: UInt64, wall: Int64) {
        self.shard = shard
        self.number = number
        self.wall = wall
    }

    /// Nil if the bytes are not a block that this version knows.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount, bytes[0] == Self.version else { return nil }
        shard = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        number = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
        wall = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: Int64.self))
    }
}
