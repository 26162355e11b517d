import BrokerCore
import Formats
import Model
import Testing

@testable import Broker

@Suite("Access rules")
struct AccessRuleTests {
    private let journal = AccessJournal(time: ManualTime())

    private func client(
        _ id: String = "c1", user: String? = "ali", peer: String = "10.1.2.3:4711", isLoopback: Bool = false,
        roles: [String] = [], certificate: ClientCertificate? = nil
    ) -> ClientIdentity {
        var identity = ClientIdentity(
            clientID: id, username: user, peer: peer, isLoopback: isLoopback, listener: "plant",
            certificate: certificate)
        identity.roles = roles
        return identity
    }

    private func rule(
        _ permission: AccessRule.Permission, _ action: AccessRule.Action = .all, _ topics: String...
    ) throws -> AccessRule {
        AccessRule(permission, action, topics: try topics.map { try TopicPattern($0) }, label: "r")
    }

    private func rules(_ list: [AccessRule], otherwise: AccessRule.Permission? = nil) -> AccessRules {
        let rules = AccessRules(journal: journal)
        rules.set(AccessPolicy(name: "p", rules: list, otherwise: otherwise))
        return rules
    }

    private func publishes(
        _ rules: AccessRules, _ topic: String, _ client: ClientIdentity, qos: UInt8 = 0, retain: Bool = false
    ) throws -> Bool {
        rules.authoriser().mayPublish(try Topic(topic), qos: qos, retain: retain, client: client)
    }

    private func subscribes(_ rules: AccessRules, _ filter: String, _ client: ClientIdentity) throws -> Bool {
        rules.authoriser().maySubscribe(try TopicFilter(filter), qos: 0, client: client)
    }

    @Test("without rules: this machine, administrators and open listeners may, all others may not")
    func withoutRules() throws {
        let none = AccessRules(journal: journal)
        #expect(try publishes(none, "a", client(isLoopback: true)))
        #expect(try publishes(none, "a", client(roles: ["administrator"])))
        #expect(try !publishes(none, "a", client()))
        #expect(try !subscribes(none, "a", client(user: nil)))
        none.setOpen("plant", true)
        #expect(try publishes(none, "a", client(user: nil)))
        #expect(none.authoriser().allowsEverything(client()))
        none.setOpen("plant", false)
        #expect(!none.authoriser().allowsEverything(client()))
    }

    @Test("the first rule that fits decides; policies are asked in their order")
    func order() throws {
        let rules = rules([try rule(.allow, .publish, "a/b"), try rule(.deny, .all, "a/#"), AccessRule(.allow)])
        #expect(try publishes(rules, "a/b", client()))
        #expect(try !publishes(rules, "a/c", client()))
        #expect(try publishes(rules, "b", client()))
        rules.set(AccessPolicy(name: "first", order: 1, rules: [try rule(.deny, .publish, "a/b")]))
        #expect(try !publishes(rules, "a/b", client()))
        rules.remove("first")
        #expect(try publishes(rules, "a/b", client()))
    }

    @Test("`otherwise` holds for this machine too; a superuser is above all rules")
    func otherwise() throws {
        let rules = rules([], otherwise: .deny)
        #expect(try !publishes(rules, "a", client(isLoopback: true)))
        var superuser = client()
        superuser.isSuperuser = true
        #expect(try publishes(rules, "a", superuser))
        #expect(rules.authoriser().allowsEverything(superuser))
    }

