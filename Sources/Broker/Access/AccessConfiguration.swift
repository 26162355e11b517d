package import BrokerCore
import Formats
package import Model

extension AccessPolicy {
    private static let who = Schema([
        Field(
            "usernames", texts, help: "User names; * stands for any characters.", chinese: "用户名；* 表示任意字符。"),
        Field(
            "clientIds", texts, help: "Client identifiers; * stands for any characters.",
            chinese: "客户端标识；* 表示任意字符。"),
        Field(
            "roles", texts, help: "Roles of the user, as its authenticator knows them.", chinese: "认证器给出的用户角色。"),
        Field(
            "addresses", texts, help: "Addresses or ranges such as 10.0.0.0/8.", chinese: "地址或网段，如 10.0.0.0/8。"),
        Field("listeners", texts, help: "Names of listeners.", chinese: "监听器名称。"),
        Field(
            "anonymous", .bool, help: "Only clients without a user, or only those with one.",
            chinese: "仅匿名客户端，或仅有用户的客户端。"),
        Field(
            "certificate",
            .object(
                Schema(
                    AccessRule.CertificateField.allCases.map {
                        Field(
                            $0.rawValue, texts,
                            help: "The client certificate's \($0.rawValue); * stands for any characters.",
                            chinese: "客户端证书的 \($0.rawValue)；* 表示任意字符。")
                    })),
            help: "Fields of the verified client certificate.", chinese: "已验证的客户端证书字段。"),
    ])

    private static let texts = FieldType.list(.string(StringRule(lengthMax: 1024)), countMax: 1000)

    /// The shape of the resource's spec.
    package static let schema = Schema([
        Field(
            "order", .integer(0...1_000_000), default: .integer(100),
            help: "Policies are asked in this order, those of the same order by name.", chinese: "策略按此顺序检查，相同时按名称。"),
        Field(
            "rules",
            .list(
                .object(
                    Schema([
                        Field(
                            "permission", .choice(AccessRule.Permission.allCases.map(\.rawValue)), required: true,
                            help: "What the rule says.", chinese: "规则的结果。"),
                        Field(
                            "who", .object(who),
                            help: "Whom the rule is about: all that is given must hold; absent: everyone.",
                            chinese: "规则适用的客户端：所给条件须全部满足；缺省为所有人。"),
                        Field(
                            "action", .choice(AccessRule.Action.allCases.map(\.rawValue)), default: .string("all"),
                            help: "What the client wants to do.", chinese: "客户端的操作。"),
                        Field(
                            "topics", texts,
                            help:
                                "Topic filters, with ${username} or %u, ${clientid} or %c, ${cert_common_name} or %cn; \"eq a/#\" is that text only. Absent: every topic.",
                            chinese: "主题过滤器，可用 ${username}、${clientid}、${cert_common_name}；\"eq a/#\" 表示仅此文本。缺省为所有主题。"),
                        Field(
                            "qos", .list(.integer(0...2), countMax: 3), help: "Only with these QoS.",
                            chinese: "仅限这些 QoS。"),
                        Field(
                            "retain", .bool, help: "Only retained, or only not retained publications.",
                            chinese: "仅保留消息，或仅非保留消息。"),
                    ])), countMax: 10_000), default: .list([]),
            help: "Asked from the first to the last; the first that fits decides.", chinese: "按顺序检查，首个匹配的规则生效。"),
        Field(
            "otherwise", .choice(AccessRule.Permission.allCases.map(\.rawValue)),
            help:
                "What becomes of what no rule of any policy is about. Without it clients of this machine may do everything, others nothing.",
            chinese: "没有规则匹配时的结果。缺省：本机客户端允许一切，其他客户端一律拒绝。"),
    ])

    /// Reads a validated spec. Problems carry the rule's place in the argument `rule`, counted from 0.
    package init(name: String, _ spec: ConfigValue) throws(Problem) {
        var rules: [AccessRule] = []
        for (index, value) in (spec["rules"]?.list ?? []).enumerated() {
            do throws(Problem) {
                rules.append(try AccessRule(value, label: "policy \"\(name)\", rule \(index + 1)"))
            } catch {
                var problem = error
                problem.arguments["rule"] = String(index)
                throw problem
            }
        }
        self.init(
            name: name, order: Int(spec["order"]?.integer ?? 100), rules: rules,
            otherwise: spec["otherwise"]?.string.flatMap { AccessRule.Permission(rawValue: $0) })
    }
}

