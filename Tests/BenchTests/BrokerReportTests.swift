import Model
import Testing

@testable import Bench

@Suite("Broker benchmark: scenarios and reports")
struct BrokerReportTests {
    private func outcome() throws -> BrokerOutcome {
        var outcome = BrokerOutcome(item: try #require(BrokerCase.named("pairs-50-q1-w20-64", limit: 8, floor: 5)))
        var figure = BrokerFigure(
            "deliveries per CPU-second", unit: "thousand", scale: 1000, .ratio(against: "mosquitto"), limit: 8, floor: 5
        )
        figure.values = ["tundish": [900_000, 1_000_000, 1_200_000], "mosquitto": [100_000, 110_000, 90_000]]
        outcome.figures = [figure]
        outcome.invalid = ["mosquitto, round 2: 3 messages missing"]
        outcome.notes = ["a note"]
        return outcome
    }

    @Test("a scenario is its name")
    func names() throws {
        let item = try #require(BrokerCase.named("fanin-1000-q2-w7-300-persistent"))
        #expect(item.shape == .fanIn(1000) && item.qos == 2 && item.window == 7 && item.payloadBytes == 300)
        #expect(item.isPersistent && item.kind == .traffic && item.limit == nil)
        #expect(BrokerCase.named("loops-fanout-3-q0-w1-64")?.kind == .loops)
        #expect(BrokerCase.named("latency-pairs-3-q0-w1-64")?.shape == .pairs(3))
        for wrong in [
            "", "pairs", "pairs-50-q3-w1-64", "pairs-0-q0-w1-64", "pairs-50-q0-w0-64", "pairs-50-q0-w1-8",
            "ring-50-q0-w1-64", "pairs-50-q0-w1-64-durable", "pairs-50-q0-w1-64-persistent", "loops",
        ] {
            #expect(BrokerCase.named(wrong) == nil, "\(wrong)")
        }
    }

    @Test("every scenario has a name of its own, a limit, and traffic is described by its name")
    func list() {
        #expect(Set(BrokerCase.all.map(\.name)).count == BrokerCase.all.count)
        for item in BrokerCase.all {
            #expect(item.limit != nil, "\(item.name)")
            if item.shape != LoadShape(), item.kind != .durable {
                #expect(BrokerCase.named(item.name)?.plan == item.plan, "\(item.name)")
            }
        }
    }

    @Test("--only takes a name, its beginning, a part between hyphens, or a description")
    func chosen() throws {
        #expect(try BrokerCase.chosen([]) == BrokerCase.all)
        #expect(try BrokerCase.chosen(["connect"]).map(\.name) == ["connect"])
        #expect(try BrokerCase.chosen(["latency"]).allSatisfy { $0.kind == .latency })
        #expect(try BrokerCase.chosen(["idle"]).count == 2)
        #expect(try BrokerCase.chosen(["q2"]).allSatisfy { $0.qos == 2 })
        #expect(try BrokerCase.chosen(["pairs-9-q1-w5-1000"]).first?.shape == .pairs(9))
        #expect(try BrokerCase.chosen(["connect", "connect"]).count == 1)
        #expect(throws: Problem.self) { try BrokerCase.chosen(["nothing-like-it"]) }
    }

    @Test("brokers that run already, and other builds, are read from a word")
    func peers() throws {
        #expect(
            try BrokerPeer.running("emqx=10.0.0.5:1884:77")
                == BrokerPeer(name: "emqx", origin: .running(host: "10.0.0.5", port: 1884, pid: 77)))
        #expect(try BrokerPeer.running("n=localhost:1").origin == .running(host: "localhost", port: 1, pid: 0))
        for wrong in ["", "x", "x=", "x=host", "x=host:", "x=host:0", "=h:1", "x=h:1:p", "x=h:1:2:3", "x=h:70000"] {
            #expect(throws: Problem.self, "\(wrong)") { try BrokerPeer.running(wrong) }
        }
        #expect(
            try BrokerPeer.tundish("old=/opt/tundish --config a=b")
                == BrokerPeer(
                    name: "old",
                    origin: .tundish(executable: "/opt/tundish", arguments: ["--config", "a=b"], threads: 1)))
        #expect(throws: Problem.self) { try BrokerPeer.tundish("old") }
    }

    @Test("a figure is judged by its medians: limit, floor, missed")
    func verdicts() throws {
        var figure = try #require(outcome().figures.first)
        #expect(figure.judged == 10 && figure.verdict == .reached)
        figure.values["tundish"] = [600_000]
        #expect(figure.verdict == .floorReached)
        figure.values["tundish"] = [400_000]
        #expect(figure.verdict == .missed)
        figure.values["mosquitto"] = nil
        #expect(figure.judged == nil && figure.verdict == nil)
        var memory = BrokerFigure("memory", unit: "KB", scale: 1024, .atMost, limit: 6)
        memory.values["tundish"] = [6 * 1024]
        #expect(memory.verdict == .reached)
        memory.values["tundish"] = [6.1 * 1024]
        #expect(memory.verdict == .missed)
        var latency = BrokerFigure("latency", .inverseRatio(against: "mosquitto"), limit: 1)
        latency.values = ["tundish": [50], "mosquitto": [100]]
        #expect(latency.judged == 2 && latency.verdict == .reached)
    }

    @Test("numbers have three digits that say something")
    func numbers() {
        #expect(BrokerFigure.number(1.234) == "1.23")
        #expect(BrokerFigure.number(12.34) == "12.3")
        #expect(BrokerFigure.number(123.4) == "123")
        #expect(BrokerFigure.number(1_234_567) == "1,234,567")
        #expect(BrokerFigure.number(.nan) == "-")
    }

    @Test("the report has every figure with its spread, the limit, and what did not count")
    func markdown() throws {
        var setting = BenchSetting()
        setting.date = "2026-01-02"
        setting.brokers = ["tundish 1", "mosquitto 2"]
        let text = BrokerReport.markdown([try outcome()], setting)
        #expect(text.contains("| scenario | tundish | mosquitto | judged | limit |  |"))
        #expect(
            text.contains(
                "| 50 pairs, QoS 1, window 20, 64 bytes | 1,000 (900 to 1,200) | 100 (90.0 to 110) | 10.0 | 8.00, floor 5.00 | reached |"
            ))
        #expect(text.contains("mosquitto, round 2: 3 messages missing"))
        #expect(text.contains("a note"))
        #expect(!text.contains("debug build"))
        let lines = BrokerReport.lines(try outcome())
        #expect(lines.contains("-> 10.0  limit 8.00, floor 5.00  reached"))
    }

    @Test("the chart has a bar and a mark for every judged figure, and nothing that is not XML")
    func chart() throws {
        var setting = BenchSetting()
        setting.date = "<&>"
        setting.brokers = ["a", "b"]
        let svg = BrokerChart([try outcome()], setting).svg
        #expect(svg.contains("&lt;&amp;&gt;") && !svg.contains("<&>"))
        #expect(svg.contains("10.0 × mosquitto"))
        // The bar of the one figure and the legend's.
        #expect(svg.components(of: "<rect class=\"good\"") == 2)
        #expect(svg.components(of: "<line class=\"limit\"") == 2)
        #expect(svg.components(of: "<text") == svg.components(of: "</text>"))
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        #expect(BrokerChart([], setting).panels.isEmpty)
    }

    @Test("a logarithmic axis puts its ends at its ends")
    func axis() {
        let axis = Axis(from: 0.5, to: 50, width: 100)
        #expect(axis.at(0.1) == 0 && axis.at(50) == 100 && axis.at(500) == 100)
        #expect(abs(axis.at(5) - 50) < 1e-9)
        #expect(axis.ticks == [0.5, 1, 2, 5, 10, 20, 50])
    }
}

extension String {
    /// How often it holds a text.
    fileprivate func components(of text: String) -> Int { self.ranges(of: text).count }
}
