import Foundation
import Testing

/// Who may import whom, as docs/architecture.md says it. What is not listed is forbidden.
/// `*` is every folder, `!X` takes X out again.
private let everything: Set<String> = ["*", "!tundish"]
private let matrix: [String: Set<String>] = [
    "Model": [],
    "Wire": ["Model"],
    "Bus": ["Model", "Wire"],
    "Journal": ["Model", "Wire"],
    "Formats": ["Bus", "Model", "Wire"],
    "DriverKit": ["Model", "Bus"],
    "Gateway": ["DriverKit", "Bus", "Formats", "Model"],
    "BrokerCore": ["Bus", "Model", "Wire"],
    "Broker": ["BrokerCore", "Bus", "Journal", "Formats", "Model", "CEpoll"],
    "Streams": ["Bus", "Formats", "Model"],
    "SinkKit": ["Bus", "Journal", "Formats", "Model"],
    "Historian": ["Bus", "Journal", "Model", "Wire"],
    "Resources": ["Model", "Journal"],
    "Simulator": ["Model", "Wire", "Drivers/*/Wire"],
    "Catalogue": ["DriverKit", "SinkKit", "Streams", "Model", "Drivers/*/Driver", "Sinks/*"],
    "Console": ["Resources", "Bus", "Formats", "Model", "CConsoleAssets"],
    "Node": everything.union(["!Bench"]),
    "Bench": everything,
    "tundish": ["Node", "Bench"],
]

/// Outside modules that only some targets may touch.
private let restricted: [String: Set<String>] = [
    "NIOPosix": [
        "DriverKit", "Broker", "Simulator", "Console", "Node", "Bench",
    ],
    "Hummingbird": ["Console"],
    "HummingbirdCore": ["Console"],
    "GRDB": ["Resources"],
    "GRDBSQLite": ["Historian"],
    "Yams": ["Resources"],
    "ArgumentParser": ["tundish"],
    "Foundation": ["Bench", "Resources"],
    "FoundationEssentials": ["Resources"],
]

private struct SourceFile {
    var path: String
    /// `Gateway`, `Drivers/Modbus/Wire`, ...
    var target: String
    var imports: Set<String>
    var lines: Int
}

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

private func sourceFiles() throws -> [SourceFile] {
    let sources = root.appending(path: "Sources")
    let enumerator = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    return try enumerator.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.map { file in
        let path = String(file.path.dropFirst(sources.path.count + 1))
        let parts = path.split(separator: "/").map(String.init)
        let depth = ["Drivers": 3, "Sinks": 2][parts[0]] ?? 1
        let target = parts[0..<depth].joined(separator: "/")
        let text = try String(contentsOf: file, encoding: .utf8)
        var imports: Set<String> = []
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
                words[..<index].allSatisfy({
                    $0.hasPrefix("@") || ["package", "public", "internal", "private"].contains($0)
                })
            else { continue }
            let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "let", "var", "typealias"]
            let name = kinds.contains(words[index + 1]) && index + 2 < words.count ? words[index + 2] : words[index + 1]
            imports.insert(String(name.split(separator: ".")[0]))
        }
        return SourceFile(
            path: path, target: target, imports: imports,
            lines: text.split(separator: "\n", omittingEmptySubsequences: false).count)
    }
}

/// The module names of our own targets and the folder each lives in.
private func ownModules(_ files: [SourceFile]) -> [String: String] {
    var modules: [String: String] = [
        "CConsoleAssets": "CConsoleAssets", "CEpoll": "CEpoll", "CPostgres": "CPostgres",
    ]
    for target in Set(files.map(\.target)) {
        let parts = target.split(separator: "/")
        switch parts.count {
        case 3: modules["\(parts[1])\(parts[2])"] = target
        case 2: modules["\(parts[1])Sink"] = target
        default: modules[target] = target
        }
    }
    return modules
}

private func allows(_ rule: String, _ folder: String) -> Bool {
    if rule == "*" || rule == folder { return true }
    let pattern = rule.split(separator: "/")
    let parts = folder.split(separator: "/")
    return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0 == "*" || $0 == $1 }
}

@Suite struct ImportMatrixTests {
    @Test("nobody imports what the matrix does not list")
    func directions() throws {
        let files = try sourceFiles()
        #expect(files.count > 50)
        let modules = ownModules(files)
        for file in files {
            let allowed: Set<String>
            if file.target.hasPrefix("Drivers/"), file.target.hasSuffix("/Wire") {
                allowed = ["Model", "Wire"]
            } else if file.target.hasPrefix("Drivers/") {
                let own = file.target.split(separator: "/")[1]
                allowed = ["Drivers/\(own)/Wire", "DriverKit", "Model", "Wire"]
            } else if file.target.hasPrefix("Sinks/") {
                allowed = ["SinkKit", "Formats", "Model", "CPostgres"]
            } else {
                allowed = try #require(matrix[file.target], "target \(file.target) has no row in the matrix")
            }
            for name in file.imports {
                guard let folder = modules[name] else { continue }
                #expect(
                    !allowed.contains("!" + folder) && allowed.contains { allows($0, folder) },
                    "\(file.path) imports \(name); \(file.target) may import \(allowed.sorted())")
            }
        }
    }

    @Test("outside libraries stay where they belong")
    func outside() throws {
        for file in try sourceFiles() {
            for (module, targets) in restricted where file.imports.contains(module) {
                #expect(targets.contains(file.target), "\(file.path) imports \(module); only \(targets.sorted()) may")
            }
        }
    }

    @Test("files hold one idea: none is longer than 600 lines")
    func fileLength() throws {
        for file in try sourceFiles() { #expect(file.lines <= 600, "\(file.path) has \(file.lines) lines") }
    }
}
