import Formats
import Model

/// Turns expressions into a program's tables and names into fields and metadata.
struct Compiler {
    /// Bounds what a rule costs where a column is used by others again and again.
    static let costMax = 200_000

    let dialect: SQLDialect
    /// Names of FROM's sources; a column may begin with one.
    let sourceNames: Set<String>
    private var nodes: [Node] = []
    private var costs: [Int] = []
    private var lists: [Int32] = []
    private var positions: [SourcePosition] = []
    private var constants: [UInt8] = []
    private(set) var fields: [[JSONStep]] = []
    private var fieldIndexes: [[JSONStep]: Int32] = [:]
    /// EMQX: columns that later expressions can use, by path.
    private var aliases: [[String]: Int32] = [:]
    private(set) var warnings: [Problem] = []

    init(dialect: SQLDialect, sourceNames: Set<String>) {
        self.dialect = dialect
        self.sourceNames = sourceNames
    }

    func finish() -> Program { Program(nodes: nodes, lists: lists, positions: positions, constants: constants) }

    mutating func define(_ alias: [String], _ node: Int32) { aliases[alias] = node }

    private mutating func add(_ node: Node, _ position: SourcePosition, _ children: [Int32]) throws(SQLError) -> Int32 {
        let cost = children.reduce(1) { min($0 + costs[Int($1)], Self.costMax + 1) }
        guard cost <= Self.costMax else { throw SQLError(position, "the expression is too large") }
        nodes.append(node)
        costs.append(cost)
        positions.append(position)
        return Int32(nodes.count - 1)
    }

    private mutating func constant(_ cell: Cell, _ position: SourcePosition) throws(SQLError) -> Int32 {
        try add(Node(operation: .constant, constant: cell), position, [])
    }

    private mutating func text(_ text: String) -> Cell {
        let offset = constants.count
        constants += Array(text.utf8)
        return Cell(.text, UInt64(offset), count: UInt32(constants.count - offset))
    }

    mutating func field(_ path: [JSONStep]) -> Int32 {
        if let known = fieldIndexes[path] { return known }
        let index = Int32(fields.count)
        fields.append(path)
        fieldIndexes[path] = index
        return index
    }

    mutating func fieldNode(_ path: [JSONStep], _ position: SourcePosition) throws(SQLError) -> Int32 {
        try add(Node(operation: .field, a: field(path)), position, [])
    }

    mutating func metaNode(_ meta: Meta, _ position: SourcePosition) throws(SQLError) -> Int32 {
        try add(Node(operation: .meta, b: meta.rawValue), position, [])
    }

    private mutating func list(_ entries: [Int32]) -> Int32 {
        let first = Int32(lists.count)
        lists += entries
        return first
    }

    // MARK: expressions

    mutating func compile(_ expression: Expression) throws(SQLError) -> Int32 {
        let position = expression.position
        switch expression.kind {
        case .null: return try constant(.null, position)
        case .bool(let value): return try constant(.bool(value), position)
        case .integer(let value): return try constant(.integer(value), position)
        case .unsigned(let value): return try constant(.unsigned(value), position)
        case .number(let value): return try constant(.double(value), position)
        case .text(let value): return try constant(text(value), position)
        case .name(let steps): return try name(steps, position)
        case .element(let base, let index):
            let base = try compile(base)
            let index = try compile(index)
            return try add(
                Node(operation: .element, a: base, b: index, c: dialect == .emqx ? 1 : 0), position, [base, index])
        case .member(let base, let key): return try member(try compile(base), key, position)
        case .unary(let operation, let operand):
            let operand = try compile(operand)
            let code: Operation =
                switch operation {
                case .not: .not
                case .minus: .negate
                case .plus: .plus
                }
            return try add(Node(operation: code, a: operand), position, [operand])
        case .binary(let operation, let left, let right):
            let left = try compile(left)
            let right = try compile(right)
            return try add(
                Node(operation: Self.code(operation), a: left, b: right, c: flavour), position, [left, right])
        case .between(let value, let low, let high):
            let parts = [try compile(value), try compile(low), try compile(high)]
            return try add(
                Node(operation: .between, a: parts[0], b: parts[1], c: parts[2], constant: .bool(dialect == .emqx)),
                position, parts)
        case .list(let value, let entries):
            let value = try compile(value)
            var compiled: [Int32] = []
            for entry in entries { compiled.append(try compile(entry)) }
            let first = list(compiled)
            return try add(
                Node(operation: .list, a: value, b: first, c: Int32(compiled.count)), position, [value] + compiled)
        case .like(let value, let pattern, let escape): return try like(value, pattern, escape, position)
        case .isNull(let operand):
            let operand = try compile(operand)
            return try add(Node(operation: .isNull, a: operand), position, [operand])
        case .case(let operand, let branches, let otherwise):
            return try choose(operand, branches, otherwise, position)
        case .call(let name, let arguments): return try call(name, arguments, position)
        case .cast(let operand, let name):
            let operand = try compile(operand)
            guard let type = CastType(name: name) else {
                throw SQLError(position, "unknown type \(name); known are \(CastType.known)")
            }
            return try add(Node(operation: .cast, a: operand, c: Int32(type.rawValue)), position, [operand])
        }
    }

