import Bus
import Model
import NIOCore

/// A client's enhanced authentication, from its CONNECT to its end. MQTT 5.0, 4.12
struct EnhancedAuthentication {
    var method: String
    /// What goes on; nil between the CONNACK and a re-authentication.
    var exchange: (any AuthenticationExchange)?
    /// A step is being thought about: nothing may come from the client but what it sends anyway.
    var isBusy = false
    /// What the CONNACK says besides the method.
    var finalData: Bytes?
}

extension Connection {
    /// Begins what the CONNECT asks for. [MQTT-4.12.0-1]
    func beginAuthentication(_ method: String, _ data: Bytes?, _ credentials: Credentials) {
        guard let exchange = context.authenticator.exchange(method, credentials) else {
            refuse(.badAuthenticationMethod)
            return
        }
        enhanced = EnhancedAuthentication(method: method, exchange: exchange)
        step(data)
    }

    private func step(_ data: Bytes?) {
        guard let exchange = enhanced?.exchange else { return }
        enhanced?.isBusy = true
        let (shard, id) = (shard, id)
        Task {
            let step = await exchange.next(data)
            shard.loop.execute { shard.connections[id]?.stepped(step) }
        }
    }

    private func stepped(_ step: AuthenticationStep) {
        guard state == .connecting || state == .connected, enhanced?.isBusy == true else { return }
        enhanced?.isBusy = false
        switch step {
        case .challenge(let data):
            // [MQTT-4.12.0-2]
            writeAuth(.continueAuthentication, data)
            if state == .connecting {
                state = .authenticating
                transport.resume()
            }
        case .accept(let acceptance, let data):
            enhanced?.exchange = nil
            if state == .connected {
                reauthenticated(acceptance, data)
            } else {
                enhanced?.finalData = data
                authenticated(.accept(acceptance))
            }
        case .refuse(let reason):
            enhanced?.exchange = nil
            // [MQTT-4.12.0-4] [MQTT-4.12.1-2]
            if state == .connected { disconnect(reason) } else { refuse(reason) }
        }
    }

    private func writeAuth(_ reason: ReasonCode, _ data: Bytes?) {
        guard let method = enhanced?.method else { return }
        var packet = ReasonPacket(reason: reason)
        // [MQTT-4.12.0-5]
        packet.properties.authenticationMethod = method
        packet.properties.authenticationData = data
        write(frame: packet.encoded(.auth, .v5))
    }

    /// An AUTH from the client: the answer to a challenge, or the wish to authenticate again.
    func receiveAuth(_ packet: ReasonPacket) throws(CodecError) {
        guard let known = enhanced else {
            throw .protocolError("AUTH without an authentication method")  // [MQTT-4.12.0-7]
        }
        if packet.properties.authenticationMethod != known.method {
            throw .protocolError("AUTH with another authentication method")  // [MQTT-4.12.0-5]
        }
        if known.isBusy { throw .protocolError("AUTH before the server has answered the last one") }
        switch packet.reason {
        case .continueAuthentication:
            // [MQTT-4.12.0-3]
            guard known.exchange != nil else { throw .protocolError("AUTH that answers nothing") }
            if state == .authenticating { state = .connecting }
            step(packet.properties.authenticationData)
        case .reauthenticate:
            // [MQTT-4.12.1-1]
            guard state == .connected, known.exchange == nil else {
                throw .protocolError("re-authentication during authentication")
            }
            let credentials = Credentials(client: identity, username: nil, password: nil)
            guard let exchange = context.authenticator.exchange(known.method, credentials) else {
                disconnect(.badAuthenticationMethod)
                return
            }
            enhanced?.exchange = exchange
            step(packet.properties.authenticationData)
        default: throw .protocolError("AUTH with reason code 0 from a client")  // [MQTT-3.15.2-1]
        }
    }

    private func reauthenticated(_ acceptance: Acceptance, _ data: Bytes?) {
        // The session belongs to whom it was opened by.
        guard acceptance.username == identity.username else {
            disconnect(.notAuthorized)
            return
        }
        take(acceptance)
        writeAuth(.success, data)
        if let session { reviewSubscriptions(session) }
    }

    /// Puts into force what authentication found.
    func take(_ acceptance: Acceptance) {
        identity.username = acceptance.username
        identity.roles = acceptance.roles
        identity.isSuperuser = acceptance.isSuperuser
        identity.authenticator = acceptance.authenticator
        authoriser = acceptance.authoriser
        origin = Origin(
            .client, clientID: identity.clientID, username: identity.username, peer: context.peer,
            mayWriteDevices: acceptance.mayWriteDevices)
        forgetAccess()
        expiresAt = nil
        guard let end = acceptance.expiresAt else { return }
        let left = max(0, min(end.nanoseconds &- shard.time.now().nanoseconds, 1 << 60))
        let due = shard.now &+ left
        expiresAt = due
        shard.timers.insert(due, .credentials(id))
    }

    /// The proof that let the client in has ended.
    func credentialsDue(_ now: Int64) {
        guard let expiresAt, expiresAt <= now, state != .closed else { return }
        shard.counters.credentialsExpired += 1
        if state == .connected { disconnect(.notAuthorized) } else { refuse(.notAuthorized) }
    }
}
