import Model

/// Decoded points, gathered from chunks.
struct PointBuffer: Sendable {
    var times: [Int64] = []
    var slots: [UInt64] = []
    /// As long as `times`, or empty while all are good.
    var statuses: [UInt32] = []
    var blob: [UInt8] = []

    var count: Int { times.count }

    mutating func markGood(upTo count: Int) {
        if !statuses.isEmpty, statuses.count < count {
            statuses.append(contentsOf: repeatElement(0, count: count - statuses.count))
        }
    }

    mutating func append(time: Int64, slot: UInt64, status: UInt32) {
        if status != 0, statuses.isEmpty { statuses = [UInt32](repeating: 0, count: times.count) }
        times.append(time)
        slots.append(slot)
        if status != 0 || !statuses.isEmpty { statuses.append(status) }
    }

    func status(_ row: Int) -> UInt32 { statuses.isEmpty ? 0 : statuses[row] }
}

/// Turns a chunk's bytes back into points. Accepts any bytes; damage is an error.
enum ChunkReader {
    /// The type of the values in the chunk, which may be older than the tag's present type.
    static func type(_ bytes: UnsafeRawBufferPointer) throws(ChunkDamage) -> ValueType {
        var source = ByteSource(bytes)
        return try BlockFormat.type(&source)
    }

    /// Appends all points of the chunk.
    static func read(_ bytes: UnsafeRawBufferPointer, into points: inout PointBuffer) throws(ChunkDamage) {
        var source = ByteSource(bytes)
        let type = try BlockFormat.type(&source)
        var state = BlockState()
        var entries: [UInt64] = []
        while !source.isAtEnd { try readBlock(&source, type, &state, &entries, &points) }
        points.markGood(upTo: points.count)
    }

    private static func readBlock(
        _ source: inout ByteSource, _ type: ValueType, _ state: inout BlockState, _ entries: inout [UInt64],
        _ points: inout PointBuffer
    ) throws(ChunkDamage) {
        let head = try source.byte()
        let flags = try source.byte()
        let count = Int(head & 0x7F) + 1
        let start = points.times.count
        try readTimes(&source, flags, count, &state, &points.times)
        if flags & 0x10 != 0 {
            try readQualities(&source, count, start, &points)
        } else {
            points.markGood(upTo: start + count)
        }
        var valueCount = count
        let isSparse = head & 0x80 != 0
        if isSparse, !points.statuses.isEmpty {
            valueCount = points.statuses[start...].reduce(0) { $0 + ($1 >> 31 == 0 ? 1 : 0) }
        }
        let coding = flags >> 5
        if type.isInline {
            try readNumbers(&source, coding, valueCount, type.scalar, &state, &points.slots)
        } else {
            try readBlobs(&source, coding, valueCount, &state, &entries, &points)
        }
        if valueCount < count { spread(&points, start, count, valueCount) }
    }

    /// Makes room for the rows that were left out.
    private static func spread(_ points: inout PointBuffer, _ start: Int, _ count: Int, _ valueCount: Int) {
        points.slots.append(contentsOf: repeatElement(0, count: count - valueCount))
        var from = start + valueCount
        for row in stride(from: start + count - 1, through: start, by: -1) {
            if points.statuses[row] >> 31 == 0 {
                from -= 1
                points.slots[row] = points.slots[from]
            } else {
                points.slots[row] = 0
            }
        }
    }

