import Model
import ModbusWire
import NIOCore
import Testing

@testable import ModbusDriver

@Suite struct PlanTests {
    private func tags(_ addresses: [(String, ValueType)]) throws -> [PlannedTag] {
        try addresses.enumerated().map { index, item in
            PlannedTag(tag: index, field: try ModbusField(address: ModbusAddress(item.0), type: item.1))
        }
    }

    private func words(_ numbers: [Int]) throws -> [PlannedTag] {
        try tags(numbers.map { ("1!4\(String(100_000 + $0).dropFirst())", ValueType(.uint16)) })
    }

    private func shape(_ blocks: [ReadBlock]) -> [[Int]] { blocks.map { [$0.start, $0.count] } }

    @Test("neighbours go in one request, up to 125 registers")
    func fillsRequests() throws {
        #expect(
            shape(ModbusPlan.blocks(try words(Array(1...300)), PlanLimits())) == [[0, 125], [125, 125], [250, 50]])
    }

    @Test("a value of several registers is never cut")
    func keepsValuesWhole() throws {
        let floats = try tags((0..<100).map { ("1!4\(String(100_001 + $0 * 2).dropFirst())", ValueType(.float32)) })
        #expect(shape(ModbusPlan.blocks(floats, PlanLimits())) == [[0, 124], [124, 76]])
    }

    @Test("a gap is read along up to the limit")
    func gaps() throws {
        var limits = PlanLimits()
        limits.registerGapMax = 3
        let numbers = try words([1, 5, 10, 14])
        #expect(shape(ModbusPlan.blocks(numbers, limits)) == [[0, 5], [9, 5]])
        limits.registerGapMax = 0
        #expect(ModbusPlan.blocks(numbers, limits).count == 4)
        limits.registerGapMax = 4
        #expect(ModbusPlan.blocks(numbers, limits).count == 1)
    }

    @Test("units and areas are kept apart, whatever the order of the tags")
    func separates() throws {
        let mixed = try tags([
            ("2!40001", ValueType(.uint16)), ("1!30001", ValueType(.uint16)), ("1!40002", ValueType(.uint16)),
            ("1!00001", ValueType(.bool)), ("1!10001", ValueType(.bool)), ("1!40001", ValueType(.uint16)),
        ])
        let blocks = ModbusPlan.blocks(mixed, PlanLimits())
        #expect(blocks.map { "\($0.unit) \($0.tags.map(\.tag))" } == ["1 [3]", "1 [4]", "1 [1]", "1 [5, 2]", "2 [0]"])
    }

    @Test("tags at the same address share the request")
    func overlaps() throws {
        let same = try tags([
            ("1!40001", ValueType(.uint64)), ("1!40002", ValueType(.uint16)), ("1!40002.3", ValueType(.bool)),
        ])
        #expect(shape(ModbusPlan.blocks(same, PlanLimits())) == [[0, 4]])
    }

    @Test("whatever the tags, every tag is in one block, whole, and no block is over the limits", arguments: 0..<50)
    func holdsForAnyTags(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let types: [ScalarType] = [.uint16, .float32, .float64]
        let tags = try tags(
            (0..<200).map { _ in
                (
                    "\(Int.random(in: 1...3, using: &random))!4\(String(100_000 + Int.random(in: 1...2000, using: &random)).dropFirst())",
                    ValueType(types[Int.random(in: 0..<3, using: &random)])
                )
            })
        var limits = PlanLimits()
        limits.registersMax = Int.random(in: 4...125, using: &random)
        limits.registerGapMax = Int.random(in: 0...20, using: &random)
        let blocks = ModbusPlan.blocks(tags, limits)
        #expect(blocks.flatMap(\.tags).map(\.tag).sorted() == Array(0..<200))
        for block in blocks {
            #expect(block.count <= limits.registersMax)
            for tag in block.tags {
                #expect(tag.unit == block.unit)
                #expect(tag.field.start >= block.start && tag.field.end <= block.start + block.count)
            }
        }
    }

    @Test("a refused block is cut at its widest gap, and tried whole again after a while")
    func cuts() throws {
        let now = NIODeadline.uptimeNanoseconds(1_000)
        let block = ReadBlock(try words([1, 2, 8, 9, 10]))
        let parts = block.refused(now)
        #expect(shape(parts) == [[0, 2], [7, 3]])
        #expect(block.leafCount == 2)
        func due(_ time: NIODeadline) -> [[Int]] {
            var found: [[Int]] = []
            block.forEachDue(time) { found.append([$0.start, $0.count]) }
            return found
        }
        #expect(due(now) == [[0, 2], [7, 3]])
        #expect(due(now + .minutes(1)) == [[0, 10]])
        block.granted()
        #expect(due(now) == [[0, 10]])
        #expect(ReadBlock(try words([1])).refused(now).isEmpty)
    }
}
