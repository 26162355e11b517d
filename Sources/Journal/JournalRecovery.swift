import Model

/// Finds out what a directory of segments holds after whatever has happened to it.
struct JournalRecovery {
    /// Oldest first; never empty. The last one is open for writing.
    var segments: [JournalSegment] = []
    var cursors: [String: Int64] = [:]
    var active: any OpenFile
    var tornBytes = 0

    /// Keeps everything up to the first record of the last segment that is torn, and cuts the file there.
    ///
    /// Earlier segments were synced whole before their successor was made, so they are not read here; a reader
    /// checks each record anyway. The last segment's content is written once more and synced: if a sync had failed,
    /// the system may show from its cache what is not on the disk, and acknowledging later records behind such a
    /// hole would lose them at the next power cut.
    static func run(directory: String, files: any FileSystem) throws(Problem) -> JournalRecovery {
        var segments: [JournalSegment] = []
        for name in try files.list(directory) {
            guard let base = JournalFormat.base(fileName: name) else { continue }
            segments.append(JournalSegment(base: base, end: base, path: FilePath.join(directory, name)))
        }
        segments.sort { $0.base < $1.base }
        for index in segments.indices.dropLast() {
            let size = try files.size(segments[index].path) ?? 0
            let end = segments[index].base + Int64(max(0, size - JournalFormat.headerBytes))
            segments[index].end = min(end, segments[index + 1].base)
        }
        var torn = 0
        while let last = segments.last {
            let file = try files.open(last.path, .readWrite)
            let size = try file.size()
            let scan = try scan(file, size: size, base: last.base)
            guard let cursors = scan.cursors else {
                // It was being made when the power went: nothing in it was ever acknowledged.
                file.close()
                torn += size
                try files.remove(last.path)
                segments.removeLast()
                if let previous = segments.last { segments[segments.count - 1].end = previous.base }
                continue
            }
            let valid = JournalFormat.headerBytes + Int(scan.end - last.base)
            if size > valid {
                torn += size - valid
                try file.truncate(to: valid)
            }
            try rewrite(file, size: valid)
            segments[segments.count - 1].end = scan.end
            try files.syncDirectory(directory)
            return JournalRecovery(
                segments: segments, cursors: cursors.mapValues { min($0, scan.end) }, active: file, tornBytes: torn)
        }
        let (segment, file) = try create(base: 0, cursors: [:], directory: directory, files: files)
        return JournalRecovery(segments: [segment], cursors: [:], active: file, tornBytes: torn)
    }

    /// Makes a segment that holds the table of cursors, durably.
    static func create(
        base: Int64, cursors: [String: Int64], directory: String, files: any FileSystem
    ) throws(Problem) -> (JournalSegment, any OpenFile) {
        let path = FilePath.join(directory, JournalFormat.fileName(base: base))
        let table = JournalFormat.encode(cursors)
        var bytes = JournalFormat.header(base: base)
        let headerCount = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: JournalFormat.frameBytes + table.count))
        bytes.withUnsafeMutableBytes { target in
            table.withUnsafeBytes { payload in
                if let start = target.baseAddress {
                    JournalFormat.frame(payload, kind: .cursors, position: base, into: start + headerCount)
                }
            }
        }
        let file = try files.open(path, .create)
        try file.truncate(to: 0)
        try file.writeAll(bytes, at: 0)
        try file.sync()
        try files.syncDirectory(directory)
        let end = base + Int64(JournalFormat.frameBytes + table.count)
        return (JournalSegment(base: base, end: end, path: path), file)
    }

    /// Where the valid records of a segment end, and its newest table of cursors; nil if it has not even the first.
    private static func scan(
        _ file: any OpenFile, size: Int, base: Int64
    ) throws(Problem) -> (end: Int64, cursors: [String: Int64]?) {
        var window = [UInt8](repeating: 0, count: min(max(size, JournalFormat.headerBytes), 1 << 20))
        let headerCount = try file.readAll(&window, at: 0, count: JournalFormat.headerBytes)
        guard headerCount == JournalFormat.headerBytes,
            window.withUnsafeBytes({ JournalFormat.isHeader($0, base: base) })
        else { return (base, nil) }
        var end = base
        var cursors: [String: Int64]?
        while true {
            let offset = JournalFormat.headerBytes + Int(end - base)
            if offset >= size { return (end, cursors) }
            let count = try file.readAll(&window, at: offset, count: min(window.count, size - offset))
            var used = 0
            var needed = 0
            window.withUnsafeBytes { bytes in
                scanning: while used < count {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[used..<count])
                    switch JournalFormat.scan(rest, position: end) {
                    case .record(let kind, let payload):
                        if kind == JournalFormat.Kind.cursors.rawValue {
                            cursors = JournalFormat.cursors(UnsafeRawBufferPointer(rebasing: rest[payload])) ?? cursors
                        }
                        used += payload.upperBound
                        end += Int64(payload.upperBound)
                        // The table comes first, or this is not a segment that was ever in use.
                        if cursors == nil { break scanning }
                    case .needs(let bytes):
                        needed = bytes
                        break scanning
                    case .invalid:
                        needed = 0
                        break scanning
                    }
                }
            }
            if cursors == nil { return (base, nil) }
            if used == count { continue }
            // Either torn, or the rest of a record lies beyond the window.
            guard needed > 0, JournalFormat.headerBytes + Int(end - base) + needed <= size else {
                return (end, cursors)
            }
            if needed > window.count { window = [UInt8](repeating: 0, count: needed) }
        }
    }

    private static func rewrite(_ file: any OpenFile, size: Int) throws(Problem) {
        var window = [UInt8](repeating: 0, count: min(size, 1 << 20))
        var offset = 0
        while offset < size {
            let count = try file.readAll(&window, at: offset, count: min(window.count, size - offset))
            if count == 0 { break }
            try file.writeAll(window[..<count], at: offset)
            offset += count
        }
        try file.sync()
    }
}

extension OpenFile {
    func readAll(_ bytes: inout [UInt8], at offset: Int, count: Int) throws(Problem) -> Int {
        let result: Result<Int, Problem> = bytes.withUnsafeMutableBytes { buffer in
            do throws(Problem) {
                return .success(try read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])))
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    func writeAll(_ bytes: some Collection<UInt8>, at offset: Int) throws(Problem) {
        let contiguous = ContiguousArray(bytes)
        let result: Result<Void, Problem> = contiguous.withUnsafeBytes { buffer in
            do throws(Problem) { return .success(try write(buffer, at: offset)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
