package import BrokerCore
package import Model
import Synchronization

/// What all connections of a listener share, whatever carries them and on whichever loop they are: what it lets
/// them do at the moment, who is there, and how they ended.
package final class ListenerState: Sendable {
    package let name: String
    private let current: Mutex<ListenerConfiguration>
    private let version = Atomic<UInt64>(0)
    private let base: (any Authenticator)?
    private let time: any TimeSource
    private let connections = Atomic<Int>(0)
    private let waiting = Atomic<Int>(0)
    package let accepted = Counter()
    package let closed = CloseCounters()
    private let door: Mutex<Door>

    private struct Door {
        var rate: TokenBucket
        var addresses: [NetworkAddress: Int] = [:]
    }

    package init(
        name: String, _ configuration: ListenerConfiguration, authenticator: (any Authenticator)?, time: any TimeSource
    ) {
        self.name = name
        current = Mutex(configuration)
        base = authenticator
        self.time = time
        door = Mutex(
            Door(rate: TokenBucket(rate: configuration.bounds.connectionsPerSecond, now: time.monotonicNanoseconds())))
    }

    package var configuration: ListenerConfiguration { current.withLock { $0 } }
    /// Grows with every change of the configuration.
    package var generation: UInt64 { version.load(ordering: .relaxed) }
    package var connectionCount: Int { connections.load(ordering: .relaxed) }
    /// Of these, those that have not sent their CONNECT.
    package var halfOpenCount: Int { waiting.load(ordering: .relaxed) }

    package func change(_ configuration: ListenerConfiguration) {
        current.withLock { $0 = configuration }
        let now = time.monotonicNanoseconds()
        door.withLock { $0.rate.setRate(configuration.bounds.connectionsPerSecond, now: now) }
        version.wrappingAdd(1, ordering: .relaxed)
    }

    /// Lets a connection in, or says why not, and counts it. One that is in must `leave`.
    package func admit(_ peer: PeerAddress, _ configuration: ListenerConfiguration) -> CloseCause? {
        let cause = refusal(peer, configuration)
        if let cause { closed.add(cause) } else { accepted.add() }
        return cause
    }

    private func refusal(_ peer: PeerAddress, _ configuration: ListenerConfiguration) -> CloseCause? {
        if configuration.proxyProtocol, let ip = peer.ip,
            !configuration.proxyTrusted.contains(where: { $0.contains(ip) })
        {
            return .untrustedProxy
        }
        let now = time.monotonicNanoseconds()
        let isInTime = door.withLock { door in
            guard door.rate.isLimited else { return true }
            door.rate.refill(now)
            guard door.rate.available >= 1 else { return false }
            door.rate.take(1, now: now)
            return true
        }
        if !isInTime { return .connectionRate }
        // Those that are known to be half open make room: see `ListenerLane`.
        if connections.add(1, ordering: .relaxed).newValue > configuration.connectionsMax, halfOpenCount == 0 {
            connections.subtract(1, ordering: .relaxed)
            return .connectionsMax
        }
        if !configuration.proxyProtocol, !enter(peer.ip, configuration) {
            connections.subtract(1, ordering: .relaxed)
            return .addressConnectionsMax
        }
        return nil
    }

    /// Counts a connection for its address; false if the address has as many as it may.
    package func enter(_ ip: NetworkAddress?, _ configuration: ListenerConfiguration) -> Bool {
        guard let key = ip?.customer else { return true }
        return door.withLock { door in
            let count = door.addresses[key, default: 0]
            if configuration.bounds.connectionsPerAddress > 0, count >= configuration.bounds.connectionsPerAddress {
                return false
            }
            door.addresses[key] = count + 1
            return true
        }
    }

    /// `ip`: what `enter` counted.
    package func leave(_ ip: NetworkAddress?, _ cause: CloseCause) {
        connections.subtract(1, ordering: .relaxed)
        closed.add(cause)
        guard let key = ip?.customer else { return }
        door.withLock { door in
            guard let count = door.addresses[key] else { return }
            door.addresses[key] = count > 1 ? count - 1 : nil
        }
    }

    package func halfOpenChanged(by count: Int) { waiting.add(count, ordering: .relaxed) }

    /// Whether a half-open connection must make room for the one that came.
    package var isCrowded: Bool {
        current.withLock { halfOpenCount > $0.bounds.halfOpenMax || connectionCount > $0.connectionsMax }
    }

    package var isFull: Bool { current.withLock { connectionCount > $0.connectionsMax } }

    /// What the broker needs to know of a client that is about to send its CONNECT.
    package func context(
        peer: PeerAddress, certificate: ClientCertificate?, secondsLeft: UInt16
    ) -> ConnectionContext {
        let configuration = configuration
        var limits = configuration.limits
        limits.connectSeconds = max(1, min(limits.connectSeconds, secondsLeft))
        return ConnectionContext(
            peer: peer.text, isLoopback: peer.isLocal, listener: name, limits: limits,
            authenticator: ListenerAuthenticator(allowAnonymous: configuration.allowAnonymous, base: base),
            certificate: certificate)
    }
}
