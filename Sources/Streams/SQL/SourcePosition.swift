package import Model

/// A place in a statement. Line and column count from 1; columns count Unicode scalars.
package struct SourcePosition: Sendable, Hashable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// What is wrong with a statement, and where in its text.
package struct SQLError: Error, Sendable, Hashable {
    package var position: SourcePosition
    package var reason: String

    init(_ position: SourcePosition, _ reason: String) {
        self.position = position
        self.reason = reason
    }

    /// Code `rule.sql`; the arguments `line` and `column` are relative to the statement's text.
    package var problem: Problem {
        Problem(
            "rule.sql", "line \(position.line), column \(position.column): \(reason)",
            ["line": String(position.line), "column": String(position.column), "reason": reason])
    }
}
