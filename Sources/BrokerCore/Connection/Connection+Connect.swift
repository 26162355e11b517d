import Bus
import Model
import NIOCore

/// A client between its CONNECT and its CONNACK.
struct PendingConnect {
    var packet: ConnectPacket
    var assignedClientID: String?
    var expirySeconds: UInt32
    /// Nil where the client's own was taken.
    var cappedExpirySeconds: UInt32?
    var cappedKeepAlive: UInt16?
    var will: Will?
}

extension Connection {
    func receiveConnect(_ packet: ConnectPacket) {
        version = packet.version
        state = .connecting
        var pending = PendingConnect(packet: packet, expirySeconds: 0)
        var clientID = packet.clientID
        if clientID.isEmpty {
            // [MQTT-3.1.3-8 of 3.1.1]: without an id there is no session to keep. 3.1 knows no empty ones.
            if version == .v31 || (version == .v311 && !packet.cleanStart) {
                refuse(.clientIdentifierNotValid)
                return
            }
            clientID = shard.makeClientID()
            pending.assignedClientID = clientID
        }
        isBridge = packet.isBridge
        setLimits(packet, &pending)
        guard fits(pending) else { return }
        identity.clientID = clientID
        pendingConnect = pending
        let credentials = Credentials(client: identity, username: packet.username, password: packet.password)
        if let method = packet.properties.authenticationMethod {
            beginAuthentication(method, packet.properties.authenticationData, credentials)
            return
        }
        if let decision = context.authenticator.authenticateNow(credentials) {
            authenticated(decision)
            return
        }
        let (shard, id, authenticator) = (shard, id, context.authenticator)
        Task {
            let decision = await authenticator.authenticate(credentials)
            shard.loop.execute { shard.connections[id]?.authenticated(decision) }
        }
    }

    /// Whether the listener supports the will, and the client can be told what it must know; else it is refused.
    private func fits(_ pending: PendingConnect) -> Bool {
        if let will = pending.packet.will {
            if will.qos.rawValue > context.limits.maximumQoS {
                refuse(.qosNotSupported)  // [MQTT-3.2.2-12]
                return false
            }
            if will.retain, !context.limits.retainAvailable {
                refuse(.retainNotSupported)  // [MQTT-3.2.2-13]
                return false
            }
        }
        guard version == .v5, connack(pending, isPresent: false).encoded(.v5).count > packetBytesMax else {
            return true
        }
        // [MQTT-3.1.2-24]
        shard.counters.connectionsRefused += 1
        closeReason = .packetTooLarge
        close()
        return false
    }

    private func setLimits(_ packet: ConnectPacket, _ pending: inout PendingConnect) {
        var keepAlive = packet.keepAliveSeconds
        let cap = context.limits.keepAliveSecondsMax
        if cap > 0, keepAlive == 0 || keepAlive > cap {
            keepAlive = cap
            pending.cappedKeepAlive = cap
        }
        keepAliveSeconds = Int(keepAlive)
        let wanted: UInt32
        if version == .v5 {
            wanted = packet.properties.sessionExpiryInterval ?? 0
            wantsReasons = packet.properties.requestProblemInformation != 0
            packetBytesMax = Int(clamping: packet.properties.maximumPacketSize ?? UInt32(FixedHeader.remainingCountMax))
            outboundAliases = OutboundAliases(
                countMax: min(Int(packet.properties.topicAliasMaximum ?? 0), shard.limits.outboundAliasMax))
        } else {
            wanted = packet.cleanStart ? 0 : .max
        }
        pending.expirySeconds = min(wanted, shard.limits.sessionExpirySecondsMax)
        if pending.expirySeconds != wanted { pending.cappedExpirySeconds = pending.expirySeconds }
    }

    /// Answers a CONNECT with a refusal and closes.
    func refuse(_ reason: ReasonCode) {
        shard.counters.connectionsRefused += 1
        closeReason = reason
        write(frame: ConnackPacket(reason: reason).encoded(version))
        close()
    }

    func authenticated(_ decision: AuthenticationDecision) {
        guard state == .connecting, var pending = pendingConnect else { return }
        switch decision {
        case .refuse(let reason): refuse(reason)
        case .accept(let acceptance):
            take(acceptance)
            if let packet = pending.packet.will {
                guard let will = Will(packet, origin: origin) else {
                    refuse(.topicNameInvalid)
                    return
                }
                if will.message.topic.utf8.withUnsafeBytes({ SubscriptionTree.levelCount($0) })
                    > shard.limits.topicLevelsMax
                {
                    refuse(.topicNameInvalid)
                    return
                }
                if !mayPublish(will) {
                    refuse(.notAuthorized)
                    return
                }
                pending.will = will
            }
            pendingConnect = pending
            shard.claim(for: self, clientID: identity.clientID, cleanStart: pending.packet.cleanStart)
        }
    }

    /// The session is here: the client is connected. MQTT 5.0, 3.2
    func establish(_ session: Session, isPresent: Bool) {
        guard state == .connecting, let pending = pendingConnect else { return }
        pendingConnect = nil
        self.session = session
        session.connection = self
        session.version = version
        session.username = identity.username
        session.cleanStart = pending.packet.cleanStart
        session.expirySeconds = pending.expirySeconds
        session.will = pending.will
        let receiveMaximum = version == .v5 ? Int(pending.packet.properties.receiveMaximum ?? 65_535) : 65_535
        session.window = min(receiveMaximum, shard.limits.inflightMax)
        state = .connected
        connectedAt = shard.wallTime
        shard.counters.connected += 1
        write(frame: connack(pending, isPresent: isPresent).encoded(version))
        shard.tellConnected(self, session)
        if keepAliveSeconds > 0 { shard.armKeepAlive(self) }
        reviewSubscriptions(session)
        shard.setGroupsOnline(session, true)
        session.resume()
        transport.resume()
    }

    private func connack(_ pending: PendingConnect, isPresent: Bool) -> ConnackPacket {
        var packet = ConnackPacket(sessionPresent: isPresent)
        guard version == .v5 else { return packet }
        let limits = context.limits
        // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
        packet.properties.authenticationMethod = enhanced?.method
        packet.properties.authenticationData = enhanced?.finalData
        packet.properties.assignedClientIdentifier = pending.assignedClientID
        packet.properties.serverKeepAlive = pending.cappedKeepAlive
        packet.properties.sessionExpiryInterval = pending.cappedExpirySeconds
        if limits.maximumQoS < 2 { packet.properties.maximumQoS = limits.maximumQoS }  // [MQTT-3.2.2-9]
        if !limits.retainAvailable { packet.properties.retainAvailable = 0 }
        if !limits.wildcardSubscriptionsAvailable { packet.properties.wildcardSubscriptionAvailable = 0 }
        if !limits.subscriptionIdentifiersAvailable { packet.properties.subscriptionIdentifierAvailable = 0 }
        if !limits.sharedSubscriptionsAvailable { packet.properties.sharedSubscriptionAvailable = 0 }
        if limits.receiveMaximum < 65_535 { packet.properties.receiveMaximum = limits.receiveMaximum }
        if limits.topicAliasMaximum > 0 { packet.properties.topicAliasMaximum = limits.topicAliasMaximum }
        if limits.packetBytesMax < FixedHeader.remainingCountMax {
            packet.properties.maximumPacketSize = UInt32(clamping: limits.packetBytesMax)
        }
        return packet
    }
}
