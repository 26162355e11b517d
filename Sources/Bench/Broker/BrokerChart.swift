import Foundation
import Model

/// The judged figures as a picture: bars on a logarithmic axis, each with the mark of its limit.
struct BrokerChart {
    /// One bar.
    struct Bar: Equatable {
        var label: String
        var value: Double
        var limit: Double
        /// `12.9 x`
        var text: String
        var verdict: BrokerFigure.Verdict
    }

    struct Panel: Equatable {
        var title: String
        var bars: [Bar]
    }

    var title: String
    var subtitle: String
    var panels: [Panel]

    private static let width = 980.0
    private static let labelWidth = 400.0
    private static let plotWidth = 470.0
    private static let rowHeight = 24.0
    private static let barHeight = 14.0
    private static let left = 24.0

    /// Ratios to mosquitto stand with the ratio, everything else as a multiple of what is promised.
    init(_ outcomes: [BrokerOutcome], _ setting: BenchSetting) {
        title = "Tundish's broker, measured"
        subtitle = setting.date + " · " + setting.brokers.joined(separator: " against ")
        panels = BrokerReport.sections.compactMap { section in
            let bars = outcomes.filter { section.belongs($0.item.kind) }.flatMap(Self.bars)
            guard !bars.isEmpty else { return nil }
            let title = String(section.title.prefix { $0 != "," })
            return Panel(title: title, bars: bars)
        }
    }

    private static func bars(_ outcome: BrokerOutcome) -> [Bar] {
        let judged = outcome.figures.filter { $0.verdict != nil }
        return judged.compactMap { figure in
            guard let value = figure.judged, let limit = figure.limit, let verdict = figure.verdict else { return nil }
            var label =
                outcome.item.shape == LoadShape() || outcome.item.kind == .durable
                ? outcome.item.name : outcome.item.title
            if !figure.short.isEmpty { label += ", " + figure.short }
            let number = BrokerFigure.number(value)
            switch figure.judgement {
            case .ratio(let other), .inverseRatio(let other):
                return Bar(
                    label: label, value: value, limit: limit,
                    text: "\(number) × \(other == "tundish" ? "one loop" : other)", verdict: verdict)
            case .atLeast:
                return Bar(
                    label: label, value: value / limit, limit: 1,
                    text: "\(number) \(figure.unit), promised \(BrokerFigure.number(limit))", verdict: verdict)
            case .atMost:
                return Bar(
                    label: label, value: limit / Swift.max(value, 1e-9), limit: 1,
                    text: "\(number) \(figure.unit), at most \(BrokerFigure.number(limit))", verdict: verdict)
            case .none: return nil
            }
        }
    }

