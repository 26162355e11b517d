import Model

/// A forging press. Every stroke heats its tool; above a limit it pauses and cools the tool with water, and goes on
/// when the tool is cool enough. A tool outside of its best temperature makes more bad parts.
///
/// Registers: 1 temperature °C, 3 force kN, 5 position mm, 7 cycles, 9 good parts, 11 bad parts (uint32),
/// 13 state, 14 cycle time s, 16 hydraulic pressure bar, 18 power kW, 20 state's name (16 bytes),
/// 40 strokes per minute (writable, 6 to 20). Coil 1: run (writable). Inputs 1: guard closed, 2: cooling water.
struct Press {
    enum State: UInt16 {
        case stopped, feeding, closing, pressing, opening, ejecting, cooling
    }

    var image = UnitImage()
    private(set) var state = State.feeding
    private(set) var temperature: Double
    private(set) var cycles: UInt32 = 0
    private(set) var goodParts: UInt32 = 0
    private(set) var badParts: UInt32 = 0
    private(set) var power = 0.0
    /// Where the press stops to cool its tool, in °C.
    let coolingLimit: Double
    private var force = 0.0
    private var position = 0.0
    private var cycleTime = 4.0
    private var inState = 0.0
    private var inCycle = 0.0
    private var forceOfStroke = 800.0

    static let ambient = 25.0
    static let resumeBelow = 66.0
    static let stroke = 320.0

    init(coolingLimit: Double, random: inout SplitMix64) {
        self.coolingLimit = coolingLimit
        temperature = random.uniform(62...72)
        inState = random.uniform(0...0.5)
        image.allowFloat(40, in: 6...20, initially: 15)
        image.allowCoil(1, initially: true)
        publish(&random)
    }

    mutating func step(_ seconds: Double, _ random: inout SplitMix64) {
        let pace = image.float(40) / 15
        inState += seconds * pace
        inCycle += seconds
        advance(&random)
        let depth = min(inState, 1)
        switch state {
        case .closing: position = Self.stroke * min(inState / 0.6, 1)
        case .pressing:
            position = Self.stroke
            force = forceOfStroke * min(1, depth * 4) + random.uniform(-4...4)
        case .opening:
            position = Self.stroke * max(0, 1 - inState / 0.6)
            force *= 0.6
        case .stopped, .feeding, .ejecting, .cooling:
            position = max(0, position - Self.stroke * seconds)
            force *= 0.5
        }
        // A stroke's work goes into the tool while the force is on; water takes it out eight times as fast as air.
        let heating = state == .pressing ? 2.1 * pace * force / 800 : 0
        let loss = (temperature - Self.ambient) / (state == .cooling ? 25 : 200)
        temperature += (heating - loss) * seconds
        power = 6 + force * 0.11 + (state == .closing || state == .opening ? 14 : 0) + (state == .cooling ? 3 : 0)
        publish(&random)
    }

    private mutating func advance(_ random: inout SplitMix64) {
        switch state {
        case .stopped: if image.coils[0] { enter(.feeding) }
        case .feeding where inState >= 1.0:
            if !image.coils[0] {
                enter(.stopped)
            } else if temperature >= coolingLimit {
                enter(.cooling)
            } else {
                forceOfStroke = 800 + random.uniform(-25...25)
                enter(.closing)
            }
        case .closing where inState >= 0.6: enter(.pressing)
        case .pressing where inState >= 1.2: enter(.opening)
        case .opening where inState >= 0.6: enter(.ejecting)
        case .ejecting where inState >= 0.6:
            finishPart(&random)
            enter(.feeding)
        case .cooling where temperature < Self.resumeBelow: enter(.feeding)
        default: break
        }
    }

    private mutating func enter(_ next: State) {
        state = next
        inState = 0
    }

    private mutating func finishPart(_ random: inout SplitMix64) {
        cycles &+= 1
        cycleTime = inCycle
        inCycle = 0
        let strain = max(0, abs(temperature - 71) - 8)
        if random.uniform(0...1) < 0.005 + strain * 0.05 { badParts &+= 1 } else { goodParts &+= 1 }
    }

    private mutating func publish(_ random: inout SplitMix64) {
        image.set(1, temperature + random.uniform(-0.08...0.08), decimals: 1)
        image.set(3, max(0, force), decimals: 1)
        image.set(5, position, decimals: 1)
        image.set(7, cycles)
        image.set(9, goodParts)
        image.set(11, badParts)
        image.set(13, state.rawValue)
        image.set(14, cycleTime, decimals: 2)
        image.set(16, max(0, force) * 0.26 + 12 + random.uniform(-0.4...0.4), decimals: 1)
        image.set(18, power, decimals: 2)
        image.set(20, "\(state)", length: 16)
        image.discreteInputs[0] = state != .stopped
        image.discreteInputs[1] = state == .cooling
        image.mirrorInputs()
    }
}

extension SplitMix64 {
    /// A uniform number; always takes exactly one step of the generator.
    mutating func uniform(_ range: ClosedRange<Double>) -> Double {
        range.lowerBound + (range.upperBound - range.lowerBound) * (Double(next() >> 11) * 0x1p-53)
    }
}
