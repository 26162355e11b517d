/// A statement as it was written.
struct SelectStatement {
    var columns: [SelectColumn]
    var sources: [Source]
    var condition: Expression?
}

struct SelectColumn {
    enum Kind {
        case star
        case expression(Expression)
    }

    var kind: Kind
    /// More than one part only in EMQX's dialect, where `AS a.b` nests.
    var alias: [String]
    var position: SourcePosition
}

/// One entry of FROM.
struct Source {
    var filter: String
    /// Names by which columns may refer to it.
    var names: [String]
    var position: SourcePosition
}

struct Expression {
    indirect enum Kind {
        case null
        case bool(Bool)
        case integer(Int64)
        /// Above Int64.max.
        case unsigned(UInt64)
        case number(Double)
        case text(String)
        case name([NameStep])
        /// An element whose index is computed, or counted from the end.
        case element(Expression, Expression)
        case member(Expression, String)
        case unary(UnaryOperator, Expression)
        case binary(BinaryOperator, Expression, Expression)
        case between(Expression, Expression, Expression)
        case list(Expression, [Expression])
        case like(Expression, Expression, escape: Expression?)
        case isNull(Expression)
        /// With an operand: compared with each WHEN; without: each WHEN is a condition.
        case `case`(Expression?, [(when: Expression, then: Expression)], otherwise: Expression?)
        case call(String, [Expression])
        case cast(Expression, String)
    }

    var kind: Kind
    var position: SourcePosition

    init(_ kind: Kind, _ position: SourcePosition) {
        self.kind = kind
        self.position = position
    }
}

/// One step of a name as written; elements count as the dialect counts.
enum NameStep: Hashable {
    case key(String)
    case element(Int)
}

enum UnaryOperator: String {
    case not = "NOT"
    case minus = "-"
    case plus = "+"
}

enum BinaryOperator: String {
    case or = "OR"
    case and = "AND"
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case topicMatch = "=~"
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case integerDivide = "DIV"
    case modulo = "MOD"
    case concatenate = "||"
}
