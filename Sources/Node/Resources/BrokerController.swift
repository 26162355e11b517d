import Broker
import BrokerCore
import Model
import Resources

/// Keeps the broker's limits as the `Broker` resource says; without it they are the defaults.
final class BrokerController: Controller {
    var kind: String { NodeKinds.brokerName }

    private let exchange: Exchange

    init(exchange: Exchange) { self.exchange = exchange }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            try await set(BrokerSettings(snapshot.spec))
            return .running
        case .delete:
            try await set(BrokerSettings(.object([])))
            return .stopped
        }
    }

    private func set(_ settings: BrokerSettings) async { await exchange.setLimits { settings.apply(to: &$0) } }
}
