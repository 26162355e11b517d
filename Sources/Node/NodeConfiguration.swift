#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Logging
package import Model
import Resources

/// What the command line says; it wins over the file and the environment.
package struct NodeOverrides: Sendable {
    package var configFile: String?
    package var dataDirectory: String?
    package var mqtt: String?
    package var console: String?
    package var threads: Int?
    package init() {}
}

/// A host and a port to bind.
package struct HostPort: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[v6]:port`; port 0 lets the system choose.
    package init(_ text: String, what: String) throws(Problem) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            colon != text.startIndex
        else {
            throw Problem("address.invalid", "\(what) \"\(text)\": expected HOST:PORT", ["address": text])
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What must be known before resources can be read: `tundish.yaml`, the `TUNDISH_...` variables, defaults.
package struct NodeConfiguration: Sendable {
    package var dataDirectory: String
    /// Event loops.
    package var threads: Int
    package var logLevel: Logger.Level
    package var logFormat: LogFormat
    package var console: HostPort
    /// Stands in for the default listener's address; nil: 127.0.0.1:1883.
    package var mqtt: HostPort?
    /// Files or folders, applied at start; relative to the file that names them.
    package var resources: [String]

    static let defaultMQTT = HostPort(host: "127.0.0.1", port: 1883)

    package static let schema = Schema([
        Field(
            "dataDirectory", .string, default: .string("./data"), help: "Where everything durable lives.",
            chinese: "存放所有持久数据的目录。"),
        Field(
            "threads", .integer(0...1024), default: .integer(0),
            help: "Event loops; 0: one per core of the affinity mask.",
            chinese: "事件循环数；0 表示每个核心一个。"),
        Field(
            "log",
            .object(
                Schema([
                    Field(
                        "level", .choice(["trace", "debug", "info", "warning", "error"]), default: .string("info"),
                        help: "The least severe level that is written.", chinese: "写出的最低日志级别。"),
                    Field(
                        "format", .choice(["text", "json"]), default: .string("text"), help: "How lines look.",
                        chinese: "日志行的格式。"),
                ])), help: "The log on standard error.", chinese: "标准错误输出的日志。"),
        Field(
            "console",
            .object(
                Schema([
                    Field(
                        "bind", .string(.hostPort), default: .string("127.0.0.1:18083"),
                        help: "Address of console and REST interface.", chinese: "控制台和 REST 接口的地址。")
                ])), help: "The console.", chinese: "控制台。"),
        Field(
            "resources", .list(.string, countMax: 1000), default: .list([]),
            help: "Files or folders with resources, applied at start.", chinese: "启动时应用的资源文件或目录。"),
    ])

    /// The file, if one is named; variables win over it, the command line over both.
    package static func load(_ overrides: NodeOverrides) throws(Problem) -> NodeConfiguration {
        var settings = ConfigValue.object([])
        let file = overrides.configFile ?? environment("TUNDISH_CONFIG")
        if let file {
            let (read, issues) = SettingsFile.read(try readTextFile(file), file: file, schema: schema)
            if !issues.isValid {
                throw Problem(
                    "config.invalid", issues.issues.map(\.description).joined(separator: "\n"), ["file": file])
            }
            settings = read
        }
        let folder = file.flatMap { $0.contains("/") ? String($0[..<($0.lastIndex(of: "/") ?? $0.startIndex)]) : nil }
        func text(_ variable: String, _ value: String?) -> String? { environment(variable) ?? value }
        let level = text("TUNDISH_LOG_LEVEL", settings["log"]?["level"]?.string) ?? "info"
        let format = text("TUNDISH_LOG_FORMAT", settings["log"]?["format"]?.string) ?? "text"
        let console = overrides.console ?? text("TUNDISH_CONSOLE_BIND", settings["console"]?["bind"]?.string)
        let threadsText = environment("TUNDISH_THREADS")
        guard let logLevel = Logger.Level(rawValue: level), let logFormat = LogFormat(rawValue: format) else {
            throw Problem(
                "config.invalid",
                "log level \"\(level)\", format \"\(format)\": levels are trace, debug, info, warning, error; formats text, json"
            )
        }
        if let threadsText, Int(threadsText) == nil {
            throw Problem("config.invalid", "TUNDISH_THREADS \"\(threadsText)\": expected a number")
        }
        let threads = overrides.threads ?? threadsText.flatMap(Int.init) ?? Int(settings["threads"]?.integer ?? 0)
        guard (0...1024).contains(threads) else {
            throw Problem("config.invalid", "threads \(threads): expected 0 to 1024")
        }
        let resources =
            environment("TUNDISH_RESOURCES").map { $0.split(separator: ",").map(String.init) }
            ?? (settings["resources"]?.list ?? []).compactMap(\.string).map { path in
                path.hasPrefix("/") || folder == nil ? path : "\(folder ?? ".")/\(path)"
            }
        return NodeConfiguration(
            dataDirectory: overrides.dataDirectory
                ?? text("TUNDISH_DATA_DIRECTORY", settings["dataDirectory"]?.string) ?? "./data",
            threads: threads == 0 ? ProcessFigures.processors() : threads, logLevel: logLevel, logFormat: logFormat,
            console: try HostPort(console ?? "127.0.0.1:18083", what: "console address"),
            mqtt: try (overrides.mqtt ?? environment("TUNDISH_MQTT_BIND")).map { (text) throws(Problem) in
                try HostPort(text, what: "MQTT address")
            },
            resources: resources)
    }
}

/// A variable of the environment; nil if it is absent or empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}
