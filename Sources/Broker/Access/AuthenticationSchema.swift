package import Model

extension AuthenticationConfiguration {
    /// The shape of the resource's spec.
    package static let schema = Schema([
        Field(
            "type", .choice(Kind.allCases.map(\.rawValue)), required: true, help: "How clients are known.",
            chinese: "认证方式。"),
        Field(
            "order", .integer(0...1_000_000), default: .integer(100),
            help: "Authenticators are asked in this order, those of the same order by name.",
            chinese: "认证器按此顺序询问，相同时按名称。"),
        Field(
            "timeout", .duration(.milliseconds(10)...(.seconds(60))), default: .duration(5_000_000_000),
            help: "How long its answer may take.", chinese: "等待应答的时限。"),
        Field(
            "onUnavailable", .choice(ChainLink.WhenUnavailable.allCases.map(\.rawValue)), default: .string("refuse"),
            help: "What happens while it cannot be asked: the client is refused, or the next one is asked.",
            chinese: "无法询问时：拒绝客户端，或询问下一个认证器。"),
        Field(
            "listeners", .list(.string(.name), countMax: 1000),
            help: "Only for clients of these listeners; absent: of all.", chinese: "仅用于这些监听器；缺省为全部。"),
        Field(
            "mayWriteDevices", .bool,
            help: "Whether its clients may write to devices. Absent: only from this machine; users as their roles say.",
            chinese: "其客户端可否写入设备。缺省：仅本机；用户则按角色。"),
        Field(
            "guessing",
            .object(
                Schema([
                    Field(
                        "by", .choice(GuessingBrake.Scope.allCases.map(\.rawValue)),
                        default: .string(GuessingBrake.Scope.addressAndUser.rawValue),
                        help: "Whose failures are counted together.", chinese: "失败次数的统计范围。"),
                    Field(
                        "failuresMax", .integer(1...1000), default: .integer(5),
                        help: "Failures in a row before waiting.",
                        chinese: "连续失败多少次后需等待。"),
                    Field(
                        "waitMax", .duration(.seconds(1)...(.seconds(86_400))), default: .duration(300_000_000_000),
                        help: "The wait doubles from 1 s to this.", chinese: "等待时间从 1 秒起加倍至此。"),
                ])), help: "Makes guessing slow.", chinese: "减缓猜测。"),
        Field(
            "settings",
            .chosen(
                by: "type",
                [
                    Kind.users.rawValue: Schema([cacheFor]), Kind.passwordFile.rawValue: passwordFile,
                    Kind.http.rawValue: http, Kind.jwt.rawValue: jwt, Kind.certificate.rawValue: certificate,
                    Kind.scram.rawValue: Schema([]),
                ]), help: "Settings of the type.", chinese: "该方式的设置。"),
    ])

    private static let cacheFor = Field(
        "cacheFor", .duration(.zero...(.seconds(86_400))), default: .duration(3_600_000_000_000),
        help: "How long a right password need not be checked again; a change of the user ends it.",
        chinese: "正确密码在多长时间内无需再次校验；用户变更后立即失效。")

    private static let templates = FieldType.map(.string(StringRule(lengthMax: 4096)), countMax: 64)

    private static let passwordFile = Schema([
        Field(
            "file", .string, required: true, help: "A file of mosquitto_passwd; read again when it changes.",
            chinese: "mosquitto_passwd 生成的文件；变更后自动重新读取。"), cacheFor,
    ])

