package import BrokerCore
package import Model

/// What holds for the broker as a whole, from the `Broker` resource.
package struct BrokerSettings: Sendable, Hashable {
    /// The only name that the resource can have: there is one broker.
    package static let name = "default"

    private let spec: ConfigValue

    package init(_ spec: ConfigValue) throws(Problem) {
        self.spec = spec
        var groups: Set<String> = []
        for item in spec["sharedSubscriptions"]?["groups"]?.list ?? [] {
            let group = item["group"]?.string ?? ""
            guard !group.isEmpty, !group.contains(where: { "/+#".contains($0) }) else {
                throw Problem(
                    "broker.bad_group",
                    "\"\(group)\" is no group of $share/{group}/...: it must have a character, and none of / + #",
                    ["group": group])
            }
            guard groups.insert(group).inserted else {
                throw Problem("broker.group_twice", "group \"\(group)\" has two strategies", ["group": group])
            }
        }
    }

    /// Sets what the resource says, and the default of what it leaves out.
    package func apply(to limits: inout ExchangeLimits) {
        let normal = ExchangeLimits()
        func number(_ value: ConfigValue?, _ normal: Int) -> Int { value?.integer.map { Int(clamping: $0) } ?? normal }
        let sessions = spec["sessions"]
        limits.sessionQueueMax = number(sessions?["queuedMessagesMax"], normal.sessionQueueMax)
        limits.sessionQueueBytesMax = number(sessions?["queuedBytesMax"], normal.sessionQueueBytesMax)
        limits.sessionQueueDropsOldest = sessions?["whenFull"]?.string == "dropOldest"
        limits.inflightMax = number(sessions?["inFlightMax"], normal.inflightMax)
        limits.subscriptionsPerSessionMax = number(sessions?["subscriptionsMax"], normal.subscriptionsPerSessionMax)
        limits.unsentBytesMax = number(sessions?["unsentBytesMax"], normal.unsentBytesMax)
        limits.sessionExpirySecondsMax = normal.sessionExpirySecondsMax
        if let time = sessions?["expiryMax"]?.duration, time > .zero {
            limits.sessionExpirySecondsMax = UInt32(clamping: time.components.seconds)
        }
        limits.retainedMax = number(spec["retained"]?["messagesMax"], normal.retainedMax)
        limits.topicLevelsMax = number(spec["topicLevelsMax"], normal.topicLevelsMax)
        let shared = spec["sharedSubscriptions"]
        func strategy(_ value: ConfigValue?) -> SharedStrategy? { value?.string.flatMap(SharedStrategy.init) }
        limits.sharedStrategy = strategy(shared?["strategy"]) ?? normal.sharedStrategy
        limits.sharedStrategies = [:]
        for item in shared?["groups"]?.list ?? [] {
            guard let group = item["group"]?.string, let strategy = strategy(item["strategy"]) else { continue }
            limits.sharedStrategies[group] = strategy
        }
    }

    // MARK: Schema

    /// The shape of the resource's spec.
    package static let schema = Schema([
        Field(
            "sessions", .object(sessionSchema), help: "Bounds of every client's session.", chinese: "每个客户端会话的限制。"),
        Field(
            "sharedSubscriptions", .object(sharedSchema), help: "How messages are spread over $share/{group}/... .",
            chinese: "共享订阅 $share/{group}/... 的消息分配方式。"),
        Field("retained", .object(retainedSchema), help: "Bounds of retained messages.", chinese: "保留消息的限制。"),
        Field(
            "topicLevelsMax", .integer(1...65_535), default: .integer(200),
            help: "Levels that a topic or filter may have.", chinese: "主题或过滤器的最大层级数。"),
    ])

    private static let sessionSchema = Schema([
        Field(
            "queuedMessagesMax", .integer(0...100_000_000), default: .integer(100_000),
            help: "QoS 1 and 2 messages that wait for one session, beyond those in flight.",
            chinese: "单个会话中等待的 QoS 1、2 消息数上限（不含传输中的）。"),
        Field(
            "queuedBytesMax", .size(1024...1 << 50), default: .size(1 << 30),
            help: "Bytes of the messages that wait for one session.", chinese: "单个会话中等待消息的字节数上限。"),
        Field(
            "whenFull", .choice(["dropNewest", "dropOldest"]), default: .string("dropNewest"),
            help: "Which message a full queue loses; each is counted.", chinese: "队列已满时丢弃哪条消息（均会计数）。"),
        Field(
            "inFlightMax", .integer(1...65_535), default: .integer(1024),
            help: "Messages sent to one client and not yet acknowledged; a client may ask for fewer.",
            chinese: "发送给单个客户端但未确认的消息数上限；客户端可要求更少。"),
        Field(
            "subscriptionsMax", .integer(1...10_000_000), default: .integer(100_000),
            help: "Subscriptions of one session.", chinese: "单个会话的订阅数上限。"),
        Field(
            "unsentBytesMax", .size(65_536...1 << 40), default: .size(4 << 20),
            help:
                "Unsent bytes of a client that reads too slowly; beyond that QoS 0 messages for it are dropped and counted.",
            chinese: "读取过慢的客户端的未发送字节数；超出后丢弃发往它的 QoS 0 消息并计数。"),
        Field(
            "expiryMax", .duration(.seconds(0)...(.seconds(4_294_967_294))),
            help: "Longest time that a session may outlive its connection; without it the client decides.",
            chinese: "会话在断线后可保留的最长时间；不设置则由客户端决定。"),
    ])

    private static let strategyNames = SharedStrategy.allCases.map(\.rawValue)

    private static let sharedSchema = Schema([
        Field(
            "strategy", .choice(strategyNames), default: .string(SharedStrategy.roundRobin.rawValue),
            help: "Who of a group gets the next message; somebody who is connected, if there is one.",
            chinese: "组内由谁接收下一条消息；只要有在线成员就选在线成员。"),
        Field(
            "groups", .list(.object(groupSchema), countMax: 10_000), help: "Groups with a strategy of their own.",
            chinese: "使用单独策略的组。"),
    ])

    private static let groupSchema = Schema([
        Field("group", .string, required: true, help: "Of $share/{group}/... .", chinese: "$share/{group}/... 中的组名。"),
        Field("strategy", .choice(strategyNames), required: true, help: "As above.", chinese: "同上。"),
    ])

    private static let retainedSchema = Schema([
        Field(
            "messagesMax", .integer(0...1_000_000_000), default: .integer(10_000_000),
            help: "Retained messages of the whole broker; further topics are refused and counted.",
            chinese: "整个服务器的保留消息数上限；超出的主题会被拒绝并计数。")
    ])
}
