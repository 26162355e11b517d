import Bus
import Model

extension Connection {
    /// The hot path: parses in place, finds the topic's subscribers in the shard's cache, and copies the frame into
    /// their buffers.
    func receivePublish(
        _ header: FixedHeader, _ frame: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) throws(CodecError) {
        let parts = try PublishFrame(body, flags: header.flags, version: version)
        if parts.qos.rawValue > context.limits.maximumQoS {
            throw CodecError(.qosNotSupported, "QoS \(parts.qos.rawValue)")
        }
        if parts.retain, !context.limits.retainAvailable { throw CodecError(.retainNotSupported, "RETAIN") }
        shard.counters.publishReceived += 1
        publishBudget &-= 1
        var publication = Publication(
            topic: UnsafeRawBufferPointer(rebasing: body[parts.topic]), topicHash: 0,
            payload: UnsafeRawBufferPointer(rebasing: body[parts.payloadStart...]),
            properties: UnsafeRawBufferPointer(rebasing: body[parts.properties]), qos: parts.qos.rawValue,
            retain: parts.retain, expiresAt: .max, origin: origin, frame: frame,
            frameHeaderCount: header.headerCount, frameVersion: version)
        if header.headerCount != 1 + FixedHeader.lengthCount(header.remainingCount) {
            // A length written longer than need be is not passed on. [MQTT-1.5.5-1]
            publication.frame = UnsafeRawBufferPointer(start: nil, count: 0)
        }
        shard.counters.publishBytesReceived += UInt64(publication.payload.count)
        var alias: UInt16 = 0
        if !publication.properties.isEmpty { alias = try readProperties(&publication) }
        let route = try findRoute(&publication, alias: alias)
        publication.topicHash = route.hash
        session?.received += 1
        guard mayPublish(route, qos: parts.qos.rawValue, retain: parts.retain) else {
            guard publishRefused() else { return }
            // 3.1.1 has no way to say so; the message is dropped and counted.
            acknowledge(parts, version == .v5 ? .notAuthorized : .success, logPosition: 0)
            return
        }
        if parts.qos != .atMostOnce, shard.log.isRefusing, refuseUnkeepable(parts, route) { return }
        switch parts.qos {
        case .atMostOnce: _ = shard.publish(&publication, route)
        case .atLeastOnce:
            try checkQuota()
            let reason = shard.publish(&publication, route)
            acknowledge(parts, version == .v5 ? reason : .success, logPosition: publication.logPosition)
        case .exactlyOnce: try receiveExactlyOnce(parts, &publication, route)
        }
    }

    private func receiveExactlyOnce(
        _ parts: PublishFrame, _ publication: inout Publication, _ route: Route
    ) throws(CodecError) {
        guard let session else { return }
        // Sent again: it was published when it came first. [MQTT-4.3.3-10]
        if !session.incoming.contains(parts.packetID) {
            try checkQuota()
            session.incoming.insert(parts.packetID)
            // Together with the message in one block: either both survive or neither does.
            var position: UInt64 = 0
            if session.isRecorded {
                position = shard.log.incoming(session: session.number, packetID: parts.packetID, isReleased: false)
            }
            _ = shard.publish(&publication, route)
            publication.logPosition = max(position, publication.logPosition)
        }
        acknowledge(parts, .success, logPosition: publication.logPosition)
    }

    /// Nothing can be made durable at the moment. What would have to be is refused before anybody gets it: MQTT 5.0
    /// clients are told so, others are disconnected and send it again. True if it was.
    private func refuseUnkeepable(_ parts: PublishFrame, _ route: Route) -> Bool {
        guard shard.mustKeep(route, retain: parts.retain) || (parts.qos == .exactlyOnce && session?.isRecorded == true)
        else { return false }
        // Sent again: it was accepted before.
        if parts.qos == .exactlyOnce, session?.incoming.contains(parts.packetID) == true { return false }
        shard.counters.refusedByLog += 1
        if version == .v5 {
            acknowledge(parts, .quotaExceeded, logPosition: 0)
        } else {
            disconnect(.quotaExceeded)
        }
        return true
    }

    private func acknowledge(_ parts: PublishFrame, _ reason: ReasonCode, logPosition: UInt64) {
        switch parts.qos {
        case .atMostOnce: break
        case .atLeastOnce: acknowledge(.puback, parts.packetID, reason, logPosition: logPosition)
        case .exactlyOnce: acknowledge(.pubrec, parts.packetID, reason, logPosition: logPosition)
        }
    }

