import Gateway
import Model
import Resources
import Synchronization

/// Makes the gateway's devices agree with the `Device` resources, and tells each resource how its device fares.
final class DeviceController: Controller {
    var kind: String { NodeKinds.deviceName }

    private let gateway: Gateway
    private let running: RunningDevices

    init(gateway: Gateway, running: RunningDevices) {
        self.gateway = gateway
        self.running = running
    }

    func apply(_ change: ControllerChange) async throws(Problem) -> Condition {
        switch change {
        case .create(let snapshot), .update(let snapshot):
            let configuration = try DeviceConfiguration(name: snapshot.name, uid: snapshot.uid, spec: snapshot.spec)
            // Renamed: what ran under the old name stops, its history stays with the uid.
            if let old = running.name(ofUID: snapshot.uid), old != snapshot.name {
                running.remove(uid: snapshot.uid)
                await gateway.remove(device: old)
            }
            running.set(snapshot.key, uid: snapshot.uid)
            try await gateway.apply(configuration)
            return await gateway.status(device: snapshot.name).map(RunningDevices.condition) ?? .running
        case .delete(let key, let uid):
            let name = running.name(ofUID: uid) ?? key.name
            running.remove(uid: uid)
            await gateway.remove(device: name)
            return .stopped
        }
    }
}

/// Which device is which resource, for states that change without anybody having changed the configuration.
final class RunningDevices: Sendable {
    private struct Entry {
        var key: ResourceKey
        var uid: String
    }

    private let statuses: StatusBoard
    private let entries = Mutex<[String: Entry]>([:])

    init(statuses: StatusBoard) { self.statuses = statuses }

    func set(_ key: ResourceKey, uid: String) { entries.withLock { $0[key.name] = Entry(key: key, uid: uid) } }

    func name(ofUID uid: String) -> String? {
        entries.withLock { entries in entries.first { $0.value.uid == uid }?.key }
    }

    func remove(uid: String) {
        entries.withLock { entries in
            for (name, entry) in entries where entry.uid == uid { entries[name] = nil }
        }
    }

    /// Called by the gateway on a device's event loop.
    func report(_ device: String, _ status: DeviceStatus) {
        guard let entry = entries.withLock({ $0[device] }) else { return }
        statuses.set(Self.condition(status), of: entry.key, uid: entry.uid)
    }

    static func condition(_ status: DeviceStatus) -> Condition {
        let problem = status.code.isEmpty ? nil : Problem(status.code, status.message, status.arguments)
        return switch status.state {
        case .connected: Condition(.running, problem)
        case .connecting: Condition(.pending, problem)
        case .degraded, .disconnected: Condition(.degraded, problem)
        case .failed: Condition(.failed, problem)
        case .stopped: Condition(.stopped, problem)
        }
    }
}
