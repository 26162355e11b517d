import Model

/// A centrifugal pump that wears out: vibration and bearing temperature grow slowly at first and fast at the end,
/// until it fails, stands still, is repaired and starts as new.
///
/// Registers: 1 flow m3/h, 3 pressure bar, 5 vibration mm/s, 7 bearing temperature °C, 9 power kW, 11 seconds of
/// running since the repair (uint32), 13 state, 14 status word (bit 0 running, 1 failed, 2 vibration warning, 3 in
/// repair), 20 speed % (writable, 0 to 100), 22 state's name (16 bytes), 30 failures (uint32).
struct Pump {
    enum State: UInt16 {
        case stopped, running, failed, repair
    }

    /// Vibration severity after ISO 10816-3, group 2 on a flexible foundation, in mm/s.
    static let vibrationWarning = 4.5
    static let vibrationLimit = 11.0
    static let failedSeconds = 8.0
    static let repairSeconds = 20.0

    var image = UnitImage()
    private(set) var state = State.running
    /// 0 as new to 1 worn out.
    private(set) var wear: Double
    private(set) var vibration = 1.5
    private(set) var bearingTemperature = 45.0
    private(set) var power = 0.0
    private(set) var failures: UInt32 = 0
    private var speed = 0.8
    private var runSeconds = 0.0
    private var inState = 0.0
    private var lifeSeconds: Double

    init(wear: Double, random: inout SplitMix64) {
        self.wear = wear
        lifeSeconds = random.uniform(260...380)
        bearingTemperature = 48 + 32 * wear * wear
        image.allowFloat(20, in: 0...100, initially: 80)
        publish(&random)
    }

    mutating func step(_ seconds: Double, _ random: inout SplitMix64) {
        inState += seconds
        let wanted = image.float(20) / 100
        let shaking = random.uniform(-1...1)
        switch state {
        case .running:
            runSeconds += seconds
            // Full speed wears out in a life; half speed lasts four times as long.
            wear = min(1, wear + seconds / lifeSeconds * (speed * speed) / 0.64)
            if wanted < 0.02 { enter(.stopped) }
            if vibration >= Self.vibrationLimit || wear >= 1 {
                failures &+= 1
                enter(.failed)
            }
        case .stopped: if wanted >= 0.02 { enter(.running) }
        case .failed: if inState >= Self.failedSeconds { enter(.repair) }
        case .repair:
            if inState >= Self.repairSeconds {
                wear = 0
                runSeconds = 0
                lifeSeconds = random.uniform(260...380)
                enter(.running)
            }
        }
        let drive = state == .running ? wanted : 0
        speed += (drive - speed) * min(1, seconds / 1.5)
        vibration = speed * (1.4 + 10.2 * wear * wear * wear + (0.12 + wear * 0.35) * shaking)
        let target = 22 + 28 * speed + 45 * wear * wear * speed
        bearingTemperature += (target - bearingTemperature) * seconds / 25
        power = 11 * speed * speed * speed * (1 + 0.25 * wear) + (speed > 0.02 ? 0.6 : 0)
        publish(&random)
    }

    private mutating func enter(_ next: State) {
        state = next
        inState = 0
    }

    private mutating func publish(_ random: inout SplitMix64) {
        let isWarning = vibration > Self.vibrationWarning
        image.set(1, max(0, 75 * speed * (1 - 0.15 * wear) + speed * random.uniform(-0.5...0.5)), decimals: 1)
        image.set(3, 6.2 * speed * speed * (1 - 0.1 * wear) + speed * random.uniform(-0.03...0.03), decimals: 2)
        image.set(5, max(0, vibration), decimals: 2)
        image.set(7, bearingTemperature + random.uniform(-0.1...0.1), decimals: 1)
        image.set(9, power, decimals: 2)
        image.set(11, UInt32(runSeconds))
        image.set(13, state.rawValue)
        let running: UInt16 = state == .running ? 1 : 0
        let failed: UInt16 = state == .failed ? 2 : 0
        image.set(14, running | failed | (isWarning ? 4 : 0) | (state == .repair ? 8 : 0))
        image.set(22, "\(state)", length: 16)
        image.set(30, failures)
        image.mirrorInputs()
    }
}