    /// [MQTT-3.3.4-7]: more unacknowledged messages than the CONNACK allowed.
    private func checkQuota() throws(CodecError) {
        guard version == .v5, let session else { return }
        if pendingPubacks + session.incoming.count >= Int(context.limits.receiveMaximum) {
            throw CodecError(.receiveMaximumExceeded, "more unacknowledged messages than Receive Maximum")
        }
    }

    /// Checks the properties, keeps those that are forwarded, and returns the topic alias or 0.
    private func readProperties(_ publication: inout Publication) throws(CodecError) -> UInt16 {
        var reader = FieldReader(publication.properties)
        var seen: UInt64 = 0
        var alias: UInt16 = 0
        scratch.removeAll(keepingCapacity: true)
        while !reader.isAtEnd {
            let start = reader.index
            let id = try Properties.nextID(&reader, in: .publish, seen: &seen)
            switch id {
            case .payloadFormatIndicator: _ = try Properties.flag(id, &reader)
            case .messageExpiryInterval:
                let seconds = try reader.uint32("message expiry interval")
                publication.expiresAt = shard.now &+ Int64(seconds) * 1_000_000_000
                continue
            case .topicAlias:
                alias = try reader.uint16("topic alias")
                if alias == 0 || alias > context.limits.topicAliasMaximum {
                    throw CodecError(.topicAliasInvalid, "topic alias \(alias)")  // [MQTT-3.3.2-9]
                }
                continue
            case .contentType: _ = try reader.utf8("content type")
            case .responseTopic:
                guard PublishFrame.isTopicName(try reader.utf8("response topic")) else {
                    throw .protocolError("response topic")  // [MQTT-3.3.2-14]
                }
            case .correlationData: _ = try reader.slice("correlation data")
            case .userProperty:
                _ = try reader.utf8("user property")
                _ = try reader.utf8("user property")
            default:
                throw .protocolError("property \(id) from a client")  // [MQTT-3.3.4-6]
            }
            scratch.append(contentsOf: UnsafeRawBufferPointer(rebasing: publication.properties[start..<reader.index]))
        }
        if scratch.count != publication.properties.count {
            publication.frame = UnsafeRawBufferPointer(start: nil, count: 0)
            // Stays in place until the next packet of this connection is read.
            publication.properties = holdScratch()
        }
        return alias
    }

    /// The forwarded properties, copied to where they stay put while the message is handed on.
    private func holdScratch() -> UnsafeRawBufferPointer {
        shard.propertyBuffer.hold(scratch)
    }

    private func findRoute(_ publication: inout Publication, alias: UInt16) throws(CodecError) -> Route {
        if publication.topic.isEmpty {
            // [MQTT-4.7.3-1]
            guard version == .v5, alias != 0 else { throw .protocolError("an empty topic") }
            guard let route = inboundAliases[alias] else { throw .protocolError("topic alias \(alias) is not set") }
            publication.frame = UnsafeRawBufferPointer(start: nil, count: 0)
            // The route is held by the alias table, and its bytes do not move.
            publication.topic = route.topic.withUnsafeBytes { $0 }
            shard.refresh(route)
            return route
        }
        if let route = lastRoute, route.isTopic(publication.topic) {
            shard.refresh(route)
            if alias != 0 { inboundAliases[alias] = route }
            return route
        }
        guard let route = shard.route(publication.topic) else {
            throw Self.whyNoTopic(publication.topic)
        }
        lastRoute = route
        if alias != 0 { inboundAliases[alias] = route }
        return route
    }

    /// What is wrong with a topic's bytes; the codes are those of Mosquitto.
    private static func whyNoTopic(_ topic: UnsafeRawBufferPointer) -> CodecError {
        if !UTF8Check.isValid(topic, allowsNull: false) { return .malformed("topic name is not UTF-8 without U+0000") }
        if !PublishFrame.isTopicName(topic) { return .protocolError("topic name has a wildcard") }
        return CodecError(.topicNameInvalid, "topic name has too many levels")
    }
}

/// Memory for the properties of the message that a shard is handing on; holds one message's at a time.
final class PropertyBuffer {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 8)

    deinit { memory.deallocate() }

    func hold(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        if bytes.count > memory.count {
            memory.deallocate()
            memory = .allocate(byteCount: bytes.count * 2, alignment: 8)
        }
        memory.copyBytes(from: bytes)
        return UnsafeRawBufferPointer(rebasing: memory[..<bytes.count])
    }
}
