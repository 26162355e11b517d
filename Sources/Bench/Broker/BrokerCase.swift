import Foundation
import Model

/// One thing to measure, and what is promised of it.
struct BrokerCase: Equatable {
    enum Kind: Equatable {
        /// Deliveries per CPU-second of the broker.
        case traffic
        /// The same of Tundish on two loops against Tundish on one.
        case loops
        /// Latency at half of the peer's greatest rate.
        case latency
        case connect(usesTLS: Bool)
        /// Resident memory of so many connections with a subscription each.
        case idle(connections: Int)
        /// QoS 1 into persistent sessions that are away, and their return.
        case durable
    }

    /// As `--only` and the report name it.
    var name: String
    var title: String
    var kind: Kind
    var shape = LoadShape()
    var qos = 0
    var window = 1
    var payloadBytes = 64
    var isPersistent = false
    /// What is promised: of traffic, connections and latency as a multiple of the peer's figure.
    var limit: Double?
    /// What must be reached at the least, where that is less than the promise.
    var floor: Double?

    /// What `tundish bench broker` runs without `--only`, in its order.
    static let all: [BrokerCase] = traffic + loops + latency + others

    private static let traffic: [BrokerCase] = {
        var cases: [BrokerCase?] = []
        for qos in 0...1 {
            for bytes in [64, 256] {
                for shape in ["pairs-50", "fanin-50", "fanout-50"] {
                    cases.append(named("\(shape)-q\(qos)-w20-\(bytes)", limit: 8, floor: 5))
                }
            }
        }
        cases.append(named("fanin-1000-q0-w2-64", limit: 2))
        cases.append(named("pairs-50-q0-w1-64", limit: 1.25))
        cases.append(named("pairs-1000-q0-w1-64", limit: 1.6))
        for name in [
            "pairs-50-q2-w20-64", "fanin-50-q2-w20-64", "fanout-50-q2-w20-64", "pairs-50-q1-w20-64-persistent",
            "fanin-50-q1-w20-64-persistent",
        ] {
            cases.append(named(name, limit: 4))
        }
        return cases.compactMap(\.self)
    }()

    private static let loops: [BrokerCase] = [
        "pairs-50-q0-w20-64", "fanin-50-q0-w20-64", "fanout-50-q0-w20-64", "pairs-50-q1-w20-64", "fanin-50-q1-w20-64",
        "fanout-50-q1-w20-64", "fanin-1000-q0-w2-64", "pairs-50-q0-w1-64",
    ].compactMap { named("loops-" + $0, limit: 0.9) }

    private static let latency: [BrokerCase] = [
        "pairs-50-q0-w1-64", "pairs-50-q0-w20-64", "fanin-50-q0-w20-64", "fanout-50-q0-w20-64", "pairs-50-q1-w20-64",
        "fanin-50-q1-w20-64", "fanout-50-q1-w20-64",
    ].compactMap { named("latency-" + $0, limit: 1) }

    private static let others: [BrokerCase] = [
        BrokerCase(name: "connect", title: "Clients that connect and leave", kind: .connect(usesTLS: false), limit: 1),
        BrokerCase(
            name: "tls", title: "The same with full TLS handshakes, ECDSA P-256", kind: .connect(usesTLS: true),
            limit: 1),
        BrokerCase(
            name: "idle-10000", title: "10,000 idle connections, one subscription each",
            kind: .idle(connections: 10_000),
            limit: 6),
        BrokerCase(
            name: "idle-50000", title: "50,000 idle connections, one subscription each",
            kind: .idle(connections: 50_000),
            limit: 6),
        durable("durable-pairs-100", .pairs(100), "100 publishers into 100 sessions that are away"),
        durable("durable-fanin-100", .fanIn(100), "100 publishers into one session that is away"),
    ]

    private static func durable(_ name: String, _ shape: LoadShape, _ title: String) -> BrokerCase {
        BrokerCase(
            name: name, title: title + ", QoS 1, 100 in flight each", kind: .durable, shape: shape, qos: 1, window: 100,
            isPersistent: true, limit: 100)
    }

    /// Reads `SHAPE-CLIENTS-qQOS-wWINDOW-BYTES`, with `-persistent` behind it for persistent sessions, and `loops-` or
    /// `latency-` before it; shapes are pairs, fanin and fanout. Nil for what is not so named.
    static func named(_ name: String, limit: Double? = nil, floor: Double? = nil) -> BrokerCase? {
        var words = name.split(separator: "-").map(String.init)
        var kind = Kind.traffic
        if words.first == "loops" { kind = .loops }
        if words.first == "latency" { kind = .latency }
        if kind != .traffic { words.removeFirst() }
        let isPersistent = words.last == "persistent"
        if isPersistent { words.removeLast() }
        guard words.count == 5, let clients = Int(words[1]), (1...10_000).contains(clients), words[2].hasPrefix("q"),
            let qos = Int(words[2].dropFirst()), (0...2).contains(qos), words[3].hasPrefix("w"),
            let window = Int(words[3].dropFirst()), (1...10_000).contains(window), let bytes = Int(words[4]),
            (LoadPlan.payloadBytesMin...(1 << 20)).contains(bytes), !isPersistent || qos > 0
        else { return nil }
        let shapes: [String: (LoadShape, String)] = [
            "pairs": (.pairs(clients), "\(clients) pairs"), "fanin": (.fanIn(clients), "Fan-in \(clients) to 1"),
            "fanout": (.fanOut(clients), "Fan-out 1 to \(clients)"),
        ]
        guard let (shape, title) = shapes[words[0]] else { return nil }
        return BrokerCase(
            name: name,
            title: "\(title), QoS \(qos), window \(window), \(bytes) bytes"
                + (isPersistent ? ", persistent sessions" : ""),
            kind: kind, shape: shape, qos: qos, window: window, payloadBytes: bytes, isPersistent: isPersistent,
            limit: limit, floor: floor)
    }

    /// The cases that a person asks for: all without a word; otherwise those with that name, those whose name begins
    /// or goes on with it at a hyphen, and what the name itself describes.
    static func chosen(_ words: [String]) throws(Problem) -> [BrokerCase] {
        guard !words.isEmpty else { return all }
        var chosen: [BrokerCase] = []
        for word in words {
            let exact = all.filter { $0.name == word }
            let found =
                !exact.isEmpty
                ? exact
                : all.filter { "-\($0.name)-".contains("-\(word)-") || $0.name.hasPrefix(word + "-") }
            if !found.isEmpty {
                chosen += found.filter { !chosen.contains($0) }
            } else if let described = named(word) {
                chosen.append(described)
            } else {
                throw Problem(
                    "bench.usage",
                    "there is no scenario \"\(word)\"; --list names all, and pairs-200-q1-w5-1000 describes one of your own",
                    ["scenario": word])
            }
        }
        return chosen
    }

    /// What the generator is told, but for where the broker is.
    var plan: LoadPlan {
        var plan = LoadPlan()
        plan.shape = shape
        plan.qos = qos
        plan.window = window
        plan.payloadBytes = payloadBytes
        plan.isPersistent = isPersistent
        return plan
    }
}
