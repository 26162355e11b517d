import Formats

extension JSONWriter {
    /// A cell as JSON.
    mutating func cell(_ cell: Cell) {
        switch cell.kind {
        case .unloaded, .null: null()
        case .bool: bool(cell.isTrue)
        case .integer: integer(cell.int)
        case .unsigned: integer(cell.bits)
        case .float: number(Float(bitPattern: UInt32(truncatingIfNeeded: cell.bits)))
        case .double: number(Double(bitPattern: cell.bits))
        case .text: string(cell.bytes)
        case .number, .object, .array: raw(cell.bytes)
        case .escaped:
            byte(UInt8(ascii: "\""))
            raw(cell.bytes)
            byte(UInt8(ascii: "\""))
        }
    }
}

extension SQLFunctions {
    static let json: [SQLFunction] = [
        /// A text as JSON; NULL where it is none.
        SQLFunction("json_decode", 1...1, aliases: ["parse_json"]) { context, arguments in
            guard arguments[0].kind == .text else { return arguments[0] }
            var slot = JSONSlot.absent
            guard wholeText.scan(arguments[0].bytes, into: &slot) == nil else { return .null }
            return context.decodedCell(slot, in: arguments[0].bytes)
        },
        SQLFunction("json_encode", 1...1, aliases: ["to_json"], strict: false) { context, arguments in
            context.json(.text) { $0.cell(arguments[0]) }
        },
        /// `json_get(object, 'a.b[0]')`.
        SQLFunction("json_get", 2...2, aliases: ["json_path_query"]) { context, arguments in
            guard arguments[1].kind == .text else { return context.bad(arguments[1], 2) }
            return reach(context, arguments[0], String(decoding: arguments[1].bytes, as: UTF8.self)) ?? .null
        },
        /// EMQX's order: the path, the object, what to give where there is nothing.
        SQLFunction("map_get", 2...3, aliases: ["mget"], strict: false) { context, arguments in
            guard arguments[0].kind == .text else { return context.bad(arguments[0], 1) }
            let found = reach(context, arguments[1], String(decoding: arguments[0].bytes, as: UTF8.self))
            return found ?? (arguments.count == 3 ? arguments[2] : .null)
        },
        SQLFunction("json_keys", 1...1, aliases: ["map_keys", "keys"]) { context, arguments in
            guard arguments[0].kind == .object else { return context.bad(arguments[0], 1) }
            return context.json(.array) { writer in
                writer.byte(UInt8(ascii: "["))
                var isFirst = true
                JSONText.forEachMember(of: arguments[0].bytes) { key, _, _ in
                    if !isFirst { writer.byte(UInt8(ascii: ",")) }
                    isFirst = false
                    writer.byte(UInt8(ascii: "\""))
                    writer.raw(key)
                    writer.byte(UInt8(ascii: "\""))
                }
                writer.byte(UInt8(ascii: "]"))
            }
        },
        SQLFunction("array_length", 1...1) { context, arguments in
            guard arguments[0].kind == .array else { return context.bad(arguments[0], 1) }
            return .integer(Int64(JSONText.count(of: arguments[0].bytes)))
        },
        /// EMQX's order: the number, from 1, then the array.
        SQLFunction("nth", 2...2) { context, arguments in
            guard arguments[0].kind == .integer else { return context.bad(arguments[0], 1) }
            guard arguments[1].kind == .array else { return context.bad(arguments[1], 2) }
            guard arguments[0].int >= 1, arguments[0].int <= Int64(Int32.max) else { return .null }
            let slot = JSONText.element(of: arguments[1].bytes, Int(arguments[0].int) - 1)
            return context.decodedCell(slot, in: arguments[1].bytes)
        },
        SQLFunction("first", 1...1) { context, arguments in
            guard arguments[0].kind == .array else { return context.bad(arguments[0], 1) }
            return context.decodedCell(JSONText.element(of: arguments[0].bytes, 0), in: arguments[0].bytes)
        },
        SQLFunction("last", 1...1) { context, arguments in
            guard arguments[0].kind == .array else { return context.bad(arguments[0], 1) }
            var slot = JSONSlot.absent
            JSONText.forEachElement(of: arguments[0].bytes) {
                slot = $0
                return true
            }
            return context.decodedCell(slot, in: arguments[0].bytes)
        },
        /// Whether an array has an element, or a text a part.
        SQLFunction("contains", 2...2, aliases: ["array_contains"]) { context, arguments in
            switch (arguments[0].kind, arguments[1].kind) {
            case (.array, _): return .bool(has(context, arguments[0], arguments[1]))
            // EMQX has the element first.
            case (_, .array): return .bool(has(context, arguments[1], arguments[0]))
            case (.text, .text): return .bool(arguments[0].bytes.firstIndex(of: arguments[1].bytes) != nil)
            default: return context.bad(arguments[0], 1)
            }
        },
        SQLFunction("array", 0...argumentsMax, strict: false) { context, arguments in
            context.json(.array) { writer in
                writer.byte(UInt8(ascii: "["))
                for index in 0..<arguments.count {
                    if index > 0 { writer.byte(UInt8(ascii: ",")) }
                    writer.cell(arguments[index])
                }
                writer.byte(UInt8(ascii: "]"))
            }
        },
        /// `object('a', 1, 'b', x)`.
        SQLFunction("object", 0...argumentsMax, aliases: ["json_object"], strict: false) { context, arguments in
            for index in stride(from: 0, to: arguments.count, by: 2) where arguments[index].kind != .text {
                return context.bad(arguments[index], index + 1)
            }
            return context.json(.object) { writer in
                writer.byte(UInt8(ascii: "{"))
                for index in stride(from: 0, to: arguments.count, by: 2) {
                    if index > 0 { writer.byte(UInt8(ascii: ",")) }
                    writer.cell(arguments[index])
                    writer.byte(UInt8(ascii: ":"))
                    writer.cell(index + 1 < arguments.count ? arguments[index + 1] : .null)
                }
                writer.byte(UInt8(ascii: "}"))
            }
        },
    ]

