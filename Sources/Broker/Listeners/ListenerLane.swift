package import BrokerCore
package import Model
package import NIOCore

/// Who carries a connection, as its listener needs him.
package protocol ListenerClient: AnyObject {
    /// Closes at once, saying nothing: it has not introduced itself.
    func cutOff()
    /// Tells the client to go and why, sends what is unsent within the listener's limit, and closes.
    func dismiss(_ reason: ReasonCode)
}

/// One connection from its acceptance to its end. Confined to its event loop.
package final class Arrival {
    /// What it is busy with before its CONNECT.
    package enum Stage {
        case proxy
        case tls
        case webSocket
        case connect
        case done
    }

    package let listener: ListenerState
    package let lane: ListenerLane
    /// Who it is as far as is known: behind a proxy, what its header says.
    package var peer: PeerAddress
    package var certificate: ClientCertificate?
    package var stage: Stage
    /// The first known cause of its end.
    package private(set) var cause: CloseCause?
    /// Monotonic nanoseconds by which its CONNECT must be here, TLS, WebSocket and all.
    package let deadline: Int64
    /// Nil before it is set up and when it is over.
    package var client: (any ListenerClient)?
    /// Judges its certificate while TLS is being set up.
    var tlsTrust: ClientTrust?
    /// Who signed the certificate that was judged last.
    var tlsIssuer: CertificateFields?
    /// Closes the socket without a farewell, where the ordinary way would wait for one.
    var cut: (() -> Void)?
    /// What the limit per address counts for it.
    private var counted: NetworkAddress?
    private var isOver = false

    fileprivate var next: Arrival?
    fileprivate unowned(unsafe) var previous: Arrival?
    fileprivate var isHalfOpen = true

    /// `peer` has been admitted.
    package init(_ lane: ListenerLane, peer: PeerAddress, _ configuration: ListenerConfiguration) {
        self.lane = lane
        listener = lane.listener
        self.peer = peer
        let stages: [Stage] =
            (configuration.proxyProtocol ? [.proxy] : []) + (configuration.transport.isTLS ? [.tls] : [])
            + (configuration.transport.isWebSocket ? [.webSocket] : [])
        stage = stages.first ?? .connect
        deadline = lane.now &+ Int64(configuration.limits.connectSeconds) * 1_000_000_000
        if !configuration.proxyProtocol { counted = peer.ip }
    }

    package func fail(_ cause: CloseCause) { if self.cause == nil { self.cause = cause } }

    /// The proxy told who the client is; false: that address has as many connections as it may.
    package func identified(_ peer: PeerAddress) -> Bool {
        self.peer = peer
        guard listener.enter(peer.ip, listener.configuration) else {
            fail(.addressConnectionsMax)
            return false
        }
        counted = peer.ip
        return true
    }

    package var context: ConnectionContext {
        let seconds = (deadline - lane.now + 999_999_999) / 1_000_000_000
        return listener.context(peer: peer, certificate: certificate, secondsLeft: UInt16(clamping: max(1, seconds)))
    }

    /// Its CONNECT came.
    package func introduced() {
        stage = .done
        lane.introduced(self)
    }

    /// The connection is gone. `reason`: why the broker closed it, if it did. Idempotent.
    package func ended(_ reason: ReasonCode?) {
        guard !isOver else { return }
        isOver = true
        client = nil
        tlsTrust = nil
        tlsIssuer = nil
        cut = nil
        lane.remove(self)
        listener.leave(counted, cause ?? reason.map(CloseCause.init) ?? (stage == .done ? .client : .closedEarly))
    }

    fileprivate var timeoutCause: CloseCause {
        switch stage {
        case .proxy: .proxyTimeout
        case .tls: .tlsTimeout
        case .webSocket: .webSocketTimeout
        case .connect, .done: .connectTimeout
        }
    }
}

/// The connections of a listener on one event loop: those that have not sent their CONNECT, oldest first, and the
/// others. A half-open connection costs its place here and its deadline, nothing else; when there are too many of
/// them the oldest goes, so that strangers who only hold the door cannot keep others out.
package final class ListenerLane: @unchecked Sendable {
    package let listener: ListenerState
    package let loop: any EventLoop
    package let shard: Shard
    private let time: any TimeSource
    private var halfOpen = ArrivalList()
    private var open = ArrivalList()
    private var sweep: RepeatedTask?

    package init(_ listener: ListenerState, _ shard: Shard, time: any TimeSource) {
        self.listener = listener
        self.shard = shard
        loop = shard.loop
        self.time = time
    }

    var now: Int64 { time.monotonicNanoseconds() }

    package func add(_ arrival: Arrival) {
        halfOpen.append(arrival)
        listener.halfOpenChanged(by: 1)
        if listener.isCrowded, let oldest = halfOpen.first, oldest !== arrival {
            evict(oldest, .halfOpenMax)
        } else if listener.isFull {
            // Those that could make room are on other loops.
            evict(arrival, .connectionsMax)
            return
        }
        if sweep == nil {
            sweep = loop.scheduleRepeatedTask(initialDelay: .milliseconds(250), delay: .milliseconds(250)) {
                [weak self] _ in self?.expire()
            }
        }
    }

    fileprivate func introduced(_ arrival: Arrival) {
        guard arrival.isHalfOpen else { return }
        halfOpen.remove(arrival)
        listener.halfOpenChanged(by: -1)
        arrival.isHalfOpen = false
        open.append(arrival)
    }

    fileprivate func remove(_ arrival: Arrival) {
        if arrival.isHalfOpen {
            halfOpen.remove(arrival)
            listener.halfOpenChanged(by: -1)
        } else {
            open.remove(arrival)
        }
    }

    private func evict(_ arrival: Arrival, _ cause: CloseCause) {
        arrival.fail(cause)
        arrival.client?.cutOff()
        arrival.ended(nil)
    }

    /// Closes those whose time is up. Deadlines follow the order of arrival.
    func expire() {
        let now = now
        while let oldest = halfOpen.first, oldest.deadline <= now { evict(oldest, oldest.timeoutCause) }
        if halfOpen.first == nil {
            sweep?.cancel()
            sweep = nil
        }
    }

    /// Strangers are cut off, clients are dismissed.
    func dismissAll(_ reason: ReasonCode) {
        while let oldest = halfOpen.first { evict(oldest, .serverStopping) }
        for arrival in open.all() { arrival.client?.dismiss(reason) }
    }
}

/// A list linked through its members: taking one out needs no search.
private struct ArrivalList {
    private(set) var first: Arrival?
    private unowned(unsafe) var last: Arrival?
    private(set) var count = 0

    mutating func append(_ arrival: Arrival) {
        arrival.previous = last
        arrival.next = nil
        if let last { last.next = arrival } else { first = arrival }
        last = arrival
        count += 1
    }

    mutating func remove(_ arrival: Arrival) {
        let (previous, next) = (arrival.previous, arrival.next)
        if let previous { previous.next = next } else { first = next }
        if let next { next.previous = previous } else { last = previous }
        arrival.next = nil
        arrival.previous = nil
        count -= 1
    }

    func all() -> [Arrival] {
        var list: [Arrival] = []
        var current = first
        while let arrival = current {
            list.append(arrival)
            current = arrival.next
        }
        return list
    }
}