    private static let http = Schema([
        Field(
            "url", .string, required: true,
            help: "Where to ask; path and query may hold placeholders such as ${username}.",
            chinese: "询问地址；路径和查询中可用占位符，如 ${username}。"),
        Field("method", .choice(["post", "get"]), default: .string("post"), help: "How to ask.", chinese: "请求方法。"),
        Field(
            "headers", templates, help: "Header fields, with placeholders.", chinese: "请求头，可用占位符。"),
        Field(
            "body", templates, help: "What is sent. Absent: clientid, username and password.",
            chinese: "发送的内容。缺省为 clientid、username、password。"),
        Field(
            "bodyAs", .choice(["json", "form"]), default: .string("json"), help: "How it is written.", chinese: "内容格式。"),
        Field(
            "caFile", .string, help: "PEM file of the authorities that sign the server's certificate.",
            chinese: "签发服务器证书的 CA 的 PEM 文件。"),
        Field(
            "inFlightMax", .integer(1...10_000), default: .integer(64), help: "Requests at the same time.",
            chinese: "同时进行的请求数。"),
        Field(
            "cacheAccepted", .duration(.zero...(.seconds(86_400))), default: .duration(60_000_000_000),
            help: "How long an accepted client is not asked about again.", chinese: "接受的结果缓存多久。"),
        Field(
            "cacheRefused", .duration(.zero...(.seconds(3600))), default: .duration(5_000_000_000),
            help: "How long a refused client is not asked about again.", chinese: "拒绝的结果缓存多久。"),
    ])

    private static let jwt = Schema([
        Field(
            "from", .choice(TokenSettings.Place.allCases.map(\.rawValue)), default: .string("password"),
            help: "Where the token is.", chinese: "令牌所在字段。"),
        Field("secret", .secret, help: "For HS256, HS384, HS512.", chinese: "用于 HS256、HS384、HS512。"),
        Field(
            "secretIsBase64", .bool, default: .bool(false), help: "The secret is written in Base64.",
            chinese: "密钥为 Base64 编码。"),
        Field(
            "publicKey", .secret, help: "PEM of an RSA or elliptic curve key, or { file: PATH }.",
            chinese: "RSA 或椭圆曲线公钥的 PEM，或 { file: PATH }。"),
        Field(
            "jwks",
            .object(
                Schema([
                    Field("url", .string, required: true, help: "The issuer's key set.", chinese: "签发者的密钥集地址。"),
                    Field(
                        "refresh", .duration(.seconds(10)...(.seconds(86_400))), default: .duration(300_000_000_000),
                        help: "How often it is fetched.", chinese: "获取间隔。"),
                    Field("caFile", .string, help: "PEM file of authorities.", chinese: "CA 的 PEM 文件。"),
                ])), help: "Keys from an issuer.", chinese: "来自签发者的密钥。"),
        Field(
            "claims", templates, help: "Claims and what they must be, with placeholders such as ${username}.",
            chinese: "必须满足的声明，可用占位符，如 ${username}。"),
        Field("usernameClaim", .string, help: "The claim that is the user name.", chinese: "作为用户名的声明。"),
        Field("rolesClaim", .string, default: .string("roles"), help: "The claim with roles.", chinese: "角色所在的声明。"),
        Field(
            "aclClaim", .string, default: .string("acl"), help: "The claim with the client's own access rules.",
            chinese: "客户端自带访问规则的声明。"),
        Field(
            "mustExpire", .bool, default: .bool(false), help: "Tokens without exp are refused.",
            chinese: "拒绝没有 exp 的令牌。"),
        Field(
            "leeway", .duration(.zero...(.seconds(3600))), default: .duration(0), help: "How far clocks may differ.",
            chinese: "允许的时钟偏差。"),
        Field(
            "disconnectWhenExpired", .bool, default: .bool(true), help: "The connection ends when the token does.",
            chinese: "令牌到期时断开连接。"),
    ])

    private static let certificate = Schema([
        Field(
            "username", .string, default: .string("${cert_common_name}"),
            help:
                "The user's name: ${cert_common_name}, ${cert_subject}, ${cert_fingerprint}, ${cert_dns}, ${cert_uri}, ${cert_email}.",
            chinese:
                "用户名：${cert_common_name}、${cert_subject}、${cert_fingerprint}、${cert_dns}、${cert_uri}、${cert_email}。"),
        Field(
            "roles", .list(.string, countMax: 100), help: "Roles of these clients.", chinese: "这些客户端的角色。"),
        Field(
            "mustAgree", .bool, default: .bool(true),
            help: "A user name that the client sends must be the certificate's.", chinese: "客户端所发用户名必须与证书一致。"),
    ])
}
