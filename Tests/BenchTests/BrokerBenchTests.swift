import Testing

@testable import Bench

@Suite("Broker benchmark")
struct BrokerBenchTests {
    @Test("the generator's packets are those of MQTT 3.1.1")
    func packets() {
        #expect(
            MinimalMQTT.connect(clientID: "a")
                == [0x10, 13, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61])
        #expect(
            MinimalMQTT.connect(clientID: "a", isClean: false)
                == [0x10, 13, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 0, 0, 0, 0, 1, 0x61])
        #expect(MinimalMQTT.subscribe("t", qos: 2) == [0x82, 6, 0, 1, 0, 1, 0x74, 2])
        #expect(MinimalMQTT.publish("t", [1]) == [0x30, 4, 0, 1, 0x74, 1])
        let acknowledged = MinimalMQTT.publish("t", [1], qos: 1)
        #expect(acknowledged == [0x32, 6, 0, 1, 0x74, 0, 0, 1])
        #expect(MinimalMQTT.identifierOffset(acknowledged, payloadBytes: 1) == 5)
        let long = MinimalMQTT.publish("t", [UInt8](repeating: 0, count: 200))
        #expect(Array(long.prefix(3)) == [0x30, 0xCB, 0x01] && long.count == 206)
    }

    @Test("plans and results survive the way from one process to the other, and nothing else is taken for one")
    func wire() throws {
        var plan = LoadPlan()
        plan.shape = .fanIn(7)
        plan.qos = 2
        plan.isPersistent = true
        #expect(try LoadPlan.decode(plan.encoded()) == plan)
        plan.qos = 3
        #expect(throws: (any Error).self) { try LoadPlan.decode(plan.encoded()) }
        var result = LoadResult()
        result.measured = LoadPhase(count: 1000, brokerNanoseconds: 500_000_000, wallNanoseconds: 2_000_000_000)
        result.latency = LatencySummary(p50: 12.5, p99: 99, max: 1000)
        result.account.missing = 3
        #expect(LoadResult(line: try result.line) == result)
        #expect(result.measured.perCPUSecond == 2000)
        #expect(result.measured.perSecond == 500)
        #expect(LoadResult(line: "measured 1 2") == nil)
        #expect(LoadResult(line: "") == nil)
    }

    @Test("processor time of a broker that nobody knows gives no figure")
    func unknownProcess() throws {
        #expect(LoadPhase(count: 5, brokerNanoseconds: 0, wallNanoseconds: 1).perCPUSecond == nil)
        #expect(try Processes.used(0) == 0)
    }

    @Test("medians of odd and even counts")
    func medians() {
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 2, 3]) == 2.5)
        #expect(median([]).isNaN)
    }

    @Test("wrong options are refused before anything is started")
    func options() {
        var options = BrokerBenchOptions()
        options.rounds = 0
        #expect(throws: (any Error).self) { try benchBroker(options) }
        options.rounds = 1
        options.seconds = 61
        #expect(throws: (any Error).self) { try benchBroker(options) }
        options.seconds = 1
        options.only = ["no-such-scenario"]
        #expect(throws: (any Error).self) { try benchBroker(options) }
        #expect(throws: (any Error).self) { try benchGenerate([]) }
        #expect(throws: (any Error).self) { try benchGenerate(["{}"]) }
    }
}
