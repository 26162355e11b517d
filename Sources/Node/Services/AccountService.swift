import Console
import Logging
import Model
import Resources

/// Users and tokens in the console's shape. A store that fails is logged and answered as such: nobody is told that his
/// password is wrong because a disk is.
struct AccountService: ConsoleAccounts {
    let accounts: Accounts
    let log: Logger

    func needsSetup() async throws(Problem) -> Bool {
        try await asking { () async throws(Problem) in try await accounts.needsSetup() }
    }

    func createFirstAdministrator(username: String, password: String) async throws(Problem) {
        guard let token = accounts.oneTimeToken else {
            throw Problem("account.exists", "there is an administrator already: sign in")
        }
        do throws(Rejection) {
            _ = try await accounts.createFirstAdministrator(token: token, username: username, password: password)
        } catch {
            throw error.issues.first?.problem ?? error.problem
        }
    }

    func verify(username: String, password: String, peer: String) async throws(Problem) -> Account? {
        do throws(Problem) {
            return Self.account(try await accounts.verify(username: username, password: password, peer: peer))
        } catch {
            if error.code == "login.failed" { return nil }
            throw error.code == "login.wait" ? error : unavailable(error)
        }
    }

    func verify(token: String) async throws(Problem) -> Account? {
        try await asking { () async throws(Problem) in try await accounts.authenticate(token: token) }
            .map(Self.account)
    }

    func account(_ username: String) async throws(Problem) -> Account? {
        try await asking { () async throws(Problem) in try await accounts.principal(username: username) }
            .map(Self.account)
    }

    func tokens() async throws(Problem) -> [Console.TokenInfo] {
        try await asking { () async throws(Problem) in try await accounts.tokens(of: Self.everyone) }.map(Self.info)
    }

    func createToken(name: String, by author: String) async throws(Problem) -> (info: Console.TokenInfo, secret: String)
    {
        let made = try await accounts.createToken(name: name, for: Principal(username: author, roles: []))
        return (Self.info(made.info), made.token)
    }

    func deleteToken(id: String) async throws(Problem) -> Bool {
        do throws(Problem) {
            try await accounts.revokeToken(id: id, by: Self.everyone)
            return true
        } catch {
            if error.code == "token.not_found" { return false }
            throw error
        }
    }

    /// Whoever gets as far as the token list is an administrator, and sees everyone's.
    private static let everyone = Principal(username: "", roles: [.administrator])

    private func asking<R>(_ body: () async throws(Problem) -> R) async throws(Problem) -> R {
        do throws(Problem) { return try await body() } catch { throw unavailable(error) }
    }

    private func unavailable(_ problem: Problem) -> Problem {
        log.error("accounts cannot be read: \(problem.message)", metadata: ["code": "\(problem.code)"])
        return Problem(
            "accounts.unavailable",
            "users and tokens cannot be read now (\(problem.code)); the server's log says why",
            ["reason": problem.code])
    }

    private static func account(_ principal: Principal) -> Account {
        Account(
            username: principal.username,
            roles: Set(principal.roles.compactMap { ConsoleRole(rawValue: $0.rawValue) }),
            revision: principal.revision)
    }

    private static func info(_ info: Resources.TokenInfo) -> Console.TokenInfo {
        Console.TokenInfo(id: info.id, name: info.name, author: info.username, createdAt: info.createdAt)
    }
}
