package import Model

/// Whose rules of names and operators a statement follows.
package enum SQLDialect: String, Sendable, CaseIterable {
    /// Bare names are payload fields first, then metadata.
    case tundish
    /// Bare names are EMQX's columns; payload fields are `payload.x`; arrays count from 1.
    case emqx
    /// Bare names are payload fields; metadata by `meta(topic)`; `->` reaches into objects; text in double quotes.
    case ekuiper
}

/// A `Rule` resource's spec.
package struct RuleConfiguration: Sendable, Hashable {
    package var name: String
    package var sql: String
    package var dialect: SQLDialect
    /// Topic filters by the names that stand for them in FROM, as eKuiper's statements have it.
    package var streams: [String: String]
    package var isEnabled: Bool
    package var outputs: [RuleOutput]

    package init(
        name: String, sql: String, dialect: SQLDialect = .tundish, streams: [String: String] = [:],
        isEnabled: Bool = true, outputs: [RuleOutput] = []
    ) {
        self.name = name
        self.sql = sql
        self.dialect = dialect
        self.streams = streams
        self.isEnabled = isEnabled
        self.outputs = outputs
    }
}

/// Where a rule's results go.
package enum RuleOutput: Sendable, Hashable {
    case publish(PublishSpec)
    case historian(HistorianSpec)
    case alarm(AlarmSpec)
    /// The name of a sink.
    case sink(String)
}

/// Each result as a message.
package struct PublishSpec: Sendable, Hashable {
    /// `${column}` stands for a column of the result, or any other name of the statement's dialect.
    package var topic: String
    package var qos: Int
    package var retain: Bool
    /// Nil: the result as a JSON object.
    package var payload: String?

    package init(topic: String, qos: Int = 0, retain: Bool = false, payload: String? = nil) {
        self.topic = topic
        self.qos = qos
        self.retain = retain
        self.payload = payload
    }
}

/// Each result as samples: its columns are the tags.
package struct HistorianSpec: Sendable, Hashable {
    /// Template; nil: the column or field `device`, else the rule's name.
    package var device: String?
    /// Template; nil: the rule's name.
    package var group: String?

    package init(device: String? = nil, group: String? = nil) {
        self.device = device
        self.group = group
    }
}

/// A state per key, raised where WHERE becomes true and returned to normal where it becomes false.
package struct AlarmSpec: Sendable, Hashable {
    package var name: String
    package var severity: AlarmSeverity
    /// Template; nil: the name.
    package var message: String?
    /// Template; nil: `alarms/{name}/{key}`.
    package var topic: String?
    /// Template of what has a state of its own; nil: the field `device`, else the topic.
    package var key: String?
    /// How long the condition must hold before the alarm is raised, and before it returns to normal.
    package var onDelay: Duration
    package var offDelay: Duration
    package var qos: Int

    package init(
        name: String, severity: AlarmSeverity = .warning, message: String? = nil, topic: String? = nil,
        key: String? = nil, onDelay: Duration = .zero, offDelay: Duration = .zero, qos: Int = 1
    ) {
        self.name = name
        self.severity = severity
        self.message = message
        self.topic = topic
        self.key = key
        self.onDelay = onDelay
        self.offDelay = offDelay
        self.qos = qos
    }
}

package enum AlarmSeverity: String, Sendable, CaseIterable {
    case info, warning, high, critical
}

extension RuleConfiguration {
    package static let sqlBytesMax = 65_536
    package static let outputsMax = 32

    /// The shape of a rule's spec.
    package static let schema = Schema([
        Field(
            "sql", .string(StringRule(.sql, lengthMax: sqlBytesMax)), required: true,
            help: "SELECT ... FROM \"topic filter\" WHERE ...", chinese: "SELECT ... FROM \"主题过滤器\" WHERE ..."),
        Field(
            "dialect", .choice(SQLDialect.allCases.map(\.rawValue)), default: .string("tundish"),
            help: "Whose names and operators the statement uses.", chinese: "语句采用的 SQL 方言。"),
        Field(
            "streams", .map(.string(.topicFilter), countMax: 64),
            help: "Topic filters by the names that stand for them in FROM.", chinese: "FROM 中的流名称与主题过滤器的对应。"),
        Field("enabled", .bool, default: .bool(true), help: "Whether the rule runs.", chinese: "规则是否运行。"),
        Field("description", .string, help: "What the rule is for.", chinese: "规则的用途。"),
        Field(
            "outputs", .list(.oneOf(outputFields), countMax: outputsMax), required: true,
            help: "Where results go.", chinese: "结果的去向。"),
    ])

    private static let outputFields: [Field] = [
        Field(
            "publish", .object(publishSchema), help: "Publish each result as a message.", chinese: "将每个结果作为消息发布。"),
        Field(
            "historian", .object(historianSchema), help: "Record each result's columns.", chinese: "记录每个结果的各列。"),
        Field(
            "alarm", .object(alarmSchema), help: "Raise an alarm while the condition holds.", chinese: "条件成立时产生报警。"),
        Field("sink", .string(.name), help: "Hand each result to a sink.", chinese: "将每个结果交给数据汇。"),
    ]

