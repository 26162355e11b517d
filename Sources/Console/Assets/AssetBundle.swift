import CConsoleAssets
package import Model

/// The pages and libraries inside the executable, as `scripts/bundle-console` packs them; its head describes the
/// format.
package struct AssetBundle: Sendable {
    package struct File: Sendable {
        package var type: String
        /// The entity tag without its quotes.
        package var tag: String
        /// The content under this path never changes.
        package var isImmutable: Bool
        package var plain: Bytes
        /// Nil when packing gains nothing.
        package var gzip: Bytes?
    }

    package let files: [String: File]

    package init(files: [String: File]) { self.files = files }

    /// The bundle of this executable; nil when it was built without one.
    package static func embedded() -> AssetBundle? {
        var size = 0
        guard let start = tundish_console_assets(&size), size > 0 else { return nil }
        return AssetBundle(parsing: UnsafeRawBufferPointer(start: start, count: size))
    }

    /// Nil for anything that is not a whole bundle. The contents are copied.
    package init?(parsing bytes: UnsafeRawBufferPointer) {
        var at = 0
        func take(_ count: Int) -> UnsafeRawBufferPointer? {
            guard count >= 0, bytes.count - at >= count else { return nil }
            defer { at += count }
            return UnsafeRawBufferPointer(rebasing: bytes[at..<at + count])
        }
        func number(_ width: Int) -> Int? {
            take(width).map { $0.reversed().reduce(0) { $0 << 8 | Int($1) } }
        }
        func text(_ width: Int) -> String? {
            number(width).flatMap(take).map { String(decoding: $0, as: UTF8.self) }
        }
        func content(_ offset: Int, _ count: Int) -> Bytes? {
            guard offset <= bytes.count, bytes.count - offset >= count else { return nil }
            return Bytes(copying: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
        }
        guard let magic = take(8), magic.elementsEqual("TNDWEB1\n".utf8), let count = number(4) else { return nil }
        var files: [String: File] = [:]
        for _ in 0..<count {
            guard let path = text(2), let type = text(1), let tag = text(1), let flags = number(1),
                let plainAt = number(4), let plainCount = number(4), let gzipAt = number(4), let gzipCount = number(4),
                let plain = content(plainAt, plainCount), let gzip = content(gzipAt, gzipCount)
            else { return nil }
            files[path] = File(
                type: type, tag: tag, isImmutable: flags & 1 == 1, plain: plain, gzip: gzip.isEmpty ? nil : gzip)
        }
        self.files = files
    }
}
