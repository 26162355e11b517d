/// Reads a statement: `SELECT columns FROM sources [WHERE condition]`.
struct Parser {
    static let depthMax = 64
    static let columnsMax = 1024
    static let sourcesMax = 256
    /// Operators of one column or of the condition; bounds the depth of a chain such as `a + b + c ...`.
    static let operatorsMax = 500

    let dialect: SQLDialect
    let streams: [String: String]
    private let tokens: [Token]
    private var at = 0
    private var depth = 0
    private var operators = 0

    init(_ text: String, dialect: SQLDialect, streams: [String: String]) throws(SQLError) {
        guard text.utf8.count <= RuleConfiguration.sqlBytesMax else {
            throw SQLError(
                SourcePosition(line: 1, column: 1),
                "the statement is longer than \(RuleConfiguration.sqlBytesMax) bytes")
        }
        self.dialect = dialect
        self.streams = streams
        tokens = try Lexer.tokens(text)
    }

    static func parse(
        _ text: String, dialect: SQLDialect = .tundish, streams: [String: String] = [:]
    ) throws(SQLError) -> SelectStatement {
        var parser = try Parser(text, dialect: dialect, streams: streams)
        return try parser.statement()
    }

    /// One expression and nothing else, as templates have it.
    static func parseExpression(_ text: String, dialect: SQLDialect) throws(SQLError) -> Expression {
        var parser = try Parser(text, dialect: dialect, streams: [:])
        let expression = try parser.expression()
        guard parser.current.kind == .end else { throw parser.expected("the end of the expression") }
        return expression
    }

    // MARK: tokens

    private var current: Token { tokens[at] }
    private func peek(_ offset: Int) -> Token { tokens[min(at + offset, tokens.count - 1)] }

    private mutating func advance() {
        if at < tokens.count - 1 { at += 1 }
    }

    private func expected(_ what: String) -> SQLError {
        SQLError(current.position, "expected \(what), not \(current.description)")
    }

    private func isWord(_ word: String, _ token: Token? = nil) -> Bool {
        guard case .word(let text) = (token ?? current).kind else { return false }
        return text.utf8.count == word.utf8.count && text.uppercased() == word
    }

    private mutating func take(_ word: String) -> Bool {
        guard isWord(word) else { return false }
        advance()
        return true
    }

