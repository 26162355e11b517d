import Formats
import HTTPTypes
import HummingbirdCore
import Logging
import Model
import NIOCore

/// From a request to its answer: checks, routing, the body within its bound, problem documents, security headers.
struct Responder: Sendable {
    let table: RouteTable
    let gatekeeper: Gatekeeper
    let pages: StaticFiles
    let logger: Logger

    @concurrent
    func respond(to request: Request, writer: consuming ResponseWriter, channel: any Channel) async throws {
        let peer = channel.remoteAddress?.ipAddress ?? ""
        var response = await answer(request, peer: peer)
        Self.addSecurityHeaders(&response.headers)
        var head = HTTPResponse(status: response.status, headerFields: response.headers)
        let length = response.body.readableBytes
        if response.status != .noContent, response.status != .notModified {
            head.headerFields[.contentLength] = String(length)
        }
        if length == 0 || request.method == .head {
            try await writer.writeResponse(head)
        } else {
            try await writer.write(response: head, body: ResponseBody(byteBuffer: response.body))
        }
    }

    private func answer(_ request: Request, peer: String) async -> ConsoleResponse {
        do {
            try gatekeeper.checkHost(request.head.authority)
            return try await route(request, peer: peer)
        } catch let refusal as Refusal {
            return refusal.response
        } catch let refusal as ResourceRefusal {
            return Refusal(refusal).response
        } catch let problem as Problem {
            return Refusal(Self.status(of: problem), problem).response
        } catch {
            logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return Refusal(.internalServerError, "internal_error", "the server failed to answer; its log says why")
                .response
        }
    }

    private func route(_ request: Request, peer: String) async throws -> ConsoleResponse {
        let target = request.head.path ?? "/"
        let end = target.firstIndex { $0 == "?" || $0 == "#" } ?? target.endIndex
        let path = target[..<end]
        switch table.match(request.method, path: path) {
        case .route(let route, let parameters):
            let items = QueryItems(parsing: target[end...].dropFirst().prefix { $0 != "#" })
            var call = ConsoleRequest(
                method: request.method, path: PercentCoding.decode(path) ?? String(path), query: items,
                headers: request.headers, peer: peer)
            call.parameters = parameters
            call.caller = try await gatekeeper.admit(call, to: route)
            if route.requestBody != nil { call.body = try await collect(request, max: route.bodyBytesMax) }
            return try await route.handler(call)
        case .wrongMethod(let allowed):
            let names = allowed.map(\.rawValue).joined(separator: ", ")
            var refusal = Refusal(
                .methodNotAllowed, "request.method",
                "\(request.method.rawValue) is not possible here; allowed: \(names)",
                ["seen": request.method.rawValue, "allowed": names])
            refusal.headers[.allow] = names
            throw refusal
        case .none:
            return try pages.answer(method: request.method, path: path, headers: request.headers)
        }
    }

    private func collect(_ request: Request, max: Int) async throws -> Bytes {
        let tooLarge = Refusal(
            .contentTooLarge, "request.too_large", "the body must have at most \(max) bytes", ["allowed": "\(max)"])
        if let length = request.headers[.contentLength], let length = Int(length), length > max { throw tooLarge }
        var body = ByteBuffer()
        for try await part in request.body {
            guard body.readableBytes + part.readableBytes <= max else { throw tooLarge }
            body.writeImmutableBuffer(part)
        }
        return body.withUnsafeReadableBytes { Bytes(copying: $0) }
    }

    /// Problems that the parts throw: what is unknown is 404, a time-out 504, a full queue 503; the rest is the
    /// request's fault.
    static func status(of problem: Problem) -> HTTPResponse.Status {
        if problem.code.hasSuffix(".unknown") { return .notFound }
        if problem.code.hasSuffix("timeout") { return .gatewayTimeout }
        if problem.code.hasSuffix(".unavailable") { return .serviceUnavailable }
        if problem.code.hasSuffix(".full") || problem.code.hasSuffix("busy") { return .serviceUnavailable }
        if problem.code == "internal_error" { return .internalServerError }
        return .unprocessableContent
    }

    private static func addSecurityHeaders(_ headers: inout HTTPFields) {
        headers[.contentSecurityPolicy] = policy
        headers[.xContentTypeOptions] = "nosniff"
        if let name = HTTPField.Name("Referrer-Policy") { headers[name] = "no-referrer" }
        if let name = HTTPField.Name("X-Frame-Options") { headers[name] = "DENY" }
        if headers[.cacheControl] == nil { headers[.cacheControl] = "no-store" }
    }

    // The code editor and the charts' tooltips set styles of their own; scripts come from the console alone.
    private static let policy = """
        default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
        base-uri 'none'; form-action 'self'; frame-ancestors 'none'
        """
}
