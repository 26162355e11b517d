import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("Durability")
struct DurabilityTests {
    /// A desk on what a store holds after its process was killed.
    private func restarted(
        _ store: TestStore, _ time: ManualTime, shards: Int = 1, extra: Int = 0, seed: UInt64 = 9,
        limits: ExchangeLimits = ExchangeLimits()
    ) -> Desk {
        Desk(shards: shards, limits: limits, store: store.survivor(extra: extra), time: time, seed: seed)
    }

    @Test("a sleeping session's subscriptions and messages survive; they come in order", arguments: [1, 2, 3])
    func sleeping(shards: Int) {
        let store = TestStore()
        let desk = Desk(shards: shards, store: store)
        let subscriber = desk.connected("s", shard: shards - 1, clean: false, expiry: 1000)
        subscriber.subscribe("t/+")
        subscriber.vanish()
        let publisher = desk.connected("p")
        for number in 0..<10 {
            publisher.publish(
                "t/a", "\(number)", qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce, id: UInt16(number + 1))
        }
        for newShards in 1...3 {
            let next = restarted(store, desk.time, shards: newShards)
            #expect(next.exchange.recovered?.sessions == 1)
            let back = next.connected("s", shard: newShards - 1, clean: false, expiry: 1000)
            if case .connack(let answer) = back.packets.first { #expect(answer.sessionPresent) }
            #expect(back.payloads() == (0..<10).map(String.init), "\(newShards) shards")
            let other = next.connected("q")
            other.publish("t/b", "more", qos: .atLeastOnce)
            #expect(back.payloads() == ["more"])
        }
    }

    @Test("what was in flight comes again with its packet identifiers, what was finished does not [MQTT-4.4.0-1]")
    func inflight() {
        let store = TestStore()
        let desk = Desk(store: store)
        let subscriber = desk.connected("s", clean: false, expiry: 1000)
        subscriber.subscribe("t")
        _ = subscriber.take()
        let publisher = desk.connected("p")
        for number in 1...4 { publisher.publish("t", "q1-\(number)", qos: .atLeastOnce, id: 1) }
        for number in 5...8 { publisher.publish("t", "q2-\(number)", qos: .exactlyOnce, id: UInt16(number)) }
        #expect(subscriber.messages().map(\.packetID) == Array(1...8))
        subscriber.send(.puback(AcknowledgePacket(packetID: 2)))
        subscriber.send(.pubrec(AcknowledgePacket(packetID: 6)))
        subscriber.send(.pubrec(AcknowledgePacket(packetID: 7)))
        subscriber.send(.pubcomp(AcknowledgePacket(packetID: 7)))
        desk.exchange.shards[0].tick()
        let next = restarted(store, desk.time)
        let back = next.connected("s", clean: false, expiry: 1000)
        let packets = back.take()
        let messages = packets.compactMap { packet -> PublishPacket? in
            if case .publish(let message) = packet { return message }
            return nil
        }
        #expect(messages.map(\.packetID) == [1, 3, 4, 5, 8])
        #expect(messages.map(\.isDuplicate) == [true, true, true, true, true])
        #expect(packets.contains(.pubrel(AcknowledgePacket(packetID: 6))))
        #expect(next.exchange.shards[0].sessions["s"]?.inflight.nextPacketID == 9)
    }

    @Test(
        "nothing goes ahead of what was in flight while that is being read back",
        arguments: [QoS.atLeastOnce, .exactlyOnce])
    func resuming(_ qos: QoS) {
        let store = TestStore()
        let desk = Desk(store: store)
        let subscriber = desk.connected("s", clean: false, expiry: 1000)
        subscriber.subscribe("t", SubscriptionOptions(qos: qos))
        for number in 1...3 { desk.connected("p").publish("t", "\(number)", qos: qos, id: 1) }
        #expect(subscriber.messages().count == 3)
        let survivor = store.survivor()
        let next = Desk(store: survivor, time: desk.time)
        survivor.holdsWork = true
        let back = next.connected("s", clean: false, expiry: 1000)
        next.connected("p").publish("t", "4", qos: qos, id: 2)
        #expect(back.messages().isEmpty)
        survivor.holdsWork = false
        survivor.runWork()
        next.settle()
        #expect(back.payloads() == ["1", "2", "3", "4"])
    }

    @Test("a QoS 2 message that comes again after a crash is not passed on again")
    func incoming() {
        let store = TestStore()
        let desk = Desk(store: store)
        let subscriber = desk.connected("s", clean: false, expiry: 1000)
        subscriber.subscribe("t")
        subscriber.vanish()
        let publisher = desk.connected("p", clean: false, expiry: 1000)
        publisher.publish("t", "once", qos: .exactlyOnce, id: 7)
        let next = restarted(store, desk.time)
        let again = next.connected("p", clean: false, expiry: 1000)
        _ = again.take()
        again.publish("t", "once", qos: .exactlyOnce, id: 7)
        #expect(again.take() == [.pubrec(AcknowledgePacket(packetID: 7))])
        again.send(.pubrel(AcknowledgePacket(packetID: 7)))
        #expect(again.take() == [.pubcomp(AcknowledgePacket(packetID: 7))])
        #expect(next.connected("s", clean: false, expiry: 1000).payloads() == ["once"])
        again.publish("t", "twice", qos: .exactlyOnce, id: 7)
        let third = Desk(store: (next.exchange.store as? TestStore)?.survivor() ?? TestStore(), time: desk.time)
        #expect(third.connected("s", clean: false, expiry: 1000).payloads() == ["once", "twice"])
    }

    @Test("retained messages survive, the newest of each topic, and those removed do not come back", arguments: [1, 3])
    func retained(shards: Int) {
        let store = TestStore()
        let desk = Desk(shards: shards, store: store)
        for number in 0..<20 {
            let publisher = desk.connected("p\(number)", shard: number % shards)
            publisher.publish("r/\(number)", "old", qos: .atLeastOnce, retain: true)
            publisher.publish("r/\(number)", "new", qos: .atLeastOnce, retain: true, id: 2)
            if number % 4 == 0 { publisher.publish("r/\(number)", "", qos: .atLeastOnce, retain: true, id: 3) }
        }
        desk.exchange.shards.forEach { $0.tick() }
        let next = restarted(store, desk.time, shards: 2)
        let subscriber = next.connected("s")
        subscriber.subscribe("r/+", SubscriptionOptions(qos: .atLeastOnce))
        let found = subscriber.messages()
        #expect(found.count == 15)
        #expect(Set(found.map(\.payload.string)) == ["new"])
        #expect(found.filter(\.retain).count == 15)
    }

    @Test("wills of those who were connected are published after a crash, once; a farewell's are not")
    func wills() {
        let store = TestStore()
        let desk = Desk(store: store)
        let watcher = desk.connected("w", clean: false, expiry: 10_000)
        watcher.subscribe("will/#")
        watcher.vanish()
        func will(_ topic: String, delay: UInt32 = 0) -> (inout ConnectPacket) -> Void {
            return { packet in
                var will = WillPacket(topic: topic, payload: Bytes(topic), qos: .exactlyOnce)
                will.properties.willDelayInterval = delay == 0 ? nil : delay
                packet.will = will
            }
        }
        _ = desk.connected("clean", change: will("will/clean"))
        _ = desk.connected("kept", clean: false, expiry: 1000, change: will("will/kept"))
        _ = desk.connected("late", clean: false, expiry: 1000, change: will("will/late", delay: 60))
        desk.connected("gone", clean: false, expiry: 1000, change: will("will/gone")).vanish()
        desk.connected("polite", change: will("will/polite")).send(.disconnect(ReasonPacket(reason: .success)))
        let first = restarted(store, desk.time)
        first.advance(seconds: 1)
        let second = Desk(store: (first.exchange.store as? TestStore)?.survivor() ?? TestStore(), time: desk.time)
        second.advance(seconds: 1)
        let back = second.connected("w", clean: false, expiry: 10_000)
        #expect(back.payloads().sorted() == ["will/clean", "will/gone", "will/kept"])
        second.advance(seconds: 70)
        #expect(back.payloads() == ["will/late"])
        let third = Desk(store: (second.exchange.store as? TestStore)?.survivor() ?? TestStore(), time: desk.time)
        third.advance(seconds: 100)
        #expect(third.exchange.recovered?.sessions == 4)
    }

    @Test("expired sessions and messages go, by the wall clock")
    func expiry() {
        let store = TestStore()
        let desk = Desk(store: store)
        for (id, expiry) in [("short", UInt32(10)), ("long", 10_000)] {
            let client = desk.connected(id, clean: false, expiry: expiry)
            client.subscribe("t")
            client.vanish()
        }
        let publisher = desk.connected("p")
        var properties = Properties()
        properties.messageExpiryInterval = 30
        publisher.publish("t", "brief", qos: .atLeastOnce, properties: properties)
        properties.messageExpiryInterval = 300
        publisher.publish("t", "lasting", qos: .atLeastOnce, properties: properties)
        let time = ManualTime(Timestamp(nanoseconds: desk.time.now().nanoseconds + 60_000_000_000))
        let next = restarted(store, time)
        #expect(next.exchange.shards[0].sessions["short"] == nil)
        let back = next.connected("long", clean: false, expiry: 10_000)
        let messages = back.messages()
        #expect(messages.map(\.payload.string) == ["lasting"])
        #expect(messages.first?.properties.messageExpiryInterval == 240)
    }

    @Test("clients that come before the log has been taken up wait, however long that lasts")
    func waiting() {
        let store = TestStore()
        let desk = Desk(store: store)
        let sleeper = desk.connected("s", clean: false, expiry: 1000)
        sleeper.subscribe("t")
        sleeper.vanish()
        desk.connected("p").publish("t", "x", qos: .atLeastOnce)
        let survivor = store.survivor()
        survivor.holdsWork = true
        let next = Desk(shards: 2, store: survivor, time: desk.time)
        let back = next.connected("s", shard: 1, clean: false, expiry: 1000)
        for _ in 0..<5 { next.advance(seconds: 20) }
        #expect(back.take().isEmpty)
        #expect(!back.isClosed)
        survivor.holdsWork = false
        survivor.runWork()
        next.settle()
        #expect(back.payloads() == ["x"])
    }

    @Test("a waiting message that is not in memory is read back, in order, before it is sent")
    func readBack() {
        var limits = ExchangeLimits()
        limits.keptBytesMax = 100
        let store = TestStore()
        let desk = Desk(limits: limits, store: store)
        for id in ["a", "b"] {
            let client = desk.connected(id, clean: false, expiry: 1000)
            client.subscribe("t")
            client.vanish()
        }
        let publisher = desk.connected("p")
        for number in 0..<500 { publisher.publish("t", "message \(number)", qos: .atLeastOnce) }
        #expect(desk.exchange.shards[0].keptBytes < 200)
        #expect(desk.exchange.shards[0].counters.letGo > 400)
        for id in ["a", "b"] {
            let back = desk.connected(id, clean: false, expiry: 1000)
            var got: [String] = []
            while true {
                let messages = back.messages()
                if messages.isEmpty { break }
                got += messages.map(\.payload.string)
                for message in messages {
                    back.push(Packet.puback(AcknowledgePacket(packetID: message.packetID)).encoded(.v5))
                }
                desk.settle()
            }
            #expect(got == (0..<500).map { "message \($0)" })
        }
        #expect(desk.exchange.shards[0].keptBytes == 0)
        #expect(desk.exchange.shards[0].log.liveBytes == 0)
    }

    @Test("full queues refuse the newest or drop the oldest, counted, also across a restart", arguments: [false, true])
    func fullQueue(dropsOldest: Bool) {
        var limits = ExchangeLimits()
        limits.sessionQueueMax = 10
        limits.sessionQueueDropsOldest = dropsOldest
        let store = TestStore()
        let desk = Desk(limits: limits, store: store)
        let client = desk.connected("s", clean: false, expiry: 1000)
        client.subscribe("t")
        client.vanish()
        let publisher = desk.connected("p")
        for number in 0..<15 { publisher.publish("t", "\(number)", qos: .atLeastOnce) }
        #expect(desk.exchange.shards[0].counters.dropped == 5)
        let back = restarted(store, desk.time, limits: limits).connected("s", clean: false, expiry: 1000)
        #expect(back.payloads() == (dropsOldest ? 5..<15 : 0..<10).map(String.init))
    }

    @Test("while nothing becomes durable, what must be kept is refused and the rest goes on")
    func refusing() {
        let store = TestStore()
        let desk = Desk(store: store)
        let sleeper = desk.connected("s", clean: false, expiry: 1000)
        sleeper.subscribe("kept")
        sleeper.vanish()
        let listener = desk.connected("l")
        listener.subscribe("free")
        _ = listener.take()
        let publisher = desk.connected("p")
        let old = desk.connected("old", version: .v311)
        _ = publisher.take()
        store.isRefusing = true
        publisher.publish("kept", "1", qos: .atLeastOnce, id: 1)
        publisher.publish("kept", "2", qos: .exactlyOnce, id: 2)
        #expect(
            publisher.take() == [
                .puback(AcknowledgePacket(packetID: 1, reason: .quotaExceeded)),
                .pubrec(AcknowledgePacket(packetID: 2, reason: .quotaExceeded)),
            ])
        publisher.publish("free", "3", qos: .atLeastOnce, id: 3)
        #expect(publisher.take() == [.puback(AcknowledgePacket(packetID: 3))])
        #expect(listener.payloads() == ["3"])
        old.publish("kept", "4", qos: .atLeastOnce, id: 1)
        #expect(old.isClosed)
        let refused = desk.connected("new", clean: false, expiry: 100)
        #expect(refused.isClosed)
        store.isRefusing = false
        publisher.publish("kept", "5", qos: .atLeastOnce, id: 5)
        #expect(publisher.take() == [.puback(AcknowledgePacket(packetID: 5))])
        #expect(desk.connected("s", clean: false, expiry: 1000).payloads() == ["5"])
        #expect(desk.exchange.shards[0].counters.refusedByLog == 3)
    }

