import Bus
import Formats
import Model

/// An output with its templates compiled.
enum CompiledOutput {
    case publish(CompiledPublish)
    case historian(CompiledHistorian)
    case alarm(CompiledAlarm)
    case sink(String)

    /// The topic it publishes to, before it is filled in.
    var topicPattern: [TemplateText.Part]? {
        switch self {
        case .publish(let output): output.pattern
        case .alarm(let output): output.pattern
        case .historian, .sink: nil
        }
    }
}

struct CompiledPublish {
    let pattern: [TemplateText.Part]
    let topic: Template
    /// Where the topic is the same for every result.
    let constantTopic: Topic?
    let payload: Template?
    let qos: QoS
    let retain: Bool
}

struct CompiledHistorian {
    let device: Template?
    let group: Template?
}

struct CompiledAlarm {
    let spec: AlarmSpec
    let pattern: [TemplateText.Part]
    let topic: Template?
    let key: Template
    let message: Template?
    /// The device that the message names, if any.
    let device: Int32
    let qos: QoS
}

extension RuleBuilder {
    mutating func compileOutputs(_ sinks: (any SinkOutputs)?) throws(Problem) -> [CompiledOutput] {
        var outputs: [CompiledOutput] = []
        for output in configuration.outputs {
            switch output {
            case .publish(let spec): outputs.append(.publish(try publish(spec)))
            case .historian(let spec):
                let device: Template? = if let device = spec.device { try template(device) } else { nil }
                let group: Template? = if let group = spec.group { try template(group) } else { nil }
                outputs.append(.historian(CompiledHistorian(device: device, group: group)))
            case .alarm(let spec): outputs.append(.alarm(try alarm(spec)))
            case .sink(let name):
                guard let sinks else {
                    throw Problem(
                        "rule.sink", "rule \"\(configuration.name)\": sinks are not available yet (sink \"\(name)\")",
                        ["rule": configuration.name, "sink": name])
                }
                guard sinks.hasSink(name) else {
                    throw Problem(
                        "rule.sink", "rule \"\(configuration.name)\": there is no sink \"\(name)\"",
                        ["rule": configuration.name, "sink": name])
                }
                outputs.append(.sink(name))
            }
        }
        return outputs
    }

    private mutating func publish(_ spec: PublishSpec) throws(Problem) -> CompiledPublish {
        let topic = try template(spec.topic)
        var constant: Topic?
        if topic.constant != nil { constant = try checked(spec.topic) }
        guard let qos = QoS(rawValue: UInt8(clamping: spec.qos)) else {
            throw Problem(
                "rule.qos", "rule \"\(configuration.name)\": qos must be 0, 1 or 2, not \(spec.qos)",
                ["rule": configuration.name, "qos": String(spec.qos)])
        }
        let payload: Template? = if let payload = spec.payload { try template(payload) } else { nil }
        return CompiledPublish(
            pattern: try TemplateText.split(spec.topic), topic: topic, constantTopic: constant, payload: payload,
            qos: qos, retain: spec.retain)
    }

    private func checked(_ text: String) throws(Problem) -> Topic {
        do throws(TopicError) {
            return try Topic(text)
        } catch {
            throw Problem(
                "rule.topic", "rule \"\(configuration.name)\": \(error)",
                ["rule": configuration.name, "topic": text, "reason": error.reason])
        }
    }

    private mutating func alarm(_ spec: AlarmSpec) throws(Problem) -> CompiledAlarm {
        let topic: Template? = if let topic = spec.topic { try template(topic) } else { nil }
        let message: Template? = if let message = spec.message { try template(message) } else { nil }
        let position = SourcePosition(line: 1, column: 1)
        let deviceName = Expression(.name(Self.deviceName(configuration.dialect)), position)
        let topicName = Expression(Self.topicName(configuration.dialect), position)
        let device: Int32
        let standardKey: Int32
        do throws(SQLError) {
            device = try compiler.compile(deviceName)
            standardKey = try compiler.compile(Expression(.call("coalesce", [deviceName, topicName]), position))
        } catch {
            throw error.problem
        }
        let key: Template = if let text = spec.key { try template(text) } else { Template(parts: [.node(standardKey)]) }
        var pattern: [TemplateText.Part] = [.text("alarms/\(spec.name)/"), .expression("key")]
        if let text = spec.topic {
            pattern = try TemplateText.split(text)
            if topic?.constant != nil { _ = try checked(text) }
        }
        return CompiledAlarm(
            spec: spec, pattern: pattern, topic: topic, key: key, message: message,
            device: device, qos: QoS(rawValue: UInt8(clamping: spec.qos)) ?? .atLeastOnce)
    }

    private static func deviceName(_ dialect: SQLDialect) -> [NameStep] {
        dialect == .emqx ? [.key("payload"), .key("device")] : [.key("device")]
    }

    private static func topicName(_ dialect: SQLDialect) -> Expression.Kind {
        switch dialect {
        case .tundish: .name([.key("meta"), .key("topic")])
        case .emqx: .name([.key("topic")])
        case .ekuiper: .call("meta", [Expression(.name([.key("topic")]), SourcePosition(line: 1, column: 1))])
        }
    }
}
