#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model
import Synchronization
import Testing

@testable import Node

@Suite struct ConfigurationTests {
    @Test(
        "an address is host:port, with brackets around IPv6, and says itself in the same form",
        arguments: [("127.0.0.1:1883", "127.0.0.1", 1883), ("[::1]:0", "::1", 0), ("edge-1:65535", "edge-1", 65_535)])
    func address(_ text: String, _ host: String, _ port: Int) throws {
        let read = try HostPort(text, what: "address")
        #expect(read == HostPort(host: host, port: port))
        #expect(read.description == text)
    }

    @Test(
        "what is no address is refused with what was typed",
        arguments: ["1883", ":1883", "host:", "host:65536", "host:x", ""])
    func noAddress(_ text: String) {
        #expect {
            try HostPort(text, what: "MQTT address")
        } throws: { error in
            let problem = error as? Problem
            return problem?.code == "address.invalid" && problem?.message.hasPrefix("MQTT address \"\(text)\"") == true
        }
    }

    @Test("flags win over the file, whose resources are relative to it")
    func load() throws {
        try withFolder { folder in
            let file = folder + "/tundish.yaml"
            try write("dataDirectory: /from/file\nthreads: 3\nresources: [ rules/, /absolute.yaml ]\n", to: file)
            var overrides = NodeOverrides()
            overrides.configFile = file
            overrides.dataDirectory = "/from/flag"
            let read = try NodeConfiguration.load(overrides)
            #expect(read.dataDirectory == "/from/flag")
            #expect(read.threads == 3)
            #expect(read.resources == [folder + "/rules/", "/absolute.yaml"])
            #expect(read.mqtt == nil)
        }
    }

    @Test("an unknown key in the file is named with its place")
    func unknownKey() throws {
        try withFolder { folder in
            let file = folder + "/tundish.yaml"
            try write("threads: 1\nthread: 2\n", to: file)
            var overrides = NodeOverrides()
            overrides.configFile = file
            #expect {
                try NodeConfiguration.load(overrides)
            } throws: { error in
                (error as? Problem)?.message.contains("\(file):2:1") == true
            }
        }
    }
}

@Suite struct FileTests {
    @Test("a folder stands for its resource files in the order of their names, hidden ones aside")
    func folder() throws {
        try withFolder { folder in
            for name in ["b.yaml", "a.json", "c.txt", ".d.yaml", "e.yml"] { try write("", to: folder + "/" + name) }
            #expect(try resourceFiles(folder) == ["a.json", "b.yaml", "e.yml"].map { folder + "/" + $0 })
            #expect(try resourceFiles(folder + "/c.txt") == [folder + "/c.txt"])
        }
    }

    @Test("a file that is not there, or not UTF-8, is a problem that names it")
    func unreadable() throws {
        try withFolder { folder in
            #expect(throws: Problem.self) { try resourceFiles(folder + "/missing.yaml") }
            let file = folder + "/latin1.yaml"
            try write([0x6B, 0xE9, 0x0A], to: file)
            #expect {
                try readTextFile(file)
            } throws: { error in
                (error as? Problem)?.code == "file.not_utf8" && (error as? Problem)?.message.contains(file) == true
            }
        }
    }

    @Test("check prints each issue with its place and counts the errors")
    func check() throws {
        try withFolder { folder in
            let file = folder + "/device.yaml"
            try write("kind: Device\nname: d\nspec:\n  driver: modbus_tpc\n  connection: {}\n  groups: []\n", to: file)
            let lines = Mutex<[String]>([])
            let output = CommandOutput(line: { line in lines.withLock { $0.append(line) } }, error: { _ in })
            let errors = try checkFiles([file], output: output)
            let printed = lines.withLock { $0 }
            #expect(errors > 0)
            #expect(printed.contains { $0.hasPrefix("\(file):4:") && $0.contains("modbus_tcp") }, "\(printed)")
        }
    }
}

@Suite struct SmallPartsTests {
    @Test("a rate is what came between two looks, half a second apart at least")
    func rate() {
        let time = ManualTime()
        let meter = RateMeter(time: time)
        #expect(meter.rate("x", 100) == 0)
        time.advance(nanoseconds: 100_000_000)
        #expect(meter.rate("x", 1000) == 0)
        time.advance(nanoseconds: 900_000_000)
        #expect(meter.rate("x", 300) == 200)
        time.advance(nanoseconds: 1_000_000_000)
        #expect(meter.rate("x", 0) == 0)
    }

    @Test("names go into paths percent-encoded")
    func percent() {
        #expect(percentEncoded("press-1_a.b~") == "press-1_a.b~")
        #expect(percentEncoded("锅 /") == "%E9%94%85%20%2F")
    }
}

private func withFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/tundish-node-XXXXXX".utf8CString)
    let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
        for file in (try? resourceFiles(folder)) ?? [] { unlink(file) }
        for name in ["c.txt", ".d.yaml"] { unlink(folder + "/" + name) }
        rmdir(folder)
    }
    try body(folder)
}

private func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

private func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "w"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
}
