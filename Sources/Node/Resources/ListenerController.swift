import Broker
import Model
import Resources
import Synchronization

/// Makes the broker's listeners agree with the `Listener` resources.
final class ListenerController: Controller {
    /// The listener that a first start creates, and whose address `--mqtt` stands in for.
    static let defaultName = "default"

    var kind: String { NodeKinds.listenerName }

    private let broker: Broker
    private let mqtt: HostPort?
    private let names = Mutex<[String: String]>([:])

    init(broker: Broker, mqtt: HostPort?) {
        self.broker = broker
        self.mqtt = mqtt
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
            let old = names.withLock { $0.updateValue(snapshot.name, forKey: snapshot.uid) }
            if let old, old != snapshot.name { await broker.removeListener(old) }
            try await broker.applyListener(snapshot.name, configuration)
            return .running
        case .delete(let key, let uid):
            await broker.removeListener(names.withLock { $0.removeValue(forKey: uid) } ?? key.name)
            return .stopped
        }
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