extension AccessRule {
    init(_ value: ConfigValue, label: String) throws(Problem) {
        guard let permission = value["permission"]?.string.flatMap({ Permission(rawValue: $0) }) else {
            throw Problem("access.permission", "\(label): permission must be allow or deny")
        }
        self.init(permission, value["action"]?.string.flatMap { Action(rawValue: $0) } ?? .all, label: label)
        topics = try Self.list(value["topics"]) { (text) throws(Problem) in try TopicPattern(text) }
        qos = (value["qos"]?.list).map { Set($0.compactMap { $0.integer.flatMap { UInt8(exactly: $0) } }) }
        retain = value["retain"]?.bool
        guard let who = value["who"] else { return }
        usernames = Self.texts(who["usernames"])?.map(TextPattern.init)
        clientIDs = Self.texts(who["clientIds"])?.map(TextPattern.init)
        roles = Self.texts(who["roles"]).map(Set.init)
        listeners = Self.texts(who["listeners"]).map(Set.init)
        addresses = try Self.list(who["addresses"]) { (text) throws(Problem) in try AddressRange(text) }
        isAnonymous = who["anonymous"]?.bool
        guard let fields = who["certificate"] else { return }
        var certificate: [CertificateField: [TextPattern]] = [:]
        for field in CertificateField.allCases {
            certificate[field] = Self.texts(fields[field.rawValue])?.map(TextPattern.init)
        }
        self.certificate = certificate
    }

    private static func texts(_ value: ConfigValue?) -> [String]? { value?.list?.compactMap(\.string) }

    private static func list<T>(
        _ value: ConfigValue?, _ make: (String) throws(Problem) -> T
    ) throws(Problem) -> [T]? {
        guard let texts = texts(value) else { return nil }
        var made: [T] = []
        for text in texts { made.append(try make(text)) }
        return made
    }
}

/// Rules that came with a client: the `acl` of a token or of an HTTP server's answer, in the forms of EMQX.
enum ClientACL {
    static let rulesMax = 1000

    /// `[{"permission": "allow", "action": "publish", "topic": "a/#", "qos": [0, 1], "retain": false}]` or
    /// `{"pub": ["a/#"], "sub": [...], "all": [...]}`. Nil: not of either form; then nobody knows what was meant.
    static func rules(_ value: JSONValue, label: String) -> [AccessRule]? {
        if let list = value.array {
            guard list.count <= rulesMax else { return nil }
            var rules: [AccessRule] = []
            for item in list {
                guard let made = rule(item, label: label) else { return nil }
                rules.append(made)
            }
            return rules
        }
        guard let members = value.members else { return nil }
        var rules: [AccessRule] = []
        for member in members {
            let actions: [String: AccessRule.Action] = ["pub": .publish, "sub": .subscribe, "all": .all]
            guard let action = actions[member.key], let topics = patterns(member.value), topics.count <= rulesMax else {
                return nil
            }
            rules.append(AccessRule(.allow, action, topics: topics, label: label))
        }
        // This form lists what is allowed and means that nothing else is.
        return rules + [AccessRule(.deny, label: label)]
    }

    private static func rule(_ item: JSONValue, label: String) -> AccessRule? {
        guard let permission = item["permission"]?.string.flatMap({ AccessRule.Permission(rawValue: $0) }),
            let action = AccessRule.Action(rawValue: item["action"]?.string ?? "all"),
            let topics = (item["topic"] ?? item["topics"]).flatMap(patterns)
        else { return nil }
        var rule = AccessRule(permission, action, topics: topics, label: label)
        if let qos = item["qos"] {
            let numbers = qos.array ?? [qos]
            let levels = numbers.compactMap { $0.integer.flatMap { UInt8(exactly: $0) } }
            guard levels.count == numbers.count else { return nil }
            rule.qos = Set(levels)
        }
        switch item["retain"] {
        case nil, .string("all"): break
        case .bool(let isRetained): rule.retain = isRetained
        case .string("true"), .integer(1): rule.retain = true
        case .string("false"), .integer(0): rule.retain = false
        default: return nil
        }
        return rule
    }

    private static func patterns(_ value: JSONValue) -> [TopicPattern]? {
        let texts = value.array ?? [value]
        var patterns: [TopicPattern] = []
        for text in texts {
            guard let text = text.string, let pattern = try? TopicPattern(text) else { return nil }
            patterns.append(pattern)
        }
        return patterns
    }
}
