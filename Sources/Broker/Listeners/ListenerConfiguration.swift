package import BrokerCore
package import Model

/// What clients of a listener speak, and over what.
package enum ListenerProtocol: String, Sendable, CaseIterable {
    case mqtt
    case mqtts
    case ws
    case wss
    case unix

    package var isTLS: Bool { self == .mqtts || self == .wss }
    package var isWebSocket: Bool { self == .ws || self == .wss }
}

/// How much of everything a listener takes from its clients. All can change while they are connected. 0: no limit.
package struct ListenerBounds: Sendable, Hashable {
    /// Accepted per second, with a burst of one second; more are refused.
    package var connectionsPerSecond = 0
    /// At the same time from one IPv4 address or one IPv6 /64 network.
    package var connectionsPerAddress = 0
    /// Connections that have not sent their CONNECT; the oldest goes when another comes.
    package var halfOpenMax = 20_000
    /// Published by one client per second, with a burst of one second; beyond that it is not read from.
    package var messagesPerSecond = 0
    /// Received from one client per second, with a burst of one second; beyond that it is not read from.
    package var bytesPerSecond = 0
    /// How long a packet that has begun may take to be complete.
    package var packetSeconds = 60
    /// How long a client that is told to go may take to read what is unsent.
    package var drainSeconds = 5

    package init() {}
}

/// MQTT over WebSocket. MQTT 5.0, 6
package struct WebSocketSettings: Sendable, Hashable {
    package var path = "/mqtt"
    /// Origins that browsers may come from; empty: all.
    package var origins: [String] = []
    /// Longest frame accepted. Frames are passed on as they come: a long one costs no memory.
    package var frameBytesMax = 16 << 20

    package init() {}
}

