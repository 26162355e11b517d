package import Model
import Synchronization

/// Reads a journal in the name of someone whose cursor is kept. Calls block on the disk; safe from several threads.
package final class JournalReader: Sendable {
    private let journal: Journal
    package let name: String
    private let cache = Mutex<(file: any OpenFile, segment: JournalSegment)?>(nil)

    init(journal: Journal, name: String) {
        self.journal = journal
        self.name = name
    }

    /// Where this reader will begin after a restart.
    package var committed: JournalPosition {
        journal.state.withLock { JournalPosition(rawValue: $0.cursors[name] ?? $0.start) }
    }

    /// Durable records from `position` on, about `bytesMax` bytes of them but at least one if there is any. None if
    /// the position is the end. A position before the oldest record reads from there and tells what it missed.
    package func read(from position: JournalPosition, bytesMax: Int = 1 << 20) throws(Problem) -> JournalRead {
        var result = JournalRead(next: position)
        var at = position.rawValue
        while result.records.isEmpty {
            let found = journal.state.withLock { state -> (segment: JournalSegment?, start: Int64, end: Int64) in
                (state.segments.first { at < $0.end }, state.start, state.end)
            }
            if at < found.start {
                result.droppedBytes += Int(found.start - at)
                at = found.start
                continue
            }
            guard let segment = found.segment else { break }
            if at < segment.base {
                result.damagedBytes += Int(segment.base - at)
                at = segment.base
            }
            guard let file = try file(of: segment) else {
                // Truncated since: it lies behind every cursor, or was dropped.
                result.droppedBytes += Int(segment.end - at)
                at = segment.end
                continue
            }
            var window = JournalWindow(file: file, segment: segment, bytesMax: bytesMax)
            let part = try window.read(at: at)
            if part.next == at {
                // Not a record: the medium has damaged it. The rest of the segment cannot be told apart.
                result.damagedBytes += Int(segment.end - at)
                at = segment.end
            } else {
                result.records = part.records
                at = part.next
            }
        }
        result.next = JournalPosition(rawValue: at)
        if result.damagedBytes > 0 {
            let damaged = UInt64(result.damagedBytes)
            journal.state.withLock { $0.stats.bytesDamaged += damaged }
        }
        return result
    }

    /// The newest durable record; nil if none is left. Reads the newest segment that has any.
    package func last() throws(Problem) -> JournalRecord? {
        for segment in journal.state.withLock({ $0.segments }).reversed() {
            guard let file = try file(of: segment) else { continue }
            var window = JournalWindow(file: file, segment: segment, bytesMax: 1 << 20)
            var at = segment.base
            var newest: JournalRecord?
            while at < segment.end {
                let part = try window.read(at: at)
                guard part.next > at else { break }
                newest = part.records.last ?? newest
                at = part.next
            }
            if let newest { return newest }
        }
        return nil
    }

    /// Everything before `position` is dealt with. Takes effect at once for truncation; is made durable with the
    /// next group, so that after a crash the reader may see records again, but never misses one. Going back is
    /// ignored.
    package func commit(_ position: JournalPosition) {
        let name = name
        journal.state.signal { state in
            guard let current = state.cursors[name], position.rawValue > current else { return false }
            state.cursors[name] = min(position.rawValue, state.end)
            state.cursorsChanged = true
            return true
        }
    }

    /// `wake` is called after records have become durable, on the writer's thread, which it must not hold up. One at
    /// a time for each name; nil ends it.
    package func onAppend(_ wake: (@Sendable () -> Void)?) {
        let name = name
        journal.state.withLock { $0.wakers[name] = wake }
    }

    private func file(of segment: JournalSegment) throws(Problem) -> (any OpenFile)? {
        let cached = cache.withLock { cache in cache?.segment.base == segment.base ? cache?.file : nil }
        if let cached { return cached }
        do throws(Problem) {
            let file = try journal.files.open(segment.path, .read)
            cache.withLock { $0 = (file, segment) }
            return file
        } catch {
            if error.fileFault == .notFound { return nil }
            throw error
        }
    }
}

/// Reads the records of one segment in pieces.
struct JournalWindow {
    let file: any OpenFile
    let segment: JournalSegment
    let bytesMax: Int

    /// The records from `position` on, which must lie in the segment. `next == position` if there stands no record.
    mutating func read(at position: Int64) throws(Problem) -> (records: [JournalRecord], next: Int64) {
        var wanted = max(bytesMax, JournalFormat.frameBytes)
        while true {
            let available = Int(segment.end - position)
            let storage = try load(at: position, count: min(wanted, available))
            var records: [JournalRecord] = []
            var used = 0
            var needed = 0
            let whole = Bytes(storage)
            whole.withUnsafeBytes { bytes in
                scanning: while used < bytes.count {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
                    switch JournalFormat.scan(rest, position: position + Int64(used)) {
                    case .record(let kind, let payload):
                        if kind == JournalFormat.Kind.data.rawValue {
                            records.append(
                                JournalRecord(
                                    position: JournalPosition(rawValue: position + Int64(used)),
                                    bytes: whole.slice(used + payload.lowerBound..<used + payload.upperBound)))
                        }
                        used += payload.upperBound
                    case .needs(let count):
                        needed = count
                        break scanning
                    case .invalid: break scanning
                    }
                }
            }
            if used > 0 || needed <= wanted || needed > available { return (records, position + Int64(used)) }
            wanted = needed
        }
    }

    private func load(at position: Int64, count: Int) throws(Problem) -> ByteStorage {
        var problem: Problem?
        let offset = segment.fileOffset(of: position)
        let storage = ByteStorage(capacity: count) { buffer in
            do throws(Problem) { return try file.read(at: offset, into: buffer) } catch {
                problem = error
                return 0
            }
        }
        if let problem { throw problem }
        return storage
    }
}
