import Model
import Resources
import Streams
import Synchronization

/// Makes the stream engine's rules agree with the `Rule` resources.
final class RuleController: Controller {
    var kind: String { NodeKinds.ruleName }
    var after: [String] { [NodeKinds.sinkName] }

    private let engine: StreamEngine
    private let names = Mutex<[String: String]>([:])

    init(engine: StreamEngine) { self.engine = engine }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let rule = try RuleConfiguration(name: snapshot.name, snapshot.spec)
            let old = names.withLock { $0.updateValue(snapshot.name, forKey: snapshot.uid) }
            if let old, old != snapshot.name { try await engine.remove(old) }
            guard rule.isEnabled else {
                try await engine.remove(rule.name)
                return .stopped
            }
            let warnings = try await engine.apply(rule)
            return Condition(.running, warnings.first)
        case .delete(let key, let uid):
            let name = names.withLock { $0.removeValue(forKey: uid) } ?? key.name
            try await engine.remove(name)
            return .stopped
        }
    }
}
