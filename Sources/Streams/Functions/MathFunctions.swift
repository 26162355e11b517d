#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

extension SQLFunctions {
    private static func unary(
        _ name: String, aliases: [String] = [], _ body: @escaping @Sendable (Double) -> Double
    ) -> SQLFunction {
        SQLFunction(name, 1...1, aliases: aliases) { context, arguments in
            guard arguments[0].isNumber else { return context.bad(arguments[0], 1) }
            return finite(body(arguments[0].number))
        }
    }

    /// What has no finite value is NULL.
    private static func finite(_ value: Double) -> Cell { value.isFinite ? .double(value) : .null }

    private static func isWhole(_ cell: Cell) -> Bool { cell.kind == .integer || cell.kind == .unsigned }

    private static func rounding(
        _ name: String, aliases: [String] = [], _ rule: FloatingPointRoundingRule
    ) -> SQLFunction {
        SQLFunction(name, 1...1, aliases: aliases) { context, arguments in
            let cell = arguments[0]
            if isWhole(cell) { return cell }
            guard cell.isNumber else { return context.bad(cell, 1) }
            let value = cell.number.rounded(rule)
            return Int64(exactly: value).map { .integer($0) } ?? finite(value)
        }
    }

    static let maths: [SQLFunction] = [
        SQLFunction("abs", 1...1) { context, arguments in
            switch arguments[0].kind {
            case .integer:
                let value = arguments[0].int
                return .unsigned(value.magnitude)
            case .unsigned: return arguments[0]
            case .float, .double: return .double(arguments[0].number.magnitude)
            default: return context.bad(arguments[0], 1)
            }
        },
        rounding("ceil", aliases: ["ceiling"], .up),
        rounding("floor", .down),
        SQLFunction("round", 1...2) { context, arguments in
            let cell = arguments[0]
            if isWhole(cell) { return cell }
            guard cell.isNumber else { return context.bad(cell, 1) }
            guard arguments.count == 2 else {
                let value = cell.number.rounded()
                return Int64(exactly: value).map { .integer($0) } ?? finite(value)
            }
            return decimals(context, cell, arguments[1]) { $0.rounded() }
        },
        SQLFunction("trunc", 1...2, aliases: ["truncate"]) { context, arguments in
            let cell = arguments[0]
            if isWhole(cell) { return cell }
            guard cell.isNumber else { return context.bad(cell, 1) }
            guard arguments.count == 2 else {
                let value = cell.number.rounded(.towardZero)
                return Int64(exactly: value).map { .integer($0) } ?? finite(value)
            }
            return decimals(context, cell, arguments[1]) { $0.rounded(.towardZero) }
        },
        SQLFunction("sign", 1...1) { context, arguments in
            guard arguments[0].isNumber else { return context.bad(arguments[0], 1) }
            let value = arguments[0].number
            return .integer(value > 0 ? 1 : value < 0 ? -1 : 0)
        },
        unary("sqrt") { $0.squareRoot() },
        unary("exp") { exp($0) },
        unary("ln") { log($0) },
        SQLFunction("log", 1...2) { context, arguments in
            for index in 0..<arguments.count where !arguments[index].isNumber {
                return context.bad(arguments[index], index + 1)
            }
            // One argument: the natural logarithm, as EMQX has it; two: base and number.
            if arguments.count == 1 { return finite(log(arguments[0].number)) }
            return finite(log(arguments[1].number) / log(arguments[0].number))
        },
        unary("log10") { log10($0) },
        unary("log2") { log2($0) },
        SQLFunction("power", 2...2, aliases: ["pow"]) { context, arguments in
            for index in 0..<2 where !arguments[index].isNumber { return context.bad(arguments[index], index + 1) }
            return finite(pow(arguments[0].number, arguments[1].number))
        },
        SQLFunction("mod", 2...2) { context, arguments in
            context.arithmetic(.modulo, arguments[0], arguments[1], 0, context.currentCall)
        },
        SQLFunction("div", 2...2) { context, arguments in
            context.arithmetic(.integerDivide, arguments[0], arguments[1], 0, context.currentCall)
        },
        unary("sin") { sin($0) },
        unary("cos") { cos($0) },
        unary("tan") { tan($0) },
        unary("asin") { asin($0) },
        unary("acos") { acos($0) },
        unary("atan") { atan($0) },
        SQLFunction("atan2", 2...2) { context, arguments in
            for index in 0..<2 where !arguments[index].isNumber { return context.bad(arguments[index], index + 1) }
            return finite(atan2(arguments[0].number, arguments[1].number))
        },
        unary("sinh") { sinh($0) },
        unary("cosh") { cosh($0) },
        unary("tanh") { tanh($0) },
        unary("radians") { $0 * .pi / 180 },
        unary("degrees") { $0 * 180 / .pi },
        SQLFunction("pi", 0...0) { _, _ in .double(.pi) },
        SQLFunction("random", 0...0, aliases: ["rand"]) { context, _ in .double(context.random.unit()) },
        extreme("greatest", .greater),
        extreme("least", .less),
    ]

    /// With `places` digits behind the point.
    private static func decimals(
        _ context: EvaluationContext, _ cell: Cell, _ places: Cell, _ rounded: (Double) -> Double
    ) -> Cell {
        guard places.kind == .integer, (0...15).contains(places.int) else { return context.bad(places, 2) }
        var scale = 1.0
        for _ in 0..<places.int { scale *= 10 }
        let scaled = cell.number * scale
        return scaled.isFinite ? finite(rounded(scaled) / scale) : cell
    }

    private static func extreme(_ name: String, _ wanted: CellOrder) -> SQLFunction {
        SQLFunction(name, 1...argumentsMax) { context, arguments in
            var best = arguments[0]
            for index in 1..<max(arguments.count, 1) {
                let order = context.order(arguments[index], best)
                if order == .incomparable { return context.bad(arguments[index], index + 1) }
                if order == wanted { best = arguments[index] }
            }
            return best
        }
    }

    private static func integers(
        _ name: String, aliases: [String] = [], _ body: @escaping @Sendable (Int64, Int64) -> Int64
    ) -> SQLFunction {
        SQLFunction(name, 2...2, aliases: aliases) { context, arguments in
            for index in 0..<2 where arguments[index].kind != .integer {
                return context.bad(arguments[index], index + 1)
            }
            return .integer(body(arguments[0].int, arguments[1].int))
        }
    }

    static let bits: [SQLFunction] = [
        integers("bitand") { $0 & $1 },
        integers("bitor") { $0 | $1 },
        integers("bitxor") { $0 ^ $1 },
        integers("bitsl") { $0 << $1 },
        integers("bitsr") { Int64(bitPattern: UInt64(bitPattern: $0) >> UInt64(bitPattern: $1)) },
        SQLFunction("bitnot", 1...1) { context, arguments in
            guard arguments[0].kind == .integer else { return context.bad(arguments[0], 1) }
            return .integer(~arguments[0].int)
        },
        /// Bit n of an integer, from 0, as a boolean.
        SQLFunction("bit", 2...2, aliases: ["getbit"]) { context, arguments in
            guard isWhole(arguments[0]) else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, (0..<64).contains(arguments[1].int) else {
                return context.bad(arguments[1], 2)
            }
            return .bool(arguments[0].bits >> UInt64(arguments[1].int) & 1 == 1)
        },
    ]
}
