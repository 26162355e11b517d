package import HTTPTypes

/// One path and method of the API. The same table drives the router and the OpenAPI document, so that they cannot
/// differ.
package struct Route: Sendable {
    /// Who may call it.
    package enum Access: Sendable, Hashable {
        /// Everyone, and nobody is asked who he is: health checks.
        case open
        /// Everyone: what is needed before a login. Who is signed in already is known.
        case greeting
        /// Programs on this machine without a token; others with the right.
        case loopback(or: Right)
        /// Whoever is signed in, whatever his rights.
        case signedIn
        case needs(Right)
    }

    package typealias Handler = @Sendable (ConsoleRequest) async throws -> ConsoleResponse

    package var method: HTTPRequest.Method
    /// With `{name}` for what varies, such as `/api/v1/devices/{name}`.
    package var path: String
    package var summary: String
    /// Groups routes in the document.
    package var section: String
    /// What declares nothing is for administrators.
    package var access = Access.needs(.administer)
    package var query: [RouteParameter] = []
    package var requestBody: RouteBody?
    /// Name of a schema of the document; nil: no body.
    package var answer: String?
    package var answerType = "application/json"
    /// The status of success.
    package var success: HTTPResponse.Status = .ok
    package var bodyBytesMax = 64 << 10
    /// Whether `If-Match` is part of the call.
    package var isConditional = false
    package var handler: Handler

    package init(
        _ method: HTTPRequest.Method, _ path: String, _ section: String, _ summary: String,
        answer: String? = nil, handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.section = section
        self.summary = summary
        self.answer = answer
        self.handler = handler
    }

    package var isMutation: Bool { method != .get && method != .head }

    /// Declares the right that a call needs.
    package func needs(_ right: Right) -> Route { with { $0.access = .needs(right) } }

    /// Sets several properties where the route is declared.
    package func with(_ change: (inout Route) -> Void) -> Route {
        var route = self
        change(&route)
        return route
    }
}

package struct RouteParameter: Sendable {
    package var name: String
    /// `string`, `integer` or `boolean`.
    package var type: String
    package var summary: String

    package init(_ name: String, _ type: String, _ summary: String) {
        self.name = name
        self.type = type
        self.summary = summary
    }
}

package struct RouteBody: Sendable {
    /// Name of a schema of the document.
    package var schema: String
    package var types: [String]

    package init(_ schema: String, types: [String] = ["application/json"]) {
        self.schema = schema
        self.types = types
    }
}

/// Finds the route of a request: a tree over path segments, where a fixed segment wins over a parameter.
package struct RouteTable: Sendable {
    private final class Node: Sendable {
        let fixed: [String: Node]
        let parameter: (name: String, node: Node)?
        let routes: [HTTPRequest.Method: Route]

        init(fixed: [String: Node], parameter: (name: String, node: Node)?, routes: [HTTPRequest.Method: Route]) {
            self.fixed = fixed
            self.parameter = parameter
            self.routes = routes
        }
    }

    package enum Match: Sendable {
        case route(Route, parameters: [String: String])
        /// The path exists, the method does not.
        case wrongMethod(allowed: [HTTPRequest.Method])
        case none
    }

    package let routes: [Route]
    private let root: Node

    package init(_ routes: [Route]) {
        self.routes = routes
        root = Self.node(routes.map { (segments: Self.segments($0.path), route: $0) }, depth: 0)
    }

    private static func segments(_ path: String) -> [String] {
        path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
    }

    private static func node(_ entries: [(segments: [String], route: Route)], depth: Int) -> Node {
        var routes: [HTTPRequest.Method: Route] = [:]
        var fixed: [String: [(segments: [String], route: Route)]] = [:]
        var parameters: [(segments: [String], route: Route)] = []
        var parameterName = ""
        for entry in entries {
            if entry.segments.count == depth {
                routes[entry.route.method] = entry.route
            } else if entry.segments[depth].hasPrefix("{") {
                parameterName = String(entry.segments[depth].dropFirst().dropLast())
                parameters.append(entry)
            } else {
                fixed[entry.segments[depth], default: []].append(entry)
            }
        }
        return Node(
            fixed: fixed.mapValues { node($0, depth: depth + 1) },
            parameter: parameters.isEmpty ? nil : (parameterName, node(parameters, depth: depth + 1)), routes: routes)
    }

    /// `path` is still percent-encoded, so that a name may contain an escaped slash.
    package func match(_ method: HTTPRequest.Method, path: some StringProtocol) -> Match {
        var node = root
        var parameters: [String: String] = [:]
        for segment in path.split(separator: "/", omittingEmptySubsequences: true) {
            guard let decoded = PercentCoding.decode(segment) else { return .none }
            if let next = node.fixed[decoded] {
                node = next
            } else if let (name, next) = node.parameter {
                parameters[name] = decoded
                node = next
            } else {
                return .none
            }
        }
        if let route = node.routes[method == .head ? .get : method] { return .route(route, parameters: parameters) }
        if node.routes.isEmpty { return .none }
        return .wrongMethod(allowed: node.routes.keys.sorted { $0.rawValue < $1.rawValue })
    }
}
