package import Model
import Wire

/// Turns the data of one read's answer into rows of a dense batch, for all tags that the read covers.
///
/// Made once when a group is planned. Tags that follow each other in the registers as in the batch, with one type
/// and order, become one run: a loop without a decision in it.
package struct ModbusDecoder: Sendable {
    fileprivate struct Run: Sendable {
        var field: ModbusField
        var firstTag: Int
        var count: Int
        /// Of the first element in the data: bytes, or bits in the bit areas.
        var position: Int
    }

    fileprivate var runs: [Run] = []
    /// The first register or bit of the read.
    package let start: Int
    /// Tags covered, in order.
    package private(set) var tags: [Int] = []

    /// `fields` are the tags of the group that the read covers, all of one unit and area; `start` is the read's first
    /// address.
    package init(start: Int, fields: [(tag: Int, field: ModbusField)]) {
        self.start = start
        for (tag, field) in fields.sorted(by: { $0.tag < $1.tag }) {
            tags.append(tag)
            let position = field.area.isBits ? field.start - start : (field.start - start) * 2
            if let last = runs.last, last.continues(with: field, tag: tag) {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(Run(field: field, firstTag: tag, count: 1, position: position))
            }
        }
    }

    /// Sets the rows of all tags from the data of the answer. Rows whose bytes are missing get `badDecoding`.
    package func decode(_ data: UnsafeRawBufferPointer, into builder: SampleBatchBuilder) {
        for run in runs {
            if run.count > 1, run.decode(data, into: builder) { continue }
            for index in 0..<run.count {
                run.element(index).decode(data, dataStart: start, tag: run.firstTag + index, into: builder)
            }
        }
    }

    /// Gives every tag the same bad quality.
    package func fail(_ quality: Quality, into builder: SampleBatchBuilder) {
        for tag in tags { builder.fail(tag: tag, quality) }
    }
}

extension ModbusDecoder.Run {
    /// Whether `field` is what comes after the run, in the registers and in the batch.
    func continues(with next: ModbusField, tag: Int) -> Bool {
        guard tag == firstTag + count, !field.type.isArray, next.type == field.type, next.order == field.order,
            next.start == field.start + count * field.span
        else { return false }
        switch (field.coding, next.coding) {
        case (.bit, .bit): return true
        case (.number(let scalar), .number): return (scalar.bitWidth ?? 0) >= 16
        default: return false
        }
    }

    /// The field of the run's tag number `index`.
    func element(_ index: Int) -> ModbusField { index == 0 ? field : field.moved(by: index * field.span) }

    /// The whole run in one loop; false if the data do not hold it.
    func decode(_ data: UnsafeRawBufferPointer, into builder: SampleBatchBuilder) -> Bool {
        let bytes = field.area.isBits ? (position + count + 7) / 8 : position + count * field.span * 2
        guard position >= 0, bytes <= data.count, let base = data.baseAddress else { return false }
        return builder.withDenseColumns { slots, statuses in
            guard firstTag >= 0, firstTag + count <= slots.count, slots.count == statuses.count,
                let slots = slots.baseAddress, let statuses = statuses.baseAddress
            else { return false }
            let target = slots + firstTag
            (statuses + firstTag).update(repeating: 0, count: count)
            if case .bit = field.coding {
                for index in 0..<count { target[index] = field.slot(base, position, index) }
                return true
            }
            decodeNumbers(base + position, into: target)
            return true
        }
    }

    private func decodeNumbers(_ base: UnsafeRawPointer, into target: UnsafeMutablePointer<UInt64>) {
        switch field.type.scalar {
        case .float32, .uint32: decode32(base, into: target, signed: false)
        case .int32: decode32(base, into: target, signed: true)
        case .int64, .uint64, .float64: decode64(base, into: target)
        case .int16:
            let order = field.order
            for index in 0..<count {
                target[index] = UInt64(bitPattern: Int64(Int16(bitPattern: order.load16(base, index &* 2))))
            }
        default:
            let order = field.order
            for index in 0..<count { target[index] = UInt64(order.load16(base, index &* 2)) }
        }
    }

    /// The order is decided outside of the loops, so that each is a load, a shuffle and a store.
    private func decode32(_ base: UnsafeRawPointer, into target: UnsafeMutablePointer<UInt64>, signed: Bool) {
        @inline(__always)
        func loop(_ order: RegisterOrder) {
            for index in 0..<count { target[index] = UInt64(order.load32(base, index &* 4)) }
        }
        switch field.order {
        case .natural: loop(.natural)
        case .swappedBytes: loop(.swappedBytes)
        case .swappedWords: loop(.swappedWords)
        default: loop([.swappedBytes, .swappedWords])
        }
        guard signed else { return }
        for index in 0..<count {
            target[index] = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: target[index])))
        }
    }

    private func decode64(_ base: UnsafeRawPointer, into target: UnsafeMutablePointer<UInt64>) {
        let order = field.order
        for index in 0..<count { target[index] = order.load64(base, index &* 8) }
    }
}

extension ModbusField {
    /// The same field `distance` registers or bits further on; the caller knows that it still fits.
    func moved(by distance: Int) -> ModbusField {
        var address = address
        address.offset = UInt16(truncatingIfNeeded: Int(address.offset) + distance)
        return ModbusField(address: address, like: self)
    }

    private init(address: ModbusAddress, like field: ModbusField) {
        self.address = address
        type = field.type
        coding = field.coding
        order = field.order
        elementCount = field.elementCount
        span = field.span
    }
}
