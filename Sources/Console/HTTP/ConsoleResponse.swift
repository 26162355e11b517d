package import Formats
package import HTTPTypes
package import Model
package import NIOCore

/// An answer: status, fields and a whole body.
package struct ConsoleResponse: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields = [:]
    package var body: ByteBuffer

    package init(status: HTTPResponse.Status, contentType: String? = nil, body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.body = body
        if let contentType { headers[.contentType] = contentType }
    }

    package static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> ConsoleResponse {
        var writer = JSONWriter(capacity: 1024)
        writer.json(value)
        return json(writer, status: status)
    }

    package static func json(_ writer: borrowing JSONWriter, status: HTTPResponse.Status = .ok) -> ConsoleResponse {
        ConsoleResponse(
            status: status, contentType: "application/json",
            body: writer.withUnsafeBytes { ByteBuffer(bytes: $0) })
    }

    package static func text(
        _ text: String, contentType: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
    ) -> ConsoleResponse {
        ConsoleResponse(status: status, contentType: contentType, body: ByteBuffer(string: text))
    }

    package static let noContent = ConsoleResponse(status: .noContent)
}

/// Why a request is refused: an HTTP status and a problem with a stable code, for places in documents one each.
/// Becomes a problem document. RFC 9457
package struct Refusal: Error, Sendable {
    package var status: HTTPResponse.Status
    package var problem: Problem
    package var issues: [DocumentIssue] = []
    /// Further fields of the answer, such as `Retry-After`.
    package var headers: HTTPFields = [:]

    package init(_ status: HTTPResponse.Status, _ problem: Problem, issues: [DocumentIssue] = []) {
        self.status = status
        self.problem = problem
        self.issues = issues
    }

    package init(
        _ status: HTTPResponse.Status, _ code: String, _ message: String, _ arguments: [String: String] = [:]
    ) {
        self.init(status, Problem(code, message, arguments))
    }

    package init(_ refusal: ResourceRefusal) {
        switch refusal {
        case .notFound(let problem): self.init(.notFound, problem)
        case .revisionMismatch(let problem, let current):
            self.init(.preconditionFailed, problem)
            if let current { headers[.eTag] = "\"\(current)\"" }
        case .invalid(let problem, let issues): self.init(.unprocessableContent, problem, issues: issues)
        case .conflict(let problem): self.init(.conflict, problem)
        case .failed(let problem): self.init(.internalServerError, problem)
        }
    }

    package static func notFound(_ what: String, _ name: String) -> Refusal {
        Refusal(.notFound, "\(what).unknown", "there is no \(what) \"\(name)\"", ["name": name])
    }

    package var response: ConsoleResponse {
        var response = ConsoleResponse.json(document, status: status)
        response.headers = headers
        response.headers[.contentType] = "application/problem+json"
        return response
    }

    private var document: JSONValue {
        .object([
            "type": "about:blank",
            "title": .string(status.reasonPhrase),
            "status": .integer(Int64(status.code)),
            "code": .string(problem.code),
            "detail": .string(problem.message),
            "arguments": problem.argumentsJSON,
            "issues": issues.isEmpty ? nil : .array(issues.map(\.json)),
        ])
    }
}

extension Problem {
    /// Sorted by name, so that the same problem is always the same text.
    var argumentsJSON: JSONValue {
        .object(arguments.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) })
    }
}

extension DocumentIssue {
    var json: JSONValue {
        .object([
            "file": file.map(JSONValue.string),
            "line": line.map { .integer(Int64($0)) },
            "column": column.map { .integer(Int64($0)) },
            "code": .string(problem.code),
            "message": .string(problem.message),
            "arguments": problem.argumentsJSON,
            "known": known.isEmpty ? nil : .array(known.map(JSONValue.string)),
        ])
    }
}
