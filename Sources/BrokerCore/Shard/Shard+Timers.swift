extension Shard {
    /// Looks at what is due. Called twice a second; tests call it when they have moved the clock.
    package func tick() {
        let now = refreshNow()
        log.flush(always: true)
        guard isReady else { return }
        tickLog()
        while let action = timers.popDue(now) {
            switch action {
            case .connection(let id): checkConnection(id, now)
            case .credentials(let id): connections[id]?.credentialsDue(now)
            case .will(let clientID, let serial):
                guard let session = sessions[clientID], session.serial == serial, session.connection == nil,
                    !session.isLeaving, !session.isClaimed, let will = session.will
                else { continue }
                let due = session.disconnectedAt &+ Int64(min(will.delaySeconds, session.expirySeconds)) * 1_000_000_000
                if due > now {
                    timers.insert(due, .will(clientID, serial))
                } else {
                    session.will = nil
                    if session.number != 0 { _ = log.session(.willDone, session.number) }
                    publish(will)
                }
            case .expiry(let clientID, let serial):
                guard let session = sessions[clientID], session.serial == serial, session.connection == nil,
                    !session.isLeaving, !session.isClaimed, session.expirySeconds != .max
                else { continue }
                let due = session.disconnectedAt &+ Int64(session.expirySeconds) * 1_000_000_000
                if due > now {
                    timers.insert(due, .expiry(clientID, serial))
                } else {
                    expire(session)
                }
            }
        }
    }

    private func expire(_ session: Session) {
        counters.sessionsExpired += 1
        if let will = session.will {
            session.will = nil
            publish(will)
        }
        end(session, tellsOwner: true)
    }

    func armKeepAlive(_ connection: Connection) {
        timers.insert(now &+ connection.keepAliveNanoseconds, .connection(connection.id))
    }

    private func checkConnection(_ id: UInt64, _ now: Int64) {
        guard let connection = connections[id] else { return }
        switch connection.state {
        case .awaitingConnect:
            counters.connectTimeouts += 1
            connection.closeReason = .maximumConnectTime
            connection.close()
        case .connecting, .authenticating:
            // Authentication or a hand-over takes its time; it gets as much again, once.
            if connection.isOverdue, isReady || connection.state == .authenticating {
                counters.connectTimeouts += 1
                connection.refuse(.serverUnavailable)
            } else {
                connection.isOverdue = isReady || connection.state == .authenticating
                timers.insert(now &+ Int64(connection.context.limits.connectSeconds) * 1_000_000_000, .connection(id))
            }
        case .connected:
            guard connection.keepAliveSeconds > 0 else { return }
            let due = connection.lastReceived &+ connection.keepAliveNanoseconds
            if due > now {
                timers.insert(due, .connection(id))
            } else if connection.isReadPaused || connection.isThrottled {
                timers.insert(now &+ connection.keepAliveNanoseconds, .connection(id))
            } else {
                // [MQTT-3.1.2-22]
                counters.keepAliveTimeouts += 1
                connection.disconnect(.keepAliveTimeout)
            }
        case .closed: return
        }
    }
}

extension Connection {
    /// One and a half times the keep alive. [MQTT-3.1.2-22]
    var keepAliveNanoseconds: Int64 { Int64(keepAliveSeconds) * 1_500_000_000 }
}
