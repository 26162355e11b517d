import Formats
import HTTPTypes
import Model

/// Reading and changing what is configured.
extension API {
    /// The path of a kind: `Device` is at `devices`.
    static func plural(_ kind: String) -> String {
        let lower = kind.lowercased()
        if lower.hasSuffix("y"), let before = lower.dropLast().last, !"aeiou".contains(before) {
            return lower.dropLast() + "ies"
        }
        return lower + "s"
    }

    func resourceRoutes() -> [Route] {
        resources.kinds.flatMap(routes(forKind:)) + [
            Route(
                .post, "\(API.base)/apply", "resources", "Applies documents, all or nothing", answer: "Apply",
                handler: apply
            )
            .with {
                $0.access = .needs(.configure)
                $0.requestBody = RouteBody("Any", types: ["application/yaml", "application/json"])
                $0.bodyBytesMax = API.documentBytesMax
                $0.query = [RouteParameter("dryRun", "boolean", "Only tells what would change")]
            },
            Route(.get, "\(API.base)/schema", "resources", "The kinds", answer: "KindList") { [resources] _ in
                .json(.object(["kinds": .array(resources.kinds.map(JSONValue.string))]))
            }.needs(.read),
            Route(.get, "\(API.base)/schema/{kind}", "resources", "The fields of a kind's spec", answer: "Schema") {
                [resources] request in
                let name = request.parameter("kind")
                let kind = resources.kinds.first {
                    $0.lowercased() == name.lowercased() || API.plural($0) == name.lowercased()
                }
                guard let kind, let schema = resources.schema(kind: kind) else {
                    throw Refusal(
                        .notFound, "kind.unknown",
                        "there is no kind \"\(name)\"; known: \(resources.kinds.joined(separator: ", "))",
                        ["name": name, "known": resources.kinds.joined(separator: ", ")])
                }
                return .json(SchemaJSON.schema(schema))
            }.needs(.read),
            Route(
                .get, "\(API.base)/drivers", "resources", "Drivers and the fields of their connections", answer: "Any"
            ) {
                [services] _ in
                .json(.array(await services.drivers().map(SchemaJSON.driver)))
            }.needs(.read),
        ]
    }

    private func routes(forKind kind: String) -> [Route] {
        let path = "\(API.base)/\(API.plural(kind))"
        let section = API.plural(kind)
        let isGuarded = GuardedKinds.names.contains(kind)
        let reading = Right.read.orAdministering(isGuarded)
        let changing = Right.configure.orAdministering(isGuarded)
        return [
            Route(.get, path, section, "All resources of kind \(kind)", answer: "ResourceList") { [resources] _ in
                let (items, revision) = try await resources.list(kind: kind)
                return .json(.object(["items": .array(items.map(\.json)), "revision": .integer(revision)]))
            }.needs(reading),
            Route(.get, "\(path)/{name}", section, "One resource of kind \(kind)", answer: "Resource") {
                [resources] request in
                Self.response(try await resources.get(kind: kind, name: request.parameter("name")))
            }.needs(reading),
            Route(.put, "\(path)/{name}", section, "Creates or replaces a resource of kind \(kind)", answer: "Resource")
            {
                try await put(kind: kind, $0)
            }.with {
                $0.access = .needs(changing)
                $0.requestBody = RouteBody("ResourceDocument")
                $0.bodyBytesMax = API.documentBytesMax
                $0.isConditional = true
            },
            Route(.delete, "\(path)/{name}", section, "Deletes a resource of kind \(kind)") {
                try await delete(kind: kind, $0)
            }.with {
                $0.access = .needs(changing)
                $0.success = .noContent
                $0.isConditional = true
            },
            Route(.get, "\(path)/{name}/history", section, "Its revisions, newest first", answer: "History") {
                [resources] request in
                let entries = try await resources.history(kind: kind, name: request.parameter("name"))
                return .json(.object(["items": .array(entries.map(\.json))]))
            }.needs(reading),
            Route(.post, "\(path)/{name}/rollback", section, "Goes back to a revision", answer: "Resource") {
                try await rollback(kind: kind, $0)
            }.with {
                $0.access = .needs(changing)
                $0.requestBody = RouteBody("Rollback")
            },
        ]
    }

    private static func response(_ resource: ResourceView, status: HTTPResponse.Status = .ok) -> ConsoleResponse {
        var response = ConsoleResponse.json(resource.json, status: status)
        response.headers[.eTag] = "\"\(resource.revision)\""
        return response
    }

    private func put(kind: String, _ request: ConsoleRequest) async throws -> ConsoleResponse {
        let name = request.parameter("name")
        let document = try request.jsonObject()
        let expectation = try Self.expectation(request.headers)
        let context = try context(request)
        if let expectation {
            let view = try await resources.put(
                kind: kind, name: name, document: document, expecting: expectation, by: context)
            endSessions(kind, name)
            return Self.response(view)
        }
        do {
            let view = try await resources.put(
                kind: kind, name: name, document: document, expecting: .absent, by: context)
            return Self.response(view, status: .created)
        } catch .revisionMismatch(_, let current) {
            var refusal = Refusal(
                .preconditionRequired, "request.precondition_required",
                "\(kind) \"\(name)\" exists: send If-Match with the revision that you read, so that no one's change is lost",
                ["kind": kind, "name": name])
            if let current { refusal.headers[.eTag] = "\"\(current)\"" }
            throw refusal
        }
    }

