/// Texts of numbers with units.
package enum ScalarReading {
    private static let durations: [(suffix: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86_400e9),
    ]
    private static let sizes: [(suffix: String, bytes: Double)] = [
        ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776),
        ("kB", 1e3), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1),
    ]

    /// Nanoseconds of `100ms`, `5s`, `1.5s`, `1h30m`; `0` needs no unit.
    package static func duration(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        var rest = Substring(text)
        var total = 0.0
        var any = false
        while !rest.isEmpty {
            guard let number = leadingNumber(&rest) else { return nil }
            let letters = rest.prefix { $0.isLetter }
            guard let unit = durations.first(where: { $0.suffix == letters }) else { return nil }
            rest = rest.dropFirst(letters.count)
            total += number * unit.nanoseconds
            any = true
        }
        return any ? Int64(exactly: total.rounded()) : nil
    }

    /// Bytes of `64KiB`, `1GiB`, `1.5MB`, `4096`.
    package static func size(_ text: String) -> Int64? {
        if let bytes = Int64(text), bytes >= 0 { return bytes }
        var rest = Substring(text)
        guard let number = leadingNumber(&rest) else { return nil }
        if rest.first == " " { rest = rest.dropFirst() }
        guard let unit = sizes.first(where: { $0.suffix == rest }) else { return nil }
        return Int64(exactly: (number * unit.bytes).rounded())
    }

    /// Digits with at most one point inside.
    private static func leadingNumber(_ rest: inout Substring) -> Double? {
        let digits = rest.prefix { ($0 >= "0" && $0 <= "9") || $0 == "." }
        guard let first = digits.first, first != ".", digits.last != ".", digits.count <= 20,
            let number = Double(digits)
        else { return nil }
        rest = rest.dropFirst(digits.count)
        return number
    }

    /// Decimal, or hexadecimal after `0x`.
    package static func integer(_ text: String) -> Int64? {
        let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
        if digits.hasPrefix("0x") {
            guard digits.dropFirst(2).allSatisfy(\.isHexDigit), let value = Int64(digits.dropFirst(2), radix: 16) else {
                return nil
            }
            return text.first == "-" ? -value : value
        }
        guard digits.first?.isNumber == true else { return nil }
        return Int64(text.first == "+" ? String(digits) : text)
    }

    /// A decimal number; neither infinity nor NaN.
    package static func number(_ text: String) -> Double? {
        let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
        guard let first = digits.first, ("0"..."9").contains(first) || first == ".",
            digits.allSatisfy({ ("0"..."9").contains($0) || ".eE+-".contains($0) }), let value = Double(text),
            value.isFinite
        else { return nil }
        return value
    }

    package static func text(duration nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0s" }
        let magnitude = nanoseconds.magnitude
        for (suffix, unit) in [
            ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ]
            as [(String, UInt64)] where magnitude % unit == 0
        {
            return "\(nanoseconds < 0 ? "-" : "")\(magnitude / unit)\(suffix)"
        }
        for (suffix, unit) in [("ms", 1_000_000), ("us", 1000)] as [(String, UInt64)] where magnitude % unit == 0 {
            return "\(nanoseconds < 0 ? "-" : "")\(magnitude / unit)\(suffix)"
        }
        return "\(nanoseconds)ns"
    }

    package static func text(size bytes: Int64) -> String {
        for (suffix, unit) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, Int64)]
        where bytes > 0 && bytes & (1 << unit - 1) == 0 {
            return "\(bytes >> unit)\(suffix)"
        }
        return "\(bytes)"
    }
}