    private static let wholeText = JSONFieldSet([[]])

    private static func has(_ context: EvaluationContext, _ array: Cell, _ wanted: Cell) -> Bool {
        var found = false
        JSONText.forEachElement(of: array.bytes) { slot in
            let element = context.decodedCell(slot, in: array.bytes)
            if !element.isNull, context.order(element, wanted) == .equal { found = true }
            return !found
        }
        return found
    }

    /// Nil where the way leads nowhere.
    private static func reach(_ context: EvaluationContext, _ base: Cell, _ path: String) -> Cell? {
        guard base.kind == .object || base.kind == .array, let steps = FieldPath.parse(path) else { return nil }
        var cell = base
        for step in steps {
            let slot: JSONSlot
            switch step {
            case .key(let key):
                guard cell.kind == .object else { return nil }
                var key = key
                slot = key.withUTF8 { JSONText.member(of: cell.bytes, UnsafeRawBufferPointer($0)) }
            case .element(let index):
                guard cell.kind == .array else { return nil }
                slot = JSONText.element(of: cell.bytes, index)
            }
            if slot.kind == .absent { return nil }
            cell = context.decodedCell(slot, in: cell.bytes)
        }
        return cell
    }
}

/// `a.b[0].c` as steps.
enum FieldPath {
    static let stepsMax = 64

    static func parse(_ text: String) -> [JSONStep]? {
        var steps: [JSONStep] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            var rest = part
            let name = rest.prefix { $0 != "[" }
            rest = rest.dropFirst(name.count)
            if name.isEmpty {
                guard !rest.isEmpty else { return nil }
            } else {
                steps.append(.key(String(name)))
            }
            while rest.first == "[" {
                let digits = rest.dropFirst().prefix { $0 != "]" }
                guard let index = Int(digits), index >= 0, rest.dropFirst(digits.count + 1).first == "]" else {
                    return nil
                }
                steps.append(.element(index))
                rest = rest.dropFirst(digits.count + 2)
            }
            guard rest.isEmpty, steps.count <= stepsMax else { return nil }
        }
        return steps
    }
}
