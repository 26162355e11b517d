package import BrokerCore
import Formats
package import Model
import Synchronization

/// What a token must say and where it is.
package struct TokenSettings: Sendable {
    package enum Place: String, Sendable, CaseIterable {
        case password
        case username
    }

    package var place = Place.password
    /// Claims and what they must be; a claim that is a list must hold it.
    package var claims: [(name: String, value: Template)] = []
    /// The claim that names the user; nil: `username` or `sub`, or the name the client sent if `claims` confirm it.
    package var usernameClaim: String?
    package var rolesClaim = "roles"
    package var aclClaim = "acl"
    package var superuserClaim = "is_superuser"
    package var mustExpire = false
    /// How far clocks may differ.
    package var leeway = Duration.seconds(0)
    /// Whether the connection ends when the token does.
    package var disconnectsWhenExpired = true

    package init() {}
}

/// A signed token instead of a password. RFC 7519
package final class TokenMethod: AccessMethod {
    private let settings: TokenSettings
    private let keys: any TokenKeys
    private let time: any TimeSource

    init(settings: TokenSettings, keys: any TokenKeys, time: any TimeSource) {
        self.settings = settings
        self.keys = keys
        self.time = time
    }

    package func checkNow(_ credentials: Credentials) -> MethodAnswer? {
        switch token(credentials) {
        case .failure(let answer): return answer
        case .success(let token):
            guard let known = keys.known else { return nil }
            return verify(token, known, credentials, isLast: false)
        }
    }

    package func check(_ credentials: Credentials) async -> MethodAnswer {
        switch token(credentials) {
        case .failure(let answer): return answer
        case .success(let token):
            if let known = keys.known, let answer = verify(token, known, credentials, isLast: false) { return answer }
            switch await keys.current(wanting: token.keyID) {
            case .success(let known):
                return verify(token, known, credentials, isLast: true) ?? .next(.badToken, "the signature")
            case .failure(let problem): return .unavailable(.unavailable, problem.message)
            }
        }
    }

    private enum Found {
        case success(JSONWebToken)
        case failure(MethodAnswer)
    }

    private func token(_ credentials: Credentials) -> Found {
        let text = settings.place == .password ? credentials.password : credentials.username.map { Bytes($0) }
        guard let text else { return .failure(.next(.noCredentials, "no token")) }
        do throws(JSONWebToken.Failure) {
            return .success(try JSONWebToken(text))
        } catch {
            switch error {
            case .notAToken: return .failure(.next(.badToken, "not a token"))
            case .malformed(let detail): return .failure(.next(.badToken, detail))
            }
        }
    }

    /// Nil: no key fits, and there may be others by now.
    private func verify(
        _ token: JSONWebToken, _ known: [TokenKey], _ credentials: Credentials, isLast: Bool
    ) -> MethodAnswer? {
        let candidates = known.filter { key in
            guard let wanted = token.keyID, let has = key.keyID else { return true }
            return wanted == has
        }
        guard candidates.contains(where: token.isSigned) else {
            return isLast || !keys.mayChange ? .next(.badToken, "no key fits the signature") : nil
        }
        return judge(token.claims, credentials)
    }

    /// The signature is right: what the token says counts.
    private func judge(_ claims: JSONValue, _ credentials: Credentials) -> MethodAnswer {
        let now = Double(time.now().nanoseconds) / 1e9
        let leeway = Double(settings.leeway.nanoseconds) / 1e9
        var expiry: Double?
        if let claim = claims["exp"] {
            guard let end = claim.number, end.isFinite else { return .refuse(.badToken, "exp is no number") }
            guard now < end + leeway else { return .refuse(.expired, "the token has expired") }
            expiry = end + leeway
        } else if settings.mustExpire {
            return .refuse(.rejected, "the token has no exp")
        }
        for name in ["nbf", "iat"] {
            guard let claim = claims[name] else { continue }
            guard let start = claim.number else { return .refuse(.badToken, "\(name) is no number") }
            guard now >= start - leeway else { return .refuse(.rejected, "\(name) is in the future") }
        }
        for (name, template) in settings.claims {
            guard let wanted = template.filled({ credentials.value(of: $0) }), let claim = Self.find(name, claims),
                Self.holds(claim, wanted)
            else { return .refuse(.rejected, "claim \"\(name)\" is not \"\(template.text)\"") }
        }
        return identify(claims, expiry, credentials)
    }

    private func identify(_ claims: JSONValue, _ expiry: Double?, _ credentials: Credentials) -> MethodAnswer {
        // A name that the client sends is believed only where a claim confirms it.
        let isConfirmed = settings.place == .password && settings.claims.contains { $0.value.uses(.username) }
        var username = isConfirmed ? credentials.username : nil
        if let name = settings.usernameClaim {
            guard let claimed = Self.find(name, claims)?.string, !claimed.isEmpty else {
                return .refuse(.rejected, "there is no claim \"\(name)\"")
            }
            if settings.place == .password, let given = credentials.username, given != claimed {
                return .refuse(.rejected, "the token is of \"\(claimed)\"")
            }
            username = claimed
        }
        if username == nil { username = claims["username"]?.string ?? claims["sub"]?.string }
        var found = Identified(username: username)
        found.roles = (Self.find(settings.rolesClaim, claims)?.array ?? []).compactMap(\.string)
        found.isSuperuser = Self.find(settings.superuserClaim, claims)?.bool ?? false
        if let acl = Self.find(settings.aclClaim, claims) {
            guard let rules = ClientACL.rules(acl, label: "the token's \(settings.aclClaim)") else {
                return .refuse(.badToken, "claim \"\(settings.aclClaim)\" is not understood")
            }
            found.rules = rules
        }
        if let expiry, settings.disconnectsWhenExpired, expiry < 9e9 {
            found.expiresAt = Timestamp(nanoseconds: Int64(expiry * 1e9))
        }
        return .accept(found)
    }

    /// A claim by its name, or by a path of names with dots.
    private static func find(_ name: String, _ claims: JSONValue) -> JSONValue? {
        if let direct = claims[name] { return direct }
        var value: JSONValue? = claims
        for part in name.split(separator: ".") { value = value?[String(part)] }
        return value
    }

    private static func holds(_ claim: JSONValue, _ wanted: String) -> Bool {
        switch claim {
        case .string(let text): text == wanted
        case .integer(let number): String(number) == wanted
        case .bool(let value): String(value) == wanted
        case .array(let values): values.contains { $0.string == wanted }
        default: false
        }
    }

    package func close() async { await keys.close() }
}

