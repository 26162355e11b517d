import HTTPTypes
import Logging
import Model
import NIOCore

/// Answers what is not the API: files by path, and the start page for the paths of the application's own pages.
struct StaticFiles: Sendable {
    enum Source: Sendable {
        case bundle([String: Packed])
        case folder(AssetFolder)
        /// The executable was built without pages.
        case none
    }

    /// A file whose buffers are made once and shared by all answers.
    struct Packed: Sendable {
        let type: String
        let tag: String
        let isImmutable: Bool
        let plain: ByteBuffer
        let gzip: ByteBuffer?

        init(_ file: AssetBundle.File) {
            type = file.type
            tag = file.tag
            isImmutable = file.isImmutable
            plain = file.plain.withUnsafeBytes { ByteBuffer(bytes: $0) }
            gzip = file.gzip.map { bytes in bytes.withUnsafeBytes { ByteBuffer(bytes: $0) } }
        }
    }

    let source: Source

    init(_ source: Source) { self.source = source }

    init(bundle: AssetBundle) { source = .bundle(bundle.files.mapValues(Packed.init)) }

    static func make(options: ConsoleOptions, logger: Logger) -> StaticFiles {
        if let pages = options.webDirectory {
            logger.warning("the console serves its pages from a folder", metadata: ["folder": "\(pages)"])
            // Where they are in the source tree.
            let vendor = options.vendorDirectory ?? pages + "/../../CConsoleAssets/generated/vendor"
            return StaticFiles(.folder(AssetFolder(pages: pages, vendor: vendor)))
        }
        guard let bundle = AssetBundle.embedded() else { return StaticFiles(.none) }
        return StaticFiles(bundle: bundle)
    }

    /// `path` is still percent-encoded.
    func answer(method: HTTPRequest.Method, path: some StringProtocol, headers: HTTPFields) throws(Refusal)
        -> ConsoleResponse
    {
        guard method == .get || method == .head, !path.hasPrefix("/api/"),
            let decoded = PercentCoding.decode(path), !decoded.contains("\0")
        else { throw Self.unknown(path) }
        if let file = file(decoded) { return Self.answer(file, headers) }
        // A page of the application, which finds its way by itself; but a file that is missing is missing.
        let isPage = !decoded.hasPrefix("/assets/") && !decoded.hasPrefix("/vendor/")
        guard isPage else { throw Self.unknown(path) }
        if let start = file("/index.html") { return Self.answer(start, headers) }
        return .text(Self.withoutPages, contentType: "text/html; charset=utf-8", status: .ok)
    }

    private func file(_ path: String) -> Packed? {
        switch source {
        case .bundle(let files): files[path]
        case .folder(let folder): folder.file(path).map(Packed.init)
        case .none: nil
        }
    }

    private static func answer(_ file: Packed, _ headers: HTTPFields) -> ConsoleResponse {
        let packed = file.gzip.flatMap { acceptsGzip(headers) ? $0 : nil }
        // Two representations of one resource have two tags. RFC 9110, 8.8.3.3
        let tag = packed == nil ? "\"\(file.tag)\"" : "\"\(file.tag)-gzip\""
        var response = ConsoleResponse(status: .ok, contentType: file.type)
        response.headers[.eTag] = tag
        response.headers[.cacheControl] = file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache"
        if file.gzip != nil { response.headers[.vary] = "Accept-Encoding" }
        if let known = headers[.ifNoneMatch], matches(known, tag) {
            response.status = .notModified
            response.headers[.contentType] = nil
            return response
        }
        if packed != nil { response.headers[.contentEncoding] = "gzip" }
        response.body = packed ?? file.plain
        return response
    }

    private static func matches(_ known: String, _ tag: String) -> Bool {
        known.split(separator: ",").contains { item in
            let item = item.drop { $0 == " " }.prefix { $0 != " " }
            return item == "*" || item == tag || (item.hasPrefix("W/") && item.dropFirst(2) == tag)
        }
    }

    /// RFC 9110, 12.5.3
    static func acceptsGzip(_ headers: HTTPFields) -> Bool {
        guard let field = headers[.acceptEncoding] else { return false }
        return field.lowercased().split(separator: ",").contains { item in
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " } }
            guard let name = parts.first, name == "gzip" || name == "*" else { return false }
            return !parts.dropFirst().contains {
                $0.hasPrefix("q=0") && !$0.dropFirst(3).contains { $0 != "0" && $0 != "." }
            }
        }
    }

    private static func unknown(_ path: some StringProtocol) -> Refusal {
        let shown = String(path.prefix(200))
        return Refusal(.notFound, "path.unknown", "there is nothing at \(shown)", ["path": shown])
    }

    private static let withoutPages = """
        <!doctype html><meta charset="utf-8"><title>Tundish</title>
        <h1>This executable was built without the console's pages</h1>
        <p>Run <code>scripts/bootstrap</code> and build again; the REST interface works: <a href="/api/openapi.json">/api/openapi.json</a>.</p>
        <h1>此程序构建时未包含控制台页面</h1>
        <p>请运行 <code>scripts/bootstrap</code> 后重新构建;REST 接口可用。</p>

        """
}
