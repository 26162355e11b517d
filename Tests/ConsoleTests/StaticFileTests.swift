import Formats
import HTTPTypes
import Model
import NIOCore
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import Console

@Suite("Static files")
struct StaticFileTests {
    private static func file(_ text: String, _ type: String, immutable: Bool = false, gzip: String? = nil)
        -> AssetBundle.File
    {
        AssetBundle.File(
            type: type, tag: "tag-\(text.count)", isImmutable: immutable, plain: Bytes(text),
            gzip: gzip.map { Bytes($0) })
    }

    private let pages = StaticFiles(
        bundle: AssetBundle(files: [
            "/index.html": file("<!doctype html>", "text/html"),
            "/assets/app.js": file("let a = 1", "text/javascript", gzip: "packed"),
            "/vendor/x/index-DlVyZyb_.js": file("x", "text/javascript", immutable: true),
        ]))

    private func get(_ path: String, _ headers: HTTPFields = [:]) throws -> ConsoleResponse {
        try pages.answer(method: .get, path: path, headers: headers)
    }

    @Test("files are served with type, tag and how long they keep; a known tag is 304")
    func files() throws {
        let script = try get("/assets/app.js")
        #expect(script.headers[.contentType] == "text/javascript")
        #expect(script.headers[.cacheControl] == "no-cache")
        #expect(String(buffer: script.body) == "let a = 1")
        let tag = try #require(script.headers[.eTag])
        let again = try get("/assets/app.js", [.ifNoneMatch: "\"other\", W/\(tag)"])
        #expect(again.status == .notModified)
        #expect(again.body.readableBytes == 0)
        #expect(try get("/vendor/x/index-DlVyZyb_.js").headers[.cacheControl]?.contains("immutable") == true)
    }

    @Test("the packed form goes only to those who accept it, under a tag of its own")
    func packed() throws {
        let plain = try get("/assets/app.js")
        let packed = try get("/assets/app.js", [.acceptEncoding: "br, gzip;q=0.5"])
        #expect(packed.headers[.contentEncoding] == "gzip")
        #expect(String(buffer: packed.body) == "packed")
        #expect(packed.headers[.eTag] != plain.headers[.eTag])
        #expect(try get("/assets/app.js", [.acceptEncoding: "gzip;q=0"]).headers[.contentEncoding] == nil)
        #expect(try get("/index.html", [.acceptEncoding: "gzip"]).headers[.contentEncoding] == nil)
    }

    @Test("paths of the application's own pages give the start page; missing files and API paths do not")
    func fallback() throws {
        for path in ["/", "/devices", "/devices/press-1", "/a/b/c"] {
            #expect(try get(path).headers[.contentType] == "text/html", "\(path)")
        }
        for path in ["/assets/missing.js", "/vendor/none", "/api/v1/x", "/api/", "/%zz", "/a%00"] {
            #expect(throws: Refusal.self, "\(path)") { try get(path) }
        }
        #expect(throws: Refusal.self) { try pages.answer(method: .post, path: "/", headers: [:]) }
    }

    @Test("without pages the console says how to get them")
    func withoutPages() throws {
        let answer = try StaticFiles(.none).answer(method: .get, path: "/", headers: [:])
        #expect(String(buffer: answer.body).contains("scripts/bootstrap"))
    }

    @Test("a bundle is read back, and every truncation and nonsense is refused")
    func bundleFormat() throws {
        let bytes = Self.bundle(["/index.html": "<p>", "/assets/a.js": "a"])
        let bundle = try #require(bytes.withUnsafeBytes { AssetBundle(parsing: $0) })
        #expect(bundle.files["/assets/a.js"]?.plain.string == "a")
        #expect(bundle.files["/assets/a.js"]?.type == "text/plain")
        #expect(bundle.files["/index.html"]?.gzip == nil)
        for count in 0..<bytes.count {
            let part = Array(bytes.prefix(count))
            #expect(part.withUnsafeBytes { AssetBundle(parsing: $0) } == nil, "\(count)")
        }
        var random = SplitMix64(seed: 3)
        for _ in 0..<500 {
            var damaged = bytes
            for _ in 0..<3 {
                damaged[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            // Whatever it gives, it must not read beyond the bytes.
            _ = damaged.withUnsafeBytes { AssetBundle(parsing: $0) }
        }
    }

    private static func bundle(_ files: [String: String]) -> [UInt8] {
        func number(_ value: Int, _ width: Int) -> [UInt8] {
            (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let sorted = files.sorted { $0.key < $1.key }
        let heads = sorted.map {
            number($0.key.utf8.count, 2) + Array($0.key.utf8) + [10] + Array("text/plain".utf8) + [1, 0x61, 0]
        }
        var offset = 12 + heads.reduce(0) { $0 + $1.count + 16 }
        var bytes = Array("TNDWEB1\n".utf8) + number(files.count, 4)
        for (head, file) in zip(heads, sorted) {
            bytes += head + number(offset, 4) + number(file.value.utf8.count, 4)
            offset += file.value.utf8.count
            bytes += number(offset, 4) + number(0, 4)
        }
        return bytes + sorted.flatMap { Array($0.value.utf8) }
    }

    @Test("the bundle of this executable, if it was built with one, has a start page whose scripts it also has")
    func embedded() throws {
        guard let bundle = AssetBundle.embedded() else { return }
        let page = try #require(bundle.files["/index.html"]).plain.string
        var count = 0
        for part in page.split(separator: "\"") where part.hasPrefix("/assets/") || part.hasPrefix("/vendor/") {
            #expect(bundle.files[String(part)] != nil, "\(part)")
            count += 1
        }
        #expect(count > 2)
        #expect(bundle.files["/vendor/vue/vue.esm-browser.prod.js"]?.gzip != nil)
    }

    @Test("a folder is served for work on the pages, but nothing outside it and nothing hidden")
    func folder() async throws {
        var template = Array("/tmp/tundish-web-XXXXXX".utf8CString)
        let root = try #require(
            template.withUnsafeMutableBufferPointer { buffer in
                buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
            })
        defer { _ = system("rm -rf \(root)") }
        for (path, text) in [("index.html", "start"), ("app.js", "code"), (".hidden", "secret")] {
            let file = try #require(fopen("\(root)/\(path)", "w"))
            fputs(text, file)
            fclose(file)
        }
        try await Harness.run({ $0.webDirectory = root }) { (harness: Harness) async throws in
            let start = try await harness.call("GET", "/", [:])
            #expect(start.text == "start")
            #expect(
                try await harness.call("GET", "/assets/app.js", [:]).headers["content-type"]?.hasPrefix(
                    "text/javascript") == true)
            for path in [
                "/assets/.hidden", "/assets/../../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd", "/vendor/x.js",
                "/assets/",
            ] {
                #expect(try await harness.call("GET", path, [:]).status == 404, "\(path)")
            }
        }
    }
}
