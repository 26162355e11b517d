import BrokerCore
import Bus
import Logging
import Model
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Broker

/// A broker on loopback sockets for one test, over each transport that there is. The group is for clients.
func withBroker(
    _ configuration: ListenerConfiguration = ListenerConfiguration(port: 0, allowAnonymous: true), loops: Int = 2,
    authenticator: (any Authenticator)? = nil,
    _ body: (Broker, _ port: Int, any EventLoopGroup) async throws -> Void
) async throws {
    for isPortable in [false, true] {
        let clients = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let group = try BrokerLoops.make(threads: loops, isPortable: isPortable)
        let exchange = Exchange(loops: Array(group.makeIterator()))
        let broker = Broker(
            exchange: exchange, group: group, authenticator: authenticator, log: Logger(label: "test"))
        var failure: (any Error)?
        do {
            try await broker.applyListener("test", configuration)
            let port = try #require(await broker.port(of: "test"))
            try await body(broker, port, clients)
        } catch {
            failure = error
        }
        await broker.stop()
        try await clients.shutdownGracefully()
        try await group.shutdownGracefully()
        if let failure { throw failure }
    }
}

func connect(
    _ id: String, _ port: Int, _ group: any EventLoopGroup, version: ProtocolVersion = .v5,
    change: (inout ConnectPacket) -> Void = { _ in }
) async throws -> MQTTClient {
    var options = MQTTClient.Options(port: port, clientID: id, version: version)
    change(&options.connect)
    return try await MQTTClient.connect(options, group: group)
}

/// The next `count` messages; fewer if the connection ends first.
func take(_ count: Int, from client: MQTTClient) async -> [PublishPacket] {
    var taken: [PublishPacket] = []
    for await message in client.messages {
        taken.append(message)
        if taken.count == count { break }
    }
    return taken
}

@Suite("Broker on sockets", .timeLimit(.minutes(1)))
struct BrokerTests {
    @Test("carries messages of every QoS between clients of both versions")
    func everyQoS() async throws {
        try await withBroker { _, port, group in
            for version in [ProtocolVersion.v311, .v5] {
                let subscriber = try await connect("s", port, group, version: version)
                let publisher = try await connect("p", port, group, version: version)
                #expect(try await subscriber.subscribe("a/#", qos: .exactlyOnce) == .grantedQoS2)
                for qos in QoS.allCases {
                    for number in 0..<20 {
                        let reason = try await publisher.publish("a/\(number)", Bytes("\(number)"), qos: qos)
                        #expect(reason == .success)
                    }
                }
                let got = await take(60, from: subscriber)
                #expect(got.map { $0.payload.string } == QoS.allCases.flatMap { _ in (0..<20).map(String.init) })
                #expect(got.map(\.qos) == QoS.allCases.flatMap { qos in (0..<20).map { _ in qos } })
                await subscriber.disconnect()
                await publisher.disconnect()
            }
        }
    }

    @Test("large and small packets arrive whole and in order")
    func sizes() async throws {
        try await withBroker { _, port, group in
            let subscriber = try await connect("s", port, group)
            let publisher = try await connect("p", port, group)
            try await subscriber.subscribe("t", qos: .atLeastOnce)
            let sizes = [0, 1, 100, 20_000, 3, 500_000, 0, 900_000, 7]
            for size in sizes {
                try await publisher.publish(
                    "t", Bytes(Array(repeating: UInt8(size % 251), count: size)), qos: .atLeastOnce)
            }
            let got = await take(sizes.count, from: subscriber)
            #expect(got.map(\.payload.count) == sizes)
            for message in got {
                let expected = [UInt8](repeating: UInt8(message.payload.count % 251), count: message.payload.count)
                #expect(message.payload.array == expected)
            }
        }
    }

