import Broker
import Catalogue
import Gateway
import Model
import NIOPosix
package import Resources
import SinkKit
import Streams

/// The kinds of resources that this build knows, with the checks that their schemas cannot say.
package enum NodeKinds {
    package static let registry = KindRegistry([broker, listener, device, rule, sink] + AccessKinds.all)

    static let brokerName = "Broker"
    static let listenerName = "Listener"
    static let deviceName = "Device"
    static let ruleName = "Rule"
    static let sinkName = "Sink"

    private static var broker: ResourceKind {
        ResourceKind(
            name: brokerName, plural: "brokers", help: "Bounds and habits of the MQTT broker as a whole.",
            helpChinese: "整个 MQTT 服务器的限制和行为。", schema: BrokerSettings.schema,
            check: { name, spec, report in
                guard name == BrokerSettings.name else {
                    return report.report(
                        Problem(
                            "broker.name",
                            "a Broker can only be named \"\(BrokerSettings.name)\": there is one for the whole node",
                            ["name": name]), at: ConfigPath())
                }
                do throws(Problem) {
                    _ = try BrokerSettings(spec)
                } catch {
                    report.report(error, at: ConfigPath()["sharedSubscriptions"]["groups"])
                }
            })
    }

    private static var listener: ResourceKind {
        ResourceKind(
            name: listenerName, plural: "listeners", help: "An address where MQTT clients connect.",
            helpChinese: "MQTT 客户端连接的监听地址。", schema: ListenerConfiguration.schema,
            check: { _, spec, report in
                do throws(Problem) {
                    _ = try ListenerConfiguration(spec)
                } catch {
                    report.report(error, at: ConfigPath()[ListenerConfiguration.field(of: error)])
                }
            })
    }

    private static var device: ResourceKind {
        ResourceKind(
            name: deviceName, plural: "devices", help: "A device with its connection, groups and tags.",
            helpChinese: "设备及其连接、采集组和点位。", schema: deviceSchema(drivers: Drivers.all),
            check: { name, spec, report in
                do throws(Problem) {
                    let device = try DeviceConfiguration(name: name, uid: "", spec: spec)
                    let loop = MultiThreadedEventLoopGroup.singleton.any()
                    for problem in checkDevice(device, drivers: Drivers.all, loop: loop) {
                        report.report(
                            problem, at: path(of: problem, in: spec),
                            column: problem.arguments["column"].flatMap { Int($0) })
                    }
                } catch {
                    report.report(error, at: path(of: error, in: spec))
                }
            })
    }

    private static var rule: ResourceKind {
        ResourceKind(
            name: ruleName, plural: "rules", help: "SQL over a stream of messages, and where its results go.",
            helpChinese: "对消息流执行的 SQL 规则及其输出。", schema: RuleConfiguration.schema,
            check: { name, spec, report in
                do throws(Problem) {
                    _ = try RuleTrial.explain(RuleConfiguration(name: name, spec))
                } catch {
                    let line = error.arguments["line"].flatMap { Int($0) }
                    let column = error.arguments["column"].flatMap { Int($0) }
                    report.report(error, at: ConfigPath()[line == nil ? "outputs" : "sql"], line: line, column: column)
                }
            },
            references: { spec in
                (spec["outputs"]?.list ?? []).enumerated().compactMap { index, output in
                    guard let name = output["sink"]?.string else { return nil }
                    return ResourceReference(
                        kind: sinkName, name: name, path: ConfigPath()["outputs"][index]["sink"])
                }
            })
    }

    private static var sink: ResourceKind {
        ResourceKind(
            name: sinkName, plural: "sinks", help: "A database or service that takes the rows of rules.",
            helpChinese: "接收规则结果的数据库或服务。", schema: SinkConfiguration.schema(of: Sinks.all),
            check: { name, spec, report in
                do throws(Problem) {
                    let configuration = try SinkConfiguration(name: name, spec, sinks: Sinks.all)
                    let environment = SinkEnvironment(time: SystemTime(), random: SystemRandom()) { _ in "" }
                    for type in Sinks.all where type.descriptor.type == configuration.type {
                        let columns = configuration.columns.map { SinkColumn(name: $0.name, type: $0.type) }
                        _ = try type.init(
                            configuration.connection,
                            target: SinkTarget(name: name, options: spec, columns: columns), environment: environment)
                    }
                } catch {
                    report.report(error, at: sinkPath(of: error, in: spec))
                }
            })
    }

    /// Where in a sink's spec a problem belongs.
    private static func sinkPath(of problem: Problem, in spec: ConfigValue) -> ConfigPath {
        if let field = problem.arguments["field"] {
            return spec[field] == nil ? ConfigPath()["connection"][field] : ConfigPath()[field]
        }
        if let column = problem.arguments["column"] {
            let part = problem.code == "sink.types" ? "types" : "columns"
            return ConfigPath()[part][column]
        }
        if let option = problem.arguments["option"], spec[option] != nil { return ConfigPath()[option] }
        return problem.code == "sink.lanes" ? ConfigPath()["lanes"] : ConfigPath()
    }

    /// Where in a device's spec a problem belongs: the address of the tag it names, the group, the connection.
    private static func path(of problem: Problem, in spec: ConfigValue) -> ConfigPath {
        guard let name = problem.arguments["group"], let groups = spec["groups"]?.list,
            let group = groups.firstIndex(where: { $0["name"]?.string == name })
        else { return ConfigPath()[problem.code.hasPrefix("tag.") ? "groups" : "connection"] }
        let place = ConfigPath()["groups"][group]
        guard let tag = problem.arguments["tag"],
            let index = groups[group]["tags"]?.list?.firstIndex(where: { $0["name"]?.string == tag })
        else { return place }
        return place["tags"][index][problem.code.hasPrefix("tag.address") ? "address" : "name"]
    }
}
