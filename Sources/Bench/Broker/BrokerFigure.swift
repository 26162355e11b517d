import Foundation
import Model

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// What is measured of every broker in every round of a case, and how it is judged.
struct BrokerFigure: Equatable {
    enum Judgement: Equatable {
        /// Tundish over the other named peer.
        case ratio(against: String)
        /// The other named peer over Tundish: less is better.
        case inverseRatio(against: String)
        case atLeast
        case atMost
        /// Stands beside the others and is not judged.
        case none
    }

    /// `deliveries per CPU-second`
    var name: String
    /// `p99`, where a case has several and there is little room.
    var short = ""
    var unit = ""
    /// What the values are divided by when people read them.
    var scale = 1.0
    var judgement: Judgement
    var limit: Double?
    var floor: Double?
    /// Whose figure is judged.
    var subject = "tundish"
    /// Of each broker, the valid rounds.
    var values: [String: [Double]] = [:]

    init(
        _ name: String, short: String = "", unit: String = "", scale: Double = 1, _ judgement: Judgement,
        limit: Double? = nil,
        floor: Double? = nil
    ) {
        self.name = name
        self.short = short
        self.unit = unit
        self.scale = scale
        self.judgement = judgement
        self.limit = limit
        self.floor = floor
    }

    func median(of peer: String) -> Double? {
        guard let values = values[peer], !values.isEmpty else { return nil }
        return Bench.median(values)
    }

    /// The number that is held against the limit.
    func judged(subject peer: String) -> Double? {
        guard let own = median(of: peer) else { return nil }
        switch judgement {
        case .ratio(let other):
            guard let other = median(of: other), other > 0 else { return nil }
            return own / other
        case .inverseRatio(let other):
            guard let other = median(of: other), own > 0 else { return nil }
            return other / own
        case .atLeast, .atMost: return own / scale
        case .none: return nil
        }
    }

    var judged: Double? { judged(subject: subject) }

    /// How much better the subject is than a peer that the limit does not name; nil where better has no meaning.
    func compared(_ peer: String) -> Double? {
        switch judgement {
        case .ratio(let other), .inverseRatio(let other):
            guard peer != other, let own = median(of: subject), let theirs = median(of: peer), own > 0, theirs > 0
            else {
                return nil
            }
            if case .ratio = judgement { return own / theirs }
            return theirs / own
        case .atLeast, .atMost, .none: return nil
        }
    }

    enum Verdict: String {
        case reached, floorReached = "floor reached", missed = "MISSED"
    }

    /// Nil where nothing is promised or a broker of the comparison is not there.
    var verdict: Verdict? {
        guard let judged, let limit else { return nil }
        if judgement == .atMost { return judged <= limit ? .reached : .missed }
        if judged >= limit { return .reached }
        if let floor, judged >= floor { return .floorReached }
        return .missed
    }

    /// `1,491 (1,400 to 1,550)`
    func text(of peer: String) -> String {
        guard let values = values[peer], let middle = median(of: peer), let least = values.min(),
            let most = values.max()
        else { return "-" }
        let text = Self.number(middle / scale)
        return values.count == 1
            ? text : "\(text) (\(Self.number(least / scale)) to \(Self.number(most / scale)))"
    }

    /// Three digits that say something, thousands set apart.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        let text = String(format: "%.\(digits)f", value)
        guard digits == 0 else { return text }
        var grouped = ""
        for (index, character) in text.reversed().enumerated() {
            if index > 0, index % 3 == 0, character != "-" { grouped.append(",") }
            grouped.append(character)
        }
        return String(grouped.reversed())
    }
}

/// What came out of a case.
struct BrokerOutcome {
    var item: BrokerCase
    var figures: [BrokerFigure] = []
    /// Rounds that do not count, and why: `mosquitto, round 3: 12 messages missing`.
    var invalid: [String] = []
    /// What else there is to say: `rate 31,000 messages/s`.
    var notes: [String] = []
}