    private func delete(kind: String, _ request: ConsoleRequest) async throws -> ConsoleResponse {
        let name = request.parameter("name")
        try await resources.delete(
            kind: kind, name: name, expecting: try Self.expectation(request.headers), by: try context(request))
        endSessions(kind, name)
        return .noContent
    }

    private func rollback(kind: String, _ request: ConsoleRequest) async throws -> ConsoleResponse {
        let name = request.parameter("name")
        let body = try request.jsonObject()
        guard let revision = try body.optionalInteger("to", in: 1...Int64.max) else {
            throw Refusal(.unprocessableContent, "request.missing", "\"to\" is missing", ["name": "to"])
        }
        let view = try await resources.rollback(kind: kind, name: name, to: revision, by: try context(request))
        endSessions(kind, name)
        return Self.response(view)
    }

    private func apply(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let syntax: DocumentSyntax
        switch request.contentType {
        case "application/json": syntax = .json
        case nil, "application/yaml", "application/x-yaml", "text/yaml", "text/plain": syntax = .yaml
        case let seen?:
            throw Refusal(
                .unsupportedMediaType, "request.media_type",
                "the body must be application/yaml or application/json, not \(seen)",
                ["seen": seen, "allowed": "application/yaml, application/json"])
        }
        let dryRun = try request.query.flag("dryRun")
        try await checkKinds(request, syntax)
        let outcome = try await resources.apply(request.body, syntax: syntax, dryRun: dryRun, by: try context(request))
        if !dryRun {
            for change in outcome.changes where change.action != "unchanged" { endSessions(change.kind, change.name) }
        }
        return .json(outcome.json(dryRun: dryRun))
    }

    /// Documents of guarded kinds are refused to those who may not administer, whether they would change anything or
    /// not: "unchanged" would confirm a guessed password.
    private func checkKinds(_ request: ConsoleRequest, _ syntax: DocumentSyntax) async throws {
        let caller = try caller(request)
        if caller.may(.administer) { return }
        let plan = try await resources.apply(request.body, syntax: syntax, dryRun: true, by: try context(request))
        if let change = plan.changes.first(where: { GuardedKinds.names.contains($0.kind) }) {
            throw Refusal.missing(.administer, caller, what: "\(change.kind) \"\(change.name)\"")
        }
    }

    /// A user who was changed has to log in again.
    private func endSessions(_ kind: String, _ name: String) {
        if kind == "User" { gatekeeper.sessions.endAll(of: name) }
    }

    private func context(_ request: ConsoleRequest) throws(Refusal) -> ChangeContext {
        let caller = try caller(request)
        var source = if case .session = caller.means { "console" } else { "rest" }
        if let name = HTTPField.Name("X-Tundish-Source"), let field = request.headers[name], !field.isEmpty {
            source = String(field.prefix(256))
        }
        return ChangeContext(author: caller.username, source: source)
    }

    /// `If-Match: "7"`, `7`, `W/"7"` or `*`; nil where absent. RFC 9110, 13.1.1
    static func expectation(_ headers: HTTPFields) throws(Refusal) -> RevisionExpectation? {
        guard let field = headers[.ifMatch] else { return nil }
        if field == "*" { return .present }
        var text = field[...]
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        if text.hasPrefix("\""), text.hasSuffix("\""), text.count >= 2 { text = text.dropFirst().dropLast() }
        guard let revision = Int64(text), revision >= 0 else {
            throw Refusal(
                .badRequest, "request.if_match", "If-Match is \(field): must be one revision, such as \"7\", or *",
                ["seen": field])
        }
        return .revision(revision)
    }
}

extension Right {
    fileprivate func orAdministering(_ isGuarded: Bool) -> Right { isGuarded ? .administer : self }
}

extension ResourceView {
    var json: JSONValue {
        .object([
            "apiVersion": .string(apiVersion), "kind": .string(kind), "space": .string(space), "name": .string(name),
            "uid": .string(uid), "revision": .integer(revision), "createdAt": .time(createdAt),
            "updatedAt": .time(updatedAt), "author": .string(author), "source": .string(source), "spec": spec,
            "status": .object([
                "observedRevision": .integer(status.observedRevision), "state": .string(status.state),
                "code": (status.problem?.code).map(JSONValue.string),
                "message": (status.problem?.message).map(JSONValue.string),
                "arguments": status.problem?.argumentsJSON, "since": .time(status.since),
            ]),
        ])
    }
}

extension ResourceRevisionView {
    fileprivate var json: JSONValue {
        .object([
            "revision": .integer(revision), "author": .string(author), "source": .string(source), "at": .time(at),
            "action": .string(action), "spec": spec,
        ])
    }
}

extension ApplyView {
    fileprivate func json(dryRun: Bool) -> JSONValue {
        .object([
            "dryRun": .bool(dryRun), "revision": .integer(revision),
            "changes": .array(
                changes.map { change in
                    .object([
                        "kind": .string(change.kind), "name": .string(change.name), "action": .string(change.action),
                        "diff": .array(
                            change.differences.map {
                                .object(["path": .string($0.path), "before": $0.before, "after": $0.after])
                            }),
                    ])
                }),
        ])
    }
}