    private static func readTimes(
        _ source: inout ByteSource, _ flags: UInt8, _ count: Int, _ state: inout BlockState, _ times: inout [Int64]
    ) throws(ChunkDamage) {
        let unit = BlockFormat.unit(Int(flags >> 2 & 3))
        var time = state.time
        func scaled(_ value: Int64) -> Int64 { value &* unit }
        switch flags & 3 {
        case TimeMode.steady:
            for _ in 0..<count {
                time &+= state.interval
                times.append(time)
            }
        case TimeMode.regular:
            let distance = scaled(try source.signed())
            let interval = count > 1 ? scaled(try source.signed()) : distance
            time &+= distance
            times.append(time)
            for _ in 1..<max(count, 1) {
                time &+= interval
                times.append(time)
            }
            state.interval = interval
        case TimeMode.packed:
            time &+= scaled(try source.signed())
            times.append(time)
            let least = try source.signed()
            let width = Int(try source.byte())
            guard width <= 64 else { throw ChunkDamage() }
            var bits = try source.packed(count - 1, width: width)
            for _ in 1..<max(count, 1) {
                let interval = scaled(least &+ Int64(bitPattern: bits.next(width)))
                time &+= interval
                times.append(time)
                state.interval = interval
            }
        default:
            time &+= scaled(try source.signed())
            times.append(time)
            var left = count - 1
            while left > 0 {
                let interval = scaled(try source.signed())
                let length = try source.varint()
                guard length < UInt64(left) else { throw ChunkDamage() }
                for _ in 0...Int(length) {
                    time &+= interval
                    times.append(time)
                }
                left -= Int(length) + 1
                state.interval = interval
            }
        }
        state.time = time
    }

    private static func readQualities(
        _ source: inout ByteSource, _ count: Int, _ start: Int, _ points: inout PointBuffer
    ) throws(ChunkDamage) {
        if points.statuses.isEmpty { points.statuses = [UInt32](repeating: 0, count: start) }
        points.markGood(upTo: start)
        var left = count
        while left > 0 {
            guard let status = UInt32(exactly: try source.varint()) else { throw ChunkDamage() }
            let length = try source.varint()
            guard length < UInt64(left) else { throw ChunkDamage() }
            points.statuses.append(contentsOf: repeatElement(status, count: Int(length) + 1))
            left -= Int(length) + 1
        }
    }

    private static func readNumbers(
        _ source: inout ByteSource, _ coding: UInt8, _ count: Int, _ scalar: ScalarType, _ state: inout BlockState,
        _ slots: inout [UInt64]
    ) throws(ChunkDamage) {
        if count == 0 { return }
        switch coding {
        case ValueCoding.same: slots.append(contentsOf: repeatElement(state.slot, count: count))
        case ValueCoding.integers:
            try readIntegers(&source, count, previous: Int64(bitPattern: state.slot)) {
                slots.append(UInt64(bitPattern: $0))
            }
        case ValueCoding.decimals where scalar.isFloat:
            try readDecimals(&source, count, isDouble: scalar == .float64, &state, &slots)
        case ValueCoding.xor where scalar.isFloat:
            try readXOR(&source, count, bits: scalar == .float64 ? 64 : 32, last: state.slot, &slots)
        case ValueCoding.raw where scalar.isFloat:
            for _ in 0..<count { slots.append(try source.fixed(scalar == .float64 ? 8 : 4)) }
        default: throw ChunkDamage()
        }
        state.slot = slots[slots.count - 1]
    }

    private static func readDecimals(
        _ source: inout ByteSource, _ count: Int, isDouble: Bool, _ state: inout BlockState, _ slots: inout [UInt64]
    ) throws(ChunkDamage) {
        let first = try source.byte()
        let exponent = Int(first & 0x7F)
        guard exponent < powersOf10.count else { throw ChunkDamage() }
        var exceptions: [(Int, UInt64)] = []
        if first & 0x80 != 0 {
            let number = try source.varint()
            guard number <= UInt64(count) else { throw ChunkDamage() }
            for _ in 0..<Int(number) {
                let index = Int(try source.byte())
                guard index < count else { throw ChunkDamage() }
                exceptions.append((index, try source.fixed(isDouble ? 8 : 4)))
            }
        }
        let start = slots.count
        let power = powersOf10[exponent]
        var last: Int64 = 0
        try readIntegers(&source, count, previous: exponent == Int(state.exponent) ? state.decimal : 0) { integer in
            let value = Double(integer) / power
            slots.append(isDouble ? value.bitPattern : UInt64(Float(value).bitPattern))
            last = integer
        }
        for (index, bits) in exceptions { slots[start + index] = bits }
        state.exponent = Int8(exponent)
        state.decimal = last
    }

