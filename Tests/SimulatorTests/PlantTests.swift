import Model
import ModbusWire
import Testing

@testable import Simulator

@Suite("The plant's physics")
struct PlantTests {
    private func run(_ plant: inout Plant, seconds: Double, _ body: (Plant) -> Void = { _ in }) {
        for _ in 0..<Int(seconds / Plant.stepSeconds) {
            plant.step()
            body(plant)
        }
    }

    /// All registers of all machines.
    private func snapshot(_ plant: Plant) throws -> [[UInt8]] {
        var plant = plant
        return try Plant.places.indices.map {
            try plant.answer(.read(.holdingRegister, address: 0, count: 64), place: $0)
        }
    }

    @Test("the same seed gives the same registers bit for bit, another seed others")
    func reproducible() throws {
        var first = Plant(seed: 42)
        var second = Plant(seed: 42)
        var other = Plant(seed: 43)
        run(&first, seconds: 120)
        run(&second, seconds: 120)
        run(&other, seconds: 120)
        #expect(try snapshot(first) == snapshot(second))
        #expect(try snapshot(first) != snapshot(other))
    }

    @Test("tools heat up by pressing, are cooled at their limit, and only the third press overheats")
    func presses() {
        var plant = Plant(seed: 1)
        var hottest = [0.0, 0.0, 0.0]
        var states: Set<UInt16> = []
        run(&plant, seconds: 300) { plant in
            for (index, press) in plant.presses.enumerated() {
                hottest[index] = max(hottest[index], press.temperature)
                states.insert(press.state.rawValue)
            }
        }
        #expect(hottest[0] < 80 && hottest[1] < 81.5 && hottest[2] > 84 && hottest[2] < 90)
        #expect(states == [1, 2, 3, 4, 5, 6])
        for press in plant.presses {
            #expect(press.cycles > 40 && press.cycles < 80)
            #expect(press.goodParts + press.badParts == press.cycles)
        }
        #expect(plant.presses[2].badParts > plant.presses[0].badParts)
    }

    @Test("a stopped press finishes its stroke, stands still and cools down")
    func stopping() throws {
        var plant = Plant(seed: 3)
        run(&plant, seconds: 10)
        _ = try plant.answer(.writeCoil(address: 0, isOn: false), place: 0)
        run(&plant, seconds: 6)
        let cycles = plant.presses[0].cycles
        let temperature = plant.presses[0].temperature
        run(&plant, seconds: 60)
        #expect(plant.presses[0].state == .stopped)
        #expect(plant.presses[0].cycles == cycles)
        #expect(plant.presses[0].temperature < temperature - 5)
    }

    @Test("vibration grows until the pump fails; it is repaired and runs as new")
    func pumps() {
        var plant = Plant(seed: 1)
        var seen: [Pump.State] = []
        var worst = 0.0
        run(&plant, seconds: 420) { plant in
            let pump = plant.pumps[0]
            if seen.last != pump.state { seen.append(pump.state) }
            worst = max(worst, pump.vibration)
        }
        #expect(Array(seen.prefix(4)) == [.running, .failed, .repair, .running])
        #expect(worst > Pump.vibrationWarning * 1.5)
        #expect(plant.pumps[0].failures >= 1)
        var fresh = Plant(seed: 1)
        run(&fresh, seconds: 5)
        #expect(fresh.pumps[2].vibration < Pump.vibrationWarning)
    }

    @Test("a slower pump delivers less and wears more slowly")
    func slowPump() throws {
        var slow = Plant(seed: 5)
        var fast = slow
        // 40.0 % as a float in registers 20 and 21.
        _ = try slow.answer(.writeRegisters(address: 19, data: [0x42, 0x20, 0, 0]), place: 5)
        run(&slow, seconds: 60)
        run(&fast, seconds: 60)
        #expect(slow.pumps[2].power < fast.pumps[2].power / 3)
        #expect(slow.pumps[2].wear < fast.pumps[2].wear)
    }

    @Test("meters count the energy that the machines draw")
    func meters() {
        var plant = Plant(seed: 1)
        let before = plant.meters.map(\.energy)
        var integral = [0.0, 0.0]
        run(&plant, seconds: 120) { plant in
            for (index, meter) in plant.meters.enumerated() {
                integral[index] += meter.power * Plant.stepSeconds / 3600
                #expect(meter.power > 0 && meter.power < 500)
            }
        }
        for (index, meter) in plant.meters.enumerated() {
            #expect(abs(meter.energy - before[index] - integral[index]) < 1e-6)
        }
        #expect(plant.meters[0].power > plant.presses.reduce(0) { $0 + $1.power })
    }

    @Test("the boiler reaches a written setpoint within a minute and stays there", arguments: [UInt64(1), 2, 3])
    func boiler(seed: UInt64) throws {
        var plant = Plant(seed: seed)
        run(&plant, seconds: 120)
        #expect(abs(plant.boiler.temperature - 80) < 1)
        // 70.0 °C
        _ = try plant.answer(.writeRegisters(address: 2, data: [0x42, 0x8C, 0, 0]), place: 8)
        let before = plant.boiler.temperature
        run(&plant, seconds: 5)
        #expect(plant.boiler.temperature < before - 1.5)
        run(&plant, seconds: 55)
        #expect(abs(plant.boiler.temperature - 70) < 1.5)
        run(&plant, seconds: 60) { #expect(abs($0.boiler.temperature - 70) < 3) }
        // Off: it cools.
        _ = try plant.answer(.writeRegister(address: 10, value: 0), place: 8)
        run(&plant, seconds: 60)
        #expect(plant.boiler.temperature < 50)
    }

    @Test("only setpoints can be written, whole and in their range")
    func refused() throws {
        var plant = Plant(seed: 1)
        #expect(throws: ModbusException.illegalDataAddress) {
            try plant.answer(.writeRegister(address: 0, value: 1), place: 8)
        }
        #expect(throws: ModbusException.illegalDataValue) {
            // 200 °C
            try plant.answer(.writeRegisters(address: 2, data: [0x43, 0x48, 0, 0]), place: 8)
        }
        #expect(throws: ModbusException.illegalDataValue) {
            try plant.answer(.writeRegister(address: 10, value: 3), place: 8)
        }
        #expect(throws: ModbusException.illegalDataAddress) {
            try plant.answer(.writeCoil(address: 5, isOn: true), place: 8)
        }
        #expect(throws: ModbusException.illegalDataAddress) {
            try plant.answer(.read(.holdingRegister, address: 60, count: 5), place: 8)
        }
        #expect(try plant.answer(.read(.holdingRegister, address: 2, count: 2), place: 8) == [0x42, 0xA0, 0, 0])
    }
}
