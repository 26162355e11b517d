#if os(Linux)
    import BrokerCore
    import Glibc
    import Logging
    import Model
    import NIOCore

    extension EpollAcceptor {
        /// Listens for a listener's clients. Those that speak MQTT from the first byte are carried without a channel;
        /// the others get one, set up by `initialise`.
        static func listen(
            _ state: ListenerState, on address: SocketAddress, group: EpollEventLoopGroup,
            lanes: [ObjectIdentifier: ListenerLane],
            initialise: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
        ) async throws(IOError) -> EpollAcceptor {
            let logger = Logger(label: "tundish.listener")
            let take: Take = { loop, descriptor, peer in
                let configuration = state.configuration
                if configuration.proxyProtocol || configuration.transport.isTLS || configuration.transport.isWebSocket {
                    EpollChannel(loop, descriptor, remoteAddress: EpollSocket.socketAddress(peer)).start(initialise)
                    return
                }
                guard let lane = lanes[ObjectIdentifier(loop)] else {
                    Self.turnAway(loop, descriptor)
                    return
                }
                var peer = PeerAddress(peer)
                if configuration.transport == .unix { peer.text = "unix:" + configuration.path }
                if state.admit(peer, configuration) != nil {
                    Self.turnAway(loop, descriptor)
                    return
                }
                let arrival = Arrival(lane, peer: peer, configuration)
                let connection = EpollConnection(arrival, loop, descriptor)
                arrival.client = connection
                lane.add(arrival)
                connection.start()
            }
            do throws(EpollError) {
                let acceptor = try EpollAcceptor(
                    address, group: group,
                    report: { logger.warning("\($0.message)", metadata: ["listener": "\(state.name)"]) }, take: take)
                try await acceptor.start()
                return acceptor
            } catch {
                throw IOError(errnoCode: error.number, reason: error.call)
            }
        }

        private static func turnAway(_ loop: EpollEventLoop, _ descriptor: CInt) {
            loop.unreserve()
            Glibc.close(descriptor)
        }
    }
#endif
