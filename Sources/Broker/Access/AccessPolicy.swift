package import BrokerCore
package import Model
import Synchronization

/// The rules of one `AccessPolicy` resource.
package struct AccessPolicy: Sendable, Hashable {
    package var name: String
    package var order: Int
    package var rules: [AccessRule]
    /// What becomes of what no rule of any policy is about; nil: left to the next policy, and after the last to what
    /// holds without rules.
    package var otherwise: AccessRule.Permission?

    package init(name: String, order: Int = 100, rules: [AccessRule], otherwise: AccessRule.Permission? = nil) {
        self.name = name
        self.order = order
        self.rules = rules
        self.otherwise = otherwise
    }
}

/// All rules in force, in their order. Immutable: a change makes another.
final class CompiledPolicies: Sendable {
    let rules: [AccessRule]
    let otherwise: AccessRule.Permission?

    init(_ policies: [AccessPolicy]) {
        let ordered = policies.sorted { ($0.order, $0.name) < ($1.order, $1.name) }
        rules = ordered.flatMap(\.rules)
        otherwise = ordered.lazy.compactMap(\.otherwise).first
    }

    var isEmpty: Bool { rules.isEmpty && otherwise == nil }
}

/// What a client asks for.
enum AccessRequest {
    case publish([UInt8], qos: UInt8, retain: Bool)
    case subscribe([UInt8], qos: UInt8)

    func matches(_ rule: AccessRule, _ client: RuleClient) -> Bool {
        switch self {
        case .publish(let topic, let qos, let retain):
            rule.matchesPublish(topic, qos: qos, retain: retain, client)
        case .subscribe(let filter, let qos): rule.matchesSubscribe(filter, qos: qos, client)
        }
    }
}

/// The answer and what gave it.
struct AccessVerdict {
    var isAllowed: Bool
    var label: String
}

/// The rules in force and the answers from them. Where no rule says anything, a client of this machine, an
/// administrator, and whoever comes through a listener that is open to everyone may do everything; all others nothing.
package final class AccessRules: Sendable {
    private let policies = Mutex<[String: AccessPolicy]>([:])
    private let compiled = Mutex(CompiledPolicies([]))
    /// Listeners that let in clients without a user from anywhere: their operator has opened them.
    private let open = Mutex<Set<String>>([])
    private let journal: AccessJournal

    package init(journal: AccessJournal) { self.journal = journal }

    /// Adds or changes the policy of its name. The clients are told by `Exchange.reviewClients`.
    package func set(_ policy: AccessPolicy) {
        compile { $0[policy.name] = policy }
    }

    package func remove(_ name: String) { compile { $0[name] = nil } }

    private func compile(_ change: (inout [String: AccessPolicy]) -> Void) {
        let made = policies.withLock { policies in
            change(&policies)
            return CompiledPolicies(Array(policies.values))
        }
        compiled.withLock { $0 = made }
    }

    package func setOpen(_ listener: String, _ isOpen: Bool) {
        open.withLock { if isOpen { $0.insert(listener) } else { $0.remove(listener) } }
    }

    package var ruleCount: Int { compiled.withLock { $0.rules.count } }

    /// Decides for a client, whose own rules (from a token, from an HTTP server) go before all others.
    func decide(_ request: AccessRequest, _ identity: ClientIdentity, own: [AccessRule]) -> AccessVerdict {
        if identity.isSuperuser { return AccessVerdict(isAllowed: true, label: "superuser") }
        let client = RuleClient(identity)
        let compiled = compiled.withLock { $0 }
        for rule in own where request.matches(rule, client) {
            return AccessVerdict(isAllowed: rule.permission == .allow, label: rule.label)
        }
        for rule in compiled.rules where request.matches(rule, client) {
            return AccessVerdict(isAllowed: rule.permission == .allow, label: rule.label)
        }
        if let otherwise = compiled.otherwise {
            return AccessVerdict(isAllowed: otherwise == .allow, label: "otherwise")
        }
        return AccessVerdict(isAllowed: isFree(identity), label: "no rule allows it")
    }

    private func isFree(_ identity: ClientIdentity) -> Bool {
        identity.isLoopback || identity.roles.contains("administrator")
            || open.withLock { $0.contains(identity.listener) }
    }

    func allowsEverything(_ identity: ClientIdentity, own: [AccessRule]) -> Bool {
        if identity.isSuperuser { return true }
        guard own.isEmpty else { return false }
        let compiled = compiled.withLock { $0 }
        return compiled.isEmpty && isFree(identity)
    }

    package func authoriser(own: [AccessRule] = []) -> any Authoriser {
        RuleAuthoriser(rules: self, own: own, journal: journal)
    }
}

/// Answers for one client.
private struct RuleAuthoriser: Authoriser {
    let rules: AccessRules
    let own: [AccessRule]
    let journal: AccessJournal

    func mayPublish(_ topic: Topic, qos: UInt8, retain: Bool, client: ClientIdentity) -> Bool {
        let verdict = rules.decide(.publish(topic.utf8.array, qos: qos, retain: retain), client, own: own)
        if !verdict.isAllowed {
            journal.add(
                .init(cause: .publishDenied, client: client, detail: topic.string, by: verdict.label))
        }
        return verdict.isAllowed
    }

    func maySubscribe(_ filter: TopicFilter, qos: UInt8, client: ClientIdentity) -> Bool {
        let verdict = rules.decide(.subscribe(Array(filter.pattern.utf8), qos: qos), client, own: own)
        if !verdict.isAllowed {
            journal.add(.init(cause: .subscribeDenied, client: client, detail: filter.text, by: verdict.label))
        }
        return verdict.isAllowed
    }

    func allowsEverything(_ client: ClientIdentity) -> Bool { rules.allowsEverything(client, own: own) }

    func noteRefused(_ topic: Topic, client: ClientIdentity) {
        journal.add(
            .init(
                cause: .publishDenied, client: client, detail: topic.string,
                by: topic.utf8.withUnsafeBytes { $0.first == UInt8(ascii: "$") }
                    ? "a topic of the server" : "no right to write to devices"))
    }
}
