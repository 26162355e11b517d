package import BrokerCore
package import Journal
package import Model
package import NIOCore
import NIOHTTP1

/// What methods are made with.
package struct AccessEnvironment: Sendable {
    package var clock: AccessClock
    package var random: any RandomSource
    package var files: any FileSystem
    package var group: any EventLoopGroup
    package var pool: HashPool
    package var users: UserTable
    /// Fails to match, and takes as long as a user's password.
    package var decoy: @Sendable (String) -> Bool
    /// Finds what a reference to a secret stands for.
    package var resolve: @Sendable (SecretReference) async throws(Problem) -> String

    package init(
        clock: AccessClock, random: any RandomSource, files: any FileSystem, group: any EventLoopGroup,
        pool: HashPool, users: UserTable, decoy: @escaping @Sendable (String) -> Bool,
        resolve: @escaping @Sendable (SecretReference) async throws(Problem) -> String
    ) {
        self.clock = clock
        self.random = random
        self.files = files
        self.group = group
        self.pool = pool
        self.users = users
        self.decoy = decoy
        self.resolve = resolve
    }
}

/// One link of the chain, from the `Authentication` resource.
package struct AuthenticationConfiguration: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case users
        case passwordFile
        case http
        case jwt
        case certificate
        case scram
    }

    package var name: String
    package var kind: Kind
    private let spec: ConfigValue
    private var settings: ConfigValue { spec["settings"] ?? .object([]) }

    /// Checks a validated spec as far as that goes without files, servers and secrets.
    package init(name: String, _ spec: ConfigValue) throws(Problem) {
        guard let kind = spec["type"]?.string.flatMap({ Kind(rawValue: $0) }) else {
            throw Problem("access.type", "an authenticator needs `type`: one of \(Kind.allCases.map(\.rawValue))")
        }
        self.name = name
        self.kind = kind
        self.spec = spec
        switch kind {
        case .users, .scram: break
        case .passwordFile: _ = try path()
        case .http: _ = try question()
        case .jwt:
            _ = try tokenSettings()
            let given = ["secret", "publicKey", "jwks"].filter { settings[$0] != nil }
            guard given.count == 1 else {
                throw Problem(
                    "access.jwt_key", "a token's keys come from exactly one of secret, publicKey and jwks", [:])
            }
            if let jwks = settings["jwks"] { _ = try HTTPAddress(jwks["url"]?.string ?? "") }
        case .certificate: _ = try certificateName()
        }
    }

    /// What keeps the method from working with what it finds now, such as a file that is missing, is thrown.
    package func link(_ environment: AccessEnvironment) async throws(Problem) -> ChainLink {
        var brake = GuessingBrake.Settings()
        if let given = spec["guessing"] {
            brake.scope = given["by"]?.string.flatMap { GuessingBrake.Scope(rawValue: $0) } ?? brake.scope
            brake.failuresMax = Int(given["failuresMax"]?.integer ?? 5)
            brake.waitMax = given["waitMax"]?.duration ?? brake.waitMax
        }
        return ChainLink(
            name: name, order: Int(spec["order"]?.integer ?? 100), timeout: timeout,
            onUnavailable: spec["onUnavailable"]?.string.flatMap { ChainLink.WhenUnavailable(rawValue: $0) } ?? .refuse,
            listeners: (spec["listeners"]?.list).map { Set($0.compactMap(\.string)) },
            mayWriteDevices: spec["mayWriteDevices"]?.bool,
            brake: GuessingBrake(brake, time: environment.clock.time), method: try await method(environment))
    }

    private var timeout: Duration { spec["timeout"]?.duration ?? .seconds(5) }

    private func method(_ environment: AccessEnvironment) async throws(Problem) -> any AccessMethod {
        let time = environment.clock.time
        switch kind {
        case .users:
            return UsersMethod(
                users: environment.users, pool: environment.pool, time: time,
                cacheFor: settings["cacheFor"]?.duration ?? UsersMethod.cacheDefault, decoy: environment.decoy)
        case .passwordFile:
            return try PasswordFileMethod(
                path: try path(), files: environment.files, pool: environment.pool, time: time,
                cacheFor: settings["cacheFor"]?.duration ?? UsersMethod.cacheDefault)
        case .http:
            let question = try question()
            let fetcher = try HTTPFetcher(
                group: environment.group, usesTLS: question.url.text.hasPrefix("https"),
                authorities: settings["caFile"]?.string, timeout: timeout,
                inFlightMax: Int(settings["inFlightMax"]?.integer ?? 64))
            return HTTPAccessMethod(question: question, fetcher: fetcher, time: time)
        case .jwt:
            return TokenMethod(settings: try tokenSettings(), keys: try await tokenKeys(environment), time: time)
        case .certificate:
            return CertificateMethod(
                username: try certificateName(), roles: texts(settings["roles"]),
                mustAgree: settings["mustAgree"]?.bool ?? true)
        case .scram:
            return ScramMethod(users: environment.users, random: environment.random)
        }
    }

    // MARK: Settings

    private func texts(_ value: ConfigValue?) -> [String] { (value?.list ?? []).compactMap(\.string) }

    private func templates(_ value: ConfigValue?) throws(Problem) -> [(name: String, value: Template)]? {
        guard let entries = value?.entries else { return nil }
        var made: [(name: String, value: Template)] = []
        for entry in entries { made.append((entry.key, try Template(entry.value.string ?? ""))) }
        return made
    }

    private func path() throws(Problem) -> String {
        guard let path = settings["file"]?.string, !path.isEmpty else {
            throw Problem("access.password_file", "a password file needs `settings.file`")
        }
        return path
    }

    private func question() throws(Problem) -> HTTPQuestion {
        guard let url = settings["url"]?.string else {
            throw Problem("access.url", "an HTTP authenticator needs `settings.url`")
        }
        var question = try HTTPQuestion(url: try Template(url))
        // As it will look when it is filled.
        _ = try HTTPAddress(question.url.filled(missing: "x") { _ in "x" } ?? "")
        question.isPost = settings["method"]?.string != "get"
        question.isForm = settings["bodyAs"]?.string == "form"
        if let body = try templates(settings["body"]) { question.setBody(body) }
        if let headers = try templates(settings["headers"]) { question.setHeaders(headers) }
        question.cacheAccepted = settings["cacheAccepted"]?.duration ?? question.cacheAccepted
        question.cacheRefused = settings["cacheRefused"]?.duration ?? question.cacheRefused
        return question
    }

    private func certificateName() throws(Problem) -> Template {
        let template = try Template(settings["username"]?.string ?? "${cert_common_name}")
        if template.uses(.password) || template.uses(.username) {
            throw Problem("access.placeholder", "the user's name must come from the certificate", [:])
        }
        return template
    }

    private func tokenSettings() throws(Problem) -> TokenSettings {
        var made = TokenSettings()
        made.place = settings["from"]?.string.flatMap { TokenSettings.Place(rawValue: $0) } ?? .password
        made.claims = try templates(settings["claims"]) ?? []
        made.usernameClaim = settings["usernameClaim"]?.string
        made.rolesClaim = settings["rolesClaim"]?.string ?? made.rolesClaim
        made.aclClaim = settings["aclClaim"]?.string ?? made.aclClaim
        made.mustExpire = settings["mustExpire"]?.bool ?? false
        made.leeway = settings["leeway"]?.duration ?? made.leeway
        made.disconnectsWhenExpired = settings["disconnectWhenExpired"]?.bool ?? true
        return made
    }

    private func tokenKeys(_ environment: AccessEnvironment) async throws(Problem) -> any TokenKeys {
        if let reference = settings["secret"]?.secret {
            let text = try await environment.resolve(reference)
            var bytes = Array(text.utf8)
            if settings["secretIsBase64"]?.bool == true {
                guard let decoded = Base64Text.decode(bytes) ?? Base64Text.decode(bytes, isURL: true) else {
                    throw Problem("access.jwt_key", "the secret is not Base64")
                }
                bytes = decoded
            }
            // RFC 7518, 3.2: a shorter key than the hash's is guessed too easily.
            guard bytes.count >= 16 else {
                throw Problem(
                    "access.jwt_key", "the secret has \(bytes.count) bytes; at least 16 are wanted, better 32")
            }
            return FixedKeys(keys: [TokenKey(secret: bytes)])
        }
        if let reference = settings["publicKey"]?.secret {
            return FixedKeys(keys: [try TokenKey(pem: try await environment.resolve(reference))])
        }
        let jwks = settings["jwks"] ?? .object([])
        let address = try HTTPAddress(jwks["url"]?.string ?? "")
        let fetcher = try HTTPFetcher(
            group: environment.group, usesTLS: address.isTLS, authorities: jwks["caFile"]?.string, timeout: timeout,
            inFlightMax: 2)
        return RemoteKeys(
            refresh: jwks["refresh"]?.duration ?? .seconds(300), time: environment.clock.time
        ) {
            switch await fetcher.send(address, method: .GET, headers: [("Accept", "application/json")], body: []) {
            case .failure(let problem): .failure(problem)
            case .success(let answer):
                answer.status == 200
                    ? .success(answer.body)
                    : .failure(Problem("access.jwks", "the server answered \(answer.status)"))
            }
        }
    }
}
