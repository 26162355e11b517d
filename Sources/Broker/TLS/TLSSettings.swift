package import Model

/// TLS of a listener, from the `tls` part of its resource.
package struct TLSSettings: Sendable, Hashable {
    package enum Version: String, Sendable, CaseIterable {
        case v12 = "1.2"
        case v13 = "1.3"
    }

    package enum ClientCertificates: String, Sendable, CaseIterable {
        case none
        case optional
        case required
    }

    /// A certificate with its chain, and its key.
    package struct Identity: Sendable, Hashable {
        /// Server names it is for, `*.example.com` for one level; empty: those that the certificate itself names.
        package var names: [String] = []
        /// PEM: the certificate, then those that lead from it towards the root.
        package var certificate: SecretReference
        /// PEM; nil: it stands beside the certificate.
        package var key: SecretReference?
        package var password: SecretReference?

        package init(certificate: SecretReference, key: SecretReference? = nil, password: SecretReference? = nil) {
            self.certificate = certificate
            self.key = key
            self.password = password
        }
    }

    /// The first is for clients that name no server, or one that nobody has a certificate for.
    package var identities: [Identity]
    package var minimumVersion = Version.v12
    /// Names of cipher suites of TLS 1.2; empty: the safe ones. Those of TLS 1.3 are all safe.
    package var ciphers: [String] = []
    package var clientCertificates = ClientCertificates.none
    /// PEM: certificates of those who may sign clients' certificates.
    package var clientCA: SecretReference?
    /// PEM or DER; several in one PEM text are fine.
    package var revocationLists: [SecretReference] = []

    package init(_ identity: Identity) { identities = [identity] }

    package static let schema = Schema(
        identityFields + [
            Field(
                "certificates",
                .list(
                    .object(
                        Schema(
                            [
                                Field(
                                    "names", .list(.string, countMax: 1000),
                                    help: "Server names it is for; by default those that the certificate has.",
                                    chinese: "适用的服务器名称；默认使用证书中的名称。")
                            ] + identityFields)), countMax: 1000),
                help: "Further certificates, chosen by the server name that the client asks for (SNI).",
                chinese: "根据客户端请求的服务器名称（SNI）选择的其他证书。"),
            Field(
                "minimumVersion", .choice(Version.allCases.map(\.rawValue)), default: .string("1.2"),
                help: "Oldest version of TLS.", chinese: "允许的最低 TLS 版本。"),
            Field(
                "ciphers", .list(.choice(TLSCiphers.names), countMax: 50),
                help: "Cipher suites of TLS 1.2; by default the safe ones.", chinese: "TLS 1.2 的加密套件；默认仅安全的套件。"),
            Field(
                "clientCertificates", .choice(ClientCertificates.allCases.map(\.rawValue)), default: .string("none"),
                help: "Whether clients may, or must, show a certificate of their own.",
                chinese: "客户端是否可以或必须出示自己的证书。"),
            Field(
                "clientCA", .secret,
                help: "Certificates (PEM) of those who sign clients' certificates: { file: PATH } or { secret: NAME }.",
                chinese: "签发客户端证书的 CA 证书（PEM）：{ file: 路径 } 或 { secret: 名称 }。"),
            Field(
                "crls", .list(.secret, countMax: 1000),
                help: "Certificate revocation lists (PEM or DER), each { file: PATH } or { secret: NAME }.",
                chinese: "证书吊销列表（PEM 或 DER），各为 { file: 路径 } 或 { secret: 名称 }。"),
        ])

    private static let identityFields = [
        Field(
            "certificate", .secret, required: true,
            help: "Certificate and chain (PEM): { file: PATH }, { secret: NAME } or { env: NAME }.",
            chinese: "证书及证书链（PEM）：{ file: 路径 }、{ secret: 名称 } 或 { env: 名称 }。"),
        Field(
            "key", .secret, help: "The certificate's private key (PEM); by default it is beside the certificate.",
            chinese: "证书的私钥（PEM）；默认与证书在同一文件中。"),
        Field("keyPassword", .secret, help: "Passphrase of the key.", chinese: "私钥的密码。"),
    ]

    /// Reads a validated value.
    init(_ value: ConfigValue) throws(Problem) {
        self.init(try Self.identity(value))
        for item in value["certificates"]?.list ?? [] {
            var identity = try Self.identity(item)
            identity.names = item["names"]?.list?.compactMap(\.string) ?? []
            identities.append(identity)
        }
        if let text = value["minimumVersion"]?.string, let version = Version(rawValue: text) {
            minimumVersion = version
        }
        ciphers = value["ciphers"]?.list?.compactMap(\.string) ?? []
        if let text = value["clientCertificates"]?.string, let choice = ClientCertificates(rawValue: text) {
            clientCertificates = choice
        }
        clientCA = value["clientCA"]?.secret
        revocationLists = value["crls"]?.list?.compactMap(\.secret) ?? []
        if clientCertificates != .none, clientCA == nil {
            throw Problem(
                "listener.no_client_ca",
                "clientCertificates: \(clientCertificates.rawValue) needs `clientCA`, the certificates of those who sign them",
                ["clientCertificates": clientCertificates.rawValue])
        }
        if clientCertificates == .none, !revocationLists.isEmpty {
            throw Problem(
                "listener.crls_unused",
                "`crls` has no effect without client certificates; set clientCertificates to optional or required")
        }
    }

    private static func identity(_ value: ConfigValue) throws(Problem) -> Identity {
        guard let certificate = value["certificate"]?.secret else {
            throw Problem(
                "listener.no_certificate", "`tls` needs a `certificate`, such as { file: /etc/tundish/server.pem }")
        }
        return Identity(
            certificate: certificate, key: value["key"]?.secret, password: value["keyPassword"]?.secret)
    }
}
