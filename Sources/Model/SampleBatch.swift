/// What is the same for every batch of a group: made once when the group is configured, then only referred to.
package final class BatchDescriptor: Sendable {
    package let device: String
    /// The device's uid, which survives renaming.
    package let deviceUID: String
    package let group: String
    package let tags: [Tag]
    /// One for each tag, in the same order.
    package let series: [SeriesID]
    /// Counts the versions of the group; a batch of an older one is still complete in itself.
    package let revision: UInt32
    /// Names of the native codes that the batch's qualities carry.
    package let statusDomain: StatusDomain
    /// Whether the historian keeps these samples.
    package let isRecorded: Bool
    private let indexes: [String: Int]

    package init(
        device: String, deviceUID: String, group: String, tags: [Tag], revision: UInt32 = 0,
        statusDomain: StatusDomain = .none, isRecorded: Bool = true
    ) {
        self.device = device
        self.deviceUID = deviceUID
        self.group = group
        self.tags = tags
        self.revision = revision
        self.statusDomain = statusDomain
        self.isRecorded = isRecorded
        series = tags.map { SeriesID(device: deviceUID, group: group, tag: $0.name) }
        indexes = Dictionary(
            tags.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }

    /// Where the tag stands in `tags`.
    package func index(of tag: String) -> Int? { indexes[tag] }
}

/// Samples of one group, from one cycle of a driver or one emission of a rule. Immutable.
///
/// A row has a tag, a status, an optional source time and an 8-byte slot:
/// - integers: sign- or zero-extended to 64 bits; bool: 0 or 1; float32: its bits in the lower half; float64: its
///   bits; timestamp: nanoseconds as Int64;
/// - string (UTF-8), bytes and arrays: offset in `blob` in the upper half, length in bytes in the lower; an array's
///   elements lie there as 8-byte slots, little-endian.
/// A bad row's slot is 0 (for variable-length types: empty), unless a last usable value stands in for it.
package final class SampleBatch: Sendable {
    package let descriptor: BatchDescriptor
    /// The start of the cycle.
    package let timestamp: Timestamp
    package let slots: [UInt64]
    /// Index of each row's tag in the descriptor; nil: row i is tag i, for all tags.
    package let tagIndexes: [UInt32]?
    /// Nil: all good.
    package let statuses: [UInt32]?
    /// Nil: every row has the batch's timestamp.
    package let sourceTimes: [Int64]?
    package let blob: [UInt8]

    fileprivate init(
        descriptor: BatchDescriptor, timestamp: Timestamp, slots: [UInt64], tagIndexes: [UInt32]?,
        statuses: [UInt32]?, sourceTimes: [Int64]?, blob: [UInt8]
    ) {
        self.descriptor = descriptor
        self.timestamp = timestamp
        self.slots = slots
        self.tagIndexes = tagIndexes
        self.statuses = statuses
        self.sourceTimes = sourceTimes
        self.blob = blob
    }

    @inlinable package var count: Int { slots.count }

    @inlinable
    package func tagIndex(_ row: Int) -> Int {
        guard let tagIndexes else { return row }
        return Int(tagIndexes[row])
    }

    @inlinable
    package func quality(_ row: Int) -> Quality {
        guard let statuses else { return .good }
        return Quality(rawValue: statuses[row])
    }

    @inlinable
    package func time(_ row: Int) -> Timestamp {
        guard let sourceTimes else { return timestamp }
        return Timestamp(nanoseconds: sourceTimes[row])
    }

    /// The row of a tag in a batch where a tag stands at most once; with several, the last one.
    package func row(ofTag tag: Int) -> Int? {
        guard let tagIndexes else { return tag < slots.count ? tag : nil }
        return tagIndexes.lastIndex(of: UInt32(truncatingIfNeeded: tag))
    }

    /// The bytes of a variable-length row: a string's UTF-8, bytes, or an array's slots.
    @inlinable
    package func blobBytes(_ row: Int) -> ArraySlice<UInt8> {
        let offset = Int(slots[row] >> 32)
        return blob[offset..<offset + Int(slots[row] & 0xFFFF_FFFF)]
    }

    /// The row as a value, whatever its quality; for what is not on the hot path.
    package func value(_ row: Int) -> Value {
        let type = descriptor.tags[tagIndex(row)].type
        if type.isArray {
            let bytes = blobBytes(row)
            return .array(
                stride(from: bytes.startIndex, to: bytes.endIndex - 7, by: 8).map { start in
                    var slot: UInt64 = 0
                    for index in 0..<8 { slot |= UInt64(bytes[start + index]) << (8 * UInt64(index)) }
                    return Value(slot: slot, type: type.scalar)
                })
        }
        switch type.scalar {
        case .string: return .string(String(decoding: blobBytes(row), as: UTF8.self))
        case .bytes: return .bytes(Array(blobBytes(row)))
        default: return Value(slot: slots[row], type: type.scalar)
        }
    }
}

extension Value {
    /// Reads a slot of an inline type; string and bytes have no slot of their own and give an empty value.
    package init(slot: UInt64, type: ScalarType) {
        switch type {
        case .bool: self = .bool(slot != 0)
        case .int8, .int16, .int32, .int64: self = .int(Int64(bitPattern: slot))
        case .uint8, .uint16, .uint32, .uint64: self = .uint(slot)
        case .float32: self = .float32(Float(bitPattern: UInt32(truncatingIfNeeded: slot)))
        case .float64: self = .float64(Double(bitPattern: slot))
        case .timestamp: self = .timestamp(Timestamp(nanoseconds: Int64(bitPattern: slot)))
        case .string: self = .string("")
        case .bytes: self = .bytes([])
        }
    }

    /// The slot of an inline value that already has the type it is stored as; nil for variable-length values.
    package var slot: UInt64? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): UInt64(bitPattern: value)
        case .uint(let value): value
        case .float32(let value): UInt64(value.bitPattern)
        case .float64(let value): value.bitPattern
        case .timestamp(let value): UInt64(bitPattern: value.nanoseconds)
        case .string, .bytes, .array: nil
        }
    }
}

