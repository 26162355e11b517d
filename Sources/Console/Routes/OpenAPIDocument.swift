import Formats
import HTTPTypes

/// The OpenAPI 3.1 document, made from the route table.
struct OpenAPIDocument {
    let routes: [Route]
    let version: String

    var text: String { json.text }

    var json: JSONValue {
        var paths: [JSONMember] = []
        for path in routes.map(\.path) where !paths.contains(where: { $0.key == path }) {
            let members = routes.filter { $0.path == path }
                .map { JSONMember($0.method.rawValue.lowercased(), operation($0)) }
            paths.append(JSONMember(path, .object(members)))
        }
        return .object([
            "openapi": "3.1.0",
            "info": .object([
                "title": "Tundish", "version": .string(version),
                "description":
                    "Times are Unix milliseconds. Errors are problem documents (RFC 9457) with a stable code.",
            ]),
            "paths": .object(paths),
            "components": .object([
                "schemas": OpenAPISchemas.all,
                "responses": .object([
                    "Problem": .object([
                        "description": "What went wrong, with a stable code",
                        "content": Self.content("Problem", type: "application/problem+json"),
                    ])
                ]),
                "securitySchemes": .object([
                    "token": .object(["type": "http", "scheme": "bearer"]),
                    "session": .object(["type": "apiKey", "in": "cookie", "name": .string(Gatekeeper.cookieName)]),
                ]),
            ]),
        ])
    }

    private func operation(_ route: Route) -> JSONValue {
        let isOpen = route.access == .open || route.access == .greeting
        return .object([
            "operationId": .string(Self.operationID(route)),
            "summary": .string(route.summary),
            "tags": .array([.string(route.section)]),
            "x-tundish-right": Self.right(route).map { .string($0.rawValue) },
            "security": isOpen
                ? .array([]) : .array([.object(["token": .array([])]), .object(["session": .array([])])]),
            "parameters": parameters(route),
            "requestBody": route.requestBody.map(Self.body),
            "responses": .object([
                JSONMember(String(route.success.code), Self.success(route)),
                JSONMember("default", .object(["$ref": "#/components/responses/Problem"])),
            ]),
        ])
    }

    /// What a caller must be allowed; nil: being signed in is enough, or not even that.
    private static func right(_ route: Route) -> Right? {
        switch route.access {
        case .needs(let right), .loopback(let right): right
        case .open, .greeting, .signedIn: nil
        }
    }

    /// `getDevicesNameHistory`
    private static func operationID(_ route: Route) -> String {
        let parts = route.path.split { !$0.isLetter && !$0.isNumber }.filter { $0 != "api" && $0 != "v1" }
        return route.method.rawValue.lowercased() + parts.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private func parameters(_ route: Route) -> JSONValue? {
        var list: [JSONValue] = []
        for segment in route.path.split(separator: "/") where segment.hasPrefix("{") {
            list.append(
                Self.parameter(String(segment.dropFirst().dropLast()), in: "path", type: "string", nil, required: true))
        }
        for item in route.query { list.append(Self.parameter(item.name, in: "query", type: item.type, item.summary)) }
        if route.isConditional {
            list.append(Self.parameter("If-Match", in: "header", type: "string", "The revision that was read, or *"))
        }
        if route.isMutation, route.access != .open, route.access != .greeting {
            list.append(
                Self.parameter("X-Tundish-Request", in: "header", type: "string", "1; needed with a session cookie"))
        }
        return list.isEmpty ? nil : .array(list)
    }

    private static func parameter(
        _ name: String, in place: String, type: String, _ summary: String?, required: Bool = false
    ) -> JSONValue {
        .object([
            "name": .string(name), "in": .string(place), "required": .bool(required),
            "schema": .object(["type": .string(type)]), "description": summary.map(JSONValue.string),
        ])
    }

    private static func body(_ body: RouteBody) -> JSONValue {
        .object([
            "required": true,
            "content": .object(
                body.types.map { JSONMember($0, .object(["schema": reference(body.schema)])) }),
        ])
    }

    private static func success(_ route: Route) -> JSONValue {
        .object([
            "description": .string(route.success.reasonPhrase),
            "content": route.answer.map { content($0, type: route.answerType) },
        ])
    }

    private static func content(_ schema: String, type: String) -> JSONValue {
        .object([JSONMember(type, .object(["schema": reference(schema)]))])
    }

    static func reference(_ schema: String) -> JSONValue {
        .object(["$ref": .string("#/components/schemas/\(schema)")])
    }
}
