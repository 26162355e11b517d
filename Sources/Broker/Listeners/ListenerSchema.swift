import BrokerCore
package import Model

extension ListenerConfiguration {
    /// The shape of the resource's spec.
    package static let schema = Schema([
        Field(
            "protocol", .choice(ListenerProtocol.allCases.map(\.rawValue)), default: .string("mqtt"),
            help: "What clients speak: MQTT over TCP, TLS, WebSocket, secure WebSocket, or a Unix socket.",
            chinese: "客户端使用的协议：基于 TCP、TLS、WebSocket、安全 WebSocket 或 Unix 套接字的 MQTT。"),
        Field(
            "bind", .string, required: true,
            help:
                "Address and port to listen on, 0.0.0.0 or [::] for every address of the machine; for unix the socket's path.",
            chinese: "监听的地址和端口，0.0.0.0 或 [::] 表示本机所有地址；unix 协议时为套接字路径。"),
        Field(
            "mode", .string(StringRule(.text, lengthMax: 4)),
            help: "Permissions of a Unix socket, in octal; 660 unless given.", chinese: "Unix 套接字的权限（八进制），默认 660。"),
        Field(
            "allowAnonymous", .bool,
            help: "Whether clients may connect without a user. By default only on a loopback address.",
            chinese: "是否允许客户端匿名连接。默认仅在回环地址上允许。"),
        Field(
            "tls", .object(TLSSettings.schema), help: "Certificates and rules of TLS, for mqtts and wss.",
            chinese: "TLS 证书和规则，用于 mqtts 和 wss。"),
        Field(
            "webSocket", .object(webSocketSchema), help: "MQTT over WebSocket, for ws and wss.",
            chinese: "基于 WebSocket 的 MQTT，用于 ws 和 wss。"),
        Field(
            "proxy", .object(proxySchema),
            help: "Connections come through a load balancer that speaks the PROXY protocol, version 1 or 2.",
            chinese: "连接经由使用 PROXY 协议（版本 1 或 2）的负载均衡器。"),
        Field(
            "limits", .object(limitsSchema), help: "Limits of the listener and of each of its clients.",
            chinese: "此监听器及其每个客户端的限制。"),
    ])

    private static let webSocketSchema = Schema([
        Field(
            "path", .string, default: .string("/mqtt"), help: "Path of the WebSocket endpoint.",
            chinese: "WebSocket 端点的路径。"),
        Field(
            "origins", .list(.string, countMax: 100),
            help: "Origins, such as https://scada.example.com, from which browsers may connect. By default all.",
            chinese: "允许浏览器连接的来源，例如 https://scada.example.com。默认全部允许。"),
        Field(
            "frameBytesMax", .size(64...1 << 40), default: .size(16 << 20),
            help: "Longest WebSocket frame that a client may send.", chinese: "客户端可发送的最长 WebSocket 帧。"),
    ])

    private static let proxySchema = Schema([
        Field(
            "enabled", .bool, default: .bool(true), help: "Whether connections must begin with a PROXY header.",
            chinese: "连接是否必须以 PROXY 头开始。"),
        Field(
            "trusted", .list(.string, countMax: 1000),
            help: "Addresses of the load balancers, such as 10.0.0.0/8; connections from elsewhere are refused.",
            chinese: "负载均衡器的地址，例如 10.0.0.0/8；来自其他地址的连接会被拒绝。"),
    ])

    private static let limitsSchema = Schema(doorLimits + clientLimits)

