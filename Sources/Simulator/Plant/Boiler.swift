import Model

/// A hot-water boiler with a PI controller that obeys written setpoints. Full fire warms the water by about 0.7 °C a
/// second at 80 °C, so that a new setpoint is seen to act at once and is reached within a minute.
///
/// Registers: 1 temperature °C, 3 setpoint °C (writable, 20 to 95), 5 output %, 7 pressure bar, 9 return temperature
/// °C, 11 mode (writable: 0 off, 1 automatic, 2 manual), 12 manual output % (writable, 0 to 100), 14 gas flow m3/h,
/// 16 state's name (16 bytes), 30 burner hours s (uint32). Coil 1: circulation pump (writable). Input 1: flame.
struct Boiler {
    enum Mode: UInt16 {
        case off, automatic, manual
    }

    var image = UnitImage()
    private(set) var temperature: Double
    private(set) var output = 0.4
    private var returnTemperature: Double
    private var integral = 0.55
    private var burnerSeconds = 0.0

    static let ambient = 20.0
    /// Above ambient, with full fire and the pump running.
    static let rise = 100.0
    static let timeConstant = 60.0
    static let gain = 0.06
    static let resetSeconds = 28.0

    init(random: inout SplitMix64) {
        temperature = random.uniform(70...76)
        returnTemperature = temperature - 12
        image.allowFloat(3, in: 20...95, initially: 80)
        image.allowWord(11, in: 0...2, initially: Mode.automatic.rawValue)
        image.allowFloat(12, in: 0...100, initially: 30)
        image.allowCoil(1, initially: true)
        publish(&random)
    }

    mutating func step(_ seconds: Double, _ random: inout SplitMix64) {
        let pumping = image.coils[0]
        let wanted = demand(seconds)
        // The gas valve needs a second or two.
        output += (wanted - output) * min(1, seconds / 1.5)
        let losses = pumping ? 1.0 : 0.35
        let draw = random.uniform(-0.6...0.6)
        temperature += (Self.rise * output - (temperature - Self.ambient) * losses + draw) / Self.timeConstant * seconds
        // Nothing boils in a hot-water system: the safety thermostat shuts the gas.
        if temperature > 105 { output = 0 }
        let spread = pumping ? 6 + 10 * output : 2
        returnTemperature += (temperature - spread - returnTemperature) * seconds / 12
        if output > 0.02 { burnerSeconds += seconds }
        publish(&random)
    }

    private mutating func demand(_ seconds: Double) -> Double {
        switch Mode(rawValue: image.word(11)) ?? .off {
        case .off:
            integral = 0
            return 0
        case .manual:
            integral = image.float(12) / 100
            return integral
        case .automatic:
            let error = image.float(3) - temperature
            let raw = Self.gain * error + integral
            // The integral stops while the valve is at its end, or it would overshoot afterwards.
            if (raw < 1 || error < 0) && (raw > 0 || error > 0) {
                integral += Self.gain * error * seconds / Self.resetSeconds
            }
            return min(1, max(0, raw))
        }
    }

    private mutating func publish(_ random: inout SplitMix64) {
        let burning = output > 0.02
        image.set(1, temperature + random.uniform(-0.04...0.04), decimals: 2)
        image.set(5, output * 100, decimals: 1)
        image.set(7, 1.2 + (temperature - 20) * 0.012 + random.uniform(-0.005...0.005), decimals: 2)
        image.set(9, returnTemperature, decimals: 2)
        image.set(14, burning ? output * 24 : 0, decimals: 2)
        let name = Mode(rawValue: image.word(11)).map { "\($0)" } ?? "off"
        image.set(16, name, length: 16)
        image.set(30, UInt32(burnerSeconds))
        image.discreteInputs[0] = burning
        image.mirrorInputs()
    }
}
