package import BrokerCore
package import Model

/// One place where MQTT clients connect, from the `Listener` resource.
package struct ListenerConfiguration: Sendable, Hashable {
    package var host: String
    package var port: Int
    package var allowAnonymous: Bool
    package var connectionsMax: Int
    package var limits: ConnectionLimits

    package init(
        host: String = "127.0.0.1", port: Int = 1883, allowAnonymous: Bool = false, connectionsMax: Int = 100_000,
        limits: ConnectionLimits = ConnectionLimits()
    ) {
        self.host = host
        self.port = port
        self.allowAnonymous = allowAnonymous
        self.connectionsMax = connectionsMax
        self.limits = limits
    }

    /// Whether only clients of this machine can reach it.
    package var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    /// The shape of the resource's spec.
    package static let schema = Schema([
        Field(
            "protocol", .choice(["mqtt"]), default: .string("mqtt"), help: "The protocol that clients speak.",
            chinese: "客户端使用的协议。"),
        Field(
            "bind", .string(.hostPort), required: true,
            help: "Address and port to listen on; 0.0.0.0 or [::] for every address of the machine.",
            chinese: "监听的地址和端口；0.0.0.0 或 [::] 表示本机所有地址。"),
        Field(
            "allowAnonymous", .bool,
            help: "Whether clients may connect without a user. By default only on a loopback address.",
            chinese: "是否允许客户端匿名连接。默认仅在回环地址上允许。"),
        Field(
            "limits",
            .object(
                Schema([
                    Field(
                        "connectionsMax", .integer(1...10_000_000), default: .integer(100_000),
                        help: "Connections at the same time.", chinese: "同时连接数上限。"),
                    Field(
                        "packetBytesMax", .size(64...268_435_460), default: .size(1 << 20),
                        help: "Greatest packet that a client may send.", chinese: "客户端可发送的最大报文。"),
                    Field(
                        "receiveMaximum", .integer(1...65_535), default: .integer(1024),
                        help: "QoS 1 and 2 messages that a client may have unacknowledged.",
                        chinese: "客户端未确认的 QoS 1、2 消息数上限。"),
                    Field(
                        "topicAliasMaximum", .integer(0...65_535), default: .integer(32),
                        help: "Topic aliases that a client may use.", chinese: "客户端可用的主题别名数。"),
                    Field(
                        "keepAliveMaxSeconds", .integer(0...65_535), default: .integer(0), unit: "s",
                        help: "Longest keep alive; 0 leaves it to the client.", chinese: "最长保活时间；0 表示由客户端决定。"),
                    Field(
                        "connectTimeout", .duration(.seconds(1)...(.seconds(600))), default: .duration(10_000_000_000),
                        help: "How long a connection may take to introduce itself.", chinese: "连接后发送 CONNECT 的时限。"),
                ])),
            help: "Limits for each client of the listener.", chinese: "此监听器对客户端的限制。"),
    ])

    /// Reads a validated spec.
    package init(_ value: ConfigValue) throws(Problem) {
        self.init()
        if let name = value["protocol"]?.string, name != "mqtt" {
            throw Problem(
                "listener.unknown_protocol", "listener protocol \"\(name)\" is not known; known: mqtt",
                ["protocol": name])
        }
        guard let bind = value["bind"]?.string else {
            throw Problem("listener.no_bind", "a listener needs `bind`, such as \"127.0.0.1:1883\"")
        }
        (host, port) = try Self.parse(bind: bind)
        allowAnonymous = value["allowAnonymous"]?.bool ?? isLoopback
        guard let given = value["limits"] else { return }
        if let number = given["connectionsMax"]?.integer { connectionsMax = max(1, Int(clamping: number)) }
        if let number = given["packetBytesMax"]?.integer { limits.packetBytesMax = max(64, Int(clamping: number)) }
        if let number = given["receiveMaximum"]?.integer { limits.receiveMaximum = max(1, UInt16(clamping: number)) }
        if let number = given["topicAliasMaximum"]?.integer { limits.topicAliasMaximum = UInt16(clamping: number) }
        if let number = given["keepAliveMaxSeconds"]?.integer { limits.keepAliveSecondsMax = UInt16(clamping: number) }
        if let time = given["connectTimeout"]?.duration {
            limits.connectSeconds = max(1, UInt16(clamping: time.components.seconds))
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