    private static func readXOR(
        _ source: inout ByteSource, _ count: Int, bits: Int, last: UInt64, _ slots: inout [UInt64]
    ) throws(ChunkDamage) {
        let lengthBits = bits == 64 ? 6 : 5
        var reader = BitSource(UnsafeRawBufferPointer(rebasing: source.bytes[source.offset...]))
        var previous = last
        var leading = 0
        var length = 0
        for _ in 0..<count {
            if reader.next(1) != 0 {
                if reader.next(1) != 0 {
                    leading = Int(reader.next(lengthBits))
                    length = Int(reader.next(lengthBits)) + 1
                }
                guard length > 0, leading + length <= bits, !reader.isBeyondEnd else { throw ChunkDamage() }
                previous ^= reader.next(length) << UInt64(bits - leading - length)
            }
            slots.append(previous)
        }
        guard !reader.isBeyondEnd else { throw ChunkDamage() }
        _ = try source.take(reader.bytesUsed)
    }

    @inline(__always)
    private static func readIntegers(
        _ source: inout ByteSource, _ count: Int, previous: Int64, _ put: (Int64) -> Void
    ) throws(ChunkDamage) {
        let kind = try source.byte()
        switch kind {
        case 0...64:
            var value = previous &+ (try source.signed())
            put(value)
            if count == 1 { return }
            let least = try source.signed()
            let width = Int(kind)
            var bits = try source.packed(count - 1, width: width)
            for _ in 1..<count {
                value &+= least &+ Int64(bitPattern: bits.next(width))
                put(value)
            }
        case IntegerCoding.values...IntegerCoding.values + 64:
            let least = previous &+ (try source.signed())
            let width = Int(kind - IntegerCoding.values)
            var bits = try source.packed(count, width: width)
            for _ in 0..<count { put(least &+ Int64(bitPattern: bits.next(width))) }
        case IntegerCoding.runs:
            var left = count
            var value = previous
            while left > 0 {
                value &+= try source.signed()
                let length = try source.varint()
                guard length < UInt64(left) else { throw ChunkDamage() }
                for _ in 0...Int(length) { put(value) }
                left -= Int(length) + 1
            }
        default: throw ChunkDamage()
        }
    }

    private static func readBlobs(
        _ source: inout ByteSource, _ coding: UInt8, _ count: Int, _ state: inout BlockState,
        _ entries: inout [UInt64], _ points: inout PointBuffer
    ) throws(ChunkDamage) {
        if count == 0 { return }
        if coding == ValueCoding.same {
            guard state.entry >= 0, state.entry < entries.count else { throw ChunkDamage() }
            points.slots.append(contentsOf: repeatElement(entries[Int(state.entry)], count: count))
            return
        }
        guard coding == ValueCoding.dictionary else { throw ChunkDamage() }
        let fresh = try source.varint()
        guard fresh <= UInt64(count) else { throw ChunkDamage() }
        for _ in 0..<Int(fresh) {
            let length = try source.varint()
            guard length <= 0xFFFF_FFFF, points.blob.count <= 0xFFFF_FFFF else { throw ChunkDamage() }
            entries.append(UInt64(points.blob.count) << 32 | length)
            points.blob.append(contentsOf: try source.take(Int(length)))
        }
        var isSound = true
        var last: Int64 = 0
        try readIntegers(&source, count, previous: state.entry) { number in
            last = number
            guard number >= 0, number < entries.count else {
                isSound = false
                return points.slots.append(0)
            }
            points.slots.append(entries[Int(number)])
        }
        guard isSound else { throw ChunkDamage() }
        state.entry = last
        state.entries = Int32(entries.count)
    }
}
