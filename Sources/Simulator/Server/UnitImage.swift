import Model
import ModbusWire
import Wire

/// The four tables of one simulated unit, registers as wire bytes, so that a read is a copy.
///
/// Numbers in this code are those of the manual: the first register is 1. Only points that were declared writable can
/// be written, and only with values in their range; everything else is refused with the standard's exceptions.
struct UnitImage {
    struct WritablePoint {
        var offset: Int
        var isFloat: Bool
        var range: ClosedRange<Double>
        var span: Int { isFloat ? 2 : 1 }
    }

    private(set) var holding: [UInt8]
    private(set) var input: [UInt8]
    var coils: [Bool]
    var discreteInputs: [Bool]
    private var points: [WritablePoint] = []
    private var writableCoils: Set<Int> = []

    init(holding: Int = 64, input: Int = 64, coils: Int = 16, discreteInputs: Int = 16) {
        self.holding = [UInt8](repeating: 0, count: holding * 2)
        self.input = [UInt8](repeating: 0, count: input * 2)
        self.coils = [Bool](repeating: false, count: coils)
        self.discreteInputs = [Bool](repeating: false, count: discreteInputs)
    }

    mutating func allowFloat(_ number: Int, in range: ClosedRange<Double>, initially value: Float) {
        points.append(WritablePoint(offset: number - 1, isFloat: true, range: range))
        set(number, value)
    }

    mutating func allowWord(_ number: Int, in range: ClosedRange<Double>, initially value: UInt16) {
        points.append(WritablePoint(offset: number - 1, isFloat: false, range: range))
        set(number, value)
    }

    mutating func allowCoil(_ number: Int, initially isOn: Bool) {
        writableCoils.insert(number - 1)
        coils[number - 1] = isOn
    }

    // MARK: The plant's side

    mutating func set(_ number: Int, _ value: Float) { store(value.bitPattern, at: number) }
    /// Rounded as the instrument's resolution has it.
    mutating func set(_ number: Int, _ value: Double, decimals: Int) {
        let scale = [1.0, 10, 100, 1000][decimals]
        store(Float((value * scale).rounded() / scale).bitPattern, at: number)
    }
    mutating func set(_ number: Int, _ value: UInt16) { store(value, at: number) }
    mutating func set(_ number: Int, _ value: UInt32) { store(value, at: number) }
    mutating func set(_ number: Int, _ value: UInt64) { store(value, at: number) }

    /// `length` bytes of text, the rest zero.
    mutating func set(_ number: Int, _ text: String, length: Int) {
        let bytes = Array(text.utf8.prefix(length))
        for index in 0..<length { holding[(number - 1) * 2 + index] = index < bytes.count ? bytes[index] : 0 }
    }

    func float(_ number: Int) -> Double {
        let start = (number - 1) * 2
        return Double(Float(bitPattern: holding[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) }))
    }

    func word(_ number: Int) -> UInt16 {
        UInt16(holding[(number - 1) * 2]) << 8 | UInt16(holding[(number - 1) * 2 + 1])
    }

    /// Makes the input registers show what the holding registers hold, as many devices do.
    mutating func mirrorInputs() {
        let count = min(holding.count, input.count)
        input.replaceSubrange(0..<count, with: holding[0..<count])
    }

    private mutating func store<T: FixedWidthInteger>(_ value: T, at number: Int) {
        let width = T.bitWidth / 8
        let start = (number - 1) * 2
        for index in 0..<width {
            holding[start + index] = UInt8(truncatingIfNeeded: value >> T((width - 1 - index) * 8))
        }
    }

    // MARK: The network's side

    /// Carries out a request; the data that a read brings back.
    mutating func answer(_ request: ModbusRequest) throws(ModbusException) -> [UInt8] {
        switch request {
        case .read(let area, let address, let count):
            return try read(area, Int(address), Int(count))
        case .writeCoil(let address, let isOn):
            try writeCoils(Int(address), [isOn])
        case .writeCoils(let address, let count, let packed):
            try writeCoils(Int(address), (0..<Int(count)).map { packed[$0 / 8] >> UInt8($0 % 8) & 1 == 1 })
        case .writeRegister(let address, let value):
            try write(Int(address), [UInt8(value >> 8), UInt8(value & 0xFF)])
        case .writeRegisters(let address, let data):
            try write(Int(address), data)
        case .maskRegister(let address, let and, let or):
            guard Int(address) * 2 + 2 <= holding.count else { throw .illegalDataAddress }
            let value = word(Int(address) + 1) & and | or & ~and
            try write(Int(address), [UInt8(value >> 8), UInt8(value & 0xFF)])
        case .readWriteRegisters(let readAddress, let readCount, let writeAddress, let data):
            try write(Int(writeAddress), data)
            return try read(.holdingRegister, Int(readAddress), Int(readCount))
        }
        return []
    }

    private func read(_ area: ModbusArea, _ address: Int, _ count: Int) throws(ModbusException) -> [UInt8] {
        if area.isBits {
            let table = area == .coil ? coils : discreteInputs
            guard address + count <= table.count else { throw .illegalDataAddress }
            var packed = [UInt8](repeating: 0, count: (count + 7) / 8)
            for index in 0..<count where table[address + index] { packed[index / 8] |= 1 << UInt8(index % 8) }
            return packed
        }
        let table = area == .holdingRegister ? holding : input
        guard (address + count) * 2 <= table.count else { throw .illegalDataAddress }
        return Array(table[address * 2..<(address + count) * 2])
    }

    private mutating func writeCoils(_ address: Int, _ values: [Bool]) throws(ModbusException) {
        for index in values.indices where !writableCoils.contains(address + index) { throw .illegalDataAddress }
        coils.replaceSubrange(address..<address + values.count, with: values)
    }

    private mutating func write(_ address: Int, _ data: [UInt8]) throws(ModbusException) {
        let registers = address..<address + data.count / 2
        for register in registers
        where !points.contains(where: { ($0.offset..<$0.offset + $0.span).contains(register) }) {
            throw .illegalDataAddress
        }
        let before = holding
        holding.replaceSubrange(registers.lowerBound * 2..<registers.upperBound * 2, with: data)
        for point in points where registers.overlaps(point.offset..<point.offset + point.span) {
            let value = point.isFloat ? float(point.offset + 1) : Double(word(point.offset + 1))
            if !point.range.contains(value) {
                holding = before
                throw .illegalDataValue
            }
        }
    }
}
