import Bus
import Model
import NIOEmbedded
import Testing

@testable import BrokerCore

@Suite("Subscription tree")
struct TreeTests {
    @Test("finds what a comparison of every filter with the topic finds, while subscriptions come and go")
    func againstNaive() throws {
        let desk = Desk()
        let shard = desk.exchange.shards[0]
        var random = SplitMix64(seed: 3)
        let levels = ["a", "b", "", "$x", "longer-level"]
        func filter() -> String {
            var parts: [String] = []
            for _ in 0...Int(random.next() % 4) {
                parts.append(random.next() % 4 == 0 ? "+" : levels[Int(random.next() % 5)])
            }
            if random.next() % 4 == 0 { parts.append("#") }
            let text = parts.joined(separator: "/")
            return text.isEmpty ? "#" : text
        }
        func topic() -> String {
            let text = (0...Int(random.next() % 4)).map { _ in levels[Int(random.next() % 5)] }.joined(separator: "/")
            return text.isEmpty ? "a" : text
        }
        let session = Session(clientID: "c", shard: shard, serial: 1, version: .v5)
        for round in 0..<6000 {
            if random.next() % 3 == 0 {
                let text = filter()
                if session.subscriptions[text] != nil {
                    #expect(shard.unsubscribe(session, text))
                } else {
                    let parsed = try TopicFilter(text)
                    // The identifier tells the filters apart.
                    _ = shard.subscribe(
                        session, parsed, SubscriptionOptions(qos: .atMostOnce), subscriptionID: UInt32(round + 1)
                    ) {}
                }
            } else {
                let name = try Topic(topic())
                let route = shard.route(known: name.utf8)
                let found = route.targets.map(\.subscriptionID).sorted()
                let expected = session.subscriptions.values.filter { $0.filter.matches(name) }
                    .map(\.subscriptionID).sorted()
                #expect(found == expected, "\(name) among \(session.subscriptions.keys)")
            }
        }
        for text in Array(session.subscriptions.keys) { #expect(shard.unsubscribe(session, text)) }
        #expect(shard.tree.filterCount == 0)
    }

    @Test("a change of one filter leaves unrelated topics resolved")
    func locality() throws {
        let desk = Desk()
        let shard = desk.exchange.shards[0]
        let session = Session(clientID: "c", shard: shard, serial: 1, version: .v5)
        _ = shard.route(known: "plant/line1/press/temperature")
        _ = shard.route(known: "office/light")
        let before = shard.counters.routesResolved
        _ = shard.subscribe(
            session, try TopicFilter("plant/line1/#"), SubscriptionOptions(qos: .atMostOnce), subscriptionID: 0
        ) {}
        _ = shard.route(known: "office/light")
        #expect(shard.counters.routesResolved == before)
        _ = shard.route(known: "plant/line1/press/temperature")
        #expect(shard.counters.routesResolved == before + 1)
    }

    @Test("the cache keeps to its bound")
    func bound() {
        var limits = ExchangeLimits()
        limits.routeCacheMax = 100
        let desk = Desk(limits: limits)
        let shard = desk.exchange.shards[0]
        for index in 0..<1000 { _ = shard.route(known: Bytes("t/\(index)")) }
        #expect(shard.routes.count <= 100)
        #expect(shard.routes.cleared > 0)
    }

    @Test("retained messages are found by any filter, and expired ones go")
    func retained() throws {
        let store = RetainedStore()
        let origin = Origin(.system, clientID: "x")
        func message(_ topic: String, _ payload: String = "x", expiresAt: Int64 = .max) -> StoredMessage {
            StoredMessage(
                topic: Bytes(topic), payload: .bytes(Bytes(payload)), wireProperties: Bytes(), qos: .atMostOnce,
                retain: true, receivedAt: Timestamp(nanoseconds: 0), expiresAt: expiresAt, origin: origin)
        }
        let topics = ["a", "a/b", "a/b/c", "a//c", "b", "$SYS/x", "/"]
        for topic in topics { #expect(store.set(message(topic), countMax: 10)) }
        for text in ["#", "a/#", "+", "+/+", "a/+/c", "a/b", "$SYS/#", "/", "+/+/+", "nothing/#"] {
            let filter = try TopicFilter(text)
            let expected = topics.filter { topic in (try? Topic(topic)).map(filter.matches) ?? false }.sorted()
            #expect(store.matching(Bytes(text), now: 0).map(\.topic.string).sorted() == expected, "\(text)")
        }
        #expect(store.set(message("a/b", ""), countMax: 10))
        #expect(store.find("a/b") == nil)
        #expect(store.count == topics.count - 1)
        _ = store.set(message("late", expiresAt: 5), countMax: 10)
        #expect(store.matching("late", now: 6).isEmpty)
        #expect(store.find("late") == nil)
        for index in 0..<10 { _ = store.set(message("n/\(index)"), countMax: 8) }
        #expect(store.count == 8)
    }
}

@Suite("In-flight ring")
struct InflightRingTests {
    private let message = StoredMessage(
        topic: "t", payload: .bytes("p"), wireProperties: Bytes(), qos: .atLeastOnce, retain: false,
        receivedAt: Timestamp(nanoseconds: 0), expiresAt: .max, origin: Origin(.system, clientID: "x"))

    @Test("gives identifiers that nothing in flight has, through many turns, whatever the order of answers")
    func againstSet() throws {
        var ring = InflightRing()
        var open: [UInt16] = []
        var random = SplitMix64(seed: 5)
        for _ in 0..<300_000 {
            if open.count < 500, ring.hasRoom, random.next() % 2 == 0 || open.isEmpty {
                let id = ring.add(message, flags: 1, subscriptionID: 0, group: nil)
                #expect(id != 0)
                open.append(id)
            } else {
                // Mostly the oldest, as clients do.
                let index = random.next() % 8 == 0 ? Int(random.next() % UInt64(open.count)) : 0
                let id = open.remove(at: index)
                #expect(ring.state(id) == .awaitingPuback)
                ring.remove(id)
                #expect(ring.state(id) == .free)
            }
            if ring.count != open.count { Issue.record("count \(ring.count) is not \(open.count)") }
        }
        #expect(Set(open).count == open.count)
        #expect(ring.unfinished.map(\.packetID) == open)
    }

    @Test("moves with its identifiers")
    func restore() {
        var ring = InflightRing()
        let ids = (0..<10).map { _ in ring.add(message, flags: 2, subscriptionID: 0, group: nil) }
        for id in [ids[0], ids[3], ids[4]] { ring.remove(id) }
        ring.markReceived(ids[1])
        var other = InflightRing()
        other.restore(ring.unfinished, nextPacketID: ring.nextPacketID)
        #expect(other.unfinished.map(\.packetID) == ring.unfinished.map(\.packetID))
        #expect(other.state(ids[1]) == .awaitingPubcomp)
        #expect(other.state(ids[2]) == .awaitingPubrec)
        #expect(other.add(message, flags: 1, subscriptionID: 0, group: nil) == 11)
    }
}
