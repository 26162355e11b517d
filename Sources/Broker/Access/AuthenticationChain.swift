package import BrokerCore
package import Model
import Synchronization

/// One method with its place in the chain.
package struct ChainLink: Sendable {
    package enum WhenUnavailable: String, Sendable, Hashable, CaseIterable {
        case next
        case refuse
    }

    package var name: String
    package var order: Int
    package var timeout: Duration
    package var onUnavailable: WhenUnavailable
    /// Nil: clients of every listener.
    package var listeners: Set<String>?
    package var mayWriteDevices: Bool?
    package var brake: GuessingBrake
    package var method: any AccessMethod

    package init(
        name: String, order: Int = 100, timeout: Duration = .seconds(5), onUnavailable: WhenUnavailable = .refuse,
        listeners: Set<String>? = nil, mayWriteDevices: Bool? = nil, brake: GuessingBrake, method: any AccessMethod
    ) {
        self.name = name
        self.order = order
        self.timeout = timeout
        self.onUnavailable = onUnavailable
        self.listeners = listeners
        self.mayWriteDevices = mayWriteDevices
        self.brake = brake
        self.method = method
    }
}

/// Asks one method after the other who a client is: the first that knows it decides. Where all pass it on, nobody
/// knows it, and it is refused; a client that says nothing about itself comes in where its listener allows that.
///
/// Every refusal gets the same reason code, and takes about as long as a wrong password; the cause is in the journal.
package final class AuthenticationChain: Authenticator {
    private struct State {
        var links: [ChainLink] = []
        /// Asked while nobody has configured any other.
        var fallback: ChainLink?
    }

    private let state = Mutex(State())
    private let clock: AccessClock
    let rules: AccessRules
    let journal: AccessJournal
    private let accepted = Counter()

    package init(clock: AccessClock, rules: AccessRules, journal: AccessJournal, fallback: ChainLink? = nil) {
        self.clock = clock
        self.rules = rules
        self.journal = journal
        state.withLock { $0.fallback = fallback }
    }

    package var decidesAboutAnonymous: Bool { true }

    /// Adds a link or replaces the one of its name; the replaced method is returned, to be closed.
    package func set(_ link: ChainLink) -> (any AccessMethod)? {
        state.withLock { state in
            let old = state.links.first { $0.name == link.name }?.method
            state.links.removeAll { $0.name == link.name }
            state.links.append(link)
            state.links.sort { ($0.order, $0.name) < ($1.order, $1.name) }
            return old
        }
    }

    package func remove(_ name: String) -> (any AccessMethod)? {
        state.withLock { state in
            let old = state.links.first { $0.name == name }?.method
            state.links.removeAll { $0.name == name }
            return old
        }
    }

    package var names: [String] { state.withLock { $0.links.map(\.name) } }

    /// The links whose clients are users of Tundish.
    package var userLinks: Set<String> {
        state.withLock { state in
            let links = state.links + (state.fallback.map { [$0] } ?? [])
            return Set(links.filter { $0.method is UsersMethod || $0.method is ScramMethod }.map(\.name))
        }
    }

    private func links(_ client: ClientIdentity) -> (links: [ChainLink], isFallback: Bool) {
        let (links, fallback) = state.withLock { ($0.links, $0.fallback) }
        if links.isEmpty { return (fallback.map { [$0] } ?? [], true) }
        return (links.filter { $0.listeners?.contains(client.listener) != false }, false)
    }

    // MARK: Deciding

    package func authenticateNow(_ credentials: Credentials) -> AuthenticationDecision? {
        if isSilent(credentials) { return decideAboutNobody(credentials) }
        let (links, isFallback) = links(credentials.client)
        var last: (RefusalCause, String, String) = (.unknownUser, "", "")
        for link in links {
            if isBraked(link, credentials) { return refuse(.tooManyFailures, credentials, "", link.name) }
            switch link.method.checkNow(credentials) {
            case nil, .unavailable?: return nil
            case .accept(let found)?: return accept(found, link, credentials)
            case .refuse(let cause, let detail)?:
                failed(link, cause, credentials)
                return refuse(cause, credentials, detail, link.name)
            case .next(let cause, let detail)?: last = (cause, detail, link.name)
            }
        }
        if let decision = anonymousAfterAll(credentials, isFallback) { return decision }
        // Where a method's checks take time, so does not knowing.
        return links.isEmpty ? refuse(last.0, credentials, last.1, last.2) : nil
    }

    package func authenticate(_ credentials: Credentials) async -> AuthenticationDecision {
        if isSilent(credentials) { return decideAboutNobody(credentials) }
        let (links, isFallback) = links(credentials.client)
        var last: (cause: RefusalCause, detail: String, name: String) = (.unknownUser, "no authenticator", "")
        for link in links {
            if isBraked(link, credentials) { return refuse(.tooManyFailures, credentials, "", link.name) }
            let method = link.method
            let answer =
                await clock.within(link.timeout) { await method.check(credentials) }
                ?? .unavailable(.unavailable, "no answer within \(link.timeout)")
            switch answer {
            case .accept(let found): return accept(found, link, credentials)
            case .refuse(let cause, let detail):
                failed(link, cause, credentials)
                return refuse(cause, credentials, detail, link.name)
            case .next(let cause, let detail): last = (cause, detail, link.name)
            case .unavailable(let cause, let detail):
                if link.onUnavailable == .refuse { return refuse(cause, credentials, detail, link.name) }
                journal.add(
                    Refusal(
                        cause: cause, client: credentials.client, username: credentials.username,
                        detail: "passed on: " + detail, by: link.name))
                last = (cause, detail, link.name)
            }
        }
        if let decision = anonymousAfterAll(credentials, isFallback) { return decision }
        for link in links {
            failed(link, last.cause, credentials)
            let method = link.method
            if await clock.within(link.timeout, { await method.spendTime() }) == true { break }
        }
        return refuse(last.cause, credentials, last.detail, last.name)
    }

    /// Says nothing about itself at all.
    private func isSilent(_ credentials: Credentials) -> Bool {
        !credentials.areGiven && credentials.client.certificate == nil
    }

    private func decideAboutNobody(_ credentials: Credentials) -> AuthenticationDecision {
        credentials.allowsAnonymous ? anonymous(credentials) : refuse(.noCredentials, credentials, "", "listener")
    }

    /// A client that nobody knows, where everyone may come: one with a certificate only, or, as long as there is
    /// nothing configured that it could mean, one of this machine with a user name of its own.
    private func anonymousAfterAll(_ credentials: Credentials, _ isFallback: Bool) -> AuthenticationDecision? {
        guard credentials.allowsAnonymous else { return nil }
        guard !credentials.areGiven || (isFallback && credentials.client.isLoopback) else { return nil }
        return anonymous(credentials)
    }

    private func anonymous(_ credentials: Credentials) -> AuthenticationDecision {
        accepted.add()
        return .accept(
            Acceptance(
                username: nil, mayWriteDevices: credentials.client.isLoopback, authoriser: rules.authoriser()))
    }

    private func accept(_ found: Identified, _ link: ChainLink, _ credentials: Credentials) -> AuthenticationDecision {
        .accept(acceptance(found, link, credentials))
    }

    func acceptance(_ found: Identified, _ link: ChainLink, _ credentials: Credentials) -> Acceptance {
        link.brake.succeeded(credentials.client.address, found.username ?? "")
        accepted.add()
        var acceptance = Acceptance(
            username: found.username,
            mayWriteDevices: found.mayWriteDevices ?? link.mayWriteDevices ?? credentials.client.isLoopback,
            authoriser: rules.authoriser(own: found.rules))
        acceptance.roles = found.roles
        acceptance.isSuperuser = found.isSuperuser
        acceptance.authenticator = link.name
        acceptance.expiresAt = found.expiresAt
        return acceptance
    }

    // MARK: Refusing

    private func isBraked(_ link: ChainLink, _ credentials: Credentials) -> Bool {
        link.brake.isBlocked(credentials.client.address, credentials.username ?? "")
    }

    /// Counts a failure that may be a guess.
    func failed(_ link: ChainLink, _ cause: RefusalCause, _ credentials: Credentials, username: String? = nil) {
        switch cause {
        case .wrongPassword, .unknownUser, .badProof, .badToken, .rejected, .disabledUser:
            link.brake.failed(credentials.client.address, username ?? credentials.username ?? "")
        default: break
        }
    }

    private func refuse(
        _ cause: RefusalCause, _ credentials: Credentials, _ detail: String, _ name: String
    ) -> AuthenticationDecision {
        journal.add(
            Refusal(
                cause: cause, client: credentials.client, username: credentials.username, detail: detail, by: name))
        return .refuse(Self.reason(cause))
    }

    /// As Mosquitto: 0x87 for whoever may not come, whatever the cause.
    static func reason(_ cause: RefusalCause) -> ReasonCode {
        switch cause {
        case .unavailable: .serverUnavailable
        case .overloaded: .serverBusy
        default: .notAuthorized
        }
    }

    // MARK: Enhanced authentication

    package func exchange(_ method: String, _ credentials: Credentials) -> (any AuthenticationExchange)? {
        for link in links(credentials.client).links {
            if let exchange = link.method.exchange(method, credentials) {
                return ChainExchange(chain: self, link: link, clock: clock, exchange, credentials)
            }
        }
        return nil
    }

    package func close() async {
        let methods = state.withLock { state in
            defer { state.links = [] }
            return state.links.map(\.method) + (state.fallback.map { [$0.method] } ?? [])
        }
        for method in methods { await method.close() }
    }
}

