import Model
import Resources
import SinkKit
import Synchronization

/// Makes the sinks agree with the `Sink` resources, and tells each resource how its sink fares.
final class SinkController: Controller {
    var kind: String { NodeKinds.sinkName }

    private let engine: SinkEngine
    private let running: RunningSinks

    init(engine: SinkEngine, running: RunningSinks) {
        self.engine = engine
        self.running = running
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let configuration = try SinkConfiguration(name: snapshot.name, snapshot.spec, sinks: engine.types)
            running.set(snapshot.key, uid: snapshot.uid)
            try await engine.apply(configuration, uid: snapshot.uid)
            return engine.status(snapshot.name).map(RunningSinks.condition) ?? .running
        case .delete(_, let uid):
            running.remove(uid: uid)
            try await engine.remove(uid: uid)
            return .stopped
        }
    }
}

/// Which sink is which resource, for states that change without anybody having changed the configuration.
final class RunningSinks: Sendable {
    private let statuses: StatusBoard
    private let entries = Mutex<[String: (key: ResourceKey, uid: String)]>([:])

    init(statuses: StatusBoard) { self.statuses = statuses }

    func set(_ key: ResourceKey, uid: String) {
        entries.withLock { entries in
            for (name, entry) in entries where entry.uid == uid { entries[name] = nil }
            entries[key.name] = (key, uid)
        }
    }

    func remove(uid: String) {
        entries.withLock { entries in
            for (name, entry) in entries where entry.uid == uid { entries[name] = nil }
        }
    }

    func report(_ sink: String, _ status: SinkStatus) {
        guard let entry = entries.withLock({ $0[sink] }) else { return }
        statuses.set(Self.condition(status), of: entry.key, uid: entry.uid)
    }

    static func condition(_ status: SinkStatus) -> Condition {
        switch status.state {
        case .connecting: Condition(.pending, status.problem)
        case .running: Condition(.running, status.problem)
        case .degraded: Condition(.degraded, status.problem)
        case .failed: Condition(.failed, status.problem)
        case .stopped: Condition(.stopped, status.problem)
        }
    }
}
