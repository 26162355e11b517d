package import Model

/// Somebody who may sign in.
package struct Account: Sendable, Hashable {
    package var username: String
    package var roles: Set<ConsoleRole>
    /// Changes whenever anything about the user does: a session of another revision is over.
    package var revision: Int64

    package init(username: String, roles: Set<ConsoleRole>, revision: Int64 = 0) {
        self.username = username
        self.roles = roles
        self.revision = revision
    }

    package var rights: Set<Right> { roles.reduce(into: []) { $0.formUnion($1.rights) } }
}

/// Users and tokens as the console needs them. Passwords and tokens are stored as hashes only. Whatever cannot be
/// answered because the store fails throws `accounts.unavailable`, which is not the same as "nobody".
package protocol ConsoleAccounts: Sendable {
    /// True until the first administrator exists.
    func needsSetup() async throws(Problem) -> Bool
    /// Fails with `account.exists` once there is one, and with what is wrong with name or password.
    func createFirstAdministrator(username: String, password: String) async throws(Problem)
    /// Who it is if the password is right; nil: name or password is wrong. Takes as long for a user that does not
    /// exist. `peer` is the address that the attempt comes from. Fails with `login.wait` and `seconds`.
    func verify(username: String, password: String, peer: String) async throws(Problem) -> Account?
    /// Whom a bearer token stands for, the administrator's token file included; nil: nobody.
    func verify(token: String) async throws(Problem) -> Account?
    /// The user as he is now; nil: gone or disabled.
    func account(_ username: String) async throws(Problem) -> Account?
    func tokens() async throws(Problem) -> [TokenInfo]
    /// The secret is shown once.
    func createToken(name: String, by author: String) async throws(Problem) -> (info: TokenInfo, secret: String)
    /// False: no such token.
    func deleteToken(id: String) async throws(Problem) -> Bool
}

package struct TokenInfo: Sendable, Hashable {
    package var id: String
    package var name: String
    package var author: String
    package var createdAt: Timestamp

    package init(id: String, name: String, author: String, createdAt: Timestamp) {
        self.id = id
        self.name = name
        self.author = author
        self.createdAt = createdAt
    }
}
