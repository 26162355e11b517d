#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Foundation
import Model

/// What the disk itself allows to a log that syncs in groups.
struct DiskLimit: Equatable {
    /// Groups written and synced in a second, one after the other.
    var groupsPerSecond: Double
    var messagesPerGroup: Int

    var messagesPerSecond: Double { groupsPerSecond * Double(messagesPerGroup) }

    /// What a record holds beside the payload: topic, lengths, checksum, position.
    static let recordBytes = 48

    /// Appends groups of `messages` with `payloadBytes` each to a new file of the folder and syncs each, for as long as
    /// said.
    static func measure(in folder: URL, messages: Int, payloadBytes: Int, seconds: Double) throws -> DiskLimit {
        let path = folder.appending(path: "sync-\(UInt32.random(in: 0 ... .max))").path
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else { throw Problem("bench.disk", "cannot write \(path): \(errorText(errno))") }
        defer {
            close(descriptor)
            unlink(path)
        }
        let group = [UInt8](repeating: 0x2A, count: messages * (payloadBytes + recordBytes))
        let clock = SystemTime()
        let begin = clock.monotonicNanoseconds()
        var groups = 0
        var now = begin
        repeat {
            var written = 0
            while written < group.count {
                let count = group.withUnsafeBytes {
                    write(descriptor, $0.baseAddress?.advanced(by: written), group.count - written)
                }
                guard count > 0 else { throw Problem("bench.disk", "cannot write \(path): \(errorText(errno))") }
                written += count
            }
            #if os(Linux)
                let status = fdatasync(descriptor)
            #else
                let status = fsync(descriptor)
            #endif
            guard status == 0 else { throw Problem("bench.disk", "cannot sync \(path): \(errorText(errno))") }
            groups += 1
            now = clock.monotonicNanoseconds()
        } while now - begin < Int64(seconds * 1e9)
        return DiskLimit(groupsPerSecond: Double(groups) * 1e9 / Double(now - begin), messagesPerGroup: messages)
    }
}
