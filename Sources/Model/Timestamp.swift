/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds.
@frozen
package struct Timestamp: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Saturates at the limits of the representable range (years 1677 to 2262).
    @inlinable
    package init(milliseconds: Int64) {
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        nanoseconds = overflow ? (milliseconds < 0 ? .min : .max) : product
    }

    /// Unix milliseconds, rounded towards the past.
    @inlinable
    package var milliseconds: Int64 {
        let quotient = nanoseconds / 1_000_000
        return nanoseconds % 1_000_000 < 0 ? quotient - 1 : quotient
    }

    /// The same, rounded towards the past to what messages carry; such times also compress best.
    @inlinable
    package var inWholeMilliseconds: Timestamp { Timestamp(milliseconds: milliseconds) }

    @inlinable
    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturating addition.
    @inlinable
    package func advanced(nanoseconds delta: Int64) -> Timestamp {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(delta)
        return Timestamp(nanoseconds: overflow ? (delta < 0 ? .min : .max) : sum)
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with the fewest of 0, 3, 6 or 9 fraction digits that lose nothing.
    package var description: String {
        var (days, rest) = nanoseconds.quotientAndRemainder(dividingBy: 86_400_000_000_000)
        if rest < 0 {
            days -= 1
            rest += 86_400_000_000_000
        }
        let date = CivilDate(daysSince1970: days)
        let (seconds, fraction) = rest.quotientAndRemainder(dividingBy: 1_000_000_000)
        var text = "\(padded(date.year, 4))-\(padded(Int64(date.month), 2))-\(padded(Int64(date.day), 2))T"
        text += "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        if fraction != 0 {
            if fraction % 1_000_000 == 0 {
                text += ".\(padded(fraction / 1_000_000, 3))"
            } else if fraction % 1_000 == 0 {
                text += ".\(padded(fraction / 1_000, 6))"
            } else {
                text += ".\(padded(fraction, 9))"
            }
        }
        return text + "Z"
    }

    /// Parses RFC 3339: `2026-01-01T00:00:00[.fraction](Z|+hh:mm|-hh:mm)`; a space may stand for `T`, and a
    /// missing offset means UTC. Returns nil for anything else, and for instants out of range.
    package init?(rfc3339 text: some StringProtocol) {
        var digits = Array(text.utf8)[...]
        func number(_ count: Int) -> Int64? {
            guard digits.count >= count else { return nil }
            var value: Int64 = 0
            for byte in digits.prefix(count) {
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            digits = digits.dropFirst(count)
            return value
        }
        func take(_ allowed: StaticString) -> UInt8? {
            guard let first = digits.first else { return nil }
            let hit = allowed.withUTF8Buffer { $0.contains(first) }
            guard hit else { return nil }
            digits = digits.dropFirst()
            return first
        }
        guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil, let day = number(2),
            take("Tt ") != nil, let hour = number(2), take(":") != nil, let minute = number(2), take(":") != nil,
            let second = number(2), (1...12).contains(month),
            day >= 1, day <= CivilDate.days(inMonth: Int(month), year: year), hour <= 23, minute <= 59, second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if take(".") != nil {
            var scale: Int64 = 100_000_000
            var any = false
            while let byte = digits.first, byte >= 0x30, byte <= 0x39 {
                fraction += Int64(byte - 0x30) * scale
                scale /= 10
                digits = digits.dropFirst()
                any = true
            }
            guard any else { return nil }
        }
        var offset: Int64 = 0
        if let sign = take("+-") {
            guard let hours = number(2), take(":") != nil, let minutes = number(2), hours <= 23, minutes <= 59 else {
                return nil
            }
            offset = (hours * 3600 + minutes * 60) * (sign == 0x2D ? -1 : 1)
        } else if !digits.isEmpty {
            guard take("Zz") != nil else { return nil }
        }
        guard digits.isEmpty else { return nil }
        let days = CivilDate(year: year, month: Int(month), day: Int(day)).daysSince1970
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return nil }
        let (sum, sumOverflow) = product.addingReportingOverflow(fraction)
        guard !sumOverflow else { return nil }
        self.init(nanoseconds: sum)
    }
}

/// A date of the proleptic Gregorian calendar.
package struct CivilDate: Hashable, Sendable {
    package var year: Int64
    package var month: Int
    package var day: Int

    package init(year: Int64, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// Counts in eras of 400 years whose years begin in March, so that the leap day comes last.
    package init(daysSince1970: Int64) {
        let shifted = daysSince1970 + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * marchMonth + 2) / 5 + 1)
        month = Int(marchMonth < 10 ? marchMonth + 3 : marchMonth - 9)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    package var daysSince1970: Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = (marchYear >= 0 ? marchYear : marchYear - 399) / 400
        let yearOfEra = marchYear - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    package static func days(inMonth month: Int, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

private func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
}
