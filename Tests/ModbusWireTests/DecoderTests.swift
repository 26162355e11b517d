import Model
import ModbusWire
import Testing
import Wire

@Suite("Decoding a read into a batch")
struct DecoderTests {
    /// Runs must give what field by field gives, whatever the mixture of types, orders, gaps and tag positions.
    @Test("runs and single fields agree on random mixtures", arguments: 0..<40)
    func mixtures(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let types = [
            "float32", "float32", "int32", "uint32", "int16", "uint16", "float64", "int64", "uint64", "bool", "uint8",
        ]
        let orders: [[OrderCode?]] = [[nil, .L, .B], [nil, .LL, .LB, .BL, .BB], [nil, .L, .LB, .BL, .B]]
        var tags: [Model.Tag] = []
        var fields: [ModbusField] = []
        var offset = 10
        var type = "float32"
        var order: OrderCode?
        while offset < 120 {
            if random.next() % 4 == 0 {
                type = types[Int(random.next() % UInt64(types.count))]
                let width = ValueType(type)?.scalar.bitWidth ?? 16
                let choices = orders[width <= 16 ? 0 : width == 32 ? 1 : 2]
                order = choices[Int(random.next() % UInt64(choices.count))]
                offset += Int(random.next() % 3)
            }
            let valueType = try #require(ValueType(type))
            let address = ModbusAddress(unit: 1, area: .holdingRegister, offset: UInt16(offset), order: order)
            let field = try ModbusField(address: address, type: valueType)
            guard field.end <= 125 else { break }
            fields.append(field)
            tags.append(Model.Tag(name: "t\(tags.count)", type: valueType))
            offset = field.end
        }
        if seed % 3 == 0 {
            for index in fields.indices.dropLast() where random.next() % 5 == 0 {
                fields.swapAt(index, index + 1)
                tags.swapAt(index, index + 1)
            }
        }
        let data = (0..<250).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let descriptor = BatchDescriptor(device: "d", deviceUID: "u", group: "g", tags: tags)
        let fast = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
        let slow = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
        let decoder = ModbusDecoder(
            start: 0, fields: Array(fields.enumerated()).map { (tag: $0.offset, field: $0.element) })
        #expect(decoder.tags == Array(tags.indices))
        data.withUnsafeBytes { bytes in
            decoder.decode(bytes, into: fast)
            for (tag, field) in fields.enumerated() { field.decode(bytes, dataStart: 0, tag: tag, into: slow) }
        }
        let left = fast.finish()
        let right = slow.finish()
        #expect(left.slots == right.slots)
        #expect(left.statuses == nil && right.statuses == nil)
    }

    @Test("bits in a run, and a short answer that costs only the rows it does not hold")
    func shortAnswer() throws {
        let tags = (0..<20).map { Model.Tag(name: "b\($0)", type: ValueType(.bool)) }
        let descriptor = BatchDescriptor(device: "d", deviceUID: "u", group: "g", tags: tags)
        let fields = try (0..<20).map { index in
            (
                tag: index,
                field: try ModbusField(
                    address: ModbusAddress(unit: 1, area: .coil, offset: UInt16(100 + index)), type: ValueType(.bool))
            )
        }
        let decoder = ModbusDecoder(start: 98, fields: fields)
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
        [UInt8]([0b1010_0100, 0xFF, 0x01]).withUnsafeBytes { decoder.decode($0, into: builder) }
        let batch = builder.finish()
        #expect(batch.statuses == nil)
        #expect(batch.slots == [1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0])

        let short = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
        [UInt8]([0b1010_0100, 0xFF]).withUnsafeBytes { decoder.decode($0, into: short) }
        let partial = short.finish()
        #expect((0..<20).map { partial.quality($0).isGood } == (0..<20).map { $0 < 14 })

        let failed = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
        decoder.fail(ModbusException.illegalDataAddress.quality, into: failed)
        let bad = failed.finish()
        #expect(bad.quality(3).name(in: .modbus).code == "modbus.illegal_data_address")
        #expect(bad.quality(3).native == 2)
    }
}
