import Crypto
#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// Pages and libraries read from disk at each request: for work on them without a build.
struct AssetFolder: Sendable {
    /// Served at `/` (its `index.html`) and `/assets/`.
    let pages: String
    /// Served at `/vendor/`.
    let vendor: String?

    private static let fileBytesMax = 32 << 20

    func file(_ path: String) -> AssetBundle.File? {
        guard !path.split(separator: "/").contains(where: { $0.hasPrefix(".") }), let file = location(path),
            let content = Self.read(file)
        else { return nil }
        let digest = SHA256.hash(data: content).prefix(10).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return AssetBundle.File(
            type: Self.type(file), tag: digest.joined(), isImmutable: false, plain: Bytes(content), gzip: nil)
    }

    private func location(_ path: String) -> String? {
        if path == "/index.html" { return pages + path }
        if path.hasPrefix("/assets/") { return pages + path.dropFirst("/assets".count) }
        if path.hasPrefix("/vendor/"), let vendor { return vendor + path.dropFirst("/vendor".count) }
        return nil
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
            information.st_size <= fileBytesMax
        else { return nil }
        var content = [UInt8](repeating: 0, count: Int(information.st_size))
        var filled = 0
        while filled < content.count {
            let count = content.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
            }
            guard count > 0 else { return nil }
            filled += count
        }
        return content
    }

    private static let types = [
        "css": "text/css; charset=utf-8", "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8", "json": "application/json", "svg": "image/svg+xml",
        "png": "image/png", "ico": "image/x-icon", "woff2": "font/woff2", "txt": "text/plain; charset=utf-8",
    ]

    private static func type(_ path: String) -> String {
        let suffix = path.lastIndex(of: ".").map { String(path[path.index(after: $0)...]) } ?? ""
        return types[suffix] ?? "application/octet-stream"
    }
}
