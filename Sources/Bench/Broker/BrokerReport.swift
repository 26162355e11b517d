import Foundation
import Model

/// What people read of outcomes.
enum BrokerReport {
    /// The order in which brokers stand.
    static func peers(_ figure: BrokerFigure) -> [String] {
        let known = ["tundish", "two loops", "mosquitto"]
        let present = figure.values.keys.sorted()
        return known.filter(present.contains) + present.filter { !known.contains($0) }
    }

    /// For the terminal.
    static func lines(_ outcome: BrokerOutcome) -> String {
        var lines = ["\(outcome.item.name): \(outcome.item.title)"]
        for figure in outcome.figures where !figure.values.isEmpty {
            var line = "    \(figure.name)\(figure.unit.isEmpty ? "" : ", \(figure.unit)"):"
            for peer in peers(figure) { line += "  \(peer) \(figure.text(of: peer))" }
            if let judged = figure.judged { line += "  -> \(BrokerFigure.number(judged))" }
            if let limit = figure.limit {
                line += "  limit \(BrokerFigure.number(limit))"
                if let floor = figure.floor { line += ", floor \(BrokerFigure.number(floor))" }
            }
            if let verdict = figure.verdict { line += "  \(verdict.rawValue)" }
            lines.append(line)
        }
        lines += outcome.notes.map { "    (\($0))" }
        lines += outcome.invalid.map { "    not counted: \($0)" }
        return lines.joined(separator: "\n")
    }
}
