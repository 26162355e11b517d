/// One word of a statement.
struct Token: Equatable {
    enum Kind: Equatable {
        /// Not quoted: a keyword or a name.
        case word(String)
        /// In backticks.
        case quotedName(String)
        /// In double quotes: a filter, a name or a text, as the dialect has it.
        case doubleQuoted(String)
        /// In single quotes.
        case text(String)
        case integer(UInt64)
        /// An integer beyond 64 bits, or a number with a point or an exponent.
        case number(Double)
        case symbol(Symbol)
        case end
    }

    enum Symbol: String {
        case plus = "+"
        case minus = "-"
        case star = "*"
        case slash = "/"
        case percent = "%"
        case equal = "="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case topicMatch = "=~"
        case concatenate = "||"
        case arrow = "->"
        case open = "("
        case close = ")"
        case openBracket = "["
        case closeBracket = "]"
        case comma = ","
        case dot = "."
        case colon = ":"
        case semicolon = ";"
    }

    var kind: Kind
    var position: SourcePosition

    /// As error messages quote it.
    var description: String {
        switch kind {
        case .word(let text): "\"\(text)\""
        case .quotedName(let text): "`\(text)`"
        case .doubleQuoted(let text): "\"\(text)\""
        case .text(let text): "'\(text)'"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .symbol(let symbol): "\"\(symbol.rawValue)\""
        case .end: "the end of the statement"
        }
    }
}

/// Cuts a statement into tokens. `--` and `/* */` are comments; a quote inside quotes is doubled.
struct Lexer {
    private let scalars: [Unicode.Scalar]
    private var at = 0
    private var line = 1
    private var column = 1

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    static func tokens(_ text: String) throws(SQLError) -> [Token] {
        var lexer = Lexer(text)
        var tokens: [Token] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private var position: SourcePosition { SourcePosition(line: line, column: column) }
    private var current: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    private func peek(_ offset: Int) -> Unicode.Scalar? { at + offset < scalars.count ? scalars[at + offset] : nil }

    private mutating func advance() {
        if scalars[at] == "\n" {
            line += 1
            column = 1
        } else {
            column += 1
        }
        at += 1
    }

    private mutating func skip() throws(SQLError) {
        while let scalar = current {
            if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" || scalar == "\u{A0}" {
                advance()
            } else if scalar == "-", peek(1) == "-" {
                while let scalar = current, scalar != "\n" { advance() }
            } else if scalar == "/", peek(1) == "*" {
                let start = position
                advance()
                advance()
                while !(current == "*" && peek(1) == "/") {
                    guard current != nil else { throw SQLError(start, "the comment is not closed") }
                    advance()
                }
                advance()
                advance()
            } else {
                return
            }
        }
    }

    private mutating func next() throws(SQLError) -> Token {
        try skip()
        let start = position
        guard let scalar = current else { return Token(kind: .end, position: start) }
        switch scalar {
        case "'": return Token(kind: .text(try quoted("'")), position: start)
        case "\"": return Token(kind: .doubleQuoted(try quoted("\"")), position: start)
        case "`": return Token(kind: .quotedName(try quoted("`")), position: start)
        default: break
        }
        if Self.isDigit(scalar) || scalar == "." && peek(1).map(Self.isDigit) == true {
            return Token(kind: try number(), position: start)
        }
        if Self.isNameStart(scalar) {
            var text = String.UnicodeScalarView()
            while let scalar = current, Self.isNameStart(scalar) || Self.isDigit(scalar) {
                text.append(scalar)
                advance()
            }
            return Token(kind: .word(String(text)), position: start)
        }
        return Token(kind: .symbol(try symbol()), position: start)
    }

    static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar >= "0" && scalar <= "9" }

    static func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
        scalar >= "a" && scalar <= "z" || scalar >= "A" && scalar <= "Z" || scalar == "_" || scalar == "$"
            || scalar.value >= 0x80 && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
    }

    private mutating func quoted(_ quote: Unicode.Scalar) throws(SQLError) -> String {
        let start = position
        advance()
        var text = String.UnicodeScalarView()
        while let scalar = current {
            advance()
            if scalar == quote {
                guard current == quote else { return String(text) }
                advance()
            }
            text.append(scalar)
        }
        throw SQLError(start, "the text that starts here is not closed; expected \(quote)")
    }

    private mutating func number() throws(SQLError) -> Token.Kind {
        let start = position
        var text = ""
        var isInteger = true
        func take(_ lexer: inout Lexer) {
            while let scalar = lexer.current, Self.isDigit(scalar) {
                text.unicodeScalars.append(scalar)
                lexer.advance()
            }
        }
        take(&self)
        if current == ".", peek(1).map(Self.isDigit) == true {
            isInteger = false
            text += "."
            advance()
            take(&self)
        }
        if current == "e" || current == "E" {
            let signed = peek(1) == "+" || peek(1) == "-"
            if peek(signed ? 2 : 1).map(Self.isDigit) == true {
                isInteger = false
                text += "e"
                advance()
                if signed, let sign = current {
                    text.unicodeScalars.append(sign)
                    advance()
                }
                take(&self)
            }
        }
        if let scalar = current, Self.isNameStart(scalar) {
            throw SQLError(
                start, "\"\(text)\(scalar)\" is not a number; a name that starts with a digit needs `backticks`")
        }
        if isInteger, let value = UInt64(text) { return .integer(value) }
        if text.hasPrefix(".") { text = "0" + text }
        guard let value = Double(text), value.isFinite else {
            throw SQLError(start, "the number \(text) is out of range")
        }
        return .number(value)
    }

    private mutating func symbol() throws(SQLError) -> Token.Symbol {
        let start = position
        guard let first = current else { throw SQLError(start, "expected a symbol") }
        if let second = peek(1) {
            let pair: Token.Symbol? =
                switch (first, second) {
                case ("=", "="): .equal
                case ("<", ">"): .notEqual
                default: Token.Symbol(rawValue: String(first) + String(second))
                }
            if let pair {
                advance()
                advance()
                return pair
            }
        }
        guard let single = Token.Symbol(rawValue: String(first)) else {
            throw SQLError(start, "unexpected character \"\(first)\"")
        }
        advance()
        return single
    }
}
