package import BrokerCore
import Formats
package import Model
import NIOHTTP1

/// Asks an HTTP server, in the form that EMQX asks: 200 with `{"result": "allow" | "deny" | "ignore", "is_superuser":
/// ..., "acl": [...]}`, or 204, which allows. Other client errors pass the client on; a server that fails, is away or
/// says something else counts as not to be asked.
package final class HTTPAccessMethod: AccessMethod {
    private let question: HTTPQuestion
    private let fetcher: HTTPFetcher
    private let cache: VerifiedCache

    init(question: HTTPQuestion, fetcher: HTTPFetcher, time: any TimeSource) {
        self.question = question
        self.fetcher = fetcher
        cache = VerifiedCache(entriesMax: question.cacheMax, time: time)
    }

    private struct Request: Sendable {
        var url: String
        var headers: [(String, String)]
        var members: [(String, String)]
    }

    /// Every value that the server sees is part of the question, and so of what is remembered about it.
    private func request(_ credentials: Credentials) -> Request {
        func fill(_ template: Template) -> String {
            template.filled(missing: "") { credentials.value(of: $0) } ?? ""
        }
        let url = question.url.filled(missing: "") { credentials.value(of: $0).map(PercentText.encode) } ?? ""
        return Request(
            url: url,
            headers: question.headers.map { ($0.name, fill($0.value).filter { !$0.isNewline && $0 != "\0" }) },
            members: question.body.map { ($0.name, fill($0.value)) })
    }

    private func key(_ request: Request) -> VerifiedCache.Key {
        let pairs = (request.headers + request.members).flatMap { [$0.0, $0.1] }
        return cache.key(([request.url] + pairs).map { Array($0.utf8) })
    }

    package func checkNow(_ credentials: Credentials) -> MethodAnswer? { cache.find(key(request(credentials))) }

    package func check(_ credentials: Credentials) async -> MethodAnswer {
        let request = request(credentials)
        let (accepted, refused) = (question.cacheAccepted, question.cacheRefused)
        return await cache.answer(key(request)) { answer in
            switch answer {
            case .accept: accepted
            case .refuse, .next: refused
            case .unavailable: .zero
            }
        } _: { [self] in
            await ask(request, username: credentials.username)
        }
    }

    private func ask(_ request: Request, username: String?) async -> MethodAnswer {
        var url = request.url
        var headers = request.headers
        var body: [UInt8] = []
        let form = request.members.map { PercentText.encode($0.0) + "=" + PercentText.encode($0.1) }
            .joined(separator: "&")
        if !question.isPost {
            if !form.isEmpty { url += (url.contains("?") ? "&" : "?") + form }
        } else if question.isForm {
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            body = Array(form.utf8)
        } else {
            headers.append(("Content-Type", "application/json"))
            let members = request.members.map { JSONMember($0.0, .string($0.1)) }
            body = Array(JSONValue.object(members).text.utf8)
        }
        let address: HTTPAddress
        do throws(Problem) { address = try HTTPAddress(url) } catch {
            return .unavailable(.unavailable, error.message)
        }
        switch await fetcher.send(address, method: question.isPost ? .POST : .GET, headers: headers, body: body) {
        case .failure(let problem):
            return .unavailable(problem.code == "access.http_busy" ? .overloaded : .unavailable, problem.message)
        case .success(let answer): return read(answer, username)
        }
    }

    private func read(_ answer: HTTPAnswer, _ username: String?) -> MethodAnswer {
        if answer.status == 204 { return .accept(Identified(username: username)) }
        guard answer.status == 200 else {
            return answer.status < 500 && answer.status >= 400
                ? .next(.rejected, "the server answered \(answer.status)")
                : .unavailable(.unavailable, "the server answered \(answer.status)")
        }
        let limits = JSONLimits(depthMax: 16, bytesMax: HTTPFetcher.bodyMax)
        guard let value = try? JSONValue(parsing: Bytes(answer.body), limits: limits) else {
            return .unavailable(.unavailable, "the answer is not JSON")
        }
        switch value["result"]?.string {
        case "allow": return allow(value, username)
        case "deny": return .refuse(.rejected, "the server denies")
        case "ignore": return .next(.unknownUser, "the server does not know the client")
        default: return .unavailable(.unavailable, "the answer's result is not allow, deny or ignore")
        }
    }

    private func allow(_ value: JSONValue, _ username: String?) -> MethodAnswer {
        var found = Identified(username: username)
        found.isSuperuser = value["is_superuser"]?.bool ?? false
        found.roles = (value["roles"]?.array ?? []).compactMap(\.string)
        if let acl = value["acl"], acl != .null {
            guard let rules = ClientACL.rules(acl, label: "the HTTP server's acl") else {
                return .unavailable(.unavailable, "the answer's acl is not understood")
            }
            found.rules = rules
        }
        // In seconds since 1970, as EMQX has it.
        if let end = value["expire_at"]?.number, end.isFinite, end > 0, end < 9e9 {
            found.expiresAt = Timestamp(nanoseconds: Int64(end * 1e9))
        }
        return .accept(found)
    }

    package func metrics() -> [MetricSample] {
        cache.metrics() + [
            MetricSample(
                "tundish_access_http_refused_total", .counter, "Questions not asked: too many were under way.",
                Double(fetcher.refused.count))
        ]
    }

    package func close() async { await fetcher.close() }
}
