package import Model

/// value = raw x scale + offset, rounded to `precision` digits after the point.
package struct Scaling: Sendable, Hashable {
    package var scale: Double
    package var offset: Double
    package var precision: Int?

    package init(scale: Double, offset: Double = 0, precision: Int? = nil) {
        self.scale = scale
        self.offset = offset
        self.precision = precision
    }

    /// The type of the scaled value: integers become float64, floats stay what they are.
    package static func scaledType(of type: ValueType) -> ValueType {
        type.scalar.isInteger ? ValueType(.float64) : type
    }

    /// Where 1 / scale is whole, dividing by it gives the decimal that people expect: 234 / 10 is 23.4, while
    /// 234 x 0.1 is 23.400000000000002.
    private var divisor: Double? {
        let inverse = (1 / scale).rounded()
        return abs(scale) < 1 && abs(inverse) < 1e15 && 1 / inverse == scale ? inverse : nil
    }

    package func apply(_ raw: Double) -> Double { prepared.apply(raw) }

    /// The raw number that gives `value`; not rounded.
    package func invert(_ value: Double) -> Double {
        if let divisor { return (value - offset) * divisor }
        return (value - offset) / scale
    }

    fileprivate var prepared: PreparedScaling {
        var power: Double?
        if let precision {
            var ten = 1.0
            for _ in 0..<min(max(precision, 0), 15) { ten *= 10 }
            power = ten
        }
        return PreparedScaling(scale: scale, divisor: divisor, offset: offset, power: power)
    }
}

private struct PreparedScaling {
    var scale: Double
    var divisor: Double?
    var offset: Double
    var power: Double?

    @inline(__always)
    func apply(_ raw: Double) -> Double {
        let scaled = divisor.map { raw / $0 } ?? raw * scale
        let value = scaled + offset
        guard let power else { return value }
        let shifted = value * power
        return abs(shifted) < 0x1p53 ? shifted.rounded() / power : value
    }
}

/// Scales the tags of a group in place, in the columns of a batch.
struct GroupScaler {
    private struct Entry {
        var tag: Int
        var type: ScalarType
        var scaling: PreparedScaling
    }

    private var entries: [Entry] = []

    init(_ tags: [TagConfiguration]) {
        for (index, tag) in tags.enumerated() {
            guard let scaling = tag.scaling else { continue }
            entries.append(Entry(tag: index, type: tag.type.scalar, scaling: scaling.prepared))
        }
    }

    var isEmpty: Bool { entries.isEmpty }

    /// Bad rows are left alone.
    func apply(to builder: SampleBatchBuilder) {
        guard !entries.isEmpty else { return }
        builder.withDenseColumns { slots, statuses in
            for entry in entries where statuses[entry.tag] >> 31 == 0 {
                slots[entry.tag] = Self.scale(slots[entry.tag], entry)
            }
        }
    }

    /// The same for rows that came by themselves.
    func apply(to batch: SampleBatch) -> SampleBatch {
        guard !entries.isEmpty else { return batch }
        let byTag = Dictionary(uniqueKeysWithValues: entries.map { ($0.tag, $0) })
        let builder = SampleBatchBuilder(sparse: batch.descriptor, timestamp: batch.timestamp, capacity: batch.count)
        for row in 0..<batch.count {
            let tag = batch.tagIndex(row)
            if let entry = byTag[tag], !batch.quality(row).isBad {
                builder.set(tag: tag, slot: Self.scale(batch.slots[row], entry), quality: batch.quality(row))
            } else {
                builder.copy(batch, row: row)
            }
            if batch.sourceTimes != nil { builder.setSourceTime(tag: tag, batch.time(row)) }
        }
        return builder.finish()
    }

    @inline(__always)
    private static func scale(_ slot: UInt64, _ entry: Entry) -> UInt64 {
        switch entry.type {
        case .float32:
            let raw = Double(Float(bitPattern: UInt32(truncatingIfNeeded: slot)))
            return UInt64(Float(entry.scaling.apply(raw)).bitPattern)
        case .float64: return entry.scaling.apply(Double(bitPattern: slot)).bitPattern
        case .int8, .int16, .int32, .int64:
            return entry.scaling.apply(Double(Int64(bitPattern: slot))).bitPattern
        default: return entry.scaling.apply(Double(slot)).bitPattern
        }
    }
}

extension SampleBatchBuilder {
    /// Appends or sets a row with value and quality of another batch of the same descriptor.
    func copy(_ batch: SampleBatch, row: Int) {
        let tag = batch.tagIndex(row)
        if batch.descriptor.tags[tag].type.isInline {
            set(tag: tag, slot: batch.slots[row], quality: batch.quality(row))
        } else {
            set(tag: tag, bytes: batch.blobBytes(row), quality: batch.quality(row))
        }
    }
}