extension AuthenticationChain: MetricSource {
    package func collect() async -> [MetricSample] {
        let methods = state.withLock { state in state.links.isEmpty ? state.fallback.map { [$0] } ?? [] : state.links }
        var samples = [
            MetricSample(
                "tundish_access_accepted_total", .counter, "Clients that authentication let in.",
                Double(accepted.count))
        ]
        for link in methods {
            samples += link.method.metrics().map { sample in
                var sample = sample
                sample.labels["authenticator"] = link.name
                return sample
            }
        }
        return samples
    }
}

/// A method's exchange, with the chain's time-out, journal and brake.
private actor ChainExchange: AuthenticationExchange {
    private let chain: AuthenticationChain
    private let link: ChainLink
    private let clock: AccessClock
    private let exchange: any MethodExchange
    private let credentials: Credentials

    init(
        chain: AuthenticationChain, link: ChainLink, clock: AccessClock, _ exchange: any MethodExchange,
        _ credentials: Credentials
    ) {
        self.chain = chain
        self.link = link
        self.clock = clock
        self.exchange = exchange
        self.credentials = credentials
    }

    func next(_ data: Bytes?) async -> AuthenticationStep {
        // Who it is comes with the exchange: until then the brake knows the address only.
        let exchange = exchange
        let step =
            await clock.within(link.timeout) { await exchange.next(data) }
            ?? .unavailable(.unavailable, "no answer within \(link.timeout)")
        switch step {
        case .challenge(let data): return .challenge(data)
        case .accept(let found, let data):
            if link.brake.isBlocked(credentials.client.address, found.username ?? "") {
                return refuse(.tooManyFailures, found.username, "")
            }
            return .accept(chain.acceptance(found, link, credentials), data)
        case .refuse(let cause, let username, let detail):
            chain.failed(link, cause, credentials, username: username)
            return refuse(cause, username, detail)
        case .unavailable(let cause, let detail): return refuse(cause, nil, detail)
        }
    }

    private func refuse(_ cause: RefusalCause, _ username: String?, _ detail: String) -> AuthenticationStep {
        chain.journal.add(
            Refusal(cause: cause, client: credentials.client, username: username, detail: detail, by: link.name))
        return .refuse(AuthenticationChain.reason(cause))
    }
}