    @Test("who: user, client, role, address, listener, certificate, nobody")
    func who() throws {
        func holds(_ change: (inout AccessRule) throws -> Void, _ client: ClientIdentity) throws -> Bool {
            var rule = AccessRule(.allow)
            try change(&rule)
            return try publishes(rules([rule]), "t", client)
        }
        #expect(try holds({ $0.usernames = [TextPattern("a*i")] }, client()))
        #expect(try !holds({ $0.usernames = [TextPattern("b*")] }, client()))
        #expect(try !holds({ $0.usernames = [TextPattern("*")] }, client(user: nil)))
        #expect(try holds({ $0.clientIDs = [TextPattern("x"), TextPattern("c?"), TextPattern("c*")] }, client()))
        #expect(try holds({ $0.roles = ["operator"] }, client(roles: ["viewer", "operator"])))
        #expect(try !holds({ $0.roles = ["operator"] }, client(roles: ["viewer"])))
        #expect(try holds({ $0.addresses = [try AddressRange("10.1.0.0/16")] }, client()))
        #expect(try !holds({ $0.addresses = [try AddressRange("10.2.0.0/16")] }, client()))
        #expect(try holds({ $0.addresses = [try AddressRange("10.1.2.3")] }, client(peer: "[::ffff:10.1.2.3]:9")))
        #expect(try holds({ $0.addresses = [try AddressRange("fd00::/8")] }, client(peer: "[fd12::1]:9")))
        #expect(try !holds({ $0.addresses = [try AddressRange("0.0.0.0/0")] }, client(peer: "[fd12::1]:9")))
        #expect(try holds({ $0.listeners = ["plant"] }, client()))
        #expect(try !holds({ $0.listeners = ["office"] }, client()))
        #expect(try holds({ $0.isAnonymous = true }, client(user: nil)))
        #expect(try !holds({ $0.isAnonymous = true }, client()))
        let certificate = ClientCertificate(commonName: "press-7", dnsNames: ["a.example", "b.example"])
        #expect(
            try holds(
                { $0.certificate = [.commonName: [TextPattern("press-*")], .dns: [TextPattern("b.*")]] },
                client(certificate: certificate)))
        #expect(try !holds({ $0.certificate = [.commonName: [TextPattern("*")]] }, client()))
        #expect(throws: Problem.self) { try AddressRange("10.0.0.0/33") }
        #expect(throws: Problem.self) { try AddressRange("plant") }
    }

    @Test("QoS and retain narrow a rule")
    func narrowed() throws {
        var retained = AccessRule(.deny, .publish)
        retained.retain = true
        var qos = AccessRule(.allow, .publish)
        qos.qos = [0, 1]
        let rules = rules([retained, qos])
        #expect(try publishes(rules, "t", client(), qos: 1))
        #expect(try !publishes(rules, "t", client(), qos: 2))
        #expect(try !publishes(rules, "t", client(), qos: 1, retain: true))
    }

    @Test("placeholders stand for what is known of the client, and for nothing where it is not known")
    func placeholders() throws {
        let rules = rules([
            try rule(.allow, .all, "u/%u/#", "c/${clientid}", "n/%cn", "x-%u-y/z")
        ])
        #expect(try publishes(rules, "u/ali/x/y", client()))
        #expect(try !publishes(rules, "u/bob/x", client()))
        #expect(try publishes(rules, "c/c1", client()))
        #expect(try publishes(rules, "x-ali-y/z", client()))
        #expect(try !publishes(rules, "n/", client()))
        #expect(try publishes(rules, "n/p", client(certificate: ClientCertificate(commonName: "p"))))
        #expect(try !publishes(rules, "u//x", client(user: nil)))
        #expect(throws: Problem.self) { try TopicPattern("a/${user}") }
        #expect(throws: Problem.self) { try TopicPattern("a/#/b") }
        #expect(throws: Problem.self) { try TopicPattern("a/${password}") }
    }

    @Test(
        "a user name or client id with wildcards or separators in it opens nothing",
        arguments: ["+", "#", "a/b", "/", "x/#", "+/+"])
    func hostile(_ name: String) throws {
        let allow = rules([try rule(.allow, .all, "u/%u/#", "%u", "c/%c")])
        for identity in [client(user: name), client(name, user: "ali")] {
            for topic in ["u/bob/x", "u/x", "bob", "a/b", "u/a/b/x"] {
                #expect(try !publishes(allow, topic, identity))
            }
            for filter in ["u/+/#", "u/#", "#", "+", "+/+", "u/x/#", "c/#", "c/+"] {
                #expect(try !subscribes(allow, filter, identity))
            }
        }
    }

    @Test("a rule that denies a client's own topics is not escaped by a separator in its name")
    func hostileDeny() throws {
        let rules = rules([try rule(.deny, .all, "%u/secret"), AccessRule(.allow)])
        #expect(try !publishes(rules, "a/b/secret", client(user: "a/b")))
        #expect(try !subscribes(rules, "a/+/secret", client(user: "a/b")))
    }

    @Test(
        "an allowed subscription gets nothing but the rule's topics",
        arguments: [
            ("a/#", "a/#", true), ("a/#", "a", true), ("a/#", "a/+/b", true), ("a/#", "#", false),
            ("a/#", "+/b", false),
            ("a/+", "a/+", true), ("a/+", "a/b", true), ("a/+", "a/#", false), ("a/+", "a/b/c", false),
            ("#", "$SYS/#", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/a", true), ("#", "$share/g/a/#", true),
            ("a/b", "$share/g/a/b", true), ("a/b", "$share/g/#", false), ("eq a/#", "a/#", true),
            ("eq a/#", "a/b", false),
        ])
    func covered(_ pattern: String, _ filter: String, _ isAllowed: Bool) throws {
        #expect(try subscribes(rules([try rule(.allow, .subscribe, pattern)]), filter, client()) == isAllowed)
    }

    @Test(
        "a denied topic is not got by a wider subscription",
        arguments: [
            ("secret/#", "#", true), ("secret/#", "+/x", true), ("secret/#", "secret", true), ("a/+/c", "a/b/#", true),
            ("a/+/c", "a/b", false), ("secret/#", "plain/#", false), ("$SYS/#", "#", false), ("$SYS/#", "$SYS/a", true),
            ("#", "$SYS/a", false), ("eq #", "#", true), ("eq #", "a/#", false), ("a/b", "a/b/#", true),
            ("a/b/#", "a/b", true),
        ])
    func met(_ pattern: String, _ filter: String, _ isDenied: Bool) throws {
        let rules = rules([try rule(.deny, .subscribe, pattern), AccessRule(.allow)])
        #expect(try subscribes(rules, filter, client()) != isDenied)
    }

    @Test("rules of a token or of a server go first, and are understood in both of EMQX' forms or not at all")
    func own() throws {
        let rules = rules([try rule(.deny, .publish, "mine/#"), AccessRule(.allow)])
        let own = try #require(
            ClientACL.rules(
                try JSONValue(
                    parsing:
                        #"[{"permission":"allow","action":"publish","topic":"mine/${clientid}","qos":[1],"retain":false},{"permission":"deny","topic":["x/#"]}]"#
                ),
                label: "t"))
        let authoriser = rules.authoriser(own: own)
        #expect(authoriser.mayPublish(try Topic("mine/c1"), qos: 1, retain: false, client: client()))
        #expect(!authoriser.mayPublish(try Topic("mine/c1"), qos: 0, retain: false, client: client()))
        #expect(!authoriser.mayPublish(try Topic("x/1"), qos: 0, retain: false, client: client()))
        #expect(!authoriser.allowsEverything(client()))
        let old = try #require(ClientACL.rules(try JSONValue(parsing: #"{"pub":["a/#"],"sub":["b"]}"#), label: "t"))
        let listed = rules.authoriser(own: old)
        #expect(listed.mayPublish(try Topic("a/1"), qos: 0, retain: false, client: client()))
        #expect(!listed.mayPublish(try Topic("b"), qos: 0, retain: false, client: client()))
        #expect(listed.maySubscribe(try TopicFilter("b"), qos: 0, client: client()))
        for text in [
            #"{"publish":["a"]}"#, #"[{"action":"publish","topic":"a"}]"#, #""all""#,
            #"[{"permission":"allow","topic":"a/#/b"}]"#, #"[{"permission":"allow","topic":"a","retain":"maybe"}]"#,
        ] {
            #expect(ClientACL.rules(try JSONValue(parsing: text), label: "t") == nil, "\(text)")
        }
    }

    @Test("refusals are in the journal with their rule, the newest first, and no more than it holds")
    func written() throws {
        let rules = rules([AccessRule(.deny, label: "policy \"p\", rule 1")])
        for index in 0..<AccessJournal.entriesMax + 5 { _ = try publishes(rules, "t/\(index)", client()) }
        let recent = journal.recent(limit: 2)
        #expect(recent.map(\.detail) == ["t/1004", "t/1003"])
        #expect(recent.first?.by == "policy \"p\", rule 1" && recent.first?.cause == .publishDenied)
        #expect(recent.first?.peer == "10.1.2.3:4711" && recent.first?.username == "ali")
        #expect(journal.recent(limit: .max).count == AccessJournal.entriesMax)
        #expect(journal.counts[.publishDenied] == 1005)
    }
}
