import Bus
import Console
import Formats
import Model
import Synchronization

/// The last message of every alarm, as they pass on the bus.
final class AlarmBook: Sendable {
    static let filter = "alarms/#"
    /// Alarms remembered; further ones are counted and left out.
    static let alarmsMax = 10_000

    let overflowed = Counter()
    private let alarms = Mutex<[String: AlarmInfo]>([:])

    func take(_ messages: [Message]) {
        for message in messages {
            let id = message.topic.string
            let payload = message.payload.bytes
            if payload.isEmpty {
                alarms.withLock { _ = $0.removeValue(forKey: id) }
                continue
            }
            guard let info = read(id: id, payload: payload, at: message.receivedAt) else { continue }
            alarms.withLock { alarms in
                if alarms[id] == nil, alarms.count >= Self.alarmsMax {
                    overflowed.add()
                } else {
                    alarms[id] = info
                }
            }
        }
    }

    /// Newest first.
    func all() -> [AlarmInfo] {
        alarms.withLock { Array($0.values) }.sorted { $0.raisedAt > $1.raisedAt }
    }

    func find(_ id: String) -> AlarmInfo? { alarms.withLock { $0[id] } }

    /// A message without a state is a plain event: whoever publishes below `alarms/` is shown.
    private func read(id: String, payload: Bytes, at time: Timestamp) -> AlarmInfo? {
        guard let json = try? JSONValue(parsing: payload), let members = json.members else { return nil }
        let known: Set<String> = ["name", "device", "state", "severity", "message", "raised_at", "raisedAt"]
        let raised = (json["raised_at"] ?? json["raisedAt"] ?? json["timestamp"])?.integer.map(
            Timestamp.init(milliseconds:))
        return AlarmInfo(
            id: id, name: json["name"]?.string ?? id, device: json["device"]?.string,
            state: json["state"]?.string ?? "event", severity: json["severity"]?.string ?? "medium",
            message: json["message"]?.string ?? "", raisedAt: raised ?? time,
            details: members.filter { !known.contains($0.key) })
    }
}
