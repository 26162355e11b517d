import Broker
import Catalogue
import Gateway
package import Model
package import Resources
import Streams

/// The kinds of resources that this build knows, with the checks that their schemas cannot say.
package enum NodeKinds {
    package static let registry = KindRegistry([listener, device, rule])

    static let listenerName = "Listener"
    static let deviceName = "Device"
    static let ruleName = "Rule"

    private static var listener: ResourceKind {
        ResourceKind(
            name: listenerName, plural: "listeners", help: "An address where MQTT clients connect.",
            helpChinese: "MQTT 客户端连接的监听地址。", schema: ListenerConfiguration.schema,
            check: { _, spec, report in
                do throws(Problem) {
                    _ = try ListenerConfiguration(spec)
                } catch {
                    report.report(error, at: ConfigPath()["bind"])
                }
            })
    }

    private static var device: ResourceKind {
        ResourceKind(
            name: deviceName, plural: "devices", help: "A device with its connection, groups and tags.",
            helpChinese: "设备及其连接、采集组和点位。", schema: DeviceConfiguration.schema(drivers: Drivers.all),
            check: { name, spec, report in
                for issue in DeviceConfiguration.check(name: name, spec, drivers: Drivers.all) {
                    report.report(issue.problem, at: configPath(issue.path), column: issue.column)
                }
            })
    }

    private static var rule: ResourceKind {
        ResourceKind(
            name: ruleName, plural: "rules", help: "SQL over a stream of messages, and where its results go.",
            helpChinese: "对消息流执行的 SQL 规则及其输出。", schema: RuleConfiguration.schema,
            check: { name, spec, report in
                do throws(Problem) {
                    _ = try RuleCheck.check(RuleConfiguration(name: name, spec))
                } catch {
                    let line = error.arguments["line"].flatMap { Int($0) }
                    let column = error.arguments["column"].flatMap { Int($0) }
                    report.report(error, at: ConfigPath()[line == nil ? "outputs" : "sql"], line: line, column: column)
                }
            })
    }

    /// `groups[0].tags[3].address` as steps.
    private static func configPath(_ steps: [DevicePathStep]) -> ConfigPath {
        steps.reduce(ConfigPath()) { path, step in
            switch step {
            case .key(let key): path[key]
            case .index(let index): path[index]
            }
        }
    }
}
