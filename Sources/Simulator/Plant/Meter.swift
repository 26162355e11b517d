import Model

/// A three-phase energy meter over a part of the plant, plus a base load that follows the day.
///
/// Input registers (and the same in the holding registers): 1, 3, 5 voltage L1-L3 to N in V; 7, 9, 11 current in A;
/// 13, 15, 17 active power in kW; 19 total active power kW; 21 power factor; 23 frequency Hz;
/// 25 energy in Wh (uint64); 29 energy in kWh (float32).
struct Meter {
    var image = UnitImage()
    private(set) var energy: Double
    private(set) var power = 0.0
    private var grid = 230.0
    private var frequency = 50.0
    private var seconds: Double
    /// How the load is spread over the phases; adds up to 3.
    private let shares: [Double]
    private let baseLoad: Double

    init(baseLoad: Double, random: inout SplitMix64) {
        self.baseLoad = baseLoad
        energy = random.uniform(120_000...900_000)
        seconds = random.uniform(0...600)
        let first = random.uniform(0.92...1.08)
        let second = random.uniform(0.95...1.03)
        shares = [first, second, 3 - first - second]
        step(0, load: 0, &random)
    }

    /// `load` in kW is what the machines behind the meter take.
    mutating func step(_ dt: Double, load: Double, _ random: inout SplitMix64) {
        seconds += dt
        // A base load that swings over ten minutes stands for a day.
        let phase = seconds.truncatingRemainder(dividingBy: 600) / 600 * 2 * Double.pi
        power = load + baseLoad * (1 + 0.3 * sine(phase)) + random.uniform(-0.3...0.3)
        energy += max(0, power) * dt / 3600
        grid += (230 - power * 0.01 - grid) * min(1, dt) + random.uniform(-0.05...0.05)
        frequency += (50 - frequency) * min(1, dt * 0.5) + random.uniform(-0.002...0.002)
        let factor = min(0.98, 0.82 + power / 1200)
        for (index, share) in shares.enumerated() {
            let voltage = grid + Double(index) * 0.4 + random.uniform(-0.15...0.15)
            let phasePower = power / 3 * share
            image.set(1 + index * 2, voltage, decimals: 1)
            image.set(7 + index * 2, max(0, phasePower * 1000 / (voltage * factor)), decimals: 2)
            image.set(13 + index * 2, phasePower, decimals: 2)
        }
        image.set(19, power, decimals: 2)
        image.set(21, factor, decimals: 3)
        image.set(23, frequency, decimals: 3)
        image.set(25, UInt64(energy * 1000))
        image.set(29, energy, decimals: 1)
        image.mirrorInputs()
    }

    /// Sine by its series, so that every machine computes the same bits.
    private func sine(_ angle: Double) -> Double {
        let x = angle > .pi ? angle - 2 * .pi : angle
        let square = x * x
        return x * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72 * (1 - square / 110)))))
    }
}
