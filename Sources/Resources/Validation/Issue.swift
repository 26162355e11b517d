package import Model

/// One thing that is wrong with a document, and where.
package struct Issue: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Severity: String, Sendable {
        case error
        /// Worth saying, but nothing is refused for it.
        case warning
    }

    package var severity: Severity
    /// The file's path as given, or a name such as `request`.
    package var file: String
    /// Counted from 1; 0 if it concerns the whole file.
    package var line: Int
    /// Counted from 1, in Unicode scalars.
    package var column: Int
    package var problem: Problem
    /// The names that would have been understood, in the schema's order.
    package var known: [String]

    package init(
        _ problem: Problem, file: String, line: Int = 0, column: Int = 0, known: [String] = [],
        severity: Severity = .error
    ) {
        self.severity = severity
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        self.known = known
    }

    package var code: String { problem.code }
    package var message: String { problem.message }
    package var arguments: [String: String] { problem.arguments }

    /// `file:line:column: message`, as compilers write it.
    package var description: String {
        let place = line > 0 ? "\(file):\(line):\(column)" : file
        return "\(place): \(severity == .warning ? "warning: " : "")\(problem.message)"
    }
}

/// Why the resources did not take something.
package struct Rejection: Error, Sendable, CustomStringConvertible {
    /// Stable codes: `resource.invalid` (with issues), `resource.not_found`, `resource.conflict` (another revision
    /// than expected), `resource.referenced`, `store.full`, `store.read_only`, `store.damaged`, ...
    package var problem: Problem
    package var issues: [Issue]

    package init(_ problem: Problem, issues: [Issue] = []) {
        self.problem = problem
        self.issues = issues
    }

    package init(_ issues: [Issue]) {
        let count = issues.count { $0.severity == .error }
        let first = issues.first { $0.severity == .error } ?? issues.first
        self.init(
            Problem(
                "resource.invalid",
                count == 1 ? (first?.description ?? "") : "\(count) errors, the first: \(first?.description ?? "")",
                ["count": String(count)]), issues: issues)
    }

    package var description: String { problem.message }
}

/// Issues as they are found; the number kept is bounded, the number seen is counted.
package struct IssueList: Sendable {
    package static let kept = 200
    package private(set) var issues: [Issue] = []
    package private(set) var errors = 0

    package init() {}

    package mutating func add(_ issue: Issue) {
        if issue.severity == .error { errors += 1 }
        if issues.count < Self.kept { issues.append(issue) }
    }

    package var isValid: Bool { errors == 0 }
}