    private var flavour: Int32 {
        switch dialect {
        case .tundish: 0
        case .emqx: 1
        case .ekuiper: 2
        }
    }

    private static func code(_ operation: BinaryOperator) -> Operation {
        switch operation {
        case .or: .or
        case .and: .and
        case .equal: .equal
        case .notEqual: .notEqual
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        case .topicMatch: .topicMatch
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        case .divide: .divide
        case .integerDivide: .integerDivide
        case .modulo: .modulo
        case .concatenate: .concatenate
        }
    }

    private mutating func like(
        _ value: Expression, _ pattern: Expression, _ escape: Expression?, _ position: SourcePosition
    ) throws(SQLError) -> Int32 {
        let value = try compile(value)
        let compiled = try compile(pattern)
        var character: Int32 = 0
        if let escape {
            guard case .text(let text) = escape.kind, text.utf8.count == 1, let byte = text.utf8.first else {
                throw SQLError(escape.position, "ESCAPE needs one ASCII character in single quotes")
            }
            character = Int32(byte)
        }
        return try add(Node(operation: .like, a: value, b: compiled, c: character), position, [value, compiled])
    }

    private mutating func choose(
        _ operand: Expression?, _ branches: [(when: Expression, then: Expression)], _ otherwise: Expression?,
        _ position: SourcePosition
    ) throws(SQLError) -> Int32 {
        let subject: Int32? = if let operand { try compile(operand) } else { nil }
        var pairs: [Int32] = []
        for branch in branches {
            var condition = try compile(branch.when)
            if let subject {
                condition = try add(
                    Node(operation: .equal, a: subject, b: condition, c: flavour), branch.when.position,
                    [subject, condition])
            }
            pairs.append(condition)
            pairs.append(try compile(branch.then))
        }
        let fallback: Int32? = if let otherwise { try compile(otherwise) } else { nil }
        let first = list(pairs)
        return try add(
            Node(operation: .choose, a: fallback ?? -1, b: first, c: Int32(branches.count)), position,
            pairs + (fallback.map { [$0] } ?? []))
    }

    private mutating func call(
        _ name: String, _ arguments: [Expression], _ position: SourcePosition
    ) throws(SQLError) -> Int32 {
        let lower = name.lowercased()
        if dialect == .ekuiper, lower == "meta" || lower == "mqtt" { return try metaCall(lower, arguments, position) }
        guard let index = SQLFunctions.indexes[lower] else {
            let hint = SQLFunctions.nearest(lower).map { "; did you mean \($0)?" } ?? ""
            throw SQLError(position, "unknown function \(name)\(hint)")
        }
        let function = SQLFunctions.all[index]
        guard arguments.count >= function.argumentsMin, arguments.count <= function.argumentsMax else {
            let count =
                function.argumentsMin == function.argumentsMax
                ? "\(function.argumentsMin)" : "\(function.argumentsMin) to \(function.argumentsMax)"
            throw SQLError(
                position,
                "\(lower) takes \(count) argument\(count == "1" ? "" : "s"), not \(arguments.count)")
        }
        var compiled: [Int32] = []
        for argument in arguments { compiled.append(try compile(argument)) }
        let first = list(compiled)
        return try add(
            Node(operation: .call, a: Int32(index), b: first, c: Int32(compiled.count)), position, compiled)
    }

