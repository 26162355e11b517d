/// An acknowledgement that waits until what it promises is durable.
struct PendingAcknowledgement {
    var position: UInt64
    var packetID: UInt16
    var type: PacketType
    var reason: ReasonCode
    /// A SUBACK or UNSUBACK, ready.
    var frame: [UInt8] = []
    /// A QoS 2 message whose packet identifier must be durable first.
    var message: QueuedMessage?
}

extension Connection {
    /// Acknowledges at once, or when the log has made `logPosition` durable. The order is kept. [MQTT-4.6.0-2]
    func acknowledge(_ type: PacketType, _ packetID: UInt16, _ reason: ReasonCode, logPosition: UInt64) {
        if pendingAcknowledgements.isEmpty, logPosition <= shard.log.durable {
            writeAcknowledgement(type, packetID, reason)
            return
        }
        pendingAcknowledgements.append(
            PendingAcknowledgement(position: logPosition, packetID: packetID, type: type, reason: reason))
        if type == .puback { pendingPubacks += 1 }
        shard.awaitLog(self)
    }

    /// Sends what has become durable.
    func logAdvanced() {
        // Nothing follows a DISCONNECT. [MQTT-3.14.4-1]
        guard state == .connected else { return }
        while let first = pendingAcknowledgements.first, first.position <= shard.log.durable {
            _ = pendingAcknowledgements.popFirst()
            if first.type == .puback { pendingPubacks -= 1 }
            if let message = first.message {
                session?.sendNow(message, packetID: first.packetID, on: self)
            } else if first.frame.isEmpty {
                writeAcknowledgement(first.type, first.packetID, first.reason)
            } else {
                write(frame: first.frame)
            }
        }
    }

    /// Sends a QoS 2 message once its packet identifier is durable.
    func send(_ queued: QueuedMessage, packetID: UInt16, afterLog position: UInt64) {
        pendingAcknowledgements.append(
            PendingAcknowledgement(
                position: position, packetID: packetID, type: .publish, reason: .success, message: queued))
        shard.awaitLog(self)
    }

    func writeAcknowledgement(_ type: PacketType, _ packetID: UInt16, _ reason: ReasonCode) {
        let hasReason = version == .v5 && reason != .success
        append(count: hasReason ? 5 : 4) { target in
            target.storeBytes(of: type.rawValue << 4 | (type == .pubrel ? 2 : 0), as: UInt8.self)
            target.storeBytes(of: hasReason ? 3 : 2, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt8(packetID >> 8), toByteOffset: 2, as: UInt8.self)
            target.storeBytes(of: UInt8(truncatingIfNeeded: packetID), toByteOffset: 3, as: UInt8.self)
            if hasReason { target.storeBytes(of: reason.rawValue, toByteOffset: 4, as: UInt8.self) }
        }
        shard.counters.packetsSent += 1
    }

    func receiveAcknowledgement(_ type: PacketType, _ body: UnsafeRawBufferPointer) throws(CodecError) {
        guard let session else { return }
        var packetID: UInt16
        var reason = ReasonCode.success
        if body.count == 2 {
            packetID = UInt16(body[0]) << 8 | UInt16(body[1])
            if packetID == 0 { throw .protocolError("packet identifier 0") }
        } else {
            var reader = FieldReader(body)
            let context: PropertyContext
            switch type {
            case .puback: context = .puback
            case .pubrec: context = .pubrec
            case .pubrel: context = .pubrel
            default: context = .pubcomp
            }
            let packet = try AcknowledgePacket(&reader, version: version, context: context)
            packetID = packet.packetID
            reason = packet.reason
        }
        switch type {
        case .puback: try finish(packetID, .awaitingPuback, session)
        case .pubcomp: try finish(packetID, .awaitingPubcomp, session)
        case .pubrec: try received(packetID, reason, session)
        default: released(packetID, session)
        }
    }

    private func finish(_ packetID: UInt16, _ expected: InflightState, _ session: Session) throws(CodecError) {
        let state = session.inflight.state(packetID)
        // An answer to nothing is ignored, as Mosquitto does: it may be one to a message that has been given away.
        if state == .free { return }
        session.forgetResending(packetID)
        if state != expected { throw .protocolError("packet identifier \(packetID) awaits another answer") }
        if state == .awaitingPuback, shard.events.watches(.messageAcknowledged) {
            shard.tellAcknowledged(session, packetID)
        }
        session.finish(packetID)
        if !session.queue.isEmpty || !session.resending.isEmpty { session.pump() }
    }

    private func received(_ packetID: UInt16, _ reason: ReasonCode, _ session: Session) throws(CodecError) {
        session.forgetResending(packetID)
        switch session.inflight.state(packetID) {
        case .awaitingPubrec where reason.isError:
            // [MQTT-4.8.2-6]: refused by the client, not to be given to anyone else.
            session.finish(packetID)
            session.pump()
        case .awaitingPubrec:
            if shard.events.watches(.messageAcknowledged) { shard.tellAcknowledged(session, packetID) }
            acknowledge(.pubrel, packetID, .success, logPosition: session.received(packetID))
        case .awaitingPubcomp: acknowledge(.pubrel, packetID, .success, logPosition: 0)
        case .awaitingPuback: throw .protocolError("PUBREC for a QoS 1 message")
        case .free:
            // Nothing is known of it, perhaps because it was finished before: it ends here, as with Mosquitto.
            if !reason.isError { acknowledge(.pubrel, packetID, .success, logPosition: 0) }
        }
    }

    private func released(_ packetID: UInt16, _ session: Session) {
        let wasKnown = session.incoming.remove(packetID) != nil
        var position: UInt64 = 0
        if wasKnown, session.isRecorded {
            position = shard.log.incoming(session: session.number, packetID: packetID, isReleased: true)
        }
        // Also if it is not known: the first PUBCOMP may have been lost. Without a reason code, as Mosquitto.
        acknowledge(.pubcomp, packetID, .success, logPosition: position)
    }
}
