import Model
import Testing

@testable import Historian

/// Codes points in blocks of `blockPoints` and reads them back.
func roundTrip(
    _ type: ValueType, _ times: [Int64], _ slots: [UInt64], _ statuses: [UInt32]? = nil, blockPoints: Int = 32,
    blob: [[UInt8]] = []
) throws -> (points: PointBuffer, bytes: Int) {
    let writer = BlockWriter()
    BlockFormat.putType(type, into: writer.sink)
    var state = BlockState()
    let dictionary = type.isInline ? nil : BlobDictionary()
    var start = 0
    while start < times.count {
        let count = min(blockPoints, times.count - start)
        times.withUnsafeBufferPointer { times in
            slots.withUnsafeBufferPointer { slots in
                (statuses ?? []).withUnsafeBufferPointer { list in
                    let columns = PointColumns(
                        times: times.baseAddress! + start, slots: slots.baseAddress! + start,
                        statuses: statuses == nil ? nil : list.baseAddress! + start, count: count)
                    writer.put(columns, type: type, state: &state, dictionary: dictionary) { blob[start + $0] }
                }
            }
        }
        start += count
    }
    var points = PointBuffer()
    try ChunkReader.read(writer.sink.bytes, into: &points)
    return (points, writer.sink.count)
}

@Suite("Chunks")
struct ChunkCodingTests {
    static let second: Int64 = 1_000_000_000
    static let start: Int64 = 1_767_225_600 * second

    /// One seeded signal of each kind.
    static func signal(_ kind: Int, _ count: Int, _ random: inout SplitMix64) -> (ScalarType, [UInt64]) {
        var level = 50.0
        var total: UInt64 = 12345
        var step = 1
        return switch kind {
        case 0:
            (
                .float32,
                (0..<count).map { _ in
                    level += Double(Int.random(in: -3...3, using: &random)) / 10
                    return UInt64(Float((level * 10).rounded() / 10).bitPattern)
                }
            )
        case 1: (.float64, (0..<count).map { _ in Double.random(in: -1e3...1e3, using: &random).bitPattern })
        case 2:
            (
                .uint32,
                (0..<count).map { _ in
                    total = (total + UInt64.random(in: 0...4, using: &random)) & 0xFFFF_FFFF
                    return total
                }
            )
        case 3:
            (
                .int16,
                (0..<count).map { _ in
                    if Int.random(in: 0..<50, using: &random) == 0 { step = Int.random(in: -5...5, using: &random) }
                    return UInt64(bitPattern: Int64(step))
                }
            )
        case 4: (.bool, (0..<count).map { _ in UInt64.random(in: 0...1, using: &random) })
        case 5:
            (
                .float64,
                (0..<count).map { _ in
                    level += Double(Int.random(in: -99...99, using: &random)) / 100
                    return ((level * 100).rounded() / 100).bitPattern
                }
            )
        case 6: (.float32, (0..<count).map { _ in UInt64(Float.random(in: 0...1, using: &random).bitPattern) })
        case 7: (.int64, (0..<count).map { _ in random.next() })
        case 8: (.uint64, (0..<count).map { _ in Bool.random(using: &random) ? .max : 0 })
        case 9:
            (
                .float64,
                (0..<count).map { _ in
                    [
                        Double.nan.bitPattern, 0x7FF8_0000_0000_1234, Double.infinity.bitPattern, (-0.0).bitPattern, 0,
                        Double.leastNonzeroMagnitude.bitPattern, Double.greatestFiniteMagnitude.bitPattern,
                        1.5.bitPattern,
                    ]
                    .randomElement(using: &random)!
                }
            )
        case 10:
            (
                .float32,
                (0..<count).map { index in
                    index % 40 == 7 ? UInt64(Float.nan.bitPattern) : UInt64(Float(Double(index % 13) / 10).bitPattern)
                }
            )
        default: (.timestamp, (0..<count).map { index in UInt64(bitPattern: Int64(index) * 1_000_003) })
        }
    }

    @Test("give back every number exactly, whatever the signal and the block length", arguments: 0...11)
    func numbers(kind: Int) throws {
        var random = SplitMix64(seed: UInt64(kind))
        for count in [1, 2, 3, 31, 32, 33, 128, 500] {
            for block in [1, 7, 32, 128] {
                let (scalar, slots) = Self.signal(kind, count, &random)
                let times = (0..<count).map { Self.start + Int64($0) * Self.second }
                let (points, _) = try roundTrip(ValueType(scalar), times, slots, blockPoints: block)
                #expect(points.slots == slots)
                #expect(points.times == times)
                #expect(points.statuses.isEmpty)
            }
        }
    }

