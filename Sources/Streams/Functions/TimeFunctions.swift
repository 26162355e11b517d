import Model

extension SQLFunctions {
    /// Nanoseconds of a unit's name.
    private static func unitNanoseconds(_ cell: Cell) -> Int64? {
        guard cell.kind == .text else { return nil }
        switch String(decoding: cell.bytes, as: UTF8.self).lowercased() {
        case "second", "s", "seconds": return 1_000_000_000
        case "millisecond", "ms", "milliseconds": return 1_000_000
        case "microsecond", "us", "microseconds": return 1_000
        case "nanosecond", "ns", "nanoseconds": return 1
        default: return nil
        }
    }

    /// A time: Unix milliseconds or RFC 3339.
    private static func time(_ cell: Cell) -> Timestamp? {
        switch cell.kind {
        case .integer: Timestamp(milliseconds: cell.int)
        case .double:
            abs(cell.number) < 9e15 ? Timestamp(milliseconds: Int64(cell.number.rounded())) : nil
        case .text: Timestamp(rfc3339: String(decoding: cell.bytes, as: UTF8.self))
        default: nil
        }
    }

    /// Rounds towards the past.
    private static func divided(_ value: Int64, _ unit: Int64) -> Int64 {
        let quotient = value / unit
        return value % unit < 0 ? quotient - 1 : quotient
    }

    private static let day: Int64 = 86_400_000_000_000

    private static func part(_ name: String, aliases: [String] = [], _ body: @escaping @Sendable (Timestamp) -> Int64)
        -> SQLFunction
    {
        SQLFunction(name, 1...1, aliases: aliases) { context, arguments in
            guard let time = time(arguments[0]) else { return context.bad(arguments[0], 1) }
            return .integer(body(time))
        }
    }

    private static func date(_ time: Timestamp) -> CivilDate {
        CivilDate(daysSince1970: divided(time.nanoseconds, day))
    }

    private static func ofDay(_ time: Timestamp) -> Int64 { time.nanoseconds - divided(time.nanoseconds, day) * day }

    static let times: [SQLFunction] = [
        /// Unix milliseconds, or the unit asked for.
        SQLFunction("now", 0...1, aliases: ["tstamp", "now_milliseconds"]) { context, arguments in
            clock(context, arguments, 1_000_000)
        },
        /// Unix seconds, as EMQX has it, or the unit asked for.
        SQLFunction("now_timestamp", 0...1) { context, arguments in
            clock(context, arguments, 1_000_000_000)
        },
        SQLFunction("now_rfc3339", 0...1) { context, arguments in
            var unit: Int64 = 1_000_000_000
            if arguments.count == 1 {
                guard let known = unitNanoseconds(arguments[0]) else { return context.bad(arguments[0], 1) }
                unit = known
            }
            let now = context.time.now().nanoseconds
            return context.text(Timestamp(nanoseconds: divided(now, unit) * unit).description)
        },
        /// Of Unix seconds, or the unit given.
        SQLFunction("unix_ts_to_rfc3339", 1...2) { context, arguments in
            guard arguments[0].kind == .integer else { return context.bad(arguments[0], 1) }
            var unit: Int64 = 1_000_000_000
            if arguments.count == 2 {
                guard let known = unitNanoseconds(arguments[1]) else { return context.bad(arguments[1], 2) }
                unit = known
            }
            let (nanoseconds, overflow) = arguments[0].int.multipliedReportingOverflow(by: unit)
            return overflow
                ? context.bad(arguments[0], 1) : context.text(Timestamp(nanoseconds: nanoseconds).description)
        },
        SQLFunction("rfc3339_to_unix_ts", 1...2) { context, arguments in
            guard arguments[0].kind == .text, let time = time(arguments[0]) else { return context.bad(arguments[0], 1) }
            var unit: Int64 = 1_000_000_000
            if arguments.count == 2 {
                guard let known = unitNanoseconds(arguments[1]) else { return context.bad(arguments[1], 2) }
                unit = known
            }
            return .integer(divided(time.nanoseconds, unit))
        },
        /// RFC 3339 of Unix milliseconds.
        SQLFunction("format_time", 1...1, aliases: ["to_rfc3339"]) { context, arguments in
            guard let time = time(arguments[0]) else { return context.bad(arguments[0], 1) }
            return context.text(time.description)
        },
        /// Unix milliseconds of RFC 3339.
        SQLFunction("parse_time", 1...1, aliases: ["to_timestamp", "to_milliseconds"]) { context, arguments in
            guard let time = time(arguments[0]) else { return context.bad(arguments[0], 1) }
            return .integer(time.milliseconds)
        },
        part("year") { date($0).year },
        part("month") { Int64(date($0).month) },
        part("day", aliases: ["day_of_month"]) { Int64(date($0).day) },
        part("hour") { ofDay($0) / 3_600_000_000_000 },
        part("minute") { ofDay($0) / 60_000_000_000 % 60 },
        part("second") { ofDay($0) / 1_000_000_000 % 60 },
        /// From 1, Monday, to 7.
        part("day_of_week", aliases: ["weekday"]) { ((divided($0.nanoseconds, day) + 3) % 7 + 7) % 7 + 1 },
        part("day_of_year") {
            let days = divided($0.nanoseconds, day)
            return days - CivilDate(year: CivilDate(daysSince1970: days).year, month: 1, day: 1).daysSince1970 + 1
        },
        /// `date_trunc('hour', timestamp)`: Unix milliseconds of the start of the second, minute, hour, day, month or year.
        SQLFunction("date_trunc", 2...2) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            guard let time = time(arguments[1]) else { return context.bad(arguments[1], 2) }
            guard let start = start(of: String(decoding: arguments[0].bytes, as: UTF8.self).lowercased(), time) else {
                return context.bad(arguments[0], 1)
            }
            return .integer(start.milliseconds)
        },
    ]

    private static func clock(_ context: EvaluationContext, _ arguments: SQLArguments, _ standard: Int64) -> Cell {
        var unit = standard
        if arguments.count == 1 {
            guard let known = unitNanoseconds(arguments[0]) else { return context.bad(arguments[0], 1) }
            unit = known
        }
        return .integer(divided(context.time.now().nanoseconds, unit))
    }

    private static func start(of unit: String, _ time: Timestamp) -> Timestamp? {
        func floor(_ length: Int64) -> Timestamp { Timestamp(nanoseconds: divided(time.nanoseconds, length) * length) }
        switch unit {
        case "second": return floor(1_000_000_000)
        case "minute": return floor(60_000_000_000)
        case "hour": return floor(3_600_000_000_000)
        case "day": return floor(day)
        case "month":
            let date = date(time)
            return Timestamp(nanoseconds: CivilDate(year: date.year, month: date.month, day: 1).daysSince1970 * day)
        case "year":
            return Timestamp(nanoseconds: CivilDate(year: date(time).year, month: 1, day: 1).daysSince1970 * day)
        default: return nil
        }
    }
}
