import Bus
import Model

/// Where a client's session is, as the owner of its client id knows it.
struct Holder {
    /// The shard that has the session; nil while nobody has.
    var shard: Int?
    /// A claim is under way; others wait.
    var isBusy = true
    var waiting: [Claim] = []
}

/// How a connection gets its client's session, wherever that is: the owner of the client id lets one claim through
/// at a time; the holder gives the session up; the claimant installs its filters first and then takes over what the
/// session has, so that no message falls between the two.
extension Shard {
    // MARK: At the connection's shard

    func claim(for connection: Connection, clientID: String, cleanStart: Bool) {
        guard isReady else {
            waitingForStart.append(connection)
            return
        }
        if log.isRefusing, connection.pendingConnect?.expirySeconds ?? 0 > 0 {
            connection.refuse(.serverUnavailable)
            return
        }
        let claim = Claim(clientID: clientID, connectionID: connection.id, shard: index, cleanStart: cleanStart)
        post(owner(hash(clientID)), .claim(claim))
    }

    /// The session is here or nowhere.
    func granted(_ claim: Claim) {
        // The end of the session that it replaces comes before the CONNACK.
        var endPosition = claim.ended == 0 ? 0 : log.session(.ended, claim.ended)
        if let session = sessions[claim.clientID] {
            let stays = detach(session, cleanStart: claim.cleanStart)
            if stays {
                settle(claim, session, isPresent: true)
                return
            }
            endPosition = end(session, tellsOwner: false)
        }
        guard let connection = connections[claim.connectionID], connection.state == .connecting else {
            post(owner(hash(claim.clientID)), .settled(clientID: claim.clientID, isHeld: false))
            return
        }
        let session = Session(
            clientID: claim.clientID, shard: self, serial: makeSerial(), version: connection.version)
        sessions[claim.clientID] = session
        settle(claim, session, isPresent: false, after: endPosition)
    }

    /// Takes the session from the connection it has. False if it ends with that. MQTT 5.0, 3.1.4 [MQTT-3.1.4-3]
    private func detach(_ session: Session, cleanStart: Bool) -> Bool {
        let stays = !cleanStart && session.isPersistent
        if let old = session.connection {
            counters.takenOver += 1
            session.connection = nil
            session.replay.removeAll()
            old.session = nil
            old.disconnect(.sessionTakenOver)
            tellDisconnected(old, session)
        }
        if let will = session.will {
            session.will = nil
            // [MQTT-3.1.3-9]: not if the client is back before the delay has passed.
            if !stays || will.delaySeconds == 0 {
                if session.number != 0 { _ = log.session(.willDone, session.number) }
                publish(will)
            }
        }
        return stays
    }

    private func settle(_ claim: Claim, _ session: Session, isPresent: Bool, after endPosition: UInt64 = 0) {
        var position = endPosition
        if let connection = connections[claim.connectionID], let pending = connection.pendingConnect {
            position = max(position, recordConnect(session, connection, pending))
        }
        session.isClaimed = true
        whenDurable(position) { [self] in
            session.isClaimed = false
            if let connection = connections[claim.connectionID], connection.state == .connecting {
                connection.establish(session, isPresent: isPresent)
            } else {
                disconnected(session)
            }
            let isHeld = sessions[claim.clientID] === session
            post(owner(hash(claim.clientID)), .settled(clientID: claim.clientID, isHeld: isHeld))
        }
    }

    /// Writes down that a client is connected, if anything of it must survive a crash. Where that stands in the log.
    private func recordConnect(_ session: Session, _ connection: Connection, _ pending: PendingConnect) -> UInt64 {
        guard log.isOn, session.number != 0 || pending.expirySeconds > 0 || pending.will != nil else { return 0 }
        let isNew = session.number == 0
        if isNew {
            session.number = log.makeID()
            session.isRecorded = pending.expirySeconds > 0
        }
        let position = log.connected(
            session: session.number, newFor: isNew ? session.clientID : nil, expirySeconds: pending.expirySeconds,
            version: connection.version, username: connection.identity.username, will: pending.will, now: now)
        if isNew { session.since = position }
        return position
    }

    /// The session as it is replaces what the log says of it.
    func recordSnapshot(_ session: Session) {
        log.snapshot(session: session.number, session.recorded)
        session.since = log.due()
    }

    /// The holder is ready: installs the session's filters here, then fetches the rest.
    func prepare(_ moving: MovingSession, from holder: Int) {
        let claim = moving.claim
        let session = Session(clientID: claim.clientID, shard: self, serial: makeSerial(), version: .v5)
        session.expirySeconds = moving.snapshot.expirySeconds
        session.number = moving.snapshot.number
        session.isRecorded = moving.snapshot.isRecorded
        session.isLeaving = true
        sessions[claim.clientID] = session
        let pending = PendingSubscribe(packetID: 0, count: 0)
        pending.missing = 1
        let installed = { [self] in
            pending.missing -= 1
            if pending.missing == 0 { post(holder, .handOver(claim)) }
        }
        for saved in moving.snapshot.subscriptions {
            guard let filter = try? TopicFilter(saved.filter) else { continue }
            pending.missing += 1
            _ = subscribe(session, filter, saved.options, subscriptionID: saved.subscriptionID, installed: installed)
        }
        installed()
    }