    private static let publishSchema = Schema([
        Field(
            "topic", .string, required: true, help: "Topic; ${column} stands for a column of the result.",
            chinese: "主题；${列名} 表示结果中的列。"),
        Field("qos", .integer(0...2), default: .integer(0), help: "MQTT quality of service.", chinese: "MQTT 服务质量。"),
        Field("retain", .bool, default: .bool(false), help: "Keep as the topic's retained message.", chinese: "保留消息。"),
        Field(
            "payload", .string(StringRule(.text, lengthMax: 65_536)),
            help: "Payload template; without it the result as JSON.", chinese: "载荷模板；缺省为 JSON 结果。"),
    ])

    private static let historianSchema = Schema([
        Field("device", .string, help: "Device name template of the series.", chinese: "序列的设备名模板。"),
        Field("group", .string, help: "Group name template of the series.", chinese: "序列的组名模板。"),
    ])

    private static let alarmSchema = Schema([
        Field("name", .string(.name), required: true, help: "The alarm's name.", chinese: "报警名称。"),
        Field(
            "severity", .choice(AlarmSeverity.allCases.map(\.rawValue)), default: .string("warning"),
            help: "How bad it is.", chinese: "严重程度。"),
        Field("message", .string, help: "What people read; a template.", chinese: "报警文本模板。"),
        Field(
            "topic", .string, help: "Topic template; alarms/{name}/{key} without it.",
            chinese: "主题模板；缺省为 alarms/{名称}/{键}。"),
        Field(
            "key", .string, help: "Template of what has a state of its own; the device without it.",
            chinese: "报警键模板；缺省为设备。"),
        Field(
            "onDelay", .duration(.zero...(.seconds(86_400))), default: .duration(0),
            help: "How long the condition must hold before the alarm is raised.", chinese: "条件持续多久后报警。"),
        Field(
            "offDelay", .duration(.zero...(.seconds(86_400))), default: .duration(0),
            help: "How long the condition must be gone before the alarm returns to normal.", chinese: "条件消失多久后恢复正常。"),
        Field("qos", .integer(0...2), default: .integer(1), help: "MQTT quality of service.", chinese: "MQTT 服务质量。"),
    ])

    /// From a spec that was validated against `schema`.
    package init(name: String, _ value: ConfigValue) throws(Problem) {
        guard let sql = value["sql"]?.string else {
            throw Problem("rule.configuration", "rule \"\(name)\": sql is missing", ["rule": name])
        }
        self.init(name: name, sql: sql)
        if let text = value["dialect"]?.string {
            guard let dialect = SQLDialect(rawValue: text) else {
                let known = SQLDialect.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(
                    "rule.configuration", "rule \"\(name)\": unknown dialect \"\(text)\"; known are \(known)",
                    ["rule": name, "dialect": text, "known": known])
            }
            self.dialect = dialect
        }
        for entry in value["streams"]?.entries ?? [] { streams[entry.key] = entry.value.string }
        isEnabled = value["enabled"]?.bool ?? true
        for (index, output) in (value["outputs"]?.list ?? []).enumerated() {
            guard let entry = output.entries?.first, let parsed = RuleOutput(entry) else {
                throw Problem(
                    "rule.configuration",
                    "rule \"\(name)\", output \(index + 1): expected one of publish, historian, alarm, sink",
                    ["rule": name, "output": String(index + 1)])
            }
            outputs.append(parsed)
        }
    }
}

extension RuleOutput {
    fileprivate init?(_ entry: ConfigEntry) {
        let value = entry.value
        switch entry.key {
        case "publish":
            guard let topic = value["topic"]?.string else { return nil }
            self = .publish(
                PublishSpec(
                    topic: topic, qos: Int(value["qos"]?.integer ?? 0), retain: value["retain"]?.bool ?? false,
                    payload: value["payload"]?.string))
        case "historian":
            self = .historian(HistorianSpec(device: value["device"]?.string, group: value["group"]?.string))
        case "alarm":
            guard let name = value["name"]?.string else { return nil }
            self = .alarm(
                AlarmSpec(
                    name: name, severity: AlarmSeverity(rawValue: value["severity"]?.string ?? "") ?? .warning,
                    message: value["message"]?.string, topic: value["topic"]?.string, key: value["key"]?.string,
                    onDelay: value["onDelay"]?.duration ?? .zero, offDelay: value["offDelay"]?.duration ?? .zero,
                    qos: Int(value["qos"]?.integer ?? 1)))
        case "sink":
            guard let name = value.string else { return nil }
            self = .sink(name)
        default: return nil
        }
    }
}