    @Test("many publishers to one subscriber and back, across loops, lose nothing of QoS 1")
    func fanIn() async throws {
        try await withBroker { broker, port, group in
            let subscriber = try await connect("s", port, group)
            try await subscriber.subscribe("in/+", qos: .atLeastOnce)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for index in 0..<10 {
                    tasks.addTask {
                        let publisher = try await connect("p\(index)", port, group)
                        for number in 0..<100 {
                            try await publisher.publish("in/\(index)", Bytes("\(number)"), qos: .atLeastOnce)
                        }
                        await publisher.disconnect()
                    }
                }
                try await tasks.waitForAll()
            }
            let got = await take(1000, from: subscriber)
            for index in 0..<10 {
                let mine = got.filter { $0.topic == "in/\(index)" }.map { $0.payload.string }
                #expect(mine == (0..<100).map(String.init))
            }
            #expect(await broker.exchange.totals().counters.dropped == 0)
        }
    }

    @Test("components and network clients share the bus")
    func components() async throws {
        try await withBroker { broker, port, group in
            let (stream, sink) = AsyncStream.makeStream(of: Message.self)
            let subscription = try await broker.bus.subscribe(
                [try TopicFilter("x/#")], name: "component", options: SubscribeOptions()
            ) { for message in $0 { sink.yield(message) } }
            let client = try await connect("c", port, group)
            try await client.subscribe("y/#")
            #expect(try await client.publish("x/1", "from outside", qos: .atLeastOnce) == .success)
            var iterator = stream.makeAsyncIterator()
            let received = await iterator.next()
            #expect(received?.payload.bytes == "from outside")
            #expect(received?.origin.kind == .client)
            let origin = Origin(.rule, clientID: "r")
            let publisher = broker.bus.publisher(origin)
            func message(_ topic: String) throws -> Message {
                Message(
                    topic: try Topic(topic), payload: .bytes("from inside"), receivedAt: Timestamp(nanoseconds: 0),
                    origin: origin)
            }
            let outcomes = await publisher.publishConfirmed([try message("y/1"), try message("z")])
            #expect(outcomes == [.accepted, .noSubscribers])
            #expect(await take(1, from: client).map { $0.payload.string } == ["from inside"])
            #expect(await broker.exchange.subscriptions().map(\.clientID) == ["c", "component"])
            await subscription.cancel()
            // Other shards hear of it in their next turn.
            var isGone = false
            for _ in 0..<10_000 where !isGone {
                isGone = try await client.publish("x/1", "x", qos: .atLeastOnce) == .noMatchingSubscribers
            }
            #expect(isGone)
        }
    }

    @Test("a port in use is said in one sentence, and the rest goes on")
    func portInUse() async throws {
        try await withBroker { broker, port, group in
            let problem = await #expect(throws: Problem.self) {
                try await broker.applyListener("second", ListenerConfiguration(port: port))
            }
            #expect(problem?.code == "listener.port_in_use")
            #expect(problem?.message.contains("127.0.0.1:\(port)") == true)
            let client = try await connect("c", port, group)
            #expect(client.connack.reason == .success)
        }
    }

    @Test("listeners come, change and go without disturbing the clients of others")
    func hotListeners() async throws {
        try await withBroker { broker, port, group in
            let stays = try await connect("stays", port, group)
            try await broker.applyListener("second", ListenerConfiguration(port: 0, allowAnonymous: true))
            let other = try #require(await broker.port(of: "second"))
            let guest = try await connect("guest", other, group)
            try await stays.subscribe("t")
            try await guest.publish("t", "hello")
            #expect(await take(1, from: stays).count == 1)
            await broker.removeListener("second")
            for await _ in guest.messages {}
            await #expect(throws: Problem.self) { try await connect("late", other, group) }
            #expect(try await stays.publish("t", "still here", qos: .atLeastOnce) == .success)
            #expect(await broker.listenerStatus().map(\.name) == ["test"])
        }
    }

    @Test("anonymous clients are refused where the listener says so; users are asked for")
    func authentication() async throws {
        let users = ClosureAuthenticator { credentials in
            credentials.username == "anna" && credentials.password == "secret"
                ? .accept(username: "anna", mayWriteDevices: true, authoriser: nil) : .refuse(.badUserNameOrPassword)
        }
        try await withBroker(ListenerConfiguration(port: 0, allowAnonymous: false), authenticator: users) {
            broker, port, group in
            for version in [ProtocolVersion.v311, .v5] {
                let refused = await #expect(throws: Problem.self) {
                    try await connect("x", port, group, version: version)
                }
                #expect(refused?.arguments["reason"] == "87")
                let wrong = await #expect(throws: Problem.self) {
                    try await connect("x", port, group, version: version) {
                        $0.username = "anna"
                        $0.password = "guess"
                    }
                }
                #expect(wrong?.arguments["reason"] == "86")
            }
            let client = try await connect("x", port, group) {
                $0.username = "anna"
                $0.password = "secret"
            }
            #expect(await broker.exchange.clients().map(\.username) == ["anna"])
            await client.disconnect()
        }
    }

    @Test("an administrator sees clients, kicks them, and finds them gone")
    func administration() async throws {
        try await withBroker { broker, port, group in
            let client = try await connect("c", port, group) { $0.keepAliveSeconds = 17 }
            try await client.subscribe("a/+", qos: .atLeastOnce)
            try await client.publish("a/r", "kept", qos: .atLeastOnce, retain: true)
            let info = try #require(await broker.exchange.clients().first)
            #expect(info.clientID == "c")
            #expect(info.isConnected)
            #expect(info.keepAliveSeconds == 17)
            #expect(info.subscriptions == 1)
            #expect(info.received == 1)
            #expect(info.peer?.hasPrefix("127.0.0.1:") == true)
            #expect(await broker.exchange.retained(try TopicFilter("#")).map(\.topic.string).contains("a/r"))
            #expect(await broker.exchange.kick(clientID: "c"))
            for await _ in client.messages {}
            #expect(await !broker.exchange.kick(clientID: "nobody"))
        }
    }

    @Test("connections beyond the listener's limit are refused and counted")
    func connectionsMax() async throws {
        try await withBroker(ListenerConfiguration(port: 0, allowAnonymous: true, connectionsMax: 2)) {
            broker, port, group in
            let first = try await connect("1", port, group)
            let second = try await connect("2", port, group)
            await #expect(throws: Problem.self) { try await connect("3", port, group) }
            #expect(await broker.listenerStatus().first?.refused == 1)
            await first.disconnect()
            await second.disconnect()
        }
    }

    @Test("$SYS topics appear under Mosquitto's and under EMQX's names")
    func systemTopics() async throws {
        try await withBroker { _, port, group in
            for (topic, isRight) in [
                ("$SYS/broker/clients/connected", { Int($0) != nil }),
                ("$SYS/brokers", { $0 == "tundish" }),
                ("$SYS/brokers/tundish/stats/connections/max", { Int($0) != nil }),
                ("$SYS/brokers/tundish/metrics/messages/received", { Int($0) != nil }),
            ] as [(String, (String) -> Bool)] {
                let client = try await connect("c", port, group)
                try await client.subscribe(topic)
                let got = await take(1, from: client)
                #expect(isRight(got.first?.payload.string ?? "nothing"), "\(topic)")
            }
        }
    }

    @Test("a stop tells every client")
    func stop() async throws {
        try await withBroker { broker, port, group in
            let client = try await connect("c", port, group)
            await broker.stop()
            for await _ in client.messages {}
            await #expect(throws: Problem.self) { try await connect("d", port, group) }
        }
    }
}

