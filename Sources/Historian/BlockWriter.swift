import Model

/// The entries that a chunk of strings, bytes or arrays has so far.
final class BlobDictionary {
    private var numbers: [[UInt8]: Int32] = [:]
    private(set) var bytes = 0

    /// The entry's number, and whether it is new.
    func number(of entry: [UInt8]) -> (Int32, isNew: Bool) {
        if let number = numbers[entry] { return (number, false) }
        let number = Int32(numbers.count)
        numbers[entry] = number
        bytes += entry.count
        return (number, true)
    }
}

/// Points of one series on their way into a block; columns are the caller's.
struct PointColumns {
    var times: UnsafePointer<Int64>
    var slots: UnsafePointer<UInt64>
    /// Nil: all good.
    var statuses: UnsafePointer<UInt32>?
    var count: Int

    func dropFirst(_ skip: Int, count: Int) -> PointColumns {
        PointColumns(times: times + skip, slots: slots + skip, statuses: statuses.map { $0 + skip }, count: count)
    }
}

/// Codes blocks. One per shard: its scratch space is reused. Reads strings through `blob`.
final class BlockWriter {
    let sink = ByteSink()
    private let integers = UnsafeMutablePointer<Int64>.allocate(capacity: BlockFormat.pointsMax)
    private let values = UnsafeMutablePointer<UInt64>.allocate(capacity: BlockFormat.pointsMax)
    private var exceptions: [(index: UInt8, bits: UInt64)] = []
    private let trial = ByteSink()

    deinit {
        integers.deallocate()
        values.deallocate()
    }

    /// Appends a block of at most `BlockFormat.pointsMax` points to `sink`. Times must not decrease. `blob` gives the
    /// bytes of a row of a variable-length type.
    func put(
        _ points: PointColumns, type: ValueType, state: inout BlockState, dictionary: BlobDictionary?,
        blob: (Int) -> [UInt8]
    ) {
        let first = sink.count
        sink.reserve(32 + points.count * 24)
        sink.put(UInt8(points.count - 1))
        sink.put(0)
        var flags = putTimes(points, &state)
        var valueCount = points.count
        var isSparse = false
        if let statuses = points.statuses, Self.anyNotGood(statuses, points.count) {
            flags |= 1 << 4
            putQualities(statuses, points.count)
            isSparse = badRowsAreEmpty(points, statuses, isInline: type.isInline)
            if isSparse { sink.base[first] |= 0x80 }
        }
        if let dictionary, !type.isInline {
            flags |= putBlobs(points, isSparse: isSparse, &state, dictionary, blob) << 5
        } else {
            valueCount = gather(points, isSparse: isSparse)
            flags |= putNumbers(valueCount, type.scalar, &state) << 5
        }
        sink.base[first + 1] = flags
    }

    private static func anyNotGood(_ statuses: UnsafePointer<UInt32>, _ count: Int) -> Bool {
        var any: UInt32 = 0
        for index in 0..<count { any |= statuses[index] }
        return any != 0
    }

    private func badRowsAreEmpty(_ points: PointColumns, _ statuses: UnsafePointer<UInt32>, isInline: Bool) -> Bool {
        // A variable-length slot has its length in the lower half.
        let mask: UInt64 = isInline ? .max : 0xFFFF_FFFF
        for index in 0..<points.count where statuses[index] >> 31 == 1 && points.slots[index] & mask != 0 {
            return false
        }
        return true
    }

    /// Copies the values that are to be coded.
    @inline(__always)
    private func gather(_ points: PointColumns, isSparse: Bool) -> Int {
        guard isSparse, let statuses = points.statuses else {
            values.update(from: points.slots, count: points.count)
            return points.count
        }
        var count = 0
        for index in 0..<points.count where statuses[index] >> 31 == 0 {
            values[count] = points.slots[index]
            count += 1
        }
        return count
    }

    // MARK: Times