    @Test("nothing durable is written for what nobody must keep")
    func nothingToKeep() {
        let store = TestStore()
        let desk = Desk(shards: 2, store: store)
        let subscriber = desk.connected("s", shard: 1)
        subscriber.subscribe("t")
        let blocks = store.appended
        let publisher = desk.connected("p")
        publisher.publish("t", "0", qos: .atMostOnce)
        publisher.publish("t", "1", qos: .atLeastOnce)
        publisher.publish("t", "2", qos: .exactlyOnce, id: 2)
        #expect(subscriber.payloads().count == 3)
        desk.advance(seconds: 1)
        #expect(store.appended == blocks)
    }

    @Test("a session that moved to another shard is there after a crash, whole and once")
    func moved() {
        let store = TestStore()
        let desk = Desk(shards: 3, store: store)
        let first = desk.connected("s", shard: 0, clean: false, expiry: 1000)
        first.subscribe("t")
        _ = first.take()
        let publisher = desk.connected("p", shard: 2)
        for number in 0..<5 { publisher.publish("t", "\(number)", qos: .atLeastOnce, id: 1) }
        let second = desk.connected("s", shard: 1, clean: false, expiry: 1000)
        second.vanish()
        for number in 5..<8 { publisher.publish("t", "\(number)", qos: .atLeastOnce, id: 1) }
        let back = restarted(store, desk.time, shards: 2).connected("s", clean: false, expiry: 1000)
        #expect(back.payloads() == (0..<8).map(String.init))
    }

