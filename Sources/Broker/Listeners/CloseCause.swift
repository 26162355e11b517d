package import BrokerCore
import Model

/// Why a connection was refused or ended, as metrics and the console count it. Every connection that a listener
/// sees ends with exactly one of these.
package enum CloseCause: String, CaseIterable, Sendable {
    // At the door
    case connectionsMax = "connections_max"
    case connectionRate = "connection_rate"
    case addressConnectionsMax = "address_connections_max"
    case untrustedProxy = "untrusted_proxy"
    // Before CONNECT
    case halfOpenMax = "half_open_max"
    case proxyHeader = "proxy_header"
    case proxyTimeout = "proxy_timeout"
    case notTLS = "not_tls"
    case tlsHandshake = "tls_handshake"
    case tlsTimeout = "tls_timeout"
    case certificateUntrusted = "certificate_untrusted"
    case certificateExpired = "certificate_expired"
    case certificateRevoked = "certificate_revoked"
    case revocationUnknown = "revocation_unknown"
    case webSocketRequest = "websocket_request"
    case webSocketTimeout = "websocket_timeout"
    case connectTimeout = "connect_timeout"
    case closedEarly = "closed_before_connect"
    case unsupportedVersion = "unsupported_version"
    case notAuthorised = "not_authorised"
    case refused = "refused"
    // At any time
    case webSocketFrame = "websocket_frame"
    case webSocketText = "websocket_text"
    case malformed = "malformed"
    case protocolError = "protocol_error"
    case packetTooLarge = "packet_too_large"
    case packetTimeout = "packet_timeout"
    case keepAlive = "keep_alive"
    case quota = "quota"
    case takenOver = "taken_over"
    case kicked = "kicked"
    case serverStopping = "server_stopping"
    case other = "other"
    /// The client left, or its network failed.
    case client = "client"

    /// Why the broker itself closed a connection.
    package init(_ reason: ReasonCode) {
        self =
            switch reason {
            case .malformedPacket, .topicFilterInvalid, .topicNameInvalid, .topicAliasInvalid, .payloadFormatInvalid:
                .malformed
            case .protocolError: .protocolError
            case .packetTooLarge: .packetTooLarge
            case .unsupportedProtocolVersion: .unsupportedVersion
            case .badUserNameOrPassword, .notAuthorized, .badAuthenticationMethod, .banned: .notAuthorised
            case .clientIdentifierNotValid, .serverBusy, .serverUnavailable: .refused
            case .keepAliveTimeout: .keepAlive
            case .maximumConnectTime: .connectTimeout
            case .receiveMaximumExceeded, .quotaExceeded, .messageRateTooHigh: .quota
            case .sessionTakenOver: .takenOver
            case .administrativeAction: .kicked
            case .serverShuttingDown: .serverStopping
            case .success: .client
            default: .other
            }
    }

    /// Turned away without a word, before anything was read.
    package var isRefusal: Bool {
        switch self {
        case .connectionsMax, .connectionRate, .addressConnectionsMax, .untrustedProxy: true
        default: false
        }
    }
}

/// How often each cause was the one.
package final class CloseCounters: Sendable {
    private let counters: [CloseCause: Counter]

    package init() {
        counters = Dictionary(uniqueKeysWithValues: CloseCause.allCases.map { ($0, Counter()) })
    }

    package func add(_ cause: CloseCause) { counters[cause]?.add() }

    /// Causes that occurred.
    package var counts: [CloseCause: UInt64] { counters.mapValues(\.count).filter { $0.value > 0 } }

    package var refusals: UInt64 { counters.reduce(0) { $0 + ($1.key.isRefusal ? $1.value.count : 0) } }
}