    @Test("give back every time exactly: steady, jittering, with gaps, in any unit, extreme")
    func times() throws {
        var random = SplitMix64(seed: 3)
        for unit: Int64 in [1, 1000, 1_000_000, Self.second] {
            for kind in 0..<5 {
                var time = Self.start
                let times = (0..<300).map { index -> Int64 in
                    switch kind {
                    case 0: time += 10 * unit
                    case 1: time += Int64.random(in: 8...12, using: &random) * unit
                    case 2: time += index % 50 == 49 ? 100_000 * unit : 10 * unit
                    case 3: time += Int64.random(in: 1...1 << 40, using: &random)
                    default: time += index % 3 == 0 ? 0 : unit
                    }
                    return time
                }
                let (points, _) = try roundTrip(ValueType(.bool), times, times.map { _ in 1 })
                #expect(points.times == times)
            }
        }
        let extreme: [Int64] = [.min, -1, 0, 1, .max]
        #expect(try roundTrip(ValueType(.bool), extreme, extreme.map { _ in 0 }).points.times == extreme)
    }

    @Test("give back qualities, also where bad rows have no value")
    func qualities() throws {
        var random = SplitMix64(seed: 5)
        for keepsLast in [false, true] {
            let times = (0..<400).map { Self.start + Int64($0) * Self.second }
            var statuses: [UInt32] = []
            var slots: [UInt64] = []
            for index in 0..<400 {
                let status: UInt32 = [0, 0, 0, 0x4090_0000, 0x800A_0102].randomElement(using: &random)!
                statuses.append(index < 64 ? 0 : index > 300 ? 0x8005_0000 : status)
                slots.append(statuses[index] >> 31 == 1 && !keepsLast ? 0 : UInt64(Float(index).bitPattern))
            }
            let (points, _) = try roundTrip(ValueType(.float32), times, slots, statuses)
            #expect(points.slots == slots)
            #expect(points.statuses == statuses)
        }
    }

    @Test("give back strings, empty ones, repeated ones, new ones")
    func strings() throws {
        var random = SplitMix64(seed: 6)
        let words = ["", "idle", "running", "Störung", "故障", String(repeating: "x", count: 300)]
        let texts = (0..<300).map { index in index % 10 == 9 ? "batch \(index)" : words.randomElement(using: &random)! }
        let times = (0..<300).map { Self.start + Int64($0) * Self.second }
        var statuses = [UInt32](repeating: 0, count: 300)
        statuses[0] = 0x8000_0000
        let blob = texts.enumerated().map { $0.offset == 0 ? [] : Array($0.element.utf8) }
        let slots = blob.map { UInt64($0.count) }
        for block in [1, 5, 32, 128] {
            let (points, _) = try roundTrip(ValueType(.string), times, slots, statuses, blockPoints: block, blob: blob)
            #expect(points.statuses == statuses)
            for row in 1..<300 { #expect(points.bytes(row) == blob[row]) }
        }
    }

    @Test("cost little where little happens")
    func sizes() throws {
        var random = SplitMix64(seed: 7)
        let times = (0..<4096).map { Self.start + Int64($0) * Self.second }
        func bytesPerPoint(_ scalar: ScalarType, _ slots: [UInt64]) throws -> Double {
            Double(try roundTrip(ValueType(scalar), times, slots).bytes) / 4096
        }
        #expect(try bytesPerPoint(.float32, times.map { _ in UInt64(Float(7.3).bitPattern) }) < 0.11)
        for (kind, limit) in [(0, 0.8), (2, 0.8), (3, 0.5), (4, 0.4), (5, 1.4)] {
            let (scalar, slots) = Self.signal(kind, 4096, &random)
            #expect(try bytesPerPoint(scalar, slots) < limit, "signal \(kind)")
        }
        let (scalar, noise) = Self.signal(1, 4096, &random)
        #expect(try bytesPerPoint(scalar, noise) <= 8.2)
    }

    @Test("damaged bytes are an error or points, never a crash")
    func damage() throws {
        var random = SplitMix64(seed: 8)
        for round in 0..<4000 {
            let kind = round % 13
            let writer = BlockWriter()
            var state = BlockState()
            let count = Int.random(in: 1...128, using: &random)
            let times = (0..<count).map { Self.start + Int64($0) * Self.second }
            let isText = kind == 12
            let (scalar, slots) = isText ? (.string, times.map { _ in 2 }) : Self.signal(kind, count, &random)
            BlockFormat.putType(ValueType(scalar), into: writer.sink)
            times.withUnsafeBufferPointer { times in
                slots.withUnsafeBufferPointer { slots in
                    writer.put(
                        PointColumns(times: times.baseAddress!, slots: slots.baseAddress!, statuses: nil, count: count),
                        type: ValueType(scalar), state: &state, dictionary: isText ? BlobDictionary() : nil
                    ) { [UInt8($0), 7] }
                }
            }
            var bytes = Array(writer.sink.bytes)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
            var points = PointBuffer()
            do throws(ChunkDamage) {
                let result: Result<Void, ChunkDamage> = bytes.withUnsafeBytes { raw in
                    do throws(ChunkDamage) { return .success(try ChunkReader.read(raw, into: &points)) } catch {
                        return .failure(error)
                    }
                }
                try result.get()
                #expect(points.times.count == points.slots.count)
            } catch {}
        }
    }
}