    private func putTimes(_ points: PointColumns, _ state: inout BlockState) -> UInt8 {
        let times = points.times
        let count = points.count
        let distance = times[0] &- state.time
        var least = Int64.max
        var greatest = Int64.min
        var interval = distance
        for index in 1..<max(count, 1) {
            interval = times[index] &- times[index - 1]
            least = min(least, interval)
            greatest = max(greatest, interval)
        }
        defer {
            state.time = times[count - 1]
            state.interval = interval
        }
        if distance == state.interval, count == 1 || (least == distance && greatest == distance) {
            return TimeMode.steady
        }
        if count == 1 || least == greatest {
            let unit = Self.unit(distance, count == 1 ? 0 : least)
            sink.putSigned(distance / BlockFormat.unit(unit))
            if count > 1 { sink.putSigned(least / BlockFormat.unit(unit)) }
            return TimeMode.regular | UInt8(unit) << 2
        }
        var unit = Self.unit(distance, least)
        var changes = 1
        for index in 1..<count {
            let interval = times[index] &- times[index - 1]
            while interval % BlockFormat.unit(unit) != 0 { unit -= 1 }
            if index > 1, interval != times[index - 1] &- times[index - 2] { changes += 1 }
        }
        let scale = BlockFormat.unit(unit)
        sink.putSigned(distance / scale)
        let width = bitWidth(UInt64(bitPattern: greatest / scale &- least / scale))
        let packedBytes = varintBytes(zigzag(least / scale)) + 1 + ((count - 1) * width + 7) / 8
        if changes * (varintBytes(zigzag(greatest / scale)) + 1) < packedBytes {
            var index = 1
            while index < count {
                let interval = times[index] &- times[index - 1]
                var length = 1
                while index + length < count, times[index + length] &- times[index + length - 1] == interval {
                    length += 1
                }
                sink.putSigned(interval / scale)
                sink.putVarint(UInt64(length - 1))
                index += length
            }
            return TimeMode.runs | UInt8(unit) << 2
        }
        sink.putSigned(least / scale)
        sink.put(UInt8(width))
        for index in 1..<count {
            let interval = (times[index] &- times[index - 1]) / scale
            sink.putBits(UInt64(bitPattern: interval &- least / scale), width)
        }
        sink.flushBits()
        return TimeMode.packed | UInt8(unit) << 2
    }

    /// The greatest unit that divides both.
    private static func unit(_ a: Int64, _ b: Int64) -> Int {
        var unit = 3
        while unit > 0, a % BlockFormat.unit(unit) != 0 || b % BlockFormat.unit(unit) != 0 { unit -= 1 }
        return unit
    }

    // MARK: Qualities

    private func putQualities(_ statuses: UnsafePointer<UInt32>, _ count: Int) {
        var index = 0
        while index < count {
            var length = 1
            while index + length < count, statuses[index + length] == statuses[index] { length += 1 }
            sink.putVarint(UInt64(statuses[index]))
            sink.putVarint(UInt64(length - 1))
            index += length
        }
    }

    // MARK: Values

    private func putNumbers(_ count: Int, _ scalar: ScalarType, _ state: inout BlockState) -> UInt8 {
        if count == 0 { return ValueCoding.same }
        let last = state.slot
        var differs: UInt64 = 0
        for index in 0..<count { differs |= values[index] ^ last }
        if differs == 0 { return ValueCoding.same }
        defer { state.slot = values[count - 1] }
        switch scalar {
        case .float32, .float64: return putFloats(count, isDouble: scalar == .float64, &state)
        default:
            for index in 0..<count { integers[index] = Int64(bitPattern: values[index]) }
            Self.putIntegers(integers, count, previous: Int64(bitPattern: last), into: sink)
            return ValueCoding.integers
        }
    }

