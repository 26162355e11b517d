package import Model
import Wire

/// A tag as the codec sees it: an address together with a type, checked against each other once.
///
/// - bool: a coil or discrete input, or bit `.BIT` (default 0, the least significant) of a register; arrays are the
///   bits from there on.
/// - int8, uint8: the low byte of a register, with `#B` its high byte; arrays lie two to a register, high byte first.
/// - wider numbers: one, two or four registers in the address's order or else the device's; arrays one after another.
/// - string: `.LENGTH` bytes of UTF-8, ended early by a zero byte. bytes: `.BYTES` bytes, as on the wire.
package struct ModbusField: Sendable, Hashable {
    package enum Coding: Sendable, Hashable {
        /// A value of the bit areas.
        case bit
        /// Of a register; 0 is the least significant.
        case registerBit(Int)
        case number(ScalarType)
        case string(ModbusAddress.StringForm)
        case bytes
    }

    package let address: ModbusAddress
    package let type: ValueType
    package let coding: Coding
    package let order: RegisterOrder
    /// Elements: 1 for a scalar, bytes for string and bytes.
    package let elementCount: Int
    /// Registers, or bits in the bit areas, that a read must fetch from `address.offset` on.
    package let span: Int

    package var area: ModbusArea { address.area }
    /// Of the first register or bit.
    package var start: Int { Int(address.offset) }
    package var end: Int { start + span }

    /// Checks that the type can lie at the address. `orders` are the device's.
    package init(address: ModbusAddress, type: ValueType, orders: ModbusOrders = .standard) throws(Problem) {
        self.address = address
        self.type = type
        let code = address.order
        let count = max(type.arrayCount, 1)
        if address.area.isBits {
            guard type.scalar == .bool else {
                throw Self.problem(address, "type", "coils and discrete inputs are bool, not \(type)")
            }
            guard address.suffix == nil, code == nil else {
                throw Self.problem(address, "suffix", "a coil or discrete input has neither \".\" nor \"#\"")
            }
            coding = .bit
            order = .natural
            elementCount = count
            span = count
        } else {
            (coding, elementCount) = try Self.registerCoding(address, type, count)
            let bits = type.scalar.bitWidth ?? 16
            let chosen = code ?? orders.code(bits: bits)
            guard let order = chosen.order(bits: bits) else {
                let allowed = OrderCode.allowed(bits: bits).map { "#" + $0.rawValue }.joined(separator: ", ")
                throw Self.problem(
                    address, "order",
                    "the order of \(type.scalar.name) must be one of \(allowed), not #\(chosen.rawValue)")
            }
            self.order = order
            span = Self.span(coding, elementCount)
        }
        if address.stringForm != nil, type.scalar != .string {
            throw Self.problem(address, "string", "only a string has a form H, L, D or E, not \(type)")
        }
        guard span <= address.area.readCountMax else {
            throw Self.problem(
                address, "size",
                "\(type) takes \(span) \(address.area.isBits ? "bits" : "registers"); one request reads at most \(address.area.readCountMax)"
            )
        }
        guard Int(address.offset) + span <= 65_536 else {
            throw Self.problem(address, "offset", "\(type) reaches beyond the last address, 65536")
        }
    }

    private static func registerCoding(
        _ address: ModbusAddress, _ type: ValueType, _ count: Int
    ) throws(Problem) -> (Coding, Int) {
        switch type.scalar {
        case .bool:
            let bit = address.suffix ?? 0
            guard bit <= 15 else { throw problem(address, "bit", "a register's bit must be 0 to 15, not \(bit)") }
            return (.registerBit(bit), count)
        case .string:
            guard let length = address.suffix, (1...250).contains(length) else {
                throw problem(address, "string", "a string needs its length in bytes, 1 to 250, as in \"1!40001.20H\"")
            }
            return (.string(address.stringForm ?? .H), length)
        case .bytes:
            guard let length = address.suffix, (1...250).contains(length) else {
                throw problem(address, "bytes", "bytes need their count, 1 to 250, as in \"1!40001.8\"")
            }
            return (.bytes, length)
        case .timestamp:
            throw problem(address, "type", "Modbus knows no timestamp; read a number and convert it in a rule")
        default:
            guard address.suffix == nil else {
                throw problem(address, "suffix", "\".\" is for bool, string and bytes, not for \(type)")
            }
            return (.number(type.scalar), count)
        }
    }

    private static func span(_ coding: Coding, _ count: Int) -> Int {
        switch coding {
        case .bit: count
        case .registerBit(let bit): (bit + count + 15) / 16
        case .number(let scalar): (count * (scalar.bitWidth ?? 16) + 15) / 16
        case .string(let form): (count + form.charactersPerRegister - 1) / form.charactersPerRegister
        case .bytes: (count + 1) / 2
        }
    }

    static func problem(_ address: ModbusAddress, _ code: String, _ reason: String) -> Problem {
        Problem("modbus.address.\(code)", "address \"\(address)\": \(reason)", ["address": address.text()])
    }
}