    /// The whole picture; it follows the reader's light or dark.
    var svg: String {
        var body = ""
        var y = 84.0
        for panel in panels {
            body += text(Self.left, y, panel.title, "head")
            y += 14
            body += draw(panel, from: y)
            y += Double(panel.bars.count) * Self.rowHeight + 46
        }
        let height = Int(y + 4)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(height)" \
            width="\(Int(Self.width))" height="\(height)" role="img" aria-label="\(Self.escaped(title))">
            \(Self.style)
            <rect class="paper" width="100%" height="100%" rx="10"/>
            \(text(Self.left, 36, title, "title"))\(text(Self.left, 56, subtitle, "note"))\(body)\
            \(legend())</svg>

            """
    }

    private func draw(_ panel: Panel, from top: Double) -> String {
        let greatest = panel.bars.map { max($0.value, $0.limit) }.max() ?? 1
        let least = min(0.5, panel.bars.map { min($0.value, $0.limit) }.min() ?? 0.5)
        let axis = Axis(from: max(least, 0.01), to: max(greatest * 1.15, 2), width: Self.plotWidth)
        let origin = Self.left + Self.labelWidth
        let bottom = top + Double(panel.bars.count) * Self.rowHeight + 4
        var out = ""
        for tick in axis.ticks {
            let x = origin + axis.at(tick)
            let name = tick == tick.rounded() ? "\(Int(tick))" : "\(tick)"
            out +=
                "<line class=\"\(tick == 1 ? "one" : "grid")\" x1=\"\(f(x))\" y1=\"\(f(top))\" x2=\"\(f(x))\" y2=\"\(f(bottom))\"/>"
            out += text(x, bottom + 14, name, "tick")
        }
        for (index, bar) in panel.bars.enumerated() {
            let y = top + Double(index) * Self.rowHeight + (Self.rowHeight - Self.barHeight) / 2 + 2
            let length = max(axis.at(bar.value), 1.5)
            let mark = origin + axis.at(bar.limit)
            out += text(origin - 10, y + 11, bar.label, "label")
            out +=
                "<rect class=\"\(Self.cssClass(bar.verdict))\" x=\"\(f(origin))\" y=\"\(f(y))\" width=\"\(f(length))\" height=\"\(f(Self.barHeight))\" rx=\"2.5\"/>"
            out +=
                "<line class=\"limit\" x1=\"\(f(mark))\" y1=\"\(f(y - 3))\" x2=\"\(f(mark))\" y2=\"\(f(y + Self.barHeight + 3))\"/>"
            // Behind the longer of bar and mark, or within the bar where there is no room.
            let end = origin + max(length, axis.at(bar.limit)) + 7
            let needed = Double(bar.text.count) * 6.2
            if end + needed <= Self.width - 8 {
                out += text(end, y + 11, bar.text, "value")
            } else {
                out += text(origin + length - 7, y + 11, bar.text, "inside")
            }
        }
        return out + "\n"
    }

    private func legend() -> String {
        var x = 560.0
        var out = ""
        for (verdict, name) in [
            (BrokerFigure.Verdict.reached, "limit reached"), (.floorReached, "floor reached"), (.missed, "missed"),
        ] {
            out +=
                "<rect class=\"\(Self.cssClass(verdict))\" x=\"\(f(x))\" y=\"26\" width=\"12\" height=\"12\" rx=\"2.5\"/>"
            out += text(x + 17, 36, name, "value")
            x += 110
        }
        out +=
            "<line class=\"limit\" x1=\"\(f(x + 2))\" y1=\"24\" x2=\"\(f(x + 2))\" y2=\"40\"/>"
            + text(x + 9, 36, "limit", "value")
        return out + "\n"
    }

    private static func cssClass(_ verdict: BrokerFigure.Verdict) -> String {
        switch verdict {
        case .reached: "good"
        case .floorReached: "fair"
        case .missed: "bad"
        }
    }

    private func text(_ x: Double, _ y: Double, _ content: String, _ style: String) -> String {
        "<text class=\"\(style)\" x=\"\(f(x))\" y=\"\(f(y))\">\(Self.escaped(content))</text>"
    }

    private func f(_ value: Double) -> String { String(format: "%.1f", value) }

    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }

    private static let style = """
        <style>
        .paper { fill: #ffffff } text { fill: #1f2933; font: 12px system-ui, "Segoe UI", Roboto, sans-serif }
        .title { font-size: 20px; font-weight: 650 } .head { font-size: 13px; font-weight: 650 }
        .note, .tick { fill: #697586 } .tick { font-size: 10px; text-anchor: middle } .label { text-anchor: end }
        .inside { fill: #ffffff; text-anchor: end; font-weight: 600 }
        .grid { stroke: #e4e9f0 } .one { stroke: #9aa5b4 } .limit { stroke: #1f2933; stroke-width: 2 }
        .good { fill: #0f8a7e } .fair { fill: #d99a1c } .bad { fill: #c9423b }
        @media (prefers-color-scheme: dark) {
        .paper { fill: #11181f } text { fill: #e3e8ee } .note, .tick { fill: #8b98a8 } .inside { fill: #ffffff }
        .grid { stroke: #25303c } .one { stroke: #566476 } .limit { stroke: #e3e8ee } }
        </style>
        """
}

/// A logarithmic axis.
struct Axis: Equatable {
    var from: Double
    var to: Double
    var width: Double

    func at(_ value: Double) -> Double {
        guard value > from else { return 0 }
        return min(1, log(value / from) / log(to / from)) * width
    }

    /// 1, 2 and 5 of every power of ten; of more than three powers only the powers.
    var ticks: [Double] {
        let isWide = to / from > 1000
        var ticks: [Double] = []
        for power in -3...9 {
            for step in isWide ? [1.0] : [1.0, 2.0, 5.0] {
                let tick = step * pow(10, Double(power))
                if tick >= from * 0.999, tick <= to * 1.001 { ticks.append(tick) }
            }
        }
        return ticks
    }
}