    private func putFloats(_ count: Int, isDouble: Bool, _ state: inout BlockState) -> UInt8 {
        let width = isDouble ? 8 : 4
        trial.count = 0
        let exponent = findExponent(count, isDouble: isDouble, state)
        if let exponent {
            let previous = exponent == Int(state.exponent) ? state.decimal : 0
            trial.put(UInt8(exponent) | (exceptions.isEmpty ? 0 : 0x80))
            if !exceptions.isEmpty {
                trial.putVarint(UInt64(exceptions.count))
                for exception in exceptions {
                    trial.put(exception.index)
                    trial.put(exception.bits, bytes: width)
                }
                fillExceptions(previous)
            }
            Self.putIntegers(integers, count, previous: previous, into: trial)
            // Numbers of few digits always end here; long ones are worth a second look.
            if trial.count * 2 <= count * width {
                accept(exponent, count, &state)
                return ValueCoding.decimals
            }
        }
        let decimalBytes = exponent == nil ? Int.max : trial.count
        let mark = sink.count
        putXOR(count, bits: width * 8, last: state.slot)
        let xorBytes = sink.count - mark
        if decimalBytes <= min(xorBytes, count * width), let exponent {
            sink.count = mark
            accept(exponent, count, &state)
            return ValueCoding.decimals
        }
        state.isNoisy = exponent == nil
        if xorBytes < count * width { return ValueCoding.xor }
        sink.count = mark
        for index in 0..<count { sink.put(values[index], bytes: width) }
        return ValueCoding.raw
    }

    private func accept(_ exponent: Int, _ count: Int, _ state: inout BlockState) {
        sink.put(trial.bytes)
        state.exponent = Int8(exponent)
        state.decimal = integers[count - 1]
        state.isNoisy = false
    }

    /// Exceptions take the integer before them, so that they cost nothing among the differences.
    private func fillExceptions(_ previous: Int64) {
        for exception in exceptions {
            let index = Int(exception.index)
            integers[index] = index == 0 ? previous : integers[index - 1]
        }
    }

    /// The least number of digits behind the point with which (nearly) all values are exact; fills `integers` and
    /// `exceptions`. The exponent of the block before is tried first.
    private func findExponent(_ count: Int, isDouble: Bool, _ state: BlockState) -> Int? {
        if !state.isNoisy, scale(count, exponent: Int(state.exponent), isDouble: isDouble, exceptionsMax: 0) {
            return Int(state.exponent)
        }
        let sample = min(count, 8)
        for exponent in 0...(isDouble ? 12 : 7) {
            guard scale(sample, exponent: exponent, isDouble: isDouble, exceptionsMax: sample / 4),
                scale(count, exponent: exponent, isDouble: isDouble, exceptionsMax: count / 8)
            else { continue }
            return exponent
        }
        return nil
    }

    @inline(__always)
    private func scale(_ count: Int, exponent: Int, isDouble: Bool, exceptionsMax: Int) -> Bool {
        exceptions.removeAll(keepingCapacity: true)
        let power = powersOf10[exponent]
        for index in 0..<count {
            let bits = values[index]
            let value =
                isDouble ? Double(bitPattern: bits) : Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
            let scaled = (value * power).rounded(.toNearestOrEven)
            if scaled.magnitude < 9e15 {
                let integer = Int64(scaled)
                let back = Double(integer) / power
                let backBits = isDouble ? back.bitPattern : UInt64(Float(back).bitPattern)
                if backBits == bits {
                    integers[index] = integer
                    continue
                }
            }
            if exceptions.count >= exceptionsMax { return false }
            exceptions.append((UInt8(index), bits))
        }
        return true
    }

    private func putXOR(_ count: Int, bits: Int, last: UInt64) {
        let lengthBits = bits == 64 ? 6 : 5
        var previous = last
        var leading = -1
        var length = 0
        for index in 0..<count {
            let difference = values[index] ^ previous
            previous = values[index]
            if difference == 0 {
                sink.putBits(0, 1)
                continue
            }
            let zeros = difference.leadingZeroBitCount - (64 - bits)
            let trailing = difference.trailingZeroBitCount
            let own = bits - zeros - trailing
            if leading >= 0, zeros >= leading, trailing >= bits - leading - length, length - own < lengthBits * 2 {
                sink.putBits(0b01, 2)
                sink.putBits(difference >> UInt64(bits - leading - length), length)
            } else {
                leading = zeros
                length = own
                sink.putBits(0b11, 2)
                sink.putBits(UInt64(leading), lengthBits)
                sink.putBits(UInt64(length - 1), lengthBits)
                sink.putBits(difference >> UInt64(trailing), length)
            }
        }
        sink.flushBits()
    }

