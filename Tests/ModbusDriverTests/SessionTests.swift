import DriverConformance
import DriverKit
import Model
import ModbusDriver
import ModbusWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// What the Modbus driver does beyond what every driver must.
@Suite struct SessionTests {
    private func run(
        _ more: KeyValuePairs<String, ConfigValue?> = [:], _ body: (TestDevice, DriverHost) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let device = try await TestDevice(group: group)
        try await device.start()
        let host = DriverHost(on: group.any())
        var entries = device.settings.entries ?? []
        for (key, value) in more { if let value { entries.append(ConfigEntry(key, value)) } }
        try await host.make(ModbusTCPDriver.self, .object(entries))
        try await host.connect()
        do {
            try await body(device, host)
        } catch {
            await host.close()
            await device.stop()
            throw error
        }
        await host.close()
        await device.stop()
    }

    private func word(_ number: Int, unit: Int = 1, _ access: TagAccess = .read) -> TagSpec {
        TestDevice.tag(
            "u\(unit)w\(number)", "\(unit)!4\(String(100_000 + number).dropFirst())", ValueType(.uint16), access)
    }

    @Test("a silent unit behind a gateway costs the others nothing, and is left out after two silences")
    func silentUnit() async throws {
        try await run { device, host in
            device.change {
                $0.units[2] = TestDevice.Unit()
                $0.units[2]?.isSilent = true
                $0.units[3] = TestDevice.Unit()
            }
            // Two requests a unit: the second of the silent one is not worth sending.
            let tags = [1, 2, 3].flatMap { unit in [1, 500].map { word($0, unit: unit) } }
            for cycle in 1...4 {
                let batch = await host.read(tags)
                for row in 0..<6 {
                    let expected: Quality = tags[row].address.hasPrefix("2!") ? .badTimeout : .good
                    #expect(batch.quality(row) == expected, "cycle \(cycle), row \(row)")
                }
            }
            let asked = device.state.withLock { $0.log.filter { $0.unit == 2 }.count }
            #expect(asked == 2)
            #expect(await host.counters.timeouts == 2)
        }
    }

    @Test("a unit that the gateway reports as not responding is treated like a silent one")
    func gatewayTarget() async throws {
        try await run { device, host in
            for _ in 0..<3 {
                let batch = await host.read([word(1), word(1, unit: 9), word(400, unit: 9)])
                #expect(batch.quality(0).isGood)
                #expect(batch.quality(1).isBad && batch.quality(2).isBad)
            }
            #expect(device.state.withLock { $0.log.filter { $0.unit == 9 }.count } == 2)
        }
    }

    @Test("a transaction id that was not asked drops the connection")
    func transactionMismatch() async throws {
        try await run { device, host in
            device.change { $0.transactionError = 1 }
            let batch = await host.read([word(1)])
            #expect(batch.quality(0).isBad)
            #expect(await host.lost.map(\.code) == ["modbus.transaction_mismatch"])
        }
    }

    @Test("an answer that comes after its time-out is dropped without harm")
    func lateAnswer() async throws {
        try await run { device, host in
            device.setDelay(.milliseconds(650))
            #expect(await host.read([word(1)]).quality(0) == .badTimeout)
            device.setDelay(.zero)
            let deadline = ContinuousClock.now + .seconds(5)
            while await host.read([word(1)]).quality(0).isBad, ContinuousClock.now < deadline {}
            #expect(await host.read([word(1)]).quality(0).isGood)
            #expect(await host.lost.isEmpty)
        }
    }

    @Test("a busy device is asked again, a few times")
    func busy() async throws {
        try await run(["busyDelay": .duration(1_000_000)]) { device, host in
            device.change { $0.units[1]?.exceptions = [6, 5] }
            #expect(await host.read([word(1)]).quality(0).isGood)
            device.change { $0.units[1]?.exceptions = [6, 6, 6, 6] }
            let quality = await host.read([word(1)]).quality(0)
            #expect(quality.name(in: .modbus).code == "modbus.device_busy")
            #expect(await host.counters.retries == 5)
        }
    }

    @Test("a refused block is asked for in parts, and the parts are remembered")
    func remembersParts() async throws {
        try await run { device, host in
            let tags = [590, 595, 601, 606, 610].map { word($0) }
            let first = await host.read(tags)
            #expect((0..<5).map { first.quality($0).isGood } == [true, true, false, true, true])
            #expect(first.quality(2).name(in: .modbus).code == "modbus.illegal_data_address")
            let asked = device.log.count
            let batch = await host.read(tags, cycles: 3)
            #expect((0..<5).map { batch.quality($0).isGood } == [true, true, false, true, true])
            // A fresh plan learns as much as the first did; its later cycles ask only for what was learnt.
            #expect(device.log.count < asked * 4)
        }
    }

    @Test("writes of neighbours go in one request, of bits of a register too")
    func mergesWrites() async throws {
        try await run { device, host in
            var writes = (0..<100).map { TagWrite(word(100 + $0, .readWrite), .uint(UInt64($0))) }
            let flags = (0..<4).map { TestDevice.tag("b\($0)", "1!400300.\($0)", ValueType(.bool), .readWrite) }
            writes += flags.map { TagWrite($0, .bool(true)) }
            let coils = (0..<9).map { TestDevice.tag("c\($0)", "1!0000\(20 + $0)", ValueType(.bool), .readWrite) }
            writes += coils.map { TagWrite($0, .bool(true)) }
            let outcomes = await host.write(writes)
            #expect(outcomes.allSatisfy { $0 == .written })
            #expect(device.log.map(\.function) == [.maskWriteRegister, .writeMultipleRegisters, .writeMultipleCoils])
            #expect(device.state.withLock { $0.units[1]?.registers[299] } == 15)
            #expect(device.state.withLock { $0.units[1]?.registers[198] } == 99)
        }
    }

    @Test("one register that is refused does not lose the writes joined with it")
    func splitsRefusedWrites() async throws {
        try await run { device, host in
            let outcomes = await host.write((598...606).map { TagWrite(word($0, .readWrite), .uint(7)) })
            let written = outcomes.map { $0 == .written }
            #expect(written == [true, true, true, false, false, false, false, false, true])
        }
    }

    @Test("a device without function 22 has its bits changed by reading and writing the register")
    func readModifyWrite() async throws {
        try await run { device, host in
            device.change {
                $0.units[1]?.knowsMask = false
                $0.units[1]?.registers[299] = 0xF000
            }
            let flag = TestDevice.tag("flag", "1!400300.1", ValueType(.bool), .readWrite)
            #expect(await host.write([TagWrite(flag, .bool(true))]) == [.written])
            #expect(device.state.withLock { $0.units[1]?.registers[299] } == 0xF002)
            #expect(await host.write([TagWrite(flag, .bool(false))]) == [.written])
            #expect(device.state.withLock { $0.units[1]?.registers[299] } == 0xF000)
            #expect(device.log.filter { $0.function == .maskWriteRegister }.count == 1)
        }
    }

    @Test("an address without a unit takes the device's, and counting from 0 is a setting")
    func defaults() async throws {
        try await run(["addressBase": .integer(0), "unit": .integer(1), "order32": .string("BL")]) { _, host in
            let batch = await host.read([
                TestDevice.tag("a", "40000", ValueType(.uint16)), TestDevice.tag("b", "1!40002", ValueType(.uint32)),
            ])
            #expect(batch.value(0) == .uint(0x41))
            #expect(batch.value(1) == .uint(0x5678_1234))
        }
    }
}