    private mutating func take(_ symbol: Token.Symbol) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        advance()
        return true
    }

    /// The place of the operator that is passed.
    private mutating func takeOperator() throws(SQLError) -> SourcePosition {
        let position = current.position
        operators += 1
        guard operators <= Self.operatorsMax else {
            throw SQLError(position, "more than \(Self.operatorsMax) operators")
        }
        advance()
        return position
    }

    private mutating func require(_ symbol: Token.Symbol) throws(SQLError) {
        guard take(symbol) else { throw expected("\"\(symbol.rawValue)\"") }
    }

    private mutating func require(_ word: String) throws(SQLError) {
        guard take(word) else { throw expected(word) }
    }

    private static let reserved: Set<String> = [
        "SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "CASE", "WHEN", "THEN", "ELSE", "END", "IN", "BETWEEN",
        "LIKE", "IS", "DIV", "MOD", "GROUP", "HAVING", "ORDER", "LIMIT", "JOIN", "LEFT", "RIGHT", "INNER", "FULL",
        "CROSS",
        "UNION",
    ]

    /// Reserved words that are functions before a bracket.
    private static let reservedFunctions: Set<String> = ["MOD", "DIV", "LEFT", "RIGHT"]

    private func isReserved(_ text: String) -> Bool { Self.reserved.contains(text.uppercased()) }

    // MARK: statement

    private mutating func statement() throws(SQLError) -> SelectStatement {
        if isWord("FOREACH") { throw SQLError(current.position, "FOREACH is not available yet") }
        try require("SELECT")
        if isWord("DISTINCT") { throw SQLError(current.position, "DISTINCT is not available yet") }
        var columns = [try column()]
        while take(.comma) {
            guard columns.count < Self.columnsMax else {
                throw SQLError(current.position, "more than \(Self.columnsMax) columns")
            }
            columns.append(try column())
        }
        guard take("FROM") else { throw expected("\",\" or FROM") }
        var sources = [try source()]
        while take(.comma) {
            guard sources.count < Self.sourcesMax else {
                throw SQLError(current.position, "more than \(Self.sourcesMax) topic filters")
            }
            sources.append(try source())
        }
        var condition: Expression?
        operators = 0
        if take("WHERE") { condition = try expression() }
        _ = take(.semicolon)
        guard current.kind == .end else {
            for word in [
                "GROUP", "HAVING", "ORDER", "LIMIT", "JOIN", "LEFT", "RIGHT", "INNER", "FULL", "CROSS", "UNION",
            ]
            where isWord(word) {
                throw SQLError(current.position, "\(word) is not available yet")
            }
            throw expected(
                condition == nil
                    ? "\",\", WHERE or the end of the statement" : "an operator or the end of the statement")
        }
        return SelectStatement(columns: columns, sources: sources, condition: condition)
    }

    private mutating func column() throws(SQLError) -> SelectColumn {
        let position = current.position
        operators = 0
        if take(.star) { return SelectColumn(kind: .star, alias: [], position: position) }
        let expression = try expression()
        guard take("AS") else { return SelectColumn(kind: .expression(expression), alias: [], position: position) }
        var alias = [try name("a column name behind AS")]
        while dialect == .emqx, take(.dot) { alias.append(try name("a name behind \".\"")) }
        return SelectColumn(kind: .expression(expression), alias: alias, position: position)
    }

    private mutating func name(_ what: String) throws(SQLError) -> String {
        switch current.kind {
        case .word(let text):
            guard !isReserved(text) else { throw expected(what) }
            advance()
            return text
        case .quotedName(let text), .doubleQuoted(let text):
            guard !text.isEmpty else { throw expected(what) }
            advance()
            return text
        default: throw expected(what)
        }
    }

    private mutating func source() throws(SQLError) -> Source {
        let position = current.position
        var source: Source
        switch current.kind {
        case .doubleQuoted(let text), .text(let text):
            advance()
            source = Source(
                filter: streams[text] ?? text, names: streams[text] == nil ? [] : [text], position: position)
        case .word(let text) where !isReserved(text), .quotedName(let text):
            guard let filter = streams[text] else {
                let known = streams.keys.sorted().joined(separator: ", ")
                throw SQLError(
                    position,
                    "unknown stream \(text); write the topic filter in double quotes"
                        + (known.isEmpty ? ", or name it in \"streams\"" : ", or use one of: \(known)"))
            }
            advance()
            source = Source(filter: filter, names: [text], position: position)
        default: throw expected("a topic filter in double quotes")
        }
        if take("AS") {
            source.names.append(try name("a name behind AS"))
        } else if case .word(let text) = current.kind, !isReserved(text) {
            advance()
            source.names.append(text)
        }
        return source
    }

    // MARK: expressions

    private mutating func expression() throws(SQLError) -> Expression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else {
            throw SQLError(current.position, "nested more than \(Self.depthMax) levels deep")
        }
        return try disjunction()
    }

    private mutating func disjunction() throws(SQLError) -> Expression {
        var left = try conjunction()
        while isWord("OR") {
            let position = try takeOperator()
            left = Expression(.binary(.or, left, try conjunction()), position)
        }
        return left
    }

    private mutating func conjunction() throws(SQLError) -> Expression {
        var left = try negation()
        while isWord("AND") {
            let position = try takeOperator()
            left = Expression(.binary(.and, left, try negation()), position)
        }
        return left
    }

    private mutating func negation() throws(SQLError) -> Expression {
        let position = current.position
        guard take("NOT") else { return try comparison() }
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw SQLError(position, "nested more than \(Self.depthMax) levels deep") }
        return Expression(.unary(.not, try negation()), position)
    }

    private mutating func comparison() throws(SQLError) -> Expression {
        var left = try sum()
        while true {
            let position = current.position
            if case .symbol(let symbol) = current.kind, let operation = Self.comparisons[symbol] {
                _ = try takeOperator()
                left = Expression(.binary(operation, left, try sum()), position)
                continue
            }
            if isWord("IS") {
                _ = try takeOperator()
                let isNegated = take("NOT")
                guard take("NULL") else { throw expected(isNegated ? "NULL" : "NULL or NOT NULL") }
                left = negated(isNegated, Expression(.isNull(left), position))
                continue
            }
            let isNegated =
                isWord("NOT") && (isWord("IN", peek(1)) || isWord("LIKE", peek(1)) || isWord("BETWEEN", peek(1)))
            if isNegated { advance() }
            if isWord("IN") {
                _ = try takeOperator()
                try require(.open)
                left = negated(isNegated, Expression(.list(left, try arguments("a value of the list")), position))
            } else if isWord("BETWEEN") {
                _ = try takeOperator()
                let low = try sum()
                try require("AND")
                left = negated(isNegated, Expression(.between(left, low, try sum()), position))
            } else if isWord("LIKE") {
                _ = try takeOperator()
                let pattern = try sum()
                let escape = take("ESCAPE") ? try sum() : nil
                left = negated(isNegated, Expression(.like(left, pattern, escape: escape), position))
            } else {
                return left
            }
        }
    }

    private func negated(_ isNegated: Bool, _ expression: Expression) -> Expression {
        isNegated ? Expression(.unary(.not, expression), expression.position) : expression
    }

    private static let comparisons: [Token.Symbol: BinaryOperator] = [
        .equal: .equal, .notEqual: .notEqual, .less: .less, .lessOrEqual: .lessOrEqual, .greater: .greater,
        .greaterOrEqual: .greaterOrEqual, .topicMatch: .topicMatch,
    ]

    private mutating func sum() throws(SQLError) -> Expression {
        var left = try product()
        while true {
            let operation: BinaryOperator
            switch current.kind {
            case .symbol(.plus): operation = .add
            case .symbol(.minus): operation = .subtract
            case .symbol(.concatenate): operation = .concatenate
            default: return left
            }
            let position = try takeOperator()
            left = Expression(.binary(operation, left, try product()), position)
        }
    }

    private mutating func product() throws(SQLError) -> Expression {
        var left = try unary()
        while true {
            let operation: BinaryOperator
            switch current.kind {
            case .symbol(.star): operation = .multiply
            case .symbol(.slash): operation = .divide
            case .symbol(.percent): operation = .modulo
            default:
                if isWord("DIV") {
                    operation = .integerDivide
                } else if isWord("MOD") {
                    operation = .modulo
                } else {
                    return left
                }
            }
            let position = try takeOperator()
            left = Expression(.binary(operation, left, try unary()), position)
        }
    }

    private mutating func unary() throws(SQLError) -> Expression {
        let position = current.position
        let isMinus = current.kind == .symbol(.minus)
        guard isMinus || current.kind == .symbol(.plus) else { return try postfix() }
        advance()
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw SQLError(position, "nested more than \(Self.depthMax) levels deep") }
        let operand = try unary()
        guard isMinus else { return Expression(.unary(.plus, operand), position) }
        switch operand.kind {
        case .integer(let value) where value != 0: return Expression(.integer(-value), position)
        case .unsigned(let value) where value == UInt64(Int64.max) + 1: return Expression(.integer(.min), position)
        case .number(let value): return Expression(.number(-value), position)
        default: return Expression(.unary(.minus, operand), position)
        }
    }

    /// A primary expression with what reaches into it: `.name`, `->name`, `[index]`.
    private mutating func postfix() throws(SQLError) -> Expression {
        var base = try primary()
        while true {
            let position = current.position
            if take(.dot) {
                base = member(base, try memberName(), position)
            } else if dialect == .ekuiper, take(.arrow) {
                base = member(base, try memberName(), position)
            } else if current.kind == .symbol(.openBracket) {
                _ = try takeOperator()
                base = try element(base, position)
            } else {
                return base
            }
        }
    }

    /// Behind a dot every word is a name, keywords too.
    private mutating func memberName() throws(SQLError) -> String {
        if case .word(let text) = current.kind {
            advance()
            return text
        }
        return try name("a name")
    }

    private func member(_ base: Expression, _ name: String, _ position: SourcePosition) -> Expression {
        if case .name(let steps) = base.kind { return Expression(.name(steps + [.key(name)]), base.position) }
        return Expression(.member(base, name), position)
    }

    private mutating func element(_ base: Expression, _ position: SourcePosition) throws(SQLError) -> Expression {
        let index = try expression()
        if current.kind == .symbol(.colon) { throw SQLError(current.position, "slices are not available yet") }
        try require(.closeBracket)
        if case .name(let steps) = base.kind, case .integer(let value) = index.kind, value >= 0,
            value <= Int64(Int32.max)
        {
            return Expression(.name(steps + [.element(Int(value))]), base.position)
        }
        return Expression(.element(base, index), position)
    }

    private mutating func primary() throws(SQLError) -> Expression {
        let token = current
        switch token.kind {
        case .integer(let value):
            advance()
            return Expression(value <= UInt64(Int64.max) ? .integer(Int64(value)) : .unsigned(value), token.position)
        case .number(let value):
            advance()
            return Expression(.number(value), token.position)
        case .text(let text):
            advance()
            return Expression(.text(text), token.position)
        case .doubleQuoted(let text):
            advance()
            if dialect == .ekuiper { return Expression(.text(text), token.position) }
            guard !text.isEmpty else { throw SQLError(token.position, "a name in double quotes must not be empty") }
            return Expression(.name([.key(text)]), token.position)
        case .quotedName(let text):
            advance()
            guard !text.isEmpty else { throw SQLError(token.position, "a name in backticks must not be empty") }
            return Expression(.name([.key(text)]), token.position)
        case .symbol(.open):
            advance()
            let inner = try expression()
            try require(.close)
            return inner
        case .word(let text): return try word(text, token)
        default: throw expected("an expression")
        }
    }

    private mutating func word(_ text: String, _ token: Token) throws(SQLError) -> Expression {
        let next = peek(1).kind
        switch text.uppercased() {
        case "CASE":
            advance()
            return try caseExpression(token.position)
        case "CAST" where next == .symbol(.open): return try castExpression(token.position)
        case "NULL":
            advance()
            return Expression(.null, token.position)
        case "TRUE":
            advance()
            return Expression(.bool(true), token.position)
        case "FALSE":
            advance()
            return Expression(.bool(false), token.position)
        default: break
        }
        if next == .symbol(.open), Self.reservedFunctions.contains(text.uppercased()) || !isReserved(text) {
            advance()
            advance()
            return Expression(.call(text, try arguments("an argument")), token.position)
        }
        guard !isReserved(text) else { throw expected("an expression") }
        advance()
        return Expression(.name([.key(text)]), token.position)
    }

    /// Behind the opening bracket, up to and with the closing one.
    private mutating func arguments(_ what: String) throws(SQLError) -> [Expression] {
        if take(.close) { return [] }
        var list = [try expression()]
        while take(.comma) {
            guard list.count < Self.columnsMax else {
                throw SQLError(current.position, "more than \(Self.columnsMax) values")
            }
            list.append(try expression())
        }
        guard take(.close) else { throw expected("\",\" or \")\"") }
        return list
    }

    private mutating func caseExpression(_ position: SourcePosition) throws(SQLError) -> Expression {
        let operand = isWord("WHEN") ? nil : try expression()
        var branches: [(when: Expression, then: Expression)] = []
        while take("WHEN") {
            let when = try expression()
            try require("THEN")
            branches.append((when, try expression()))
        }
        guard !branches.isEmpty else { throw expected("WHEN") }
        let otherwise = take("ELSE") ? try expression() : nil
        guard take("END") else { throw expected(otherwise == nil ? "WHEN, ELSE or END" : "END") }
        return Expression(.case(operand, branches, otherwise: otherwise), position)
    }

    /// `CAST(x AS type)`; eKuiper's `cast(x, "type")` too.
    private mutating func castExpression(_ position: SourcePosition) throws(SQLError) -> Expression {
        advance()
        try require(.open)
        let operand = try expression()
        guard take("AS") || take(.comma) else { throw expected("AS") }
        let type: String
        switch current.kind {
        case .word(let text), .text(let text), .doubleQuoted(let text), .quotedName(let text): type = text
        default: throw expected("a type")
        }
        let typePosition = current.position
        advance()
        try require(.close)
        guard CastType(name: type) != nil else {
            throw SQLError(typePosition, "unknown type \(type); known are \(CastType.known)")
        }
        return Expression(.cast(operand, type), position)
    }
}
