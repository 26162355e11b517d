import HTTPTypes

/// What a caller may be allowed to do. A route names the one that it needs.
package enum Right: String, Sendable, Hashable, CaseIterable {
    /// Sees everything but users, tokens and secrets.
    case read
    /// Writes tags, publishes, records points, acknowledges alarms, disconnects clients.
    case operate
    /// Applies, deletes and rolls back resources other than those that decide who gets in.
    case configure
    /// Users, tokens and secrets.
    case administer
}

/// The roles that a user may have. The names are those of `User` resources.
package enum ConsoleRole: String, Sendable, Hashable, CaseIterable {
    case viewer, `operator`, engineer, administrator

    package var rights: Set<Right> {
        switch self {
        case .viewer: [.read]
        case .operator: [.read, .operate]
        case .engineer: [.read, .operate, .configure]
        case .administrator: Set(Right.allCases)
        }
    }
}

/// Kinds whose documents decide who gets in or hold what opens doors: theirs is the right `administer`.
package enum GuardedKinds {
    package static let names: Set<String> = ["User", "Role", "Secret", "Token", "Authentication", "AccessPolicy"]
}

extension Refusal {
    /// Names the right that is missing, and the roles that have it.
    static func missing(_ right: Right, _ caller: Caller, what: String? = nil) -> Refusal {
        let having = ConsoleRole.allCases.filter { $0.rights.contains(right) }.map(\.rawValue).joined(separator: ", ")
        let own = caller.roles.map(\.rawValue).sorted().joined(separator: ", ")
        return Refusal(
            .forbidden, "access.denied",
            "\(what ?? "this") needs the right \"\(right.rawValue)\", which the roles \(having) have; \"\(caller.username)\" is \(own.isEmpty ? "none of them" : own)",
            ["right": right.rawValue, "allowed": having, "roles": own, "username": caller.username])
    }
}