    static func putIntegers(_ integers: UnsafePointer<Int64>, _ count: Int, previous: Int64, into sink: ByteSink) {
        var leastValue = integers[0]
        var greatestValue = integers[0]
        var leastStep = Int64.max
        var greatestStep = Int64.min
        var changes = 1
        for index in 1..<max(count, 1) {
            let value = integers[index]
            let step = value &- integers[index - 1]
            leastValue = min(leastValue, value)
            greatestValue = max(greatestValue, value)
            leastStep = min(leastStep, step)
            greatestStep = max(greatestStep, step)
            if step != 0 { changes += 1 }
        }
        let first = integers[0] &- previous
        // Steps may wrap around; the reader wraps back.
        let stepWidth = count > 1 ? bitWidth(UInt64(bitPattern: greatestStep &- leastStep)) : 0
        let valueWidth = bitWidth(UInt64(bitPattern: greatestValue &- leastValue))
        let stepBytes =
            varintBytes(zigzag(first)) + (count > 1 ? varintBytes(zigzag(leastStep)) : 0)
            + ((count - 1) * stepWidth + 7) / 8
        let valueBytes = varintBytes(zigzag(leastValue &- previous)) + (count * valueWidth + 7) / 8
        if changes * 2 < min(stepBytes, valueBytes) {
            let mark = sink.count
            sink.put(IntegerCoding.runs)
            var index = 0
            var last = previous
            while index < count {
                var length = 1
                while index + length < count, integers[index + length] == integers[index] { length += 1 }
                sink.putSigned(integers[index] &- last)
                sink.putVarint(UInt64(length - 1))
                last = integers[index]
                index += length
            }
            if sink.count - mark - 1 <= min(stepBytes, valueBytes) { return }
            sink.count = mark
        }
        if stepBytes < valueBytes {
            sink.put(UInt8(stepWidth))
            sink.putSigned(first)
            if count > 1 { sink.putSigned(leastStep) }
            for index in 1..<max(count, 1) {
                sink.putBits(UInt64(bitPattern: integers[index] &- integers[index - 1] &- leastStep), stepWidth)
            }
        } else {
            sink.put(IntegerCoding.values + UInt8(valueWidth))
            sink.putSigned(leastValue &- previous)
            for index in 0..<count { sink.putBits(UInt64(bitPattern: integers[index] &- leastValue), valueWidth) }
        }
        sink.flushBits()
    }

    // MARK: Variable length

    private func putBlobs(
        _ points: PointColumns, isSparse: Bool, _ state: inout BlockState, _ dictionary: BlobDictionary,
        _ blob: (Int) -> [UInt8]
    ) -> UInt8 {
        var fresh: [[UInt8]] = []
        var count = 0
        var isSame = true
        for index in 0..<points.count {
            if isSparse, let statuses = points.statuses, statuses[index] >> 31 == 1 { continue }
            let bytes = blob(index)
            let (number, isNew) = dictionary.number(of: bytes)
            if isNew { fresh.append(bytes) }
            integers[count] = Int64(number)
            isSame = isSame && Int64(number) == state.entry && !isNew
            count += 1
        }
        if count == 0 || (isSame && state.entries > 0) { return ValueCoding.same }
        sink.putVarint(UInt64(fresh.count))
        for bytes in fresh {
            sink.putVarint(UInt64(bytes.count))
            bytes.withUnsafeBytes { sink.put($0) }
        }
        Self.putIntegers(integers, count, previous: state.entry, into: sink)
        state.entries += Int32(fresh.count)
        state.entry = integers[count - 1]
        return ValueCoding.dictionary
    }
}