    func arrived(_ moving: MovingSession) {
        guard let session = sessions[moving.claim.clientID] else {
            granted(moving.claim)
            return
        }
        if compaction != nil {
            for queued in moving.snapshot.queue { compactionMeets(queued.message) }
            for entry in moving.snapshot.inflight { if let message = entry.message { compactionMeets(message) } }
        }
        session.restore(moving.snapshot)
        session.isLeaving = false
        if session.number != 0 { recordSnapshot(session) }
        settle(moving.claim, session, isPresent: true)
    }

    // MARK: At the holder

    func surrender(_ claim: Claim) {
        guard let session = sessions[claim.clientID] else {
            post(claim.shard, .granted(claim))
            return
        }
        guard detach(session, cleanStart: claim.cleanStart) else {
            end(session, tellsOwner: false)
            // After this turn's messages, the will among them.
            postLate(claim.shard, .granted(claim.ending(session.number)))
            return
        }
        session.isLeaving = true
        let snapshot = session.snapshot(withMessages: false)
        post(claim.shard, .prepare(MovingSession(claim: claim, snapshot: snapshot)))
    }

    func handOverSession(_ claim: Claim) {
        guard let session = sessions[claim.clientID], session.isLeaving else {
            post(claim.shard, .granted(claim))
            return
        }
        let snapshot = session.snapshot(withMessages: true)
        // What was recorded of it here comes before what will be there.
        log.setDue()
        sessions[claim.clientID] = nil
        dismantle(session)
        post(claim.shard, .arrived(MovingSession(claim: claim, snapshot: snapshot)))
    }

    // MARK: Ending

    /// A connection is over; its session may go on without it.
    func ended(_ connection: Connection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        connection.pendingConnect = nil
        guard let session = connection.session, session.connection === connection else { return }
        connection.session = nil
        session.connection = nil
        session.replay.removeAll()
        tellDisconnected(connection, session)
        if connection.discardsWill { session.will = nil }
        disconnected(session)
    }

    /// The session has no connection now.
    private func disconnected(_ session: Session) {
        setGroupsOnline(session, false)
        giveBackShared(session)
        session.isResuming = false
        session.waitingForLog = 0
        guard session.isPersistent else {
            if let will = session.will {
                session.will = nil
                publish(will)
            }
            end(session, tellsOwner: true)
            return
        }
        if session.number != 0 {
            // In one block with the will that is published now.
            let keepsWill = (session.will?.delaySeconds ?? 0) > 0
            _ = log.disconnected(
                session: session.number, expirySeconds: session.expirySeconds, keepsWill: keepsWill,
                at: wallTime.nanoseconds)
        }
        if let will = session.will {
            if will.delaySeconds == 0 {
                session.will = nil
                publish(will)
            } else {
                let delay = min(will.delaySeconds, session.expirySeconds)
                timers.insert(now &+ Int64(delay) * 1_000_000_000, .will(session.clientID, session.serial))
            }
        }
        session.disconnectedAt = now
        if session.expirySeconds != .max {
            timers.insert(
                now &+ Int64(session.expirySeconds) * 1_000_000_000, .expiry(session.clientID, session.serial))
        }
    }

    /// The session is over: nothing of it remains. Where that stands in the log; 0: it was not there.
    @discardableResult
    func end(_ session: Session, tellsOwner: Bool) -> UInt64 {
        guard sessions[session.clientID] === session else { return 0 }
        sessions[session.clientID] = nil
        // Its groups must have forgotten it before they choose somebody else.
        let shared = takeShared(session)
        let position = session.number == 0 ? 0 : log.session(.ended, session.number)
        dismantle(session)
        giveBack(shared, of: session)
        if tellsOwner { post(owner(hash(session.clientID)), .released(clientID: session.clientID)) }
        return position
    }

    private func dismantle(_ session: Session) {
        for subscription in session.subscriptions.values { remove(subscription) }
        session.subscriptions = [:]
        session.leaveAll()
        ended.append(session)
        markTurn()
    }

    func publish(_ will: Will) {
        var message = will.message
        message.receivedAt = wallTime
        _ = publish(message)
    }

    // MARK: At the owner of the client id

    func ownerClaim(_ claim: Claim) {
        guard var holder = holders[claim.clientID] else {
            holders[claim.clientID] = Holder()
            post(claim.shard, .granted(claim))
            return
        }
        if holder.isBusy {
            guard holder.waiting.count < limits.claimsPerClientMax else {
                post(claim.shard, .refused(claim))
                return
            }
            holder.waiting.append(claim)
            holders[claim.clientID] = holder
            return
        }
        holder.isBusy = true
        holders[claim.clientID] = holder
        start(claim, holder)
    }

    private func start(_ claim: Claim, _ holder: Holder) {
        if let shard = holder.shard, shard != claim.shard {
            post(shard, .surrender(claim))
        } else {
            post(claim.shard, .granted(claim))
        }
    }

    func ownerSettled(_ clientID: String, shard: Int, isHeld: Bool) {
        guard var holder = holders[clientID] else { return }
        holder.shard = isHeld ? shard : nil
        if !holder.waiting.isEmpty {
            let next = holder.waiting.removeFirst()
            holders[clientID] = holder
            start(next, holder)
            return
        }
        holder.isBusy = false
        holders[clientID] = isHeld ? holder : nil
    }

    func ownerReleased(_ clientID: String, shard: Int) {
        guard let holder = holders[clientID], !holder.isBusy, holder.shard == shard else { return }
        holders[clientID] = nil
    }
}
