package import Wire

/// How a number of one, two or four registers lies in them. The standard says only that a register's high byte
/// comes first; everything else is the device's choice.
package struct RegisterOrder: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The low byte of each register comes first.
    package static let swappedBytes = RegisterOrder(rawValue: 1)
    /// The least significant register comes first.
    package static let swappedWords = RegisterOrder(rawValue: 2)
    /// Most significant byte first throughout: `#L`, `#LL`.
    package static let natural: RegisterOrder = []
}

/// The order suffix of an address as users write it; letters stand for the halves of registers and of numbers.
///
/// On the wire, most significant byte A: 16 bit `L` AB, `B` BA; 32 bit `LL` ABCD, `LB` BADC, `BL` CDAB, `BB` DCBA;
/// 64 bit `L` and `LL` 12345678, `LB` 21436587, `BL` 78563412, `B` and `BB` 87654321.
package enum OrderCode: String, Sendable, CaseIterable {
    case L, B, LL, LB, BL, BB

    /// The order it means for a number of `bits`; nil where it means nothing for that width.
    package func order(bits: Int) -> RegisterOrder? {
        guard Self.allowed(bits: bits).contains(self) else { return nil }
        switch self {
        case .L, .LL: return .natural
        case .LB: return .swappedBytes
        case .BL: return .swappedWords
        case .B: return bits <= 16 ? .swappedBytes : [.swappedBytes, .swappedWords]
        case .BB: return [.swappedBytes, .swappedWords]
        }
    }

    package static func allowed(bits: Int) -> [OrderCode] {
        switch bits {
        case ...16: [.L, .B]
        case 32: [.LL, .LB, .BL, .BB]
        default: [.L, .LL, .LB, .BL, .B, .BB]
        }
    }
}

/// A device's orders, for tags whose address says none.
package struct ModbusOrders: Sendable, Hashable {
    package var bits16: OrderCode
    package var bits32: OrderCode
    package var bits64: OrderCode

    package init(bits16: OrderCode = .L, bits32: OrderCode = .LL, bits64: OrderCode = .LL) {
        self.bits16 = bits16
        self.bits32 = bits32
        self.bits64 = bits64
    }

    package static let standard = ModbusOrders()

    package func code(bits: Int) -> OrderCode { bits <= 16 ? bits16 : bits == 32 ? bits32 : bits64 }
}

/// Numbers in registers. The caller has checked that the bytes are there.
extension RegisterOrder {
    @inlinable
    package func load16(_ base: UnsafeRawPointer, _ offset: Int) -> UInt16 {
        contains(.swappedBytes) ? base.little(offset) : base.big(offset)
    }

    @inlinable
    package func load32(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
        arrange(base.big(offset, UInt32.self))
    }

    @inlinable
    package func load64(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        arrange(base.big(offset, UInt64.self))
    }

    /// Between the number read most significant byte first and the number meant, in both directions.
    @inlinable
    package func arrange(_ value: UInt16) -> UInt16 { contains(.swappedBytes) ? value.byteSwapped : value }

    @inlinable
    package func arrange(_ value: UInt32) -> UInt32 {
        switch rawValue {
        case 0: value
        case 1: (value & 0x00FF_00FF) << 8 | value >> 8 & 0x00FF_00FF
        case 2: value << 16 | value >> 16
        default: value.byteSwapped
        }
    }

    @inlinable
    package func arrange(_ value: UInt64) -> UInt64 {
        switch rawValue {
        case 0: return value
        case 1: return (value & 0x00FF_00FF_00FF_00FF) << 8 | value >> 8 & 0x00FF_00FF_00FF_00FF
        case 2:
            let halves = value << 32 | value >> 32
            return (halves & 0x0000_FFFF_0000_FFFF) << 16 | halves >> 16 & 0x0000_FFFF_0000_FFFF
        default: return value.byteSwapped
        }
    }
}
