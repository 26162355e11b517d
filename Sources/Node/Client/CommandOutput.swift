#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a verb prints: results to standard output, complaints to standard error.
package struct CommandOutput: Sendable {
    package static let standard = CommandOutput(
        line: { print($0, to: STDOUT_FILENO) }, error: { print($0, to: STDERR_FILENO) })

    package let line: @Sendable (String) -> Void
    package let error: @Sendable (String) -> Void

    package init(line: @escaping @Sendable (String) -> Void, error: @escaping @Sendable (String) -> Void) {
        self.line = line
        self.error = error
    }

    private static func print(_ text: String, to descriptor: Int32) {
        var text = text + "\n"
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
                if count < 0, errno == EINTR { continue }
                // Nobody reads any more: there is nobody left to tell.
                guard count > 0 else { return }
                offset += count
            }
        }
    }

    /// Columns as wide as their widest cell; wide characters count twice.
    package func table(_ header: [String], _ rows: [[String]]) {
        let all = [header] + rows
        let widths = header.indices.map { column in
            all.map { column < $0.count ? displayWidth($0[column]) : 0 }.max() ?? 0
        }
        for row in all {
            let cells = row.enumerated().map { column, text in
                column == row.count - 1
                    ? text : text + String(repeating: " ", count: max(0, widths[column] - displayWidth(text)))
            }
            line(cells.joined(separator: "  "))
        }
    }

    private func displayWidth(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) {
            $0 + ((0x1100...0x115F).contains($1.value) || (0x2E80...0xFFDC).contains($1.value) ? 2 : 1)
        }
    }
}