    @Test("the log is made shorter while sessions sleep, are awake and move; nothing is lost", arguments: [1, 2, 3])
    func compaction(shards: Int) {
        var limits = ExchangeLimits()
        limits.logBytesMin = 4000
        limits.keptBytesMax = 500
        let store = TestStore()
        let desk = Desk(shards: shards, limits: limits, store: store)
        let publisher = desk.connected("p", clean: false, expiry: 1000)
        let sleeper = desk.connected("sleeper", shard: shards - 1, clean: false, expiry: 10_000)
        sleeper.subscribe("keep/#")
        sleeper.vanish()
        for number in 0..<20 { publisher.publish("keep/\(number)", "kept \(number)", qos: .atLeastOnce) }
        publisher.publish("r/old", "retained", qos: .atLeastOnce, retain: true)
        publisher.publish("r/gone", "retained", qos: .atLeastOnce, retain: true)
        publisher.publish("r/gone", "", qos: .atLeastOnce, retain: true)
        publisher.publish("once", "x", qos: .exactlyOnce, id: 77)
        let waiting = desk.connected("waiting", clean: false, expiry: 1000)
        waiting.subscribe("flight")
        publisher.publish("flight", "one", qos: .exactlyOnce, id: 78)
        publisher.publish("flight", "two", qos: .exactlyOnce, id: 79)
        let given = waiting.messages()
        #expect(given.count == 2)
        waiting.send(.pubrec(AcknowledgePacket(packetID: given.first?.packetID ?? 0)))
        _ = desk.connected("mortal") { packet in
            packet.will = WillPacket(topic: "keep/will", payload: Bytes("will"), qos: .atLeastOnce)
        }
        // Much that is soon dead.
        let busy = desk.connected("busy", shard: shards - 1, clean: false, expiry: 1000)
        busy.subscribe("work")
        for number in 0..<600 {
            publisher.publish("work", "job \(number)", qos: .atLeastOnce)
            for message in busy.messages() { busy.send(.puback(AcknowledgePacket(packetID: message.packetID))) }
            if number % 20 == 0 { desk.advance(seconds: 0.5) }
            if number == 300 { desk.connected("sleeper", shard: 0, clean: false, expiry: 10_000).vanish() }
        }
        for _ in 0..<4 { desk.advance(seconds: 0.5) }
        #expect(desk.exchange.shards[0].counters.compactions > 3)
        #expect(store.released > 0)
        #expect(store.byteCount < 40_000)
        let next = restarted(store, desk.time, shards: 2)
        let back = next.connected("sleeper", clean: false, expiry: 10_000)
        next.advance(seconds: 1)
        #expect(back.payloads() == (0..<20).map { "kept \($0)" } + ["will"])
        let look = next.connected("look")
        look.subscribe("r/#")
        #expect(look.payloads() == ["retained"])
        let again = next.connected("p", clean: false, expiry: 1000)
        again.publish("once", "x", qos: .exactlyOnce, id: 77)
        #expect(next.exchange.shards[0].counters.publishReceived > 0)
        let flight = next.connected("waiting", clean: false, expiry: 1000)
        let packets = flight.take()
        #expect(packets.contains(.pubrel(AcknowledgePacket(packetID: given.first?.packetID ?? 0))))
        let repeated = packets.compactMap { packet -> PublishPacket? in
            if case .publish(let message) = packet { return message }
            return nil
        }
        #expect(repeated.map(\.payload.string) == ["two"])
        let worker = next.connected("busy", clean: false, expiry: 1000)
        worker.publish("nothing", "")
        next.connected("p2").publish("work", "more", qos: .atLeastOnce)
        #expect(worker.payloads() == ["more"])
    }

    @Test("a group's message with a member that leaves no trace outlives the compaction of its record")
    func compactedGroup() {
        let store = TestStore()
        let desk = Desk(shards: 2, store: store)
        let durable = desk.connected("durable", shard: 1, clean: false, expiry: 1000)
        durable.subscribe("$share/g/t")
        durable.vanish()
        let member = desk.connected("member")
        member.subscribe("$share/g/t")
        desk.connected("p", shard: 1).publish("t", "owed", qos: .atLeastOnce)
        #expect(member.messages().count == 1)
        desk.exchange.shards[0].compact(before: store.nextBlockNumber())
        for _ in 0..<4 { desk.advance(seconds: 1) }
        #expect(desk.exchange.shards[0].counters.compactions == 1)
        let next = restarted(store, desk.time)
        #expect(next.connected("durable", clean: false, expiry: 1000).payloads() == ["owed"])
    }
}
