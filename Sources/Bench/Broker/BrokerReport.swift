import Foundation
import Model

/// Where, when and with what figures were taken.
struct BenchSetting {
    var date = ""
    var machine = ""
    var brokers: [String] = []
    var method = ""
    var isDebug = false
}

/// What people read of outcomes.
enum BrokerReport {
    /// The order in which brokers stand.
    static func peers(_ figures: [BrokerFigure]) -> [String] {
        let known = ["tundish", "two loops", "mosquitto", "disk"]
        let present = Set(figures.flatMap(\.values.keys)).sorted()
        return known.filter(present.contains) + present.filter { !known.contains($0) }
    }

    /// For the terminal.
    static func lines(_ outcome: BrokerOutcome) -> String {
        var lines = ["\(outcome.item.name): \(outcome.item.title)"]
        for figure in outcome.figures where !figure.values.isEmpty {
            var line = "    \(figure.name)\(figure.unit.isEmpty ? "" : ", \(figure.unit)"):"
            for peer in peers([figure]) {
                line += "  \(peer) \(figure.text(of: peer))"
                if peer != figure.subject, let ratio = figure.compared(peer) {
                    line += " x\(BrokerFigure.number(ratio))"
                }
            }
            if let judged = figure.judged, figure.limit != nil { line += "  -> \(BrokerFigure.number(judged))" }
            if let limit = limit(figure) { line += "  limit \(limit)" }
            if let verdict = figure.verdict { line += "  \(verdict.rawValue)" }
            lines.append(line)
        }
        lines += outcome.notes.map { "    (\($0))" }
        lines += outcome.invalid.map { "    not counted: \($0)" }
        return lines.joined(separator: "\n")
    }

    private static func limit(_ figure: BrokerFigure) -> String? {
        guard let limit = figure.limit else { return nil }
        return BrokerFigure.number(limit) + (figure.floor.map { ", floor \(BrokerFigure.number($0))" } ?? "")
    }

    /// The parts of a report, in their order.
    static let sections: [(title: String, belongs: @Sendable (BrokerCase.Kind) -> Bool)] = [
        ("Deliveries per CPU-second of the broker, in thousands", { $0 == .traffic }),
        ("Two loops against one, deliveries per CPU-second, in thousands", { $0 == .loops }),
        ("Latency at half of mosquitto's greatest rate, in microseconds", { $0 == .latency }),
        (
            "Connections",
            { kind in
                switch kind {
                case .connect, .idle: true
                default: false
                }
            }
        ),
        ("Sessions that are away", { $0 == .durable }),
    ]

    static func markdown(_ outcomes: [BrokerOutcome], _ setting: BenchSetting) -> String {
        var text =
            "# Broker benchmark\n\n\(setting.date). \(setting.machine). \(setting.brokers.joined(separator: ", ")).\n\n"
        text += setting.method + "\n"
        if setting.isDebug { text += "\n**A debug build: its figures say nothing about a release.**\n" }
        for section in sections {
            let chosen = outcomes.filter { section.belongs($0.item.kind) }
            guard !chosen.isEmpty else { continue }
            text += "\n## \(section.title)\n\n" + table(chosen)
            for outcome in chosen where !outcome.notes.isEmpty {
                text += "\n`\(outcome.item.name)`: \(outcome.notes.joined(separator: "; ")).\n"
            }
        }
        let invalid = outcomes.flatMap { outcome in outcome.invalid.map { "- `\(outcome.item.name)`, \($0)" } }
        if !invalid.isEmpty { text += "\n## Rounds that do not count\n\n" + invalid.joined(separator: "\n") + "\n" }
        return text
    }

    /// One row for a figure; what is not judged stands only where nothing else would.
    private static func table(_ outcomes: [BrokerOutcome]) -> String {
        let showsAll = outcomes.contains { $0.item.kind != .traffic && $0.item.kind != .loops }
        let rows = outcomes.flatMap { outcome in
            outcome.figures.filter { !$0.values.isEmpty && (showsAll || $0.judgement != .none) }.map { (outcome, $0) }
        }
        let names = peers(rows.map(\.1))
        let heads = ["scenario"] + (showsAll ? ["figure"] : []) + names + ["judged", "limit", ""]
        var text =
            "| " + heads.joined(separator: " | ") + " |\n|" + String(repeating: "---|", count: heads.count) + "\n"
        for (outcome, figure) in rows {
            var cells = [outcome.item.title]
            if showsAll { cells.append(figure.name + (figure.unit.isEmpty ? "" : ", " + figure.unit)) }
            cells += names.map { figure.text(of: $0) }
            cells.append(figure.limit == nil ? "" : figure.judged.map(BrokerFigure.number) ?? "-")
            cells += [limit(figure) ?? "", figure.verdict?.rawValue ?? ""]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text
    }
}
