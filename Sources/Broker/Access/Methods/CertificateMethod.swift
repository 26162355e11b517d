package import BrokerCore
package import Model

/// The user is in the client's certificate, which the TLS listener has verified.
package struct CertificateMethod: AccessMethod {
    private let username: Template
    private let roles: [String]
    /// Whether a user name that the client sends must be the certificate's.
    private let mustAgree: Bool

    package init(username: Template, roles: [String] = [], mustAgree: Bool = true) {
        self.username = username
        self.roles = roles
        self.mustAgree = mustAgree
    }

    package func check(_ credentials: Credentials) async -> MethodAnswer { answer(credentials) }

    package func checkNow(_ credentials: Credentials) -> MethodAnswer? { answer(credentials) }

    private func answer(_ credentials: Credentials) -> MethodAnswer {
        guard credentials.client.certificate != nil else { return .next(.noCredentials, "no certificate") }
        guard let name = username.filled({ credentials.client.value(of: $0) }), !name.isEmpty else {
            return .next(.unknownUser, "the certificate lacks what \"\(username.text)\" wants")
        }
        if mustAgree, let given = credentials.username, given != name {
            return .refuse(.rejected, "the certificate is of \"\(name)\"")
        }
        var found = Identified(username: name)
        found.roles = roles
        return .accept(found)
    }
}
