import Formats
import Model

extension CompiledRule {
    /// What the rule does, step by step, as text.
    var explanation: String {
        var lines = [
            "read    " + filters.map { "\"\($0.text)\"" }.joined(separator: ", ")
                + " (dialect \(configuration.dialect.rawValue))"
        ]
        if fields.isEmpty {
            lines.append("fields  none: the payload is not parsed")
        } else {
            lines.append("fields  " + fields.map(Self.text).joined(separator: ", "))
        }
        if condition >= 0 { lines.append("filter  " + text(condition)) }
        if projection.hasStar { lines.append("column  *") }
        for column in projection.columns { lines.append("column  \(column.name) = \(text(column.node))") }
        for output in configuration.outputs { lines.append("output  " + Self.text(output)) }
        for warning in warnings { lines.append("warning " + warning.message) }
        return lines.joined(separator: "\n")
    }

    private static func text(_ path: [JSONStep]) -> String {
        if path.isEmpty { return "the whole payload" }
        var text = ""
        for step in path {
            switch step {
            case .key(let key): text += (text.isEmpty ? "" : ".") + key
            case .element(let index): text += "[\(index)]"
            }
        }
        return text
    }

    private static func text(_ output: RuleOutput) -> String {
        switch output {
        case .publish(let spec): "publish \"\(spec.topic)\" qos \(spec.qos)\(spec.retain ? " retain" : "")"
        case .historian(let spec):
            "historian device \(spec.device ?? "(column device, or the rule)") group \(spec.group ?? "(the rule)")"
        case .alarm(let spec):
            "alarm \(spec.name) \(spec.severity.rawValue) \"\(spec.topic ?? "alarms/\(spec.name)/${key}")\""
        case .sink(let name): "sink \(name)"
        }
    }

    /// An expression, fully bracketed.
    private func text(_ index: Int32) -> String {
        guard index >= 0 else { return "NULL" }
        let node = program.nodes[Int(index)]
        func list(_ count: Int32) -> String {
            (0..<Int(count)).map { text(program.lists[Int(node.b) + $0]) }.joined(separator: ", ")
        }
        switch node.operation {
        case .constant: return constant(node.constant)
        case .field: return "field(\(Self.text(fields[Int(node.a)])))"
        case .fieldOrMeta:
            return "field(\(Self.text(fields[Int(node.a)]))) or meta(\(Meta(rawValue: node.b).map { "\($0)" } ?? ""))"
        case .meta: return "meta(\(Meta(rawValue: node.b).map { "\($0)" } ?? ""))"
        case .not: return "NOT \(text(node.a))"
        case .negate: return "-\(text(node.a))"
        case .plus: return text(node.a)
        case .between: return "(\(text(node.a)) BETWEEN \(text(node.b)) AND \(text(node.c)))"
        case .list: return "(\(text(node.a)) IN (\(list(node.c))))"
        case .like: return "(\(text(node.a)) LIKE \(text(node.b)))"
        case .isNull: return "(\(text(node.a)) IS NULL)"
        case .choose:
            let branches = (0..<Int(node.c)).map { branch in
                let at = Int(node.b) + branch * 2
                return "WHEN \(text(program.lists[at])) THEN \(text(program.lists[at + 1]))"
            }
            return "CASE \(branches.joined(separator: " "))" + (node.a >= 0 ? " ELSE \(text(node.a))" : "") + " END"
        case .call: return "\(SQLFunctions.all[Int(node.a)].name)(\(list(node.c)))"
        case .element: return "\(text(node.a))[\(text(node.b))]"
        case .member: return "\(text(node.a)).\(String(decoding: node.constant.bytes, as: UTF8.self))"
        case .cast: return "CAST(\(text(node.a)) AS \(CastType(rawValue: UInt8(node.c))?.name ?? ""))"
        default: return "(\(text(node.a)) \(Self.symbol(node.operation)) \(text(node.b)))"
        }
    }

    private func constant(_ cell: Cell) -> String {
        if cell.kind == .text { return "'\(String(decoding: cell.bytes, as: UTF8.self))'" }
        if cell.isNull { return "NULL" }
        var writer = JSONWriter()
        writer.cell(cell)
        return writer.bytes().string
    }

    private static func symbol(_ operation: Operation) -> String {
        switch operation {
        case .and: "AND"
        case .or: "OR"
        case .add: "+"
        case .subtract: "-"
        case .multiply: "*"
        case .divide: "/"
        case .integerDivide: "DIV"
        case .modulo: "MOD"
        case .concatenate: "||"
        case .equal: "="
        case .notEqual: "!="
        case .less: "<"
        case .lessOrEqual: "<="
        case .greater: ">"
        case .greaterOrEqual: ">="
        case .topicMatch: "=~"
        default: "?"
        }
    }
}
