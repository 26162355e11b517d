/// Numbers as decimal text, without a String. Floats are written in the shortest form that reads back as the same
/// number, always with a point or an exponent, so that a float stays one when it is read again.
package enum NumberText {
    /// Room that any number fits in.
    package static let bytesMax = 40

    /// Writes `value` at `target` and returns the number of bytes.
    package static func write(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var rest = value
        let count = digitCount(value)
        var at = count
        while rest >= 100 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            rest = quotient
            at -= 2
            target[at] = 0x30 &+ UInt8(truncatingIfNeeded: pair / 10)
            target[at + 1] = 0x30 &+ UInt8(truncatingIfNeeded: pair % 10)
        }
        if rest >= 10 {
            target[0] = 0x30 &+ UInt8(truncatingIfNeeded: rest / 10)
            target[1] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
        } else {
            target[0] = 0x30 &+ UInt8(truncatingIfNeeded: rest)
        }
        return count
    }

    package static func write(_ value: Int64, to target: UnsafeMutablePointer<UInt8>) -> Int {
        guard value < 0 else { return write(UInt64(value), to: target) }
        target[0] = UInt8(ascii: "-")
        return 1 + write(value.magnitude, to: target + 1)
    }

    /// A finite number.
    package static func write(_ value: Double, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var at = 0
        if value.sign == .minus {
            target[0] = UInt8(ascii: "-")
            at = 1
        }
        let magnitude = value.magnitude
        if magnitude < 1e15, magnitude.rounded(.towardZero) == magnitude {
            return at + writeWhole(UInt64(magnitude), to: target + at)
        }
        if magnitude >= 1e-4, magnitude < 1e15, let (digits, places) = decimal(magnitude) {
            return at + write(digits: digits, places: places, to: target + at)
        }
        return at + copy(magnitude.description, to: target + at)
    }

    /// A finite number, in the shortest form for its 32 bits.
    package static func write(_ value: Float, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var at = 0
        if value.sign == .minus {
            target[0] = UInt8(ascii: "-")
            at = 1
        }
        let magnitude = value.magnitude
        if magnitude < 16_777_216, magnitude.rounded(.towardZero) == magnitude {
            return at + writeWhole(UInt64(magnitude), to: target + at)
        }
        if let (digits, places) = decimal(magnitude) {
            return at + write(digits: digits, places: places, to: target + at)
        }
        return at + copy(magnitude.description, to: target + at)
    }

    /// The double next to the decimal number as which `value` is shown: what a reader of the JSON would get.
    package static func decimalDouble(_ value: Float) -> Double {
        let magnitude = value.magnitude
        guard value.isFinite else { return Double(value) }
        if magnitude.rounded(.towardZero) == magnitude, magnitude < 16_777_216 { return Double(value) }
        let wide: Double
        if let (digits, places) = decimal(magnitude) {
            wide = Double(digits) / power(places)
        } else {
            wide = Double(magnitude.description) ?? Double(magnitude)
        }
        return value.sign == .minus ? -wide : wide
    }

    /// The only decimal of at most 15 digits that reads as `value`, if there is one. Every decimal of 15 digits
    /// survives the way to a double and back, so it is the shortest.
    private static func decimal(_ value: Double) -> (digits: UInt64, places: Int)? {
        let places = 15 - wholeDigits(value)
        let scale = power(places)
        let scaled = (value * scale).rounded()
        guard scaled < 1e15, scaled / scale == value else { return nil }
        return stripped(UInt64(scaled), places)
    }

    /// The shortest decimal that reads as `value`, for numbers of everyday size.
    private static func decimal(_ value: Float) -> (digits: UInt64, places: Int)? {
        guard value >= 1e-4, value < 16_777_216 else { return nil }
        let wide = Double(value)
        let whole = wholeDigits(wide)
        for significant in 6...9 {
            let places = significant - whole
            guard places > 0 else { continue }
            let scale = power(places)
            let scaled = (wide * scale).rounded()
            if Float(scaled / scale) == value { return stripped(UInt64(scaled), places) }
        }
        return nil
    }

    private static func stripped(_ digits: UInt64, _ places: Int) -> (digits: UInt64, places: Int) {
        var digits = digits
        var places = places
        while places > 1 {
            let (quotient, digit) = digits.quotientAndRemainder(dividingBy: 10)
            guard digit == 0 else { break }
            digits = quotient
            places -= 1
        }
        return (digits, places)
    }

    /// Digits before the point; 0 or less where the number begins with zeros behind it.
    private static func wholeDigits(_ value: Double) -> Int {
        if value >= 1 {
            var count = 1
            while count < 16, value >= power(count) { count += 1 }
            return count
        }
        if value >= 0.1 { return 0 }
        if value >= 0.01 { return -1 }
        return value >= 0.001 ? -2 : -3
    }

    private static func writeWhole(_ value: UInt64, to target: UnsafeMutablePointer<UInt8>) -> Int {
        let count = write(value, to: target)
        target[count] = UInt8(ascii: ".")
        target[count + 1] = UInt8(ascii: "0")
        return count + 2
    }

    private static func write(digits: UInt64, places: Int, to target: UnsafeMutablePointer<UInt8>) -> Int {
        let (whole, fraction) = digits.quotientAndRemainder(dividingBy: integerPower(places))
        let count = write(whole, to: target)
        target[count] = UInt8(ascii: ".")
        var rest = fraction
        var at = count + places
        while at > count {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            rest = quotient
            target[at] = 0x30 &+ UInt8(truncatingIfNeeded: digit)
            at -= 1
        }
        return count + 1 + places
    }

    private static func copy(_ text: String, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var text = text
        return text.withUTF8 { source in
            for index in 0..<min(source.count, bytesMax - 1) { target[index] = source[index] }
            return min(source.count, bytesMax - 1)
        }
    }

    private static func digitCount(_ value: UInt64) -> Int {
        if value < 10 { return 1 }
        if value < 100 { return 2 }
        if value < 1000 { return 3 }
        if value < 10_000 { return 4 }
        // 1233/4096 is just above log10(2).
        let estimate = ((64 - value.leadingZeroBitCount) * 1233) >> 12
        guard estimate < 20 else { return 20 }
        return value < integerPower(estimate) ? estimate : estimate + 1
    }

    private static func power(_ exponent: Int) -> Double { powersTable.doubles[exponent] }
    private static func integerPower(_ exponent: Int) -> UInt64 { powersTable.integers[exponent] }
}

/// Powers of ten: as doubles exact up to 10^22, as integers up to 10^19.
struct PowersTable: @unchecked Sendable {
    // Allocated once for the life of the process, written only here.
    let doubles: UnsafePointer<Double>
    let integers: UnsafePointer<UInt64>

    init() {
        let doubles = UnsafeMutablePointer<Double>.allocate(capacity: 23)
        let integers = UnsafeMutablePointer<UInt64>.allocate(capacity: 20)
        doubles[0] = 1
        for index in 1...22 { doubles[index] = doubles[index - 1] * 10 }
        integers[0] = 1
        for index in 1...19 { integers[index] = integers[index - 1] * 10 }
        self.doubles = UnsafePointer(doubles)
        self.integers = UnsafePointer(integers)
    }
}

let powersTable = PowersTable()