/// Where a token's keys come from.
protocol TokenKeys: Sendable {
    /// The keys as far as they are known; nil: none yet.
    var known: [TokenKey]? { get }
    var mayChange: Bool { get }
    /// The keys after looking again, if that may help.
    func current(wanting keyID: String?) async -> Result<[TokenKey], Problem>
    func close() async
}

struct FixedKeys: TokenKeys {
    let keys: [TokenKey]
    var known: [TokenKey]? { keys }
    var mayChange: Bool { false }
    func current(wanting keyID: String?) async -> Result<[TokenKey], Problem> { .success(keys) }
    func close() async {}
}

/// The key set of an issuer, fetched again when it is old or lacks a key. What was fetched last stays in force while
/// the issuer is away.
final class RemoteKeys: TokenKeys {
    /// Unknown key names make nobody ask more often than this.
    static let askEvery: Int64 = 10_000_000_000

    private struct State {
        var keys: [TokenKey]?
        var fetchedAt: Int64 = .min
        var askedAt: Int64 = .min
        var running: Task<Result<[TokenKey], Problem>, Never>?
    }

    private let state = Mutex(State())
    private let refresh: Int64
    private let time: any TimeSource
    private let fetch: @Sendable () async -> Result<[UInt8], Problem>

    init(
        refresh: Duration, time: any TimeSource, fetch: @escaping @Sendable () async -> Result<[UInt8], Problem>
    ) {
        self.refresh = refresh.nanoseconds
        self.time = time
        self.fetch = fetch
    }

    var mayChange: Bool { true }

    var known: [TokenKey]? {
        let now = time.monotonicNanoseconds()
        return state.withLock { state in
            guard state.keys != nil, now - state.fetchedAt < refresh else { return nil }
            return state.keys
        }
    }

    func current(wanting keyID: String?) async -> Result<[TokenKey], Problem> {
        let now = time.monotonicNanoseconds()
        let task: Task<Result<[TokenKey], Problem>, Never>? = state.withLock { state in
            if let running = state.running { return running }
            if state.askedAt != .min, now - state.askedAt < Self.askEvery { return nil }
            state.askedAt = now
            let task = Task { await load() }
            state.running = task
            return task
        }
        let loaded = await task?.value
        if case .success(let keys)? = loaded { return .success(keys) }
        if let keys = state.withLock({ $0.keys }) { return .success(keys) }
        return loaded ?? .failure(Problem("access.jwks", "the key set could not be fetched; asked again soon"))
    }

    private func load() async -> Result<[TokenKey], Problem> {
        let answer = await fetch().flatMap { bytes in
            TokenKey.keySet(bytes).map { .success($0) }
                ?? .failure(Problem("access.jwks", "the answer is not a JSON Web Key Set"))
        }
        let now = time.monotonicNanoseconds()
        state.withLock { state in
            state.running = nil
            guard case .success(let keys) = answer else { return }
            state.keys = keys
            state.fetchedAt = now
        }
        return answer
    }

    func close() async { state.withLock { $0.running }?.cancel() }
}
