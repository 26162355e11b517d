import Model

/// The journal's record of one `append`: items one behind another, each with a byte that says what it is.
///
/// - 1, a layout: its length as a varint, its bytes.
/// - 2, a batch: layout hash (8 bytes), timestamp (8), flags (1: dense, 2: statuses, 4: source times, 8: blob), row
///   count as a varint; dense: the slots, each cut to its type's width; else tag indexes (4 bytes each) and slots (8
///   each); statuses (4 each); source times (8 each); blob length as a varint and the blob.
enum IntakeRecord {
    private static let layout: UInt8 = 1
    private static let batch: UInt8 = 2

    static func put(_ layout: Layout, into sink: ByteSink) {
        let bytes = layout.encoded()
        sink.put(Self.layout)
        sink.putVarint(UInt64(bytes.count))
        bytes.withUnsafeBytes { sink.put($0) }
    }

    static func put(_ batch: SampleBatch, _ layout: Layout, into sink: ByteSink) {
        let isDense = batch.tagIndexes == nil && batch.count == layout.descriptor.tags.count
        sink.reserve(64 + batch.count * 28 + batch.blob.count)
        sink.put(Self.batch)
        sink.put(layout.hash, bytes: 8)
        sink.put(UInt64(bitPattern: batch.timestamp.nanoseconds), bytes: 8)
        sink.put(
            (isDense ? 1 : 0) | (batch.statuses == nil ? 0 : 2) | (batch.sourceTimes == nil ? 0 : 4)
                | (batch.blob.isEmpty ? 0 : 8))
        sink.putVarint(UInt64(batch.count))
        if isDense {
            putDense(batch.slots, layout.runs, into: sink)
        } else {
            for row in 0..<batch.count { sink.put(UInt64(batch.tagIndex(row)), bytes: 4) }
            batch.slots.withUnsafeBytes { sink.put($0) }
        }
        batch.statuses?.withUnsafeBytes { sink.put($0) }
        batch.sourceTimes?.withUnsafeBytes { sink.put($0) }
        if !batch.blob.isEmpty {
            sink.putVarint(UInt64(batch.blob.count))
            batch.blob.withUnsafeBytes { sink.put($0) }
        }
    }

    /// Room for all slots has been reserved.
    private static func putDense(_ slots: [UInt64], _ runs: [Layout.WidthRun], into sink: ByteSink) {
        slots.withUnsafeBufferPointer { slots in
            var row = 0
            for run in runs {
                let target = UnsafeMutableRawPointer(sink.base + sink.count)
                switch run.width {
                case 1:
                    for index in 0..<run.count {
                        target.storeBytes(
                            of: UInt8(truncatingIfNeeded: slots[row + index]), toByteOffset: index, as: UInt8.self)
                    }
                case 2:
                    for index in 0..<run.count {
                        target.storeBytes(
                            of: UInt16(truncatingIfNeeded: slots[row + index]).littleEndian, toByteOffset: 2 * index,
                            as: UInt16.self)
                    }
                case 4:
                    for index in 0..<run.count {
                        target.storeBytes(
                            of: UInt32(truncatingIfNeeded: slots[row + index]).littleEndian, toByteOffset: 4 * index,
                            as: UInt32.self)
                    }
                default:
                    for index in 0..<run.count {
                        target.storeBytes(of: slots[row + index].littleEndian, toByteOffset: 8 * index, as: UInt64.self)
                    }
                }
                row += run.count
                sink.count += run.count * run.width
            }
        }
    }

    /// Reads a record back. `layout` finds those that the record does not carry; a batch without layout is an error.
    static func read(
        _ bytes: UnsafeRawBufferPointer, layout find: (UInt64) throws(ChunkDamage) -> Layout,
        onLayout: (Layout) -> Void, onBatch: (SampleBatch, Layout) -> Void
    ) throws(ChunkDamage) {
        var source = ByteSource(bytes)
        while !source.isAtEnd {
            switch try source.byte() {
            case Self.layout:
                let count = try source.varint()
                guard count <= UInt64(bytes.count), let layout = Layout(try source.take(Int(count))) else {
                    throw ChunkDamage()
                }
                onLayout(layout)
            case Self.batch:
                let layout = try find(try source.fixed(8))
                onBatch(try readBatch(&source, layout), layout)
            default: throw ChunkDamage()
            }
        }
    }

    private static func readBatch(_ source: inout ByteSource, _ layout: Layout) throws(ChunkDamage) -> SampleBatch {
        let time = Timestamp(nanoseconds: Int64(bitPattern: try source.fixed(8)))
        let flags = try source.byte()
        let count = Int(truncatingIfNeeded: try source.varint())
        let isDense = flags & 1 != 0
        guard count >= 0, count <= source.bytes.count, !isDense || count == layout.descriptor.tags.count else {
            throw ChunkDamage()
        }
        var tags: [Int] = []
        var slots: [UInt64] = []
        slots.reserveCapacity(count)
        if isDense {
            for run in layout.runs {
                for _ in 0..<run.count {
                    let raw = try source.fixed(run.width)
                    let shift = UInt64(64 - 8 * run.width)
                    slots.append(
                        run.isSigned ? UInt64(bitPattern: Int64(bitPattern: raw << shift) >> Int64(shift)) : raw)
                }
            }
        } else {
            for _ in 0..<count { tags.append(Int(try source.fixed(4))) }
            for _ in 0..<count { slots.append(try source.fixed(8)) }
            guard tags.allSatisfy({ $0 < layout.descriptor.tags.count }) else { throw ChunkDamage() }
        }
        var statuses: [UInt32]?
        if flags & 2 != 0 {
            statuses = []
            for _ in 0..<count { statuses?.append(UInt32(truncatingIfNeeded: try source.fixed(4))) }
        }
        var times: [Int64]?
        if flags & 4 != 0 {
            times = []
            for _ in 0..<count { times?.append(Int64(bitPattern: try source.fixed(8))) }
        }
        var blob = UnsafeRawBufferPointer(start: nil, count: 0)
        if flags & 8 != 0 {
            let length = try source.varint()
            guard length <= UInt64(source.bytes.count) else { throw ChunkDamage() }
            blob = try source.take(Int(length))
        }
        return try build(layout.descriptor, time, isDense ? nil : tags, slots, statuses, times, blob)
    }

    private static func build(
        _ descriptor: BatchDescriptor, _ time: Timestamp, _ tags: [Int]?, _ slots: [UInt64], _ statuses: [UInt32]?,
        _ times: [Int64]?, _ blob: UnsafeRawBufferPointer
    ) throws(ChunkDamage) -> SampleBatch {
        let builder =
            tags == nil
            ? SampleBatchBuilder(dense: descriptor, timestamp: time)
            : SampleBatchBuilder(sparse: descriptor, timestamp: time, capacity: slots.count)
        for row in slots.indices {
            let tag = tags?[row] ?? row
            let quality = Quality(rawValue: statuses?[row] ?? 0)
            if descriptor.tags[tag].type.isInline {
                builder.set(tag: tag, slot: slots[row], quality: quality)
            } else {
                let offset = Int(slots[row] >> 32)
                let length = Int(slots[row] & 0xFFFF_FFFF)
                guard offset + length <= blob.count || length == 0 else { throw ChunkDamage() }
                builder.set(
                    tag: tag, bytes: length == 0 ? blob[0..<0] : blob[offset..<offset + length], quality: quality)
            }
            if let times { builder.setSourceTime(tag: tag, Timestamp(nanoseconds: times[row])) }
        }
        return builder.finish()
    }
}
