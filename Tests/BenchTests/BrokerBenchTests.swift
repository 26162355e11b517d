import Testing

@testable import Bench

@Suite("Broker benchmark")
struct BrokerBenchTests {
    @Test("the generator's packets are those of MQTT 3.1.1")
    func packets() {
        #expect(
            MinimalMQTT.connect(clientID: "a")
                == [0x10, 13, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61])
        #expect(MinimalMQTT.subscribe("t") == [0x82, 6, 0, 1, 0, 1, 0x74, 0])
        #expect(MinimalMQTT.publish("t", [1]) == [0x30, 4, 0, 1, 0x74, 1])
        let long = MinimalMQTT.publish("t", [UInt8](repeating: 0, count: 200))
        #expect(Array(long.prefix(3)) == [0x30, 0xCB, 0x01] && long.count == 206)
    }

    @Test("a measurement survives the way from one process to the other, and nothing else is taken for one")
    func measurement() {
        let measured = BrokerMeasurement(
            deliveries: 1000, brokerNanoseconds: 500_000_000, wallNanoseconds: 2_000_000_000)
        #expect(BrokerMeasurement(line: measured.line) == measured)
        #expect(measured.deliveriesPerCPUSecond == 2000)
        #expect(BrokerMeasurement(line: "measured 1 2") == nil)
        #expect(BrokerMeasurement(line: "") == nil)
    }

    @Test("medians of odd and even counts")
    func medians() {
        #expect(median([3, 1, 2]) == 2)
        #expect(median([4, 1, 2, 3]) == 2.5)
        #expect(median([]).isNaN)
    }

    @Test("wrong options are refused before anything is started")
    func options() async {
        await #expect(throws: (any Error).self) { try await benchBroker(rounds: 0) }
        await #expect(throws: (any Error).self) { try await benchBroker(seconds: 61) }
        #expect(throws: (any Error).self) { try benchGenerate(["fan-in"]) }
        #expect(throws: (any Error).self) { try benchGenerate(["fan-out", "1", "1", "1", "1", "1"]) }
    }
}
