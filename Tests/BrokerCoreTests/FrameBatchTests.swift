import Bus
import Model
import NIOEmbedded
import Synchronization
import Testing

@testable import BrokerCore

@Suite("Messages between shards")
struct FrameBatchTests {
    /// All that can change how a message is handed over: kept, retained, large, of another form, with properties.
    private static func sequence() -> [PublishPacket] {
        var list: [PublishPacket] = []
        for number in 0..<40 {
            var message = PublishPacket(topic: "t/\(number % 3)", payload: Bytes("\(number)"))
            switch number % 8 {
            case 1: message.retain = true
            case 2:
                message.payload = Bytes([UInt8](repeating: UInt8(number), count: FrameBatch.messageBytesMax + number))
            case 3: (message.qos, message.packetID) = (.atLeastOnce, UInt16(number))
            case 4:
                message.properties.contentType = "text/plain"
                message.properties.userProperties = [UserProperty("a", "1"), UserProperty("a", "2")]
                message.properties.messageExpiryInterval = 60
            case 5: message.payload = Bytes()
            case 6: message.properties.topicAlias = UInt16(number % 3 + 1)
            case 7: (message.qos, message.packetID) = (.exactlyOnce, UInt16(number))
            default: break
            }
            list.append(message)
        }
        return list
    }

    @Test(
        "all that is published on one shard arrives on another in its order, with all its parts", arguments: [1, 2, 3])
    func order(turns: Int) {
        let desk = Desk(shards: 2)
        let plain = desk.connected("plain", shard: 0)
        plain.subscribe("t/#", SubscriptionOptions(qos: .atMostOnce))
        let old = desk.connected("old", shard: 0, version: .v311)
        old.subscribe("t/#", SubscriptionOptions(qos: .atMostOnce))
        let near = desk.connected("near", shard: 1)
        near.subscribe("t/#", SubscriptionOptions(qos: .atMostOnce))
        let asking = desk.connected("asking", shard: 0)
        var subscription = SubscribePacket(packetID: 1, entries: [.init("t/#", SubscriptionOptions(qos: .atLeastOnce))])
        subscription.properties.subscriptionIdentifiers = [200]
        asking.send(.subscribe(subscription))
        for client in [plain, old, near, asking] { _ = client.take() }

        let publisher = desk.connected("p", shard: 1)
        _ = publisher.take()
        let sent = Self.sequence()
        for part in 0..<turns {
            var bytes: [UInt8] = []
            for message in sent[sent.count * part / turns..<sent.count * (part + 1) / turns] {
                bytes += message.encoded(.v5)
            }
            publisher.send(bytes)
        }
        #expect(publisher.take().count == 10)

        for client in [plain, old, near, asking] {
            let got = client.messages()
            #expect(got.map(\.topic) == sent.map(\.topic))
            #expect(got.map(\.payload) == sent.map(\.payload))
            #expect(got.allSatisfy { !$0.retain && !$0.isDuplicate })
            let qos = sent.map { client === asking ? min($0.qos.rawValue, 1) : 0 }
            #expect(got.map(\.qos.rawValue) == qos)
            if client === old { continue }
            #expect(got.map(\.properties.userProperties) == sent.map(\.properties.userProperties))
            #expect(got.map(\.properties.contentType) == sent.map(\.properties.contentType))
            #expect(got.map(\.properties.messageExpiryInterval) == sent.map(\.properties.messageExpiryInterval))
            #expect(got.allSatisfy { $0.properties.topicAlias == nil })
            let identifiers: [UInt32] = client === asking ? [200] : []
            #expect(got.allSatisfy { $0.properties.subscriptionIdentifiers == identifiers })
        }
    }

    @Test("who published is known on the other shard: no-local holds, components are told")
    func origins() {
        let desk = Desk(shards: 2)
        let publishers = ["a", "b"].map { desk.connected($0, shard: 1) }
        let watcher = desk.connected("w", shard: 0)
        watcher.subscribe("t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))
        let own = desk.connected("x", shard: 0)
        own.subscribe("t", SubscriptionOptions(qos: .atMostOnce, noLocal: true))
        _ = (watcher.take(), own.take())
        for round in 0..<3 {
            for publisher in publishers {
                publisher.push(PublishPacket(topic: "t", payload: Bytes("\(round)")).encoded(.v5))
            }
        }
        own.push(PublishPacket(topic: "t", payload: Bytes("own")).encoded(.v5))
        desk.settle()
        #expect(watcher.payloads().sorted() == ["0", "0", "1", "1", "2", "2", "own"])
        #expect(own.payloads().sorted() == ["0", "0", "1", "1", "2", "2"])
    }

    @Test("what expires on its way between shards is counted and not delivered")
    func expiry() {
        let desk = Desk(shards: 2)
        let subscriber = desk.connected("s", shard: 0)
        subscriber.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        _ = subscriber.take()
        let publisher = desk.connected("p", shard: 1)
        var brief = PublishPacket(topic: "t", payload: Bytes("brief"))
        brief.properties.messageExpiryInterval = 1
        publisher.push(brief.encoded(.v5) + PublishPacket(topic: "t", payload: Bytes("lasting")).encoded(.v5))
        desk.loops[1].run()
        desk.time.advance(nanoseconds: 2_000_000_000)
        let expired = desk.exchange.shards[0].counters.expired
        desk.settle()
        #expect(subscriber.payloads() == ["lasting"])
        #expect(desk.exchange.shards[0].counters.expired == expired + 1)
    }

    @Test("a burst of more than one block is handed over whole, and its messages are counted one by one")
    func burst() {
        let desk = Desk(shards: 2)
        let subscriber = desk.connected("s", shard: 0)
        subscriber.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        _ = subscriber.take()
        let publisher = desk.connected("p", shard: 1)
        let count = 3 * FrameBatch.bytesMax / 1000
        var bytes: [UInt8] = []
        for number in 0..<count {
            let digits = Array("\(number) ".utf8)
            let payload = digits + [UInt8](repeating: 46, count: 1000 - digits.count)
            bytes += PublishPacket(topic: "t", payload: Bytes(payload)).encoded(.v5)
        }
        let handed = desk.exchange.shards[1].counters.handedOver
        publisher.send(bytes)
        let numbers = subscriber.payloads().map { String($0.prefix { $0 != " " }) }
        #expect(numbers == (0..<count).map(String.init))
        #expect(desk.exchange.shards[1].counters.handedOver == handed + UInt64(count))
        #expect(desk.exchange.shards[0].arriving.load(ordering: .relaxed) == 0)
    }
}
