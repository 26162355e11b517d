import Formats
import Model

/// Why a message could not be evaluated. Small and without references, so that a rule that fails on every message
/// costs little; becomes a sentence when somebody asks.
struct EvaluationFailure {
    enum Code: UInt8 {
        case operands, comparison, condition, divisionByZero, overflow, notJSON, notAnObject, tooLarge, argument, cast
        case topic
    }

    var code: Code
    /// The node where it happened; -1: the message as a whole.
    var node: Int32 = -1
    var left = Cell.Kind.null
    var right = Cell.Kind.null
    /// Of `argument`: which one, from 1. Of `notJSON`: the offset.
    var number: Int64 = 0
    var reason: JSONFailure.Reason?

    init(_ code: Code) { self.code = code }

    /// The sentence, with the place in the statement of `program`.
    func problem(_ program: Program) -> Problem {
        var arguments: [String: String] = [:]
        var place = ""
        if node >= 0, Int(node) < program.nodeCount {
            let position = program.positions[Int(node)]
            place = "line \(position.line), column \(position.column): "
            arguments["line"] = String(position.line)
            arguments["column"] = String(position.column)
        }
        return Problem("rule.\(name)", place + text(program), arguments)
    }

    private var name: String {
        switch code {
        case .operands, .comparison, .condition: "type"
        case .divisionByZero: "division_by_zero"
        case .overflow: "overflow"
        case .notJSON: "payload_not_json"
        case .notAnObject: "payload_not_object"
        case .tooLarge: "too_large"
        case .argument: "argument"
        case .cast: "cast"
        case .topic: "topic"
        }
    }

    private func text(_ program: Program) -> String {
        let left = Cell(left).kindName
        let right = Cell(right).kindName
        switch code {
        case .operands:
            return self.right == .unloaded
                ? "the operator cannot be applied to \(left)" : "the operator cannot be applied to \(left) and \(right)"
        case .comparison: return "cannot compare \(left) with \(right)"
        case .condition: return "the condition is \(left); expected a boolean"
        case .divisionByZero: return "division by zero"
        case .overflow: return "the result does not fit a 64-bit integer"
        case .notJSON:
            return "the payload is not JSON: byte \(number + 1): \(reason?.rawValue ?? "not a value")"
        case .notAnObject: return "the payload is not an object"
        case .tooLarge: return "the result needs more than \(Arena.bytesMax) bytes"
        case .argument:
            let call = node >= 0 ? SQLFunctions.all[Int(program.nodes[Int(node)].a)].name : "function"
            return "\(call): argument \(number) cannot be \(left)"
        case .cast:
            let type =
                node >= 0 ? CastType(rawValue: UInt8(program.nodes[Int(node)].c))?.name ?? "the type" : "the type"
            return "\(left) cannot be converted to \(type)"
        case .topic: return "the topic template gives no valid topic"
        }
    }
}