    private static let doorLimits = [
        Field(
            "connectionsMax", .integer(1...10_000_000), default: .integer(100_000),
            help: "Connections at the same time.", chinese: "同时连接数上限。"),
        Field(
            "connectionsPerSecond", .integer(0...1_000_000), default: .integer(0),
            help: "New connections per second, with a burst of one second; more are refused. 0: no limit.",
            chinese: "每秒新建连接数（允许一秒的突发），超出则拒绝。0 表示不限制。"),
        Field(
            "connectionsPerAddress", .integer(0...10_000_000), default: .integer(0),
            help: "Connections at the same time from one IPv4 address or one IPv6 /64 network. 0: no limit.",
            chinese: "同一 IPv4 地址或同一 IPv6 /64 网络的同时连接数。0 表示不限制。"),
        Field(
            "halfOpenMax", .integer(1...10_000_000), default: .integer(20_000),
            help: "Connections that have not sent CONNECT; at the limit the oldest is closed for a new one.",
            chinese: "尚未发送 CONNECT 的连接数；达到上限时，新连接会替换最早的一个。"),
        Field(
            "connectTimeout", .duration(.seconds(1)...(.seconds(600))), default: .duration(10_000_000_000),
            help: "How long a connection may take to its CONNECT, with PROXY header, TLS and WebSocket.",
            chinese: "从建立连接到 CONNECT 的时限，包括 PROXY 头、TLS 和 WebSocket 握手。"),
        Field(
            "onDenied", .choice(DeniedAction.allCases.map(\.rawValue)), default: .string("ignore"),
            help: "What happens to a client that publishes where it may not, beyond MQTT 5's reason code.",
            chinese: "客户端发布无权限主题时，除 MQTT 5 原因码外的处理。"),
        Field(
            "connectBytesMax", .size(64...268_435_460), default: .size(64 << 10),
            help: "Greatest CONNECT packet.", chinese: "CONNECT 报文的最大长度。"),
        Field(
            "drainTimeout", .duration(.seconds(1)...(.seconds(600))), default: .duration(5_000_000_000),
            help: "When a client is told to go: how long it may take to read what is unsent.",
            chinese: "通知客户端断开后，等待其读完未发送数据的时限。"),
    ]

    private static let clientLimits = [
        Field(
            "packetBytesMax", .size(64...268_435_460), default: .size(1 << 20),
            help: "Greatest packet that a client may send.", chinese: "客户端可发送的最大报文。"),
        Field(
            "packetTimeout", .duration(.seconds(1)...(.seconds(86_400))), default: .duration(60_000_000_000),
            help: "How long a packet that has begun may take to be complete.", chinese: "报文从开始到收完的时限。"),
        Field(
            "messagesPerSecond", .integer(0...100_000_000), default: .integer(0),
            help: "Messages per second from one client, which is not read from beyond that. 0: no limit.",
            chinese: "单个客户端每秒的消息数，超出后暂停读取。0 表示不限制。"),
        Field(
            "bytesPerSecond", .size(0...1 << 40), default: .size(0),
            help: "Bytes per second from one client, which is not read from beyond that. 0: no limit.",
            chinese: "单个客户端每秒的字节数，超出后暂停读取。0 表示不限制。"),
        Field(
            "receiveMaximum", .integer(1...65_535), default: .integer(1024),
            help: "QoS 1 and 2 messages that a client may have unacknowledged.", chinese: "客户端未确认的 QoS 1、2 消息数上限。"),
        Field(
            "topicAliasMaximum", .integer(0...65_535), default: .integer(32),
            help: "Topic aliases that a client may use.", chinese: "客户端可用的主题别名数。"),
        Field(
            "keepAliveMaxSeconds", .integer(0...65_535), default: .integer(0), unit: "s",
            help: "Longest keep alive; 0 leaves it to the client.", chinese: "最长保活时间；0 表示由客户端决定。"),
        Field(
            "maximumQoS", .integer(0...2), default: .integer(2),
            help: "Highest QoS that a client may publish with.", chinese: "客户端发布消息可用的最高 QoS。"),
        Field(
            "retain", .bool, default: .bool(true), help: "Whether a client may publish retained messages.",
            chinese: "客户端是否可发布保留消息。"),
        Field(
            "wildcardSubscriptions", .bool, default: .bool(true),
            help: "Whether a client may subscribe to filters with + or #.", chinese: "客户端是否可订阅含 + 或 # 的主题过滤器。"),
        Field(
            "sharedSubscriptions", .bool, default: .bool(true), help: "Whether a client may subscribe to $share/...",
            chinese: "客户端是否可使用共享订阅 $share/..."),
        Field(
            "subscriptionIdentifiers", .bool, default: .bool(true),
            help: "Whether a client of MQTT 5 may number its subscriptions.", chinese: "MQTT 5 客户端是否可使用订阅标识符。"),
    ]
}
