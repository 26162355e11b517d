import Foundation
import Testing

/// docs/mqtt-conformance.md is made of the statements beside this file and the names of the tests.
@Suite("MQTT conformance table")
struct ConformanceTableTests {
    @Test("every statement that binds the server has a test, and docs/mqtt-conformance.md says which")
    func table() throws {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let script = Process()
        let output = Pipe()
        script.executableURL = URL(filePath: "/usr/bin/env")
        script.arguments = ["python3", root.appending(path: "scripts/mqtt-conformance").path, "--check"]
        script.standardError = output
        try script.run()
        let complaint = try output.fileHandleForReading.readToEnd() ?? Data()
        script.waitUntilExit()
        #expect(script.terminationStatus == 0, "\(String(decoding: complaint, as: UTF8.self))")
    }
}