/// Gathers the rows of a batch. Belongs to one task or event loop; `finish` hands the columns over without a copy.
///
/// A dense builder has one row per tag from the start, each `missing` until set, in any order (what a poll cycle
/// wants); a sparse one appends rows (changes, subscriptions, several samples of a tag).
package final class SampleBatchBuilder {
    package let descriptor: BatchDescriptor
    package var timestamp: Timestamp
    @usableFromInline let isDense: Bool
    @usableFromInline var slots: [UInt64]
    @usableFromInline var tagIndexes: [UInt32]
    @usableFromInline var statuses: [UInt32]
    @usableFromInline var sourceTimes: [Int64] = []
    @usableFromInline var blob: [UInt8] = []

    /// `missing` is the quality of dense rows that nobody sets.
    package init(dense descriptor: BatchDescriptor, timestamp: Timestamp, missing: Quality = .badWaitingForInitialData)
    {
        self.descriptor = descriptor
        self.timestamp = timestamp
        isDense = true
        slots = [UInt64](repeating: 0, count: descriptor.tags.count)
        statuses = [UInt32](repeating: missing.rawValue, count: descriptor.tags.count)
        tagIndexes = []
    }

    package init(sparse descriptor: BatchDescriptor, timestamp: Timestamp, capacity: Int = 16) {
        self.descriptor = descriptor
        self.timestamp = timestamp
        isDense = false
        slots = []
        statuses = []
        tagIndexes = []
        slots.reserveCapacity(capacity)
        statuses.reserveCapacity(capacity)
        tagIndexes.reserveCapacity(capacity)
    }

    package var count: Int { slots.count }

    /// Sets an inline value: the row of the tag in a dense batch, a new row in a sparse one.
    @inlinable
    package func set(tag: Int, slot: UInt64, quality: Quality = .good) {
        if isDense {
            slots[tag] = slot
            statuses[tag] = quality.rawValue
        } else {
            tagIndexes.append(UInt32(truncatingIfNeeded: tag))
            slots.append(slot)
            statuses.append(quality.rawValue)
            if !sourceTimes.isEmpty { sourceTimes.append(timestamp.nanoseconds) }
        }
    }

    /// Sets a variable-length value: UTF-8, bytes, or an array's little-endian slots.
    package func set(tag: Int, bytes: some Collection<UInt8>, quality: Quality = .good) {
        let offset = UInt64(blob.count)
        blob.append(contentsOf: bytes)
        set(tag: tag, slot: offset << 32 | (UInt64(blob.count) - offset), quality: quality)
    }

    /// Sets a value that already has the tag's type.
    package func set(tag: Int, value: Value, quality: Quality = .good) {
        switch value {
        case .string(let text): set(tag: tag, bytes: text.utf8, quality: quality)
        case .bytes(let bytes): set(tag: tag, bytes: bytes, quality: quality)
        case .array(let values):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(values.count * 8)
            for value in values {
                let slot = value.slot ?? 0
                for shift in stride(from: UInt64(0), to: 64, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: slot >> shift))
                }
            }
            set(tag: tag, bytes: bytes, quality: quality)
        default: set(tag: tag, slot: value.slot ?? 0, quality: quality)
        }
    }

    /// A row without a value.
    @inlinable
    package func fail(tag: Int, _ quality: Quality) { set(tag: tag, slot: 0, quality: quality) }

    /// The source time of the row that was set last (sparse), or of the tag's row (dense).
    package func setSourceTime(tag: Int, _ time: Timestamp) {
        if sourceTimes.isEmpty { sourceTimes = [Int64](repeating: timestamp.nanoseconds, count: slots.count) }
        if isDense {
            sourceTimes[tag] = time.nanoseconds
        } else if let last = sourceTimes.indices.last {
            sourceTimes[last] = time.nanoseconds
        }
    }

    /// The slot of a dense row, for scaling in place; and its quality.
    @inlinable package func slot(tag: Int) -> UInt64 { slots[tag] }
    @inlinable package func quality(tag: Int) -> Quality { Quality(rawValue: statuses[tag]) }

    /// Direct access to the columns of a dense batch, row = tag: the hot path of drivers and of scaling.
    @inlinable
    package func withDenseColumns<R>(
        _ body: (_ slots: UnsafeMutableBufferPointer<UInt64>, _ statuses: UnsafeMutableBufferPointer<UInt32>) -> R
    ) -> R {
        slots.withUnsafeMutableBufferPointer { slots in
            statuses.withUnsafeMutableBufferPointer { statuses in body(slots, statuses) }
        }
    }

    /// The batch. The builder is empty afterwards and must not be used again.
    package func finish() -> SampleBatch {
        let allGood = statuses.allSatisfy { $0 == 0 }
        defer {
            slots = []
            tagIndexes = []
            statuses = []
            sourceTimes = []
            blob = []
        }
        return SampleBatch(
            descriptor: descriptor, timestamp: timestamp, slots: slots, tagIndexes: isDense ? nil : tagIndexes,
            statuses: allGood ? nil : statuses, sourceTimes: sourceTimes.isEmpty ? nil : sourceTimes, blob: blob)
    }
}