    /// eKuiper's `meta(topic)`, `meta(stream.topic)`, `mqtt(qos)`.
    private mutating func metaCall(
        _ function: String, _ arguments: [Expression], _ position: SourcePosition
    ) throws(SQLError) -> Int32 {
        let known = Meta.ekuiper.keys.sorted().joined(separator: ", ")
        guard arguments.count == 1, case .name(let steps) = arguments[0].kind, case .key(let key)? = steps.last else {
            throw SQLError(position, "\(function) takes the name of one metadata column; known are \(known)")
        }
        guard let meta = Meta.ekuiper[key.lowercased()] else {
            throw SQLError(arguments[0].position, "unknown metadata column \(key); known are \(known)")
        }
        return try metaNode(meta, position)
    }

    // MARK: names

    private mutating func member(_ base: Int32, _ key: String, _ position: SourcePosition) throws(SQLError) -> Int32 {
        let cell = text(key)
        return try add(Node(operation: .member, a: base, constant: cell), position, [base])
    }

    /// Reaches from a node along the rest of a name.
    private mutating func reach(
        _ base: Int32, _ steps: ArraySlice<NameStep>, _ position: SourcePosition
    ) throws(SQLError) -> Int32 {
        var node = base
        for step in steps {
            switch step {
            case .key(let key): node = try member(node, key, position)
            case .element(let index):
                let place = try constant(.integer(Int64(index)), position)
                node = try add(
                    Node(operation: .element, a: node, b: place, c: dialect == .emqx ? 1 : 0), position, [node, place])
            }
        }
        return node
    }

    private mutating func name(_ steps: [NameStep], _ position: SourcePosition) throws(SQLError) -> Int32 {
        switch dialect {
        case .tundish: return try tundishName(steps, position)
        case .emqx: return try emqxName(steps, position)
        case .ekuiper:
            let steps = withoutSource(steps)
            return try fieldNode(path(steps[...]), position)
        }
    }

    private func withoutSource(_ steps: [NameStep]) -> [NameStep] {
        guard steps.count > 1, case .key(let first)? = steps.first, sourceNames.contains(first) else { return steps }
        return Array(steps.dropFirst())
    }

    private func path(_ steps: ArraySlice<NameStep>) -> [JSONStep] {
        steps.map { step in
            switch step {
            case .key(let key): .key(key)
            case .element(let index): .element(index)
            }
        }
    }

    private mutating func tundishName(_ written: [NameStep], _ position: SourcePosition) throws(SQLError) -> Int32 {
        let steps = withoutSource(written)
        guard case .key(let first)? = steps.first else { return try constant(.null, position) }
        if first == "payload" { return try fieldNode(path(steps.dropFirst()), position) }
        if first == "meta", steps.count > 1 {
            guard case .key(let key) = steps[1], let meta = Meta.tundish[key] else {
                let known = Meta.tundish.keys.sorted().joined(separator: ", ")
                throw SQLError(position, "unknown metadata column; known are \(known)")
            }
            return try reach(try metaNode(meta, position), steps.dropFirst(2), position)
        }
        if steps.count == 1, let meta = Meta.tundish[first] {
            let index = field([.key(first)])
            return try add(Node(operation: .fieldOrMeta, a: index, b: meta.rawValue), position, [])
        }
        return try fieldNode(path(steps[...]), position)
    }

    private mutating func emqxName(_ steps: [NameStep], _ position: SourcePosition) throws(SQLError) -> Int32 {
        var keys: [String] = []
        for step in steps {
            guard case .key(let key) = step else { break }
            keys.append(key)
        }
        for count in stride(from: keys.count, through: 1, by: -1) {
            if let node = aliases[Array(keys[..<count])] { return try reach(node, steps.dropFirst(count), position) }
        }
        guard let first = keys.first else { return try constant(.null, position) }
        if first == "payload", steps.count > 1 {
            var path: [JSONStep] = []
            for step in steps.dropFirst() {
                switch step {
                case .key(let key): path.append(.key(key))
                case .element(let index):
                    // EMQX counts from 1; there is no element 0.
                    guard index > 0 else { return try constant(.null, position) }
                    path.append(.element(index - 1))
                }
            }
            return try fieldNode(path, position)
        }
        if keys.count >= 2, first == "flags", keys[1] == "retain" { return try metaNode(.retain, position) }
        guard let meta = Meta.emqx[first] else {
            warnings.append(
                Problem(
                    "rule.unknown_column",
                    "line \(position.line), column \(position.column): EMQX has no column \(first); it is NULL. "
                        + "Fields of the payload are written payload.\(first)",
                    ["line": String(position.line), "column": String(position.column), "name": first]))
            return try constant(.null, position)
        }
        return try reach(try metaNode(meta, position), steps.dropFirst(), position)
    }
}
