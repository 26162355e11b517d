import Bus
import Model
import NIOCore

/// What a listener tells about a connection that it has accepted.
package struct ConnectionContext: Sendable {
    /// `address:port`
    package var peer: String
    package var isLoopback: Bool
    /// The listener's name.
    package var listener: String
    package var limits: ConnectionLimits
    package var authenticator: any Authenticator
    /// The verified certificate that the client came with over TLS.
    package var certificate: ClientCertificate?

    package init(
        peer: String, isLoopback: Bool, listener: String, limits: ConnectionLimits, authenticator: any Authenticator,
        certificate: ClientCertificate? = nil
    ) {
        self.peer = peer
        self.isLoopback = isLoopback
        self.listener = listener
        self.limits = limits
        self.authenticator = authenticator
        self.certificate = certificate
    }
}

/// One network client's conversation: bytes in, bytes out through its transport. Confined to its shard's event loop.
package final class Connection {
    enum State {
        case awaitingConnect
        /// CONNECT has come; who it is and its session are being found out. Nothing more is read.
        case connecting
        /// An authentication exchange waits for the client's AUTH; nothing else may come.
        case authenticating
        case connected
        case closed
    }

    let id: UInt64
    // Shards live until their exchange is dissolved, after which nothing may be used.
    unowned(unsafe) let shard: Shard
    let transport: any Transport
    let context: ConnectionContext
    var state = State.awaitingConnect
    var version = ProtocolVersion.v311
    var session: Session?
    var origin: Origin
    var identity: ClientIdentity
    var authoriser: (any Authoriser)?
    var connectedAt = Timestamp(nanoseconds: 0)
    var keepAliveSeconds = 0
    /// When bytes last came; monotonic nanoseconds.
    var lastReceived: Int64
    /// Bytes of an unfinished packet when they last counted as a sign of life.
    private var partialCount = 0
    /// A bridge of MQTT 3.1 or 3.1.1: gets RETAIN as published and nothing of its own back, as with Mosquitto.
    var isBridge = false
    /// Request Problem Information. MQTT 5.0, 3.1.2.11.7
    var wantsReasons = true
    /// Whether the client said goodbye, so that its will is not published.
    var discardsWill = false
    /// What is being set up between CONNECT and CONNACK.
    var pendingConnect: PendingConnect?
    /// Set where the CONNECT named an authentication method.
    var enhanced: EnhancedAuthentication?
    /// When its proof ends, in monotonic nanoseconds.
    var expiresAt: Int64?

    /// In the shard's list of those that wait for the log.
    var awaitsLog = false

    // Output
    var out = ByteBuffer()
    var isDirty = false
    /// False while the transport has more unsent than it likes.
    package internal(set) var isWritable = true
    /// Close after the next flush.
    var closesAfterFlush = false
    /// The client's Maximum Packet Size. MQTT 5.0, 3.1.2.11.4
    var packetBytesMax = FixedHeader.remainingCountMax
    var outboundAliases = OutboundAliases(countMax: 0)
    var pendingAcknowledgements = RingQueue<PendingAcknowledgement>()
    /// PUBACKs among them: part of what the client's Receive Maximum allows it. MQTT 5.0, 4.9
    var pendingPubacks = 0

    // Input
    var lastRoute: Route?
    /// False: everything is allowed to it as things are.
    var checksAccess = false
    /// What `rights` are about.
    var rightsRoute: Route?
    var rights = TopicRights()
    var rightsByTopic: [Bytes: TopicRights] = [:]
    var inboundAliases: [UInt16: Route] = [:]
    var scratch: [UInt8] = []
    var isReadPaused = false
    /// Its CONNECT came, but the answer is late.
    var isOverdue = false
    /// PUBLISH packets that it takes before it leaves the rest unread: how a transport enforces a message rate.
    package var publishBudget = Int.max
    /// Its transport does not read for the sake of a rate: silence is not the client's fault then.
    package var isThrottled = false
    /// Why the server closed it; nil: the client left, or the network failed.
    package internal(set) var closeReason: ReasonCode?

    init(id: UInt64, shard: Shard, transport: any Transport, context: ConnectionContext) {
        self.id = id
        self.shard = shard
        self.transport = transport
        self.context = context
        origin = Origin(.client, clientID: "", peer: context.peer, mayWriteDevices: false)
        identity = ClientIdentity(
            clientID: "", peer: context.peer, isLoopback: context.isLoopback, listener: context.listener,
            certificate: context.certificate)
        lastReceived = shard.now
    }

    /// Takes the whole packets at the start of `bytes` and returns how many bytes that was. The rest must be given
    /// again, with what comes next, or when the transport is told to resume.
    package func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        let now = shard.refreshNow()
        shard.counters.bytesReceived += UInt64(bytes.count)
        var taken = 0
        do throws(CodecError) {
            while taken < bytes.count, takesPackets {
                if isReadPaused || publishBudget <= 0 { break }
                let left = UnsafeRawBufferPointer(rebasing: bytes[taken...])
                guard let header = try FixedHeader.parse(left, packetBytesMax: inboundBytesMax) else { break }
                if state == .awaitingConnect, header.type != .connect {
                    throw .protocolError("first packet is not CONNECT")  // [MQTT-3.1.0-1]
                }
                if state == .authenticating, header.type != .auth, header.type != .disconnect {
                    throw .protocolError("a packet before the end of authentication")  // [MQTT-3.1.2-30]
                }
                guard left.count >= header.frameCount else { break }
                shard.counters.packetsReceived += 1
                try receive(header, UnsafeRawBufferPointer(rebasing: left[..<header.frameCount]))
                taken += header.frameCount
            }
        } catch {
            fail(error)
            return bytes.count
        }
        if state == .closed { return bytes.count }
        // Part of a packet keeps the connection alive only while a good deal of it comes. [MQTT-3.1.2-22]
        if taken > 0 || bytes.count >= partialCount + Self.partialBytesMin {
            lastReceived = now
            partialCount = bytes.count - taken
        }
        // What is left was counted now and comes again.
        shard.counters.bytesReceived -= UInt64(bytes.count - taken)
        return taken
    }

    /// Bytes of an unfinished packet that count as a sign of life.
    private static let partialBytesMin = 1000

    /// Nobody who is not known yet makes the server hold a large packet.
    private var inboundBytesMax: Int {
        let limits = context.limits
        return state == .awaitingConnect ? min(limits.connectBytesMax, limits.packetBytesMax) : limits.packetBytesMax
    }

    private func receive(_ header: FixedHeader, _ frame: UnsafeRawBufferPointer) throws(CodecError) {
        let body = UnsafeRawBufferPointer(rebasing: frame[header.headerCount...])
        switch header.type {
        case .publish: try receivePublish(header, frame, body)
        case .puback, .pubrec, .pubrel, .pubcomp: try receiveAcknowledgement(header.type, body)
        case .pingreq:
            if !body.isEmpty { throw .malformed("PINGREQ with a body") }
            write(frame: [0xD0, 0])
        case .connect:
            if state != .awaitingConnect { throw .protocolError("a second CONNECT") }  // [MQTT-3.1.0-2]
            var reader = FieldReader(body)
            receiveConnect(try ConnectPacket(&reader))
        case .subscribe:
            var reader = FieldReader(body)
            try receiveSubscribe(try SubscribePacket(&reader, version: version))
        case .unsubscribe:
            var reader = FieldReader(body)
            try receiveUnsubscribe(try UnsubscribePacket(&reader, version: version))
        case .disconnect:
            var reader = FieldReader(body)
            try receiveDisconnect(try ReasonPacket(&reader, version: version, type: .disconnect))
        case .auth:
            var reader = FieldReader(body)
            try receiveAuth(try ReasonPacket(&reader, version: version, type: .auth))
        case .connack, .suback, .unsuback, .pingresp: throw .protocolError("a packet that only servers send")
        }
    }

    private func receiveDisconnect(_ packet: ReasonPacket) throws(CodecError) {
        guard let session else {
            close()
            return
        }
        if let expiry = packet.properties.sessionExpiryInterval {
            // [MQTT-3.14.2-2]
            if session.expirySeconds == 0, expiry > 0 { throw .protocolError("session expiry after none at CONNECT") }
            session.expirySeconds = min(expiry, shard.limits.sessionExpirySecondsMax)
        }
        discardsWill = packet.reason == .success
        close()
    }

    // MARK: Ending

    /// Refuses what the client sent: says why where the version can, and closes. MQTT 5.0, 4.13
    func fail(_ error: CodecError) {
        shard.counters.protocolErrors += 1
        if closeReason == nil { closeReason = error.reason }
        if state == .connected {
            disconnect(error.reason, detail: error.detail)
        } else {
            if error.reason == .unsupportedProtocolVersion {
                // The version is not known; 3.1.1's form is understood by all. [MQTT-3.1.2-2]
                write(frame: ConnackPacket(reason: error.reason).encoded(.v311))
            }
            close()
        }
    }

    /// Tells the client why and closes. `detail` is sent if the client wants to know and it fits; `serverReference`
    /// is where to go instead.
    package func disconnect(_ reason: ReasonCode, detail: String? = nil, serverReference: String? = nil) {
        if closeReason == nil { closeReason = reason }
        if state == .connected, version == .v5 {
            var packet = ReasonPacket(reason: reason)
            packet.properties.serverReference = serverReference
            if wantsReasons { packet.properties.reasonString = detail.map { String($0.prefix(Self.reasonCountMax)) } }
            var frame = packet.encoded(.disconnect, .v5)
            // [MQTT-3.14.2-3]
            if frame.count > packetBytesMax { frame = ReasonPacket(reason: reason).encoded(.disconnect, .v5) }
            write(frame: frame)
        }
        close()
    }

    /// Characters of a reason string.
    private static let reasonCountMax = 250

    /// Closes after what was written has been sent. The session is told when the turn ends.
    func close() {
        guard state != .closed else { return }
        state = .closed
        closesAfterFlush = true
        // Nothing follows a DISCONNECT; what comes for the session waits. [MQTT-3.14.4-1]
        isWritable = false
        shard.markDirty(self)
        shard.closing.append(self)
    }

    /// The transport has gone, for whatever reason.
    package func transportClosed() {
        closesAfterFlush = false
        isWritable = false
        if state != .closed {
            state = .closed
            shard.closing.append(self)
            shard.markTurn()
        }
    }

    /// The transport takes more, or does not for now.
    package func transportWritable(_ writable: Bool) {
        guard state != .closed else { return }
        isWritable = writable
        guard writable, state == .connected else { return }
        session?.pump()
        if out.readableBytes > 0 { shard.markDirty(self) }
    }

    /// Its CONNECT has not come.
    package var isAwaitingConnect: Bool { state == .awaitingConnect }

    /// Its CONNECT has come and is being decided on: nothing more is taken until then.
    package var isUndecided: Bool { state == .connecting }

    /// Whether bytes wait that the transport should give again.
    package var isReading: Bool { takesPackets && !isReadPaused }

    private var takesPackets: Bool {
        switch state {
        case .connected, .awaitingConnect, .authenticating: true
        case .connecting, .closed: false
        }
    }
}
