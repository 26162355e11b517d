import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("Strategies of shared subscriptions")
struct SharedStrategyTests {
    /// Members `m0`, `m1`, ... of the group `g`, spread over the shards.
    private func members(_ desk: Desk, _ count: Int, window: UInt16 = 100) -> [TestClient] {
        (0..<count).map { number in
            let member = desk.connected("m\(number)", shard: number % desk.exchange.shards.count, clean: false) {
                $0.properties.receiveMaximum = window
                $0.properties.sessionExpiryInterval = 100
            }
            member.subscribe("$share/g/t/+", SubscriptionOptions(qos: .atLeastOnce))
            _ = member.take()
            return member
        }
    }

    private func desk(_ strategy: SharedStrategy, shards: Int = 2) -> Desk {
        var limits = ExchangeLimits()
        limits.sharedStrategies["g"] = strategy
        return Desk(shards: shards, limits: limits)
    }

    private func publish(_ desk: Desk, _ publisher: TestClient, _ count: Int, topic: (Int) -> String = { _ in "t/0" }) {
        for number in 0..<count {
            publisher.publish(topic(number), "\(number)", qos: .atLeastOnce, id: UInt16(number + 1))
        }
        desk.settle()
        _ = publisher.take()
    }

    @Test("by topic: each topic has one member, and keeps him when others come and go")
    func byTopic() {
        let desk = desk(.hashTopic)
        let members = members(desk, 4)
        let publisher = desk.connected("p")
        publish(desk, publisher, 200) { "t/\($0 % 50)" }
        var owner: [String: Int] = [:]
        for (index, member) in members.enumerated() {
            for message in member.messages() {
                #expect(owner[message.topic] == nil || owner[message.topic] == index)
                owner[message.topic] = index
            }
        }
        #expect(owner.count == 50)
        #expect(Set(owner.values) == [0, 1, 2, 3])
        members[3].vanish()
        desk.settle()
        publish(desk, publisher, 50) { "t/\($0)" }
        for (index, member) in members[..<3].enumerated() {
            for message in member.messages() {
                #expect(owner[message.topic] == index || owner[message.topic] == 3)
            }
        }
    }

    @Test("by client: what one publisher says goes to one member")
    func byClient() {
        let desk = desk(.hashClient)
        let members = members(desk, 3)
        for number in 0..<30 { publish(desk, desk.connected("p\(number)"), 5) { "t/\($0)" } }
        let counts = members.map { $0.messages().count }
        #expect(counts.reduce(0, +) == 150)
        #expect(counts.allSatisfy { $0 > 0 && $0 % 5 == 0 })
    }

    @Test("sticky: one gets everything until he goes")
    func sticky() {
        let desk = desk(.sticky)
        let members = members(desk, 3)
        let publisher = desk.connected("p")
        publish(desk, publisher, 20)
        let counts = members.map { $0.messages().count }
        #expect(counts.sorted() == [0, 0, 20])
        let first = counts.firstIndex(of: 20) ?? 0
        members[first].vanish()
        desk.settle()
        publish(desk, publisher, 20)
        let others = members.indices.filter { $0 != first }.map { members[$0].messages().count }
        // What the first had not acknowledged comes on top.
        #expect(others.sorted() == [0, 40])
    }

    @Test("random: everybody gets some, nothing is lost")
    func random() {
        let desk = desk(.random)
        let members = members(desk, 3)
        publish(desk, desk.connected("p"), 90)
        let counts = members.map { $0.messages().count }
        #expect(counts.reduce(0, +) == 90)
        #expect(counts.allSatisfy { $0 > 10 && $0 < 60 })
    }

    @Test("least in flight: who does not acknowledge gets no more than the others have left to do", arguments: [1, 2])
    func leastInFlight(_ shards: Int) {
        let desk = desk(.leastInFlight, shards: shards)
        let members = members(desk, 2)
        let publisher = desk.connected("p")
        var counts = [0, 0]
        for number in 0..<40 {
            publisher.publish("t/0", "\(number)", qos: .atLeastOnce, id: UInt16(number + 1))
            desk.settle()
            // The second answers at once, the first never.
            counts[0] += members[0].messages().count
            for message in members[1].messages() {
                counts[1] += 1
                members[1].send(.puback(AcknowledgePacket(packetID: message.packetID ?? 0, reason: .success)))
            }
            desk.settle()
        }
        #expect(counts[0] + counts[1] == 40)
        #expect(counts[0] <= 2)
    }

    @Test("none chooses a member that is away while another is there", arguments: SharedStrategy.allCases)
    func away(_ strategy: SharedStrategy) {
        let desk = desk(strategy)
        let members = members(desk, 4)
        for member in members[..<3] { member.vanish() }
        desk.settle()
        publish(desk, desk.connected("p"), 40) { "t/\($0)" }
        #expect(members[3].messages().count == 40)
    }

    @Test("a strategy changes while members are there")
    func change() {
        let desk = desk(.sticky, shards: 1)
        let members = members(desk, 2)
        let publisher = desk.connected("p")
        publish(desk, publisher, 10)
        #expect(members.map { $0.messages().count }.sorted() == [0, 10])
        var limits = desk.exchange.limits
        limits.sharedStrategies = [:]
        desk.exchange.shards[0].setLimits(limits)
        publish(desk, publisher, 10)
        #expect(members.map { $0.messages().count } == [5, 5])
    }
}
