import Bus
import Model
import Testing

@testable import BrokerCore

@Suite("Watching")
struct WatchingTests {
    private func events(_ client: TestClient) -> [(topic: String, text: String)] {
        client.messages().map { ($0.topic, $0.payload.string) }
    }

    @Test("clients that come, subscribe, unsubscribe and go are told on $events under EMQX' names", arguments: [1, 2])
    func lifecycle(_ shards: Int) {
        let desk = Desk(shards: shards)
        let watcher = desk.connected("watcher")
        watcher.subscribe("$events/#")
        _ = watcher.take()
        let client = desk.connected("pump", shard: shards - 1, version: .v311)
        client.subscribe("a/+", SubscriptionOptions(qos: .atLeastOnce))
        client.send(.unsubscribe(UnsubscribePacket(packetID: 2, filters: ["a/+"])))
        client.vanish()
        desk.settle()
        let told = events(watcher)
        #expect(
            told.map(\.topic) == [
                "$events/client_connected", "$events/session_subscribed", "$events/session_unsubscribed",
                "$events/client_disconnected",
            ])
        for (_, text) in told {
            #expect(text.contains("\"clientid\":\"pump\"") && text.contains("\"ipaddress\":\"127.0.0.1\""))
        }
        #expect(told.first?.text.contains("\"proto_ver\":4") == true)
        #expect(told[1].text.contains("\"topic\":\"a/+\",\"qos\":1"))
        #expect(told.last?.text.contains("\"reason\":\"tcp_closed\"") == true)
    }

    @Test(
        "messages delivered, acknowledged and dropped are told while somebody wants to know, and events make no events")
    func messages() {
        let desk = Desk()
        let shard = desk.exchange.shards[0]
        let subscriber = desk.connected("s")
        subscriber.subscribe("t", SubscriptionOptions(qos: .atLeastOnce))
        let publisher = desk.connected("p")
        publisher.publish("t", "unseen", qos: .atLeastOnce)
        #expect(shard.events.watched == 0)
        let watcher = desk.connected("watcher")
        for event in ["message_delivered", "message_acked", "message_dropped"] {
            watcher.subscribe("$events/" + event, SubscriptionOptions(qos: .atMostOnce))
        }
        _ = watcher.take()
        _ = subscriber.take()
        publisher.publish("t", "say \"x\"\n", qos: .atLeastOnce, id: 2)
        let id = subscriber.messages().first?.packetID ?? 0
        subscriber.send(.puback(AcknowledgePacket(packetID: id, reason: .success)))
        publisher.publish("nobody", "y")
        let told = events(watcher)
        #expect(
            told.map(\.topic) == [
                "$events/message_delivered", "$events/message_acked", "$events/message_dropped",
            ])
        #expect(told.first?.text.contains("\"payload\":\"say \\\"x\\\"\\n\"") == true)
        #expect(told.first?.text.contains("\"from_clientid\":\"p\"") == true)
        #expect(told.last?.text.contains("\"reason\":\"no_subscribers\"") == true)
        watcher.vanish()
        #expect(shard.events.watched == 0)
    }

    @Test("clients cannot publish events themselves")
    func reserved() {
        let desk = Desk()
        let watcher = desk.connected("watcher")
        watcher.subscribe("$events/client_connected")
        _ = watcher.take()
        let liar = desk.connected("liar")
        _ = watcher.take()
        liar.publish("$events/client_connected", "{}", qos: .atLeastOnce)
        #expect(watcher.take().isEmpty)
    }

    @Test("topics of a counted filter are counted in, out and dropped, on every shard, until it is stopped")
    func topicMetrics() throws {
        let desk = Desk(shards: 2)
        let filter = try TopicFilter("plant/#")
        for shard in desk.exchange.shards { shard.addMeter(TopicMeter(filter)) }
        let near = desk.connected("near", shard: 0)
        let far = desk.connected("far", shard: 1)
        for client in [near, far] { client.subscribe("plant/+", SubscriptionOptions(qos: .atMostOnce)) }
        let publisher = desk.connected("p", shard: 0)
        publisher.publish("plant/a", "12345")
        publisher.publish("plant/a", "12345", qos: .atLeastOnce)
        publisher.publish("other", "12345")
        let meters = desk.exchange.shards.flatMap(\.meters)
        #expect(meters.map(\.received.0).reduce(0, +) == 1)
        #expect(meters.map(\.received.1).reduce(0, +) == 1)
        #expect(meters.map(\.receivedBytes).reduce(0, +) == 10)
        #expect(meters.map(\.sent).reduce(0, +) == 4)
        for shard in desk.exchange.shards { shard.removeMeter("plant/#") }
        publisher.publish("plant/a", "12345")
        #expect(meters.map(\.received.0).reduce(0, +) == 1)
    }

    @Test("what a slow client loses counts as dropped for the topic")
    func droppedIsCounted() throws {
        var limits = ExchangeLimits()
        limits.unsentBytesMax = 64
        let desk = Desk(limits: limits)
        let shard = desk.exchange.shards[0]
        shard.addMeter(TopicMeter(try TopicFilter("t")))
        let slow = desk.connected("slow")
        slow.subscribe("t", SubscriptionOptions(qos: .atMostOnce))
        slow.setWritable(false)
        let publisher = desk.connected("p")
        for _ in 0..<5 { publisher.publish("t", String(repeating: "x", count: 40)) }
        #expect(shard.meters[0].dropped > 0)
        #expect(shard.meters[0].dropped == shard.counters.dropped)
        #expect(shard.meters[0].received.0 == 5)
    }
}
