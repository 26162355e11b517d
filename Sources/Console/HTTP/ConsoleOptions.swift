package import Model

/// How the console serves.
package struct ConsoleOptions: Sendable {
    /// Address to bind, such as `127.0.0.1` or `::`.
    package var host = "127.0.0.1"
    /// 0: the system chooses; the server tells which.
    package var port = 18_083
    /// Names under which the console may be asked beyond those of `host`, for use behind a reverse proxy.
    package var allowedHosts: [String] = []
    package var version = "0"
    /// A folder with the pages, served instead of the embedded ones, and one with the libraries (by default where
    /// the source tree has them): for work on the pages without a build.
    package var webDirectory: String?
    package var vendorDirectory: String?
    package var connectionsMax = 2_000
    package var socketsMax = 1_000
    package var sessionIdle: Duration = .seconds(8 * 3600)
    package var sessionLifetime: Duration = .seconds(7 * 24 * 3600)
    /// How often live values, and how often status and diagnostics, are looked at.
    package var liveTick: Duration = .milliseconds(100)
    package var reportTick: Duration = .milliseconds(1000)
    package var pingInterval: Duration = .seconds(20)
    package var time: any TimeSource = SystemTime()
    package var random: any RandomSource = SystemRandom()

    package init() {}

    package var isLoopback: Bool { HostName.isLoopback(host) }
}

package enum HostName {
    /// Names and addresses that only this machine reaches.
    package static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        return host == "localhost" || host == "::1" || host == "[::1]" || host.hasSuffix(".localhost")
            || isLoopbackIPv4(host)
    }

    private static func isLoopbackIPv4(_ host: String) -> Bool {
        let host = host.hasPrefix("::ffff:") ? String(host.dropFirst(7)) : host
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// The host of `host:port`, `[v6]:port` or `host`, in lower case; an address in brackets loses them.
    package static func host(ofAuthority authority: some StringProtocol) -> String? {
        let text = authority.lowercased()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || isPort(rest) else { return nil }
            return String(text[text.index(after: text.startIndex)..<end])
        }
        guard let colon = text.firstIndex(of: ":") else { return text.isEmpty ? nil : text }
        guard isPort(text[colon...]), colon != text.startIndex else { return nil }
        return String(text[..<colon])
    }

    private static func isPort(_ text: some StringProtocol) -> Bool {
        text.first == ":" && UInt16(text.dropFirst()) != nil
    }
}
