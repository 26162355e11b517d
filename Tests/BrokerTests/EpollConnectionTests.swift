#if os(Linux)
    import BrokerCore
    import Bus
    import Foundation
    import Glibc
    import Logging
    import Model
    import NIOCore
    import NIOPosix
    import Testing

    @testable import Broker

    /// A blocking socket, for what an MQTT client never does.
    final class RawClient {
        let descriptor: CInt

        init(port: Int) throws {
            descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var time = timeval(tv_sec: 20, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
            let status = address.withSockAddr { Glibc.connect(descriptor, $0, socklen_t($1)) }
            guard status == 0 else { throw EpollError("connect") }
        }

        func send(_ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } }

        /// Up to `count` bytes; fewer if the broker closes.
        func read(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            var part = [UInt8](repeating: 0, count: 65_536)
            while bytes.count < count {
                let got = recv(descriptor, &part, min(part.count, count - bytes.count), 0)
                if got <= 0 { break }
                bytes += part[..<got]
            }
            return bytes
        }

        func connect(_ id: String) -> [UInt8] {
            var packet = ConnectPacket()
            packet.version = .v311
            packet.clientID = id
            packet.cleanStart = true
            return Packet.connect(packet).encoded(.v311)
        }

        func close() { Glibc.close(descriptor) }

        /// Without a goodbye: the peer gets a reset.
        func reset() {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
            Glibc.close(descriptor)
        }
    }

    private func publish(_ topic: String, _ count: Int, id: UInt16 = 1) -> [UInt8] {
        PublishPacket(
            topic: topic, payload: Bytes(Array(repeating: 7, count: count)), qos: .atLeastOnce, packetID: id
        ).encoded(.v311)
    }

    /// What no client library does to a broker, over each transport.
    @Suite("Sockets under stress", .serialized, .timeLimit(.minutes(2)))
    struct EpollConnectionTests {
        @Test("a packet that comes byte by byte, and one that comes in large pieces, arrive whole")
        func pieces() async throws {
            try await withBroker { broker, port, group in
                let subscriber = try await connect("s", port, group)
                try await subscriber.subscribe("t", qos: .atLeastOnce)
                let client = try RawClient(port: port)
                defer { client.close() }
                for byte in client.connect("raw") + publish("t", 300) { client.send([byte]) }
                #expect(client.read(8) == [0x20, 2, 0, 0, 0x40, 2, 0, 1])
                let large = publish("t", 900_000, id: 2) + publish("t", 5, id: 3)
                var sent = 0
                for size in [1, 5000, 3, 70_000, 200_000, 1, 700_000] {
                    client.send(Array(large[sent..<min(large.count, sent + size)]))
                    sent = min(large.count, sent + size)
                }
                #expect(sent == large.count)
                #expect(client.read(8) == [0x40, 2, 0, 2, 0x40, 2, 0, 3])
                #expect(await take(3, from: subscriber).map(\.payload.count) == [300, 900_000, 5])
            }
        }

        @Test("what a client sends before it closes its half is processed, what arrives is answered")
        func halfClose() async throws {
            let group = try EpollEventLoopGroup(count: 1)
            let broker = Broker(
                exchange: Exchange(loops: Array(group.makeIterator())), group: group, authenticator: nil,
                log: Logger(label: "test"))
            try await broker.applyListener("test", ListenerConfiguration(port: 0, allowAnonymous: true))
            let client = try RawClient(port: try #require(await broker.port(of: "test")))
            client.send(client.connect("half") + publish("t", 10))
            shutdown(client.descriptor, CInt(SHUT_WR))
            #expect(client.read(100) == [0x20, 2, 0, 0, 0x40, 2, 0, 1])
            client.close()
            await broker.stop()
            try await group.shutdownGracefully()
        }

        @Test("a client that resets its connection is gone, its will is published")
        func reset() async throws {
            try await withBroker { _, port, group in
                let subscriber = try await connect("s", port, group)
                try await subscriber.subscribe("will")
                let client = try RawClient(port: port)
                var packet = ConnectPacket()
                packet.version = .v311
                packet.clientID = "r"
                packet.cleanStart = true
                packet.will = WillPacket(topic: "will", payload: Bytes("gone"))
                client.send(Packet.connect(packet).encoded(.v311))
                #expect(client.read(4) == [0x20, 2, 0, 0])
                client.reset()
                #expect(await take(1, from: subscriber).map { $0.payload.string } == ["gone"])
            }
        }

        @Test("a client that does not read loses nothing of QoS 1 when it reads again")
        func slowReader() async throws {
            try await withBroker { _, port, group in
                let slow = try RawClient(port: port)
                defer { slow.close() }
                slow.send(slow.connect("slow") + [0x82, 6, 0, 1, 0, 1, UInt8(ascii: "t"), 1])
                #expect(slow.read(9) == [0x20, 2, 0, 0, 0x90, 3, 0, 1, 1])
                let publisher = try await connect("p", port, group)
                let payload = Bytes(Array(repeating: UInt8(1), count: 50_000))
                for _ in 0..<300 { try await publisher.publish("t", payload, qos: .atLeastOnce) }
                let each = publish("t", 50_000).count
                #expect(slow.read(300 * each).count == 300 * each)
            }
        }

        @Test("two thousand clients come and go; the loops carry equally many")
        func many() async throws {
            try await withBroker { broker, port, _ in
                let clients = try (0..<2000).map { index in
                    let client = try RawClient(port: port)
                    client.send(client.connect("c\(index)"))
                    return client
                }
                for client in clients { #expect(client.read(4) == [0x20, 2, 0, 0]) }
                let shares = await broker.exchange.clients().map(\.shard)
                #expect(shares.count == 2000)
                #expect(shares.filter { $0 == 0 }.count == 1000)
                for client in clients { client.close() }
                while await broker.listenerStatus().first?.connections != 0 {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }

        @Test("without descriptors clients are turned away, and accepted again when there are some")
        func descriptors() async throws {
            let group = try EpollEventLoopGroup(count: 1)
            let broker = Broker(
                exchange: Exchange(loops: Array(group.makeIterator())), group: group, authenticator: nil,
                log: Logger(label: "test"))
            try await broker.applyListener("test", ListenerConfiguration(port: 0, allowAnonymous: true))
            let port = try #require(await broker.port(of: "test"))
            // The client's own descriptor is made before there are none left.
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            var before = rlimit()
            getrlimit(resource, &before)
            let highest = open("/dev/null", O_RDONLY)
            let turnedAway = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var fill: [CInt] = []
            while let next = Optional(dup(highest)), next >= 0, next < 1024 { fill.append(next) }
            var scarce = before
            scarce.rlim_cur = rlim_t(fill.last ?? highest) + 1
            setrlimit(resource, &scarce)
            while case let next = dup(highest), next >= 0 { fill.append(next) }
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
            let status = address.withSockAddr { Glibc.connect(turnedAway, $0, socklen_t($1)) }
            #expect(status == 0)
            var byte: UInt8 = 0
            #expect(recv(turnedAway, &byte, 1, 0) <= 0)
            setrlimit(resource, &before)
            for descriptor in fill + [highest, turnedAway] { Glibc.close(descriptor) }
            let client = try RawClient(port: port)
            client.send(client.connect("later"))
            #expect(client.read(4) == [0x20, 2, 0, 0])
            client.close()
            await broker.stop()
            try await group.shutdownGracefully()
        }
    }
#endif
