package import Model

/// Where a tag lies, as users write it: `UNIT!ADDRESS[.BIT][#ORDER][.LENGTH[H|L|D|E]][.BYTES]`.
///
/// The first digit of ADDRESS is the area (0 coils, 1 discrete inputs, 3 input registers, 4 holding registers), the
/// rest a decimal offset counted from 1, or from 0 by a setting of the device; so `1!40001` is `1!400001`. What the
/// number after the dot means follows from the tag's type: a bit, a string's length or a count of bytes.
package struct ModbusAddress: Sendable, Hashable {
    /// How a string's characters lie in its registers.
    package enum StringForm: String, Sendable, CaseIterable {
        /// Two to a register, the high byte first. The default.
        case H
        /// Two to a register, the low byte first.
        case L
        /// One to a register, in its low byte.
        case D
        /// One to a register, in its high byte.
        case E

        package var charactersPerRegister: Int { self == .H || self == .L ? 2 : 1 }
    }

    package static let syntax = "UNIT!ADDRESS[.BIT][#ORDER][.LENGTH[H|L|D|E]][.BYTES]"
    /// Longer texts are refused unread.
    package static let textBytesMax = 64

    package var unit: UInt8
    package var area: ModbusArea
    /// Of the first register or bit, counted from 0 as in the PDU.
    package var offset: UInt16
    /// The number after the dot.
    package var suffix: Int?
    package var stringForm: StringForm?
    package var order: OrderCode?

    package init(
        unit: UInt8, area: ModbusArea, offset: UInt16, suffix: Int? = nil, stringForm: StringForm? = nil,
        order: OrderCode? = nil
    ) {
        self.unit = unit
        self.area = area
        self.offset = offset
        self.suffix = suffix
        self.stringForm = stringForm
        self.order = order
    }

    /// Reads an address. `base` is the number of the first register, 1 or 0. A problem names the column, counted
    /// from 1, what was seen and what is allowed.
    package init(_ text: String, base: Int = 1) throws(Problem) {
        var parser = AddressParser(text)
        if text.utf8.count > Self.textBytesMax {
            throw parser.problem(
                "length", "an address has at most \(Self.textBytesMax) characters", at: Self.textBytesMax)
        }
        guard let unit = parser.number(), unit <= 255 else {
            throw parser.problem("unit", "expected the unit, a number from 0 to 255, as in \"1!40001\"", at: 0)
        }
        guard parser.take(UInt8(ascii: "!")) else {
            throw parser.problem("separator", "expected \"!\" after the unit, as in \"1!40001\"", at: parser.position)
        }
        let areaPosition = parser.position
        guard let digit = parser.digit(), let area = ModbusArea(rawValue: digit) else {
            throw parser.problem("area", "area must be 0, 1, 3 or 4", at: areaPosition)
        }
        self.unit = UInt8(unit)
        self.area = area
        let offsetPosition = parser.position
        guard let number = parser.number(), number >= base, number - base <= 65_535 else {
            throw parser.problem(
                "offset", "expected an offset from \(base) to \(65_535 + base) after the area", at: offsetPosition)
        }
        offset = UInt16(number - base)
        while let next = parser.peek {
            switch next {
            case UInt8(ascii: "."): try readSuffix(&parser)
            case UInt8(ascii: "#"): try readOrder(&parser)
            default:
                throw parser.problem("end", "expected \".\", \"#\" or the end of the address", at: parser.position)
            }
        }
    }

    private mutating func readSuffix(_ parser: inout AddressParser) throws(Problem) {
        guard suffix == nil else { throw parser.problem("suffix", "only one \".\" is allowed", at: parser.position) }
        _ = parser.take(UInt8(ascii: "."))
        let position = parser.position
        guard let number = parser.number(), number <= 65_535 else {
            throw parser.problem("suffix", "expected a bit, a length or a count of bytes after \".\"", at: position)
        }
        suffix = number
        guard let letter = parser.peek, letter != UInt8(ascii: "#"), letter != UInt8(ascii: ".") else { return }
        guard let form = StringForm(rawValue: String(UnicodeScalar(letter)).uppercased()) else {
            throw parser.problem("string", "a string's form must be H, L, D or E", at: parser.position)
        }
        stringForm = form
        _ = parser.take(letter)
    }

    private mutating func readOrder(_ parser: inout AddressParser) throws(Problem) {
        guard order == nil else { throw parser.problem("order", "only one \"#\" is allowed", at: parser.position) }
        _ = parser.take(UInt8(ascii: "#"))
        let position = parser.position
        let letters = parser.letters().uppercased()
        guard let code = OrderCode(rawValue: letters) else {
            throw parser.problem("order", "the order must be L, B, LL, LB, BL or BB", at: position)
        }
        order = code
    }

    /// The canonical text: six digits, as in `1!400001#LB`.
    package func text(base: Int = 1) -> String {
        let number = String(Int(offset) + base)
        var text = "\(unit)!\(area.rawValue)" + String(repeating: "0", count: max(0, 5 - number.count)) + number
        if let suffix { text += ".\(suffix)\(stringForm?.rawValue ?? "")" }
        if let order { text += "#\(order.rawValue)" }
        return text
    }
}

extension ModbusAddress: CustomStringConvertible {
    package var description: String { text() }
}

private struct AddressParser {
    let text: String
    let bytes: [UInt8]
    var position = 0

    init(_ text: String) {
        self.text = text
        bytes = Array(text.utf8.prefix(ModbusAddress.textBytesMax))
    }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    mutating func digit() -> UInt8? {
        guard let byte = peek, byte >= 0x30, byte <= 0x39 else { return nil }
        position += 1
        return byte - 0x30
    }

    /// At most nine digits.
    mutating func number() -> Int? {
        var value: Int?
        for _ in 0..<9 {
            guard let next = digit() else { break }
            value = (value ?? 0) * 10 + Int(next)
        }
        return value
    }

    mutating func letters() -> String {
        var letters = ""
        while let byte = peek, byte >= 0x41, byte <= 0x7A, byte <= 0x5A || byte >= 0x61, letters.utf8.count < 4 {
            letters.unicodeScalars.append(UnicodeScalar(byte))
            position += 1
        }
        return letters
    }

    func problem(_ code: String, _ reason: String, at position: Int) -> Problem {
        let seen = position < bytes.count ? String(decoding: bytes[position...], as: UTF8.self) : ""
        return Problem(
            "modbus.address.\(code)",
            "address \"\(text.prefix(ModbusAddress.textBytesMax))\", column \(position + 1): \(reason)"
                + (seen.isEmpty ? "" : ", not \"\(seen)\""),
            ["address": String(text.prefix(ModbusAddress.textBytesMax)), "column": "\(position + 1)", "seen": seen])
    }
}
