import Broker
import Model
import Resources
import Synchronization

/// Makes the broker's listeners agree with the `Listener` resources.
final class ListenerController: Controller {
    /// The listener that a first start creates, and whose address `--mqtt` stands in for.
    static let defaultName = "default"

    var kind: String { NodeKinds.listenerName }
    /// Nobody comes in before it is known who may.
    var after: [String] { [NodeKinds.brokerName, "User", AccessKinds.authenticationName, AccessKinds.policyName] }

    private let broker: Broker
    private let mqtt: HostPort?
    private let statuses: StatusBoard?
    private let access: AccessControl?
    private let entries = Mutex<[String: ResourceKey]>([:])

    /// `statuses` is told when a listener's certificates expire or cannot be renewed while it runs.
    init(broker: Broker, mqtt: HostPort?, statuses: StatusBoard? = nil, access: AccessControl? = nil) {
        self.broker = broker
        self.mqtt = mqtt
        self.statuses = statuses
        self.access = access
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            var configuration = try ListenerConfiguration(snapshot.spec)
            if snapshot.name == Self.defaultName, let mqtt {
                configuration.host = mqtt.host
                configuration.port = mqtt.port
                configuration.allowAnonymous = snapshot.spec["allowAnonymous"]?.bool ?? configuration.isLoopback
            }
            await broker.setOnProblems { [weak self] name, problems in self?.report(name, problems) }
            // Renamed: the address must be free before it is bound under the new name.
            let old = entries.withLock { $0.updateValue(snapshot.key, forKey: snapshot.uid) }
            if let old, old.name != snapshot.name { await broker.removeListener(old.name) }
            access?.rules.setOpen(snapshot.name, configuration.allowAnonymous)
            return Self.condition(try await broker.applyListener(snapshot.name, configuration))
        case .delete(let key, let uid):
            await broker.removeListener(entries.withLock { $0.removeValue(forKey: uid) }?.name ?? key.name)
            return .stopped
        }
    }

    private func report(_ name: String, _ problems: [Problem]) {
        guard let entry = entries.withLock({ $0.first { $0.value.name == name } }) else { return }
        statuses?.set(Self.condition(problems), of: entry.value, uid: entry.key)
    }

    /// What only will be a problem leaves a listener running; what hurts clients now degrades it.
    private static func condition(_ problems: [Problem]) -> Condition {
        guard let first = problems.first else { return .running }
        return first.code == "listener.certificate_expires" ? Condition(.running, first) : .degraded(first)
    }
}

/// For kinds that nothing has to run for: what is stored is in force.
struct StoredOnlyController: Controller {
    let kind: String
    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        if case .delete = change { return .stopped }
        return .running
    }
}
