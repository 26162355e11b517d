import Console
import Model
import Resources

/// Users and tokens in the console's shape. Until the console knows roles of its own, only administrators get in:
/// a role that is not enforced would be a promise that is not kept.
struct AccountService: ConsoleAccounts {
    let accounts: Accounts

    func needsSetup() async -> Bool { (try? await accounts.needsSetup()) ?? false }

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

    func verify(username: String, password: String) async -> String? {
        guard let principal = try? await accounts.verify(username: username, password: password),
            principal.mayConfigure
        else { return nil }
        return principal.username
    }

    func verify(token: String) async -> String? {
        guard let principal = try? await accounts.authenticate(token: token), principal.mayConfigure else { return nil }
        return principal.username
    }

    func tokens() async -> [Console.TokenInfo] {
        ((try? await accounts.tokens(of: Self.everyone)) ?? []).map(Self.info)
    }

    func createToken(name: String, by author: String) async throws(Problem) -> (info: Console.TokenInfo, secret: String)
    {
        let made = try await accounts.createToken(name: name, for: Principal(username: author, roles: [.administrator]))
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

    private static func info(_ info: Resources.TokenInfo) -> Console.TokenInfo {
        Console.TokenInfo(id: info.id, name: info.name, author: info.username, createdAt: info.createdAt)
    }
}
