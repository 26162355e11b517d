import Model

extension ResourceKind {
    static let secretName = "Secret"

    /// A text that other resources refer to by name. Write-only: encrypted at rest, shown nowhere.
    package static var secret: ResourceKind {
        var kind = ResourceKind(
            name: secretName, plural: "secrets",
            help: "A password, key or token that other resources refer to by name.",
            helpChinese: "供其他资源按名称引用的密码、密钥或令牌。",
            schema: Schema([
                Field(
                    "value", .secret, required: true,
                    help: "The text itself, or { env: NAME } or { file: PATH } to read it where it is needed.",
                    chinese: "密文本身，或用 { env: NAME }、{ file: PATH } 指明读取位置。")
            ]),
            check: { _, spec, report in
                guard case .secret(.secret) = spec["value"] ?? .null else { return }
                report.report(
                    Problem("resource.secret.chain", "value: a secret cannot refer to another secret"),
                    at: ConfigPath()["value"])
            })
        kind.isSealed = true
        return kind
    }
}
