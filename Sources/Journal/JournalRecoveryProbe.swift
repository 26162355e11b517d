import Model

/// What the fuzzer and its smoke run do with arbitrary bytes: takes them for the newest segment of a journal, opens
/// it, reads all, and appends. Returns false if an invariant broke: recovery must accept anything, cut off what is
/// not a record, and what is appended afterwards must be readable.
package enum JournalRecoveryProbe {
    package static func run(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let files = FaultyFiles()
        // The first byte says whether the bytes follow a valid header, so that the fuzzer gets behind it.
        var content = Array(bytes.dropFirst())
        if bytes.first.map({ $0 & 1 == 0 }) ?? false {
            let table: [UInt8] = JournalFormat.encode([:])
            var frame = [UInt8](repeating: 0, count: JournalFormat.frameBytes + table.count)
            frame.withUnsafeMutableBytes { target in
                table.withUnsafeBytes {
                    if let base = target.baseAddress {
                        JournalFormat.frame($0, kind: .cursors, position: 0, into: base)
                    }
                }
            }
            content = JournalFormat.header(base: 0) + frame + content
        }
        files.put("j/" + JournalFormat.fileName(base: 0), content)
        do throws(Problem) {
            let first = try JournalRecovery.run(directory: "j", files: files)
            let second = try JournalRecovery.run(directory: "j", files: files)
            guard let a = first.segments.last, let b = second.segments.last, a.end == b.end, second.tornBytes == 0
            else {
                return false
            }
            var window = JournalWindow(file: second.active, segment: b, bytesMax: 1 << 16)
            var at = b.base
            while at < b.end {
                let part = try window.read(at: at)
                if part.next <= at { return false }
                at = part.next
            }
            return at == b.end
        } catch {
            return false
        }
    }
}
