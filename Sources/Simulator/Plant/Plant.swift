package import ModbusWire
import Model

/// Three presses, three pumps, two meters and a boiler that live together: what the machines draw is what the meters
/// count. The same seed and the same number of steps give the same registers, bit for bit.
package struct Plant {
    /// The length of a step: 20 Hz.
    package static let stepSeconds = 0.05
    package static let stepNanoseconds: Int64 = 50_000_000

    /// One unit of the plant: which machine it is and where it answers.
    package struct UnitPlace: Sendable, Hashable {
        package var device: String
        /// Listeners are numbered from 0; the first has the base port.
        package var listener: Int
        package var unit: UInt8
    }

    /// Pumps and meters share a port each, as devices behind a serial gateway do.
    package static let places: [UnitPlace] = [
        UnitPlace(device: "press-1", listener: 0, unit: 1),
        UnitPlace(device: "press-2", listener: 1, unit: 1),
        UnitPlace(device: "press-3", listener: 2, unit: 1),
        UnitPlace(device: "pump-1", listener: 3, unit: 1),
        UnitPlace(device: "pump-2", listener: 3, unit: 2),
        UnitPlace(device: "pump-3", listener: 3, unit: 3),
        UnitPlace(device: "meter-1", listener: 4, unit: 1),
        UnitPlace(device: "meter-2", listener: 4, unit: 2),
        UnitPlace(device: "boiler-1", listener: 5, unit: 1),
    ]
    package static let listeners = [
        "press 1", "press 2", "press 3", "gateway with pumps 1 to 3", "gateway with energy meters 1 and 2", "boiler",
    ]

    var presses: [Press]
    var pumps: [Pump]
    var meters: [Meter]
    var boiler: Boiler
    private var random: SplitMix64
    package private(set) var steps = 0

    package init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        // The third press has a poor thermostat, for there to be something to see.
        presses = [76, 77, 86].map { Press(coolingLimit: $0, random: &random) }
        pumps = [0.62, 0.3, 0.05].map { Pump(wear: $0 + random.uniform(0...0.06), random: &random) }
        meters = [18, 6].map { Meter(baseLoad: $0, random: &random) }
        boiler = Boiler(random: &random)
        self.random = random
    }

    /// One step of `stepSeconds`.
    package mutating func step() {
        let dt = Self.stepSeconds
        for index in presses.indices { presses[index].step(dt, &random) }
        for index in pumps.indices { pumps[index].step(dt, &random) }
        boiler.step(dt, &random)
        meters[0].step(dt, load: presses.reduce(0) { $0 + $1.power }, &random)
        meters[1].step(dt, load: pumps.reduce(2.2) { $0 + $1.power }, &random)
        steps += 1
    }

    /// Carries out a request to the machine at `place`, an index into `places`.
    package mutating func answer(_ request: ModbusRequest, place: Int) throws(ModbusException) -> [UInt8] {
        switch place {
        case 0..<3: try presses[place].image.answer(request)
        case 3..<6: try pumps[place - 3].image.answer(request)
        case 6..<8: try meters[place - 6].image.answer(request)
        case 8: try boiler.image.answer(request)
        default: throw .gatewayTargetFailedToRespond
        }
    }
}
