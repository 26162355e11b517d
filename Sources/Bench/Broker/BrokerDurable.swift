import Foundation
import Model

/// The cases about the disk: what is stored for sessions that are away, and their return.
extension BrokerBench {
    func measureDurable(_ item: BrokerCase) throws -> BrokerOutcome {
        var outcome = BrokerOutcome(item: item)
        var stored = BrokerFigure(
            "stored and acknowledged, per CPU-second", short: "stored", unit: "thousand", scale: 1000, .atLeast,
            limit: item.limit)
        var storedWall = BrokerFigure("stored and acknowledged, per second", unit: "thousand", scale: 1000, .none)
        var disk = BrokerFigure("the disk's own limit, per second", unit: "thousand", scale: 1000, .none)
        var syncs = BrokerFigure("groups that the disk syncs, per second", .none)
        var replayed = BrokerFigure(
            "delivered to returning sessions, per CPU-second", short: "replayed", unit: "thousand", scale: 1000,
            .atLeast, limit: 300)
        var replayedWall = BrokerFigure(
            "delivered to returning sessions, per second", unit: "thousand", scale: 1000, .none)
        var plan = item.plan
        plan.mode = .store
        plan.messagesMax = item.shape.groups == 1 ? Self.oneSessionMessagesMax : 0
        try withBrokers(peers, item) { brokers in
            for round in 1...options.rounds {
                let limit = try DiskLimit.measure(
                    in: folder, messages: item.shape.publishersTotal * item.window, payloadBytes: item.payloadBytes,
                    seconds: min(options.seconds, 1))
                disk.values["disk", default: []].append(limit.messagesPerSecond)
                syncs.values["disk", default: []].append(limit.groupsPerSecond)
                for broker in brokers {
                    guard
                        let result = accepted(
                            try generateOrSay(plan, broker, round, &outcome), item, broker, round, &outcome)
                    else { continue }
                    let name = broker.peer.name
                    if let figure = result.measured.perCPUSecond { stored.values[name, default: []].append(figure) }
                    storedWall.values[name, default: []].append(result.measured.perSecond)
                    guard let returned = result.replayed else { continue }
                    if let figure = returned.perCPUSecond { replayed.values[name, default: []].append(figure) }
                    replayedWall.values[name, default: []].append(returned.perSecond)
                }
            }
        }
        outcome.figures = [stored, storedWall, disk, syncs, replayed, replayedWall]
        outcome.notes.append(
            "a group is \(item.shape.publishersTotal * item.window) messages, all that is under way at once")
        if peers.contains(where: { $0.name == "mosquitto" }) {
            outcome.notes.append(
                "mosquitto keeps its sessions in memory here: it acknowledges before anything is on the disk")
        }
        return outcome
    }

    /// What one session's queue holds with the limits that brokers have by themselves.
    private static let oneSessionMessagesMax = 90_000
}
