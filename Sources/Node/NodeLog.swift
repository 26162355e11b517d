#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Formats
package import Logging
package import Model

/// How log lines look.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-01-01T00:00:00.000Z WARN  device "pump-3": ...  key=value`
    case text
    /// One JSON object a line: time, level, message, and the metadata's keys.
    case json
}

/// Writes structured log lines to standard error, one `write` a line.
package struct NodeLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    let format: LogFormat
    let time: any TimeSource

    package init(level: Logger.Level, format: LogFormat, time: any TimeSource) {
        logLevel = level
        self.format = format
        self.time = time
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var values = metadata
        if let more = event.metadata { values.merge(more) { _, new in new } }
        let now = Timestamp(milliseconds: time.now().milliseconds).description
        let sorted = values.sorted { $0.key < $1.key }
        var line: String
        switch format {
        case .text:
            line = "\(now) \(levelName(event.level)) \(event.message)"
            for (key, value) in sorted { line += "  \(key)=\(value)" }
        case .json:
            let members = [
                JSONMember("time", .string(now)), JSONMember("level", .string(event.level.rawValue)),
                JSONMember("message", .string("\(event.message)")),
            ]
            line = JSONValue.object(members + sorted.map { JSONMember($0.key, .string("\($0.value)")) }).text
        }
        line += "\n"
        line.withUTF8 { bytes in
            // Nothing can be said about a log that cannot be written.
            _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    private func levelName(_ level: Logger.Level) -> String {
        switch level {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO "
        case .notice: "NOTE "
        case .warning: "WARN "
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }
}