/// One place where MQTT clients connect, from the `Listener` resource.
package struct ListenerConfiguration: Sendable, Hashable {
    package var transport: ListenerProtocol
    package var host: String
    package var port: Int
    /// Of a `unix` listener: the socket's path and its permissions.
    package var path = ""
    package var mode: UInt16 = 0o660
    package var allowAnonymous: Bool
    package var connectionsMax: Int
    package var limits: ConnectionLimits
    package var bounds = ListenerBounds()
    package var webSocket = WebSocketSettings()
    /// Set if and only if the protocol is one over TLS.
    package var tls: TLSSettings?
    /// Whether every connection begins with a PROXY header, and who may send one.
    package var proxyProtocol = false
    package var proxyTrusted: [NetworkRange] = []

    package init(
        _ transport: ListenerProtocol = .mqtt, host: String = "127.0.0.1", port: Int = 1883,
        allowAnonymous: Bool = false, connectionsMax: Int = 100_000, limits: ConnectionLimits = ConnectionLimits()
    ) {
        self.transport = transport
        self.host = host
        self.port = port
        self.allowAnonymous = allowAnonymous
        self.connectionsMax = connectionsMax
        self.limits = limits
    }

    /// Whether only clients of this machine can reach it.
    package var isLoopback: Bool {
        transport == .unix || host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    /// Where it listens, as people write it.
    package var address: String {
        if transport == .unix { return path }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Whether the socket of `other` serves for this: only what differs otherwise has to change.
    package func sharesSocket(with other: ListenerConfiguration) -> Bool {
        transport == other.transport && host == other.host && port == other.port && path == other.path
            && mode == other.mode && proxyProtocol == other.proxyProtocol
    }

    /// Reads a validated spec.
    package init(_ value: ConfigValue) throws(Problem) {
        self.init()
        if let name = value["protocol"]?.string {
            guard let known = ListenerProtocol(rawValue: name) else {
                let names = ListenerProtocol.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(
                    "listener.unknown_protocol", "listener protocol \"\(name)\" is not known; known: \(names)",
                    ["protocol": name])
            }
            transport = known
        }
        guard let bind = value["bind"]?.string else {
            throw Problem("listener.no_bind", "a listener needs `bind`, such as \"127.0.0.1:1883\"")
        }
        if transport == .unix {
            try readPath(bind, mode: value["mode"]?.string)
        } else {
            (host, port) = try Self.parse(bind: bind)
        }
        allowAnonymous = value["allowAnonymous"]?.bool ?? isLoopback
        try readTLS(value["tls"])
        if let given = value["webSocket"] { try readWebSocket(given) }
        if let given = value["proxy"] { try readProxy(given) }
        if let given = value["limits"] { readLimits(given) }
    }

    private mutating func readPath(_ bind: String, mode text: String?) throws(Problem) {
        guard bind.hasPrefix("/"), !bind.hasSuffix("/") else {
            throw Problem(
                "listener.bad_path",
                "listener path \"\(bind)\" must be absolute, such as \"/run/tundish/mqtt.sock\"", ["bind": bind])
        }
        guard bind.utf8.count <= UnixSocketPath.bytesMax else {
            throw Problem(
                "listener.long_path",
                "listener path \"\(bind)\" has \(bind.utf8.count) bytes; the system takes \(UnixSocketPath.bytesMax)",
                ["bind": bind, "max": String(UnixSocketPath.bytesMax)])
        }
        path = bind
        host = ""
        port = 0
        guard let text else { return }
        guard let number = UInt16(text, radix: 8), number <= 0o777, text.utf8.count <= 4 else {
            throw Problem(
                "listener.bad_mode", "mode \"\(text)\" must be three octal digits, such as \"660\"", ["mode": text])
        }
        mode = number
    }

    private mutating func readTLS(_ value: ConfigValue?) throws(Problem) {
        if transport.isTLS {
            guard let value else {
                throw Problem(
                    "listener.no_tls",
                    "a listener of protocol \(transport.rawValue) needs `tls` with a certificate and a key",
                    ["protocol": transport.rawValue])
            }
            tls = try TLSSettings(value)
        } else if value != nil {
            throw Problem(
                "listener.tls_unused",
                "`tls` has no effect with protocol \(transport.rawValue); use mqtts or wss, or remove it",
                ["protocol": transport.rawValue])
        }
    }

    private mutating func readWebSocket(_ value: ConfigValue) throws(Problem) {
        if let path = value["path"]?.string {
            guard path.hasPrefix("/"), !path.contains(where: { $0 == " " || $0 == "?" || $0 == "#" }) else {
                throw Problem(
                    "listener.bad_websocket_path",
                    "WebSocket path \"\(path)\" must begin with / and have no spaces, ? or #", ["path": path])
            }
            webSocket.path = path
        }
        webSocket.origins = value["origins"]?.list?.compactMap(\.string) ?? []
        if let size = value["frameBytesMax"]?.integer { webSocket.frameBytesMax = max(64, Int(clamping: size)) }
    }

    private mutating func readProxy(_ value: ConfigValue) throws(Problem) {
        proxyProtocol = value["enabled"]?.bool ?? true
        for text in value["trusted"]?.list?.compactMap(\.string) ?? [] {
            guard let range = NetworkRange(text) else {
                throw Problem(
                    "listener.bad_range",
                    "\"\(text)\" is not an address or a range such as 10.0.0.0/8 or 2001:db8::/32", ["range": text])
            }
            proxyTrusted.append(range)
        }
        if proxyProtocol, proxyTrusted.isEmpty, transport != .unix {
            throw Problem(
                "listener.no_trusted_proxy",
                "`proxy` needs `trusted`, the addresses of the load balancers; anybody else could claim any address")
        }
    }

    private mutating func readLimits(_ given: ConfigValue) {
        func number(_ key: String, _ range: ClosedRange<Int>, _ set: (Int) -> Void) {
            if let value = given[key]?.integer {
                set(min(max(Int(clamping: value), range.lowerBound), range.upperBound))
            }
        }
        func seconds(_ key: String, _ set: (Int) -> Void) {
            if let time = given[key]?.duration {
                let (whole, rest) = time.components
                set(max(1, Int(clamping: whole) + (rest > 0 ? 1 : 0)))
            }
        }
        number("connectionsMax", 1...10_000_000) { connectionsMax = $0 }
        number("packetBytesMax", 64...268_435_460) { limits.packetBytesMax = $0 }
        number("connectBytesMax", 64...268_435_460) { limits.connectBytesMax = $0 }
        number("receiveMaximum", 1...65_535) { limits.receiveMaximum = UInt16(clamping: $0) }
        number("topicAliasMaximum", 0...65_535) { limits.topicAliasMaximum = UInt16(clamping: $0) }
        number("maximumQoS", 0...2) { limits.maximumQoS = UInt8(clamping: $0) }
        if let isAllowed = given["retain"]?.bool { limits.retainAvailable = isAllowed }
        if let isAllowed = given["wildcardSubscriptions"]?.bool { limits.wildcardSubscriptionsAvailable = isAllowed }
        if let isAllowed = given["sharedSubscriptions"]?.bool { limits.sharedSubscriptionsAvailable = isAllowed }
        if let isAllowed = given["subscriptionIdentifiers"]?.bool {
            limits.subscriptionIdentifiersAvailable = isAllowed
        }
        number("keepAliveMaxSeconds", 0...65_535) { limits.keepAliveSecondsMax = UInt16(clamping: $0) }
        if let text = given["onDenied"]?.string, let action = DeniedAction(rawValue: text) { limits.denied = action }
        seconds("connectTimeout") { limits.connectSeconds = UInt16(clamping: $0) }
        number("connectionsPerSecond", 0...1_000_000) { bounds.connectionsPerSecond = $0 }
        number("connectionsPerAddress", 0...10_000_000) { bounds.connectionsPerAddress = $0 }
        number("halfOpenMax", 1...10_000_000) { bounds.halfOpenMax = $0 }
        number("messagesPerSecond", 0...100_000_000) { bounds.messagesPerSecond = $0 }
        number("bytesPerSecond", 0...Int.max / 2) { bounds.bytesPerSecond = $0 }
        seconds("packetTimeout") { bounds.packetSeconds = $0 }
        seconds("drainTimeout") { bounds.drainSeconds = $0 }
    }

    /// The field of the spec that a problem of `init` is about.
    package static func field(of problem: Problem) -> String {
        switch problem.code {
        case "listener.unknown_protocol": "protocol"
        case "listener.bad_mode": "mode"
        case "listener.no_tls": "protocol"
        case "listener.tls_unused", "listener.no_certificate", "listener.no_client_ca", "listener.crls_unused": "tls"
        case "listener.bad_websocket_path": "webSocket"
        case "listener.bad_range", "listener.no_trusted_proxy": "proxy"
        default: "bind"
        }
    }

    /// Splits `host:port`; an IPv6 address stands in brackets.
    package static func parse(bind: String) throws(Problem) -> (host: String, port: Int) {
        let problem = Problem(
            "listener.bad_bind",
            "listener address \"\(bind)\" must be host:port, such as \"0.0.0.0:1883\" or \"[::]:1883\"",
            ["bind": bind])
        guard let colon = bind.lastIndex(of: ":"), let port = Int(bind[bind.index(after: colon)...]),
            (0...65_535).contains(port)
        else { throw problem }
        var host = bind[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw problem
        }
        if host.isEmpty { throw problem }
        return (String(host), port)
    }
}
