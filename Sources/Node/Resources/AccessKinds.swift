import Broker
import Model
import Resources
import Synchronization

/// The kinds of resources that say who may come and what they may do.
enum AccessKinds {
    static let authenticationName = "Authentication"
    static let policyName = "AccessPolicy"

    static var all: [ResourceKind] { [authentication, policy] }

    private static var authentication: ResourceKind {
        ResourceKind(
            name: authenticationName, plural: "authentications",
            help: "A way to find out who an MQTT client is; several are asked one after the other.",
            helpChinese: "识别 MQTT 客户端身份的一种方式；多个时依次询问。", schema: AuthenticationConfiguration.schema,
            check: { name, spec, report in
                do throws(Problem) {
                    _ = try AuthenticationConfiguration(name: name, spec)
                } catch {
                    report.report(error, at: ConfigPath()["settings"])
                }
            })
    }

    private static var policy: ResourceKind {
        ResourceKind(
            name: policyName, plural: "accesspolicies",
            help: "Rules that say which clients may publish and subscribe what.",
            helpChinese: "规定客户端可以发布和订阅哪些主题的规则。", schema: AccessPolicy.schema,
            check: { name, spec, report in
                do throws(Problem) {
                    _ = try AccessPolicy(name: name, spec)
                } catch {
                    let path = ConfigPath()["rules"]
                    report.report(error, at: error.arguments["rule"].flatMap { Int($0) }.map { path[$0] } ?? path)
                }
            })
    }
}

/// Under which name a resource runs, for when it is renamed.
final class NamesByUID: Sendable {
    private let names = Mutex<[String: String]>([:])

    /// The former name.
    func set(_ name: String, uid: String) -> String? { names.withLock { $0.updateValue(name, forKey: uid) } }
    func remove(uid: String) -> String? { names.withLock { $0.removeValue(forKey: uid) } }
}
