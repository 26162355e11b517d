import Model

/// The newest chunk of one series, growing block by block. Belongs to its `GroupHead`, which frees its bytes.
struct SeriesHead {
    static let sealBytes = 1000
    static let sealPoints = 4096

    /// The chunk's id; 0 while there is no chunk.
    var id: Int64 = 0
    var state = BlockState()
    var start: Int64 = 0
    /// The newest time of the series that this head has seen, also after its chunk was sealed.
    var lastTime = Int64.min
    var count: Int32 = 0
    /// Points in the version of this chunk that is in its file.
    var savedCount: Int32 = 0
    /// Intake position of the first point that is not in the file; `.max` if all are.
    var firstUnsaved = Int64.max
    var dictionary: BlobDictionary?
    private var base: UnsafeMutablePointer<UInt8>?
    private var size: Int32 = 0
    private var capacity: Int32 = 0

    var isEmpty: Bool { count == 0 }
    var byteCount: Int { Int(size) }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: Int(size)) }
    var mustSeal: Bool { Int(size) >= Self.sealBytes || Int(count) >= Self.sealPoints }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        let needed = Int(size) + more.count
        if needed > Int(capacity) {
            let larger = max((needed + 31) & ~31, Int(capacity) + Int(capacity) / 2)
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
            if let base {
                memory.update(from: base, count: Int(size))
                base.deallocate()
            }
            base = memory
            capacity = Int32(larger)
        }
        if let base, let source = more.baseAddress {
            UnsafeMutableRawPointer(base + Int(size)).copyMemory(from: source, byteCount: more.count)
        }
        size = Int32(needed)
    }

    /// Ready for the next chunk.
    mutating func reset() {
        free()
        id = 0
        state = BlockState()
        count = 0
        savedCount = 0
        firstUnsaved = .max
        dictionary = nil
    }

    mutating func free() {
        base?.deallocate()
        base = nil
        size = 0
        capacity = 0
    }
}

/// What a shard has in memory of one group: batches as they came, and the series' heads.
final class GroupHead {
    /// Rows are kept as they came until there are so many of each tag.
    static let rowsPerTag = 32
    static let rawBlobBytesMax = 1 << 20

    struct Entry {
        var position: Int64
        var batch: SampleBatch
    }

    var layout: Layout
    var heads: [SeriesHead]
    var raw: [Entry] = []
    private(set) var rawRows = 0
    private var rawBlobBytes = 0
    /// All batches have one row for each tag at the batch's time.
    private(set) var isUniform = true
    /// Behind the last position whose points are in the heads.
    var drainedUpTo: Int64 = 0

    init(_ layout: Layout) {
        self.layout = layout
        heads = [SeriesHead](repeating: SeriesHead(), count: layout.descriptor.tags.count)
        raw.reserveCapacity(Self.rowsPerTag)
    }

    deinit { for index in heads.indices { heads[index].free() } }

    /// True if it is time to drain.
    func add(_ batch: SampleBatch, position: Int64) -> Bool {
        raw.append(Entry(position: position, batch: batch))
        rawRows += batch.count
        rawBlobBytes += batch.blob.count
        if batch.tagIndexes != nil || batch.sourceTimes != nil || batch.count != heads.count { isUniform = false }
        return raw.count >= BlockFormat.pointsMax || rawRows >= Self.rowsPerTag * heads.count
            || rawBlobBytes > Self.rawBlobBytesMax
    }

    func removeRaw() {
        raw.removeAll(keepingCapacity: true)
        rawRows = 0
        rawBlobBytes = 0
        isUniform = true
    }

    /// The oldest intake position that is not on disk; `.max` if all is.
    var firstUnsaved: Int64 {
        var first = raw.first?.position ?? .max
        for head in heads where head.firstUnsaved < first { first = head.firstUnsaved }
        return first
    }
}

/// A chunk that grows no more and waits to be written.
struct SealedChunk {
    var row: ChunkRow
    var day: Day
    /// All points of the series and day before this intake position are in this chunk or earlier ones.
    var upTo: Int64
    var firstUnsaved: Int64
}

/// Points of one series and day that came after newer ones. They get chunks of their own.
struct LatePoints {
    static let countMax = 512

    var type: ValueType
    var points = PointBuffer()
    var firstUnsaved: Int64
}

struct LateKey: Hashable {
    var series: SeriesID
    var day: Day
}
