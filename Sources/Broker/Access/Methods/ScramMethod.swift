package import BrokerCore
import Crypto
package import Model

/// SCRAM-SHA-256 by MQTT 5's enhanced authentication: the password never travels, and what is stored cannot be used
/// to sign in. For users that have SCRAM keys. MQTT 5.0, 4.12; RFC 7677
package final class ScramMethod: AccessMethod {
    private let users: UserTable
    private let random: any RandomSource
    /// Makes up salts for users that do not exist.
    private let secret = SymmetricKey(size: .bits256)
    private let iterations: Int

    package init(users: UserTable, random: any RandomSource, iterations: Int = ScramKeys.iterationsDefault) {
        self.users = users
        self.random = random
        self.iterations = iterations
    }

    package func check(_ credentials: Credentials) async -> MethodAnswer {
        .next(.noCredentials, "not by enhanced authentication")
    }

    package func checkNow(_ credentials: Credentials) -> MethodAnswer? {
        .next(.noCredentials, "not by enhanced authentication")
    }

    package func exchange(_ mechanism: String, _ credentials: Credentials) -> (any MethodExchange)? {
        guard mechanism == ScramServer.method else { return nil }
        var nonce: [UInt8] = []
        for _ in 0..<3 { withUnsafeBytes(of: random.next()) { nonce += $0 } }
        let (users, secret, iterations) = (users, secret, iterations)
        return ScramExchange(
            users: users,
            server: ScramServer(
                nonce: Base64Text.encode(nonce, isURL: true),
                keys: { name in users.find(name).flatMap { $0.isDisabled ? nil : $0.scram } },
                decoy: { name in Self.decoy(name, secret, iterations) }))
    }

    private static func decoy(_ name: String, _ secret: SymmetricKey, _ iterations: Int) -> ScramKeys {
        let made = Array(HMAC<SHA512>.authenticationCode(for: Array(name.utf8), using: secret))
        return ScramKeys(
            iterations: iterations, salt: Array(made[..<16]), storedKey: Array(made[16..<48]),
            serverKey: Array(made[32...]))
    }
}

private actor ScramExchange: MethodExchange {
    private let users: UserTable
    private var server: ScramServer

    init(users: UserTable, server: ScramServer) {
        self.users = users
        self.server = server
    }

    func next(_ data: Bytes?) async -> MethodStep {
        switch server.receive(data?.array ?? []) {
        case .challenge(let text): return .challenge(Bytes(text))
        case .failure(let cause, let username, let detail): return .refuse(cause, username: username, detail)
        case .success(let username, let text):
            // It may have been taken away between the two messages.
            guard let user = users.find(username), !user.isDisabled else {
                return .refuse(.disabledUser, username: username, "")
            }
            return .accept(user.identified, Bytes(text))
        }
    }
}
