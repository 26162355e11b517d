import Formats
import Model

extension SQLFunctions {
    private static func cast(_ name: String, aliases: [String] = [], _ type: CastType) -> SQLFunction {
        SQLFunction(name, 1...1, aliases: aliases) { context, arguments in
            context.cast(arguments[0], to: type) ?? context.bad(arguments[0], 1)
        }
    }

    private static func test(
        _ name: String, aliases: [String] = [], _ body: @escaping @Sendable (Cell) -> Bool
    ) -> SQLFunction {
        SQLFunction(name, 1...1, aliases: aliases, strict: false) { _, arguments in .bool(body(arguments[0])) }
    }

    static let casts: [SQLFunction] = [
        cast("int", aliases: ["bigint", "integer", "to_integer"], .integer),
        cast("float", aliases: ["double", "number", "to_double"], .double),
        cast("str", aliases: ["string", "text", "str_utf8", "to_string"], .string),
        cast("bool", aliases: ["boolean", "to_boolean"], .bool),
        SQLFunction("typeof", 1...1, strict: false) { context, arguments in
            switch arguments[0].kind {
            case .unloaded, .null: context.text("null")
            case .bool: context.text("boolean")
            case .integer, .unsigned: context.text("integer")
            case .float, .double, .number: context.text("double")
            case .text, .escaped: context.text("string")
            case .object: context.text("object")
            case .array: context.text("array")
            }
        },
        test("is_null", aliases: ["isnull"]) { $0.isNull },
        test("is_not_null") { !$0.isNull },
        test("is_bool") { $0.kind == .bool },
        test("is_int") { $0.kind == .integer || $0.kind == .unsigned },
        test("is_float") { $0.kind == .float || $0.kind == .double },
        test("is_num") { $0.isNumber },
        test("is_str") { $0.kind == .text },
        test("is_map", aliases: ["is_object"]) { $0.kind == .object },
        test("is_array") { $0.kind == .array },
    ]

    static let conditions: [SQLFunction] = [
        /// The first that is not NULL.
        SQLFunction("coalesce", 1...argumentsMax, aliases: ["ifnull", "nvl"], strict: false) { _, arguments in
            for index in 0..<arguments.count where !arguments[index].isNull { return arguments[index] }
            return .null
        },
        /// NULL where both are equal, else the first.
        SQLFunction("nullif", 2...2, strict: false) { context, arguments in
            if arguments[0].isNull || arguments[1].isNull { return arguments[0] }
            return context.order(arguments[0], arguments[1]) == .equal ? .null : arguments[0]
        },
        SQLFunction("if", 3...3, aliases: ["iif"], strict: false) { context, arguments in
            guard arguments[0].kind == .bool || arguments[0].isNull else { return context.bad(arguments[0], 1) }
            return arguments[0].isTrue ? arguments[1] : arguments[2]
        },
        /// Within both limits.
        SQLFunction("clamp", 3...3) { context, arguments in
            for index in 0..<3 where !arguments[index].isNumber { return context.bad(arguments[index], index + 1) }
            if context.order(arguments[0], arguments[1]) == .less { return arguments[1] }
            return context.order(arguments[0], arguments[2]) == .greater ? arguments[2] : arguments[0]
        },
        /// `scale(x, inLow, inHigh, outLow, outHigh)`: from one range to another, linearly.
        SQLFunction("scale", 5...5) { context, arguments in
            for index in 0..<5 where !arguments[index].isNumber { return context.bad(arguments[index], index + 1) }
            let span = arguments[2].number - arguments[1].number
            guard span != 0 else { return context.bad(.divisionByZero) }
            let part = (arguments[0].number - arguments[1].number) / span
            return .double(arguments[3].number + part * (arguments[4].number - arguments[3].number))
        },
    ]

    static let topics: [SQLFunction] = [
        /// The level with that number, from 1; NULL beyond the last.
        SQLFunction("topic_level", 2...2) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .integer, arguments[1].int >= 1 else { return context.bad(arguments[1], 2) }
            let bytes = arguments[0].bytes
            var level: Int64 = 1
            var start = 0
            for at in 0...bytes.count where at == bytes.count || bytes[at] == UInt8(ascii: "/") {
                if level == arguments[1].int { return .text(UnsafeRawBufferPointer(rebasing: bytes[start..<at])) }
                level += 1
                start = at + 1
            }
            return .null
        },
        SQLFunction("topic_levels", 1...1) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            return .integer(Int64(arguments[0].bytes.reduce(1) { $0 + ($1 == UInt8(ascii: "/") ? 1 : 0) }))
        },
        /// Whether a filter with wildcards takes a topic.
        SQLFunction("topic_match", 2...2, aliases: ["topic_matches"]) { context, arguments in
            for index in 0..<2 where arguments[index].kind != .text { return context.bad(arguments[index], index + 1) }
            return .bool(TopicFilter.matches(pattern: arguments[1].bytes, topic: arguments[0].bytes))
        },
        /// 128 random bits as a UUID of version 4.
        SQLFunction("uuid_v4", 0...0, aliases: ["newuuid", "uuid"]) { context, _ in
            let high = context.random.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
            let low = context.random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
            func hex(_ value: UInt64, _ shift: UInt64, _ digits: Int) -> String {
                let text = String(value >> shift & (1 << UInt64(digits * 4) - 1), radix: 16)
                return String(repeating: "0", count: digits - text.count) + text
            }
            return context.text(
                "\(hex(high, 32, 8))-\(hex(high, 16, 4))-\(hex(high, 0, 4))-\(hex(low, 48, 4))-\(hex(low, 0, 12))")
        },
    ]
}
