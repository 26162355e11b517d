import Model

/// What a user may do.
package enum Role: String, Sendable, CaseIterable, Codable {
    /// Everything.
    case administrator
    /// What an operator may, and changes the configuration, but for users and secrets.
    case engineer
    /// Sees, writes to devices, publishes, acknowledges alarms, disconnects clients.
    case `operator`
    /// Sees everything but users, tokens and secrets.
    case viewer
}

extension ResourceKind {
    static let userName = "User"

    /// A person or a program that signs in to the console and the REST API.
    package static var user: ResourceKind {
        var kind = ResourceKind(
            name: userName, plural: "users", help: "A person or a program that signs in to the console.",
            helpChinese: "登录控制台的人员或程序。",
            schema: Schema([
                Field(
                    "password", .secret,
                    help:
                        "At least \(PasswordHash.lengthMin) characters; stored as a hash. Or a reference: "
                        + "{ secret: NAME }, { env: NAME }, { file: PATH }.",
                    chinese:
                        "至少 \(PasswordHash.lengthMin) 个字符；仅保存哈希值。也可用引用："
                        + "{ secret: NAME }、{ env: NAME }、{ file: PATH }。"),
                Field(
                    "passwordHash", .string, help: "A hash instead of the password, as `tundish` writes it.",
                    chinese: "以哈希代替密码。"),
                Field(
                    "roles", .list(.choice(Role.allCases.map(\.rawValue)), countMax: 8),
                    default: .list([.string(Role.viewer.rawValue)]),
                    help:
                        "viewer sees; operator also writes and acknowledges; engineer also configures; administrator also manages users and secrets.",
                    chinese: "viewer 只看；operator 还可写入和确认报警；engineer 还可修改配置；administrator 还可管理用户和密钥。"),
                Field(
                    "scram", .bool, default: .bool(false),
                    help:
                        "Keep SCRAM-SHA-256 keys of the password too, for MQTT clients that sign in without sending it.",
                    chinese: "同时保存密码的 SCRAM-SHA-256 密钥，供不发送密码的 MQTT 客户端使用。"),
                Field(
                    "scramKeys", .string, help: "SCRAM-SHA-256 keys, as PostgreSQL writes them, if they exist already.",
                    chinese: "已有的 SCRAM-SHA-256 密钥，格式同 PostgreSQL。"),
                Field("disabled", .bool, default: .bool(false), help: "Cannot sign in.", chinese: "禁止登录。"),
            ]),
            check: { name, spec, report in checkUser(spec, &report) })
        kind.hiddenKeys = ["passwordHash", "scramKeys"]
        kind.prepare = { spec, former throws(Problem) in try hashingPassword(spec, former) }
        return kind
    }

    private static func checkUser(_ spec: ConfigValue, _ report: inout IssueReporter) {
        if let keys = spec["scramKeys"]?.string, !ScramSecret.isValid(keys) {
            report.report(
                Problem("resource.user.scram", "scramKeys: not of the form \(ScramSecret.form)"),
                at: ConfigPath()["scramKeys"])
        }
        if spec["scram"]?.bool == true, spec["passwordHash"] != nil, spec["scramKeys"] == nil {
            report.report(
                Problem("resource.user.scram", "scram: keys cannot be made of a hash; give the password, or scramKeys"),
                at: ConfigPath()["scram"])
        }
        switch (spec["password"], spec["passwordHash"]?.string) {
        case (nil, nil):
            report.report(
                Problem("resource.user.password", "password is missing: a user needs password or passwordHash"),
                at: ConfigPath())
        case (_?, _?):
            report.report(
                Problem("resource.user.password", "either password or passwordHash is wanted, not both"),
                at: ConfigPath()["passwordHash"])
        case (nil, let hash?):
            if PasswordHash(text: hash) != nil { return }
            report.report(
                Problem("resource.user.hash", "passwordHash: not a hash of the form \(PasswordHash.form)"),
                at: ConfigPath()["passwordHash"])
        case (.secret(.inline(let password))?, nil):
            if let fault = PasswordHash.fault(password) {
                report.report(Problem("resource.user.password", "password \(fault)"), at: ConfigPath()["password"])
            }
        default: return
        }
    }

    /// Puts the hash where the password was; the stored one if it is of the same password, so that applying a file
    /// again changes nothing.
    private static func hashingPassword(_ spec: SourceNode, _ former: SourceNode?) throws(Problem) -> SourceNode {
        guard let password = spec["password"]?.scalar else { return spec }
        var hash = former?["passwordHash"]?.scalar
        var keys = former?["scramKeys"]?.scalar
        if let stored = hash.flatMap({ PasswordHash(text: $0) }), stored.matches(password) {
            hash = stored.text
        } else {
            hash = try PasswordHash(password: password).text
            keys = nil
        }
        var result = spec
        if spec["scram"]?.scalar == "true", spec["scramKeys"] == nil {
            let made = if let keys { keys } else { try ScramSecret.make(password: password) }
            result.set("scramKeys", .text(made))
        }
        result.set("password", nil)
        result.set("passwordHash", .text(hash ?? ""))
        return result
    }
}