@Suite("Listener configuration")
struct ListenerConfigurationTests {
    @Test("reads a spec; anonymous clients only on loopback unless told")
    func reads() throws {
        let local = try ListenerConfiguration(.object(["bind": .string("127.0.0.1:1883")]))
        #expect(local.allowAnonymous)
        let open = try ListenerConfiguration(
            .object([
                "protocol": .string("mqtt"), "bind": .string("[::]:8883"),
                "limits": .object([
                    "connectionsMax": .integer(5), "packetBytesMax": .size(1 << 16), "receiveMaximum": .integer(7),
                    "topicAliasMaximum": .integer(0), "keepAliveMaxSeconds": .integer(60),
                    "connectTimeout": .duration(3_000_000_000),
                ]),
            ]))
        #expect(!open.allowAnonymous)
        #expect((open.host, open.port) == ("::", 8883))
        #expect(open.connectionsMax == 5)
        #expect(
            open.limits
                == ConnectionLimits(
                    packetBytesMax: 1 << 16, receiveMaximum: 7, topicAliasMaximum: 0, keepAliveSecondsMax: 60,
                    connectSeconds: 3))
    }

    @Test(
        "says what is wrong with an address", arguments: ["1883", "host", "::1:1883", "host:x", "host:70000", ":1883"])
    func badBind(text: String) {
        let problem = #expect(throws: Problem.self) { try ListenerConfiguration(.object(["bind": .string(text)])) }
        #expect(problem?.code == "listener.bad_bind")
    }
}
