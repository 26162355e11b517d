import Model
import Testing

@testable import Resources

@Suite("Validation")
struct ValidatorTests {
    @Test("every issue is reported, each with file, line, column and the nearest known key")
    func messages() {
        let text = """
            kind: Device
            name: press-1
            spec:
              driver: modbus_tcp
              connection: { host: 127.0.0.1, prot: 1502, timeout: 1 }
              groups:
                - name: fast
                  intervall: 100ms
                  format: value
                  tags:
                    - { name: t, address: "1!40001", type: float, deadband: -1 }
                    - { name: t, address: "1!40002", type: int16 }
            """
        #expect(
            SampleKinds.issues(text) == [
                "plant.yaml:5:34: unknown key \"prot\": did you mean \"port\"? Known: host, port, timeout",
                "plant.yaml:5:55: timeout: expected a duration such as 100ms, 5s or 2h, found \"1\"",
                "plant.yaml:7:7: groups[0]: key \"interval\" is missing: Time between polls.",
                "plant.yaml:8:7: unknown key \"intervall\": did you mean \"interval\"? Known: name, interval, topic, format, record, tags",
                "plant.yaml:9:15: unknown format \"value\": did you mean \"values\"? Known: values, tags, ecp, sparkplug, template",
                "plant.yaml:11:48: type: \"float\" is not a type: did you mean \"float32\"? Known: bool, int8, uint8, int16, uint16, int32, uint32, int64, uint64, float32, float64, string, bytes, timestamp, and arrays such as float32[8]",
                "plant.yaml:11:65: deadband: -1 is not in 0 to 1000000000000",
                "plant.yaml:12:19: tags: name \"t\" is given twice; the first is in line 11",
            ])
    }

    @Test("an unknown kind, driver or choice lists the known ones")
    func unknownNames() {
        #expect(
            SampleKinds.issues("kind: Devise\nname: a\n") == [
                "plant.yaml:1:7: unknown kind \"Devise\": did you mean \"Device\"? Known: Listener, Device, Rule, Sink, Secret, User"
            ])
        #expect(
            SampleKinds.issues("kind: Device\nname: a\nspec:\n  driver: modbus_tpc\n  connection: {}\n") == [
                "plant.yaml:4:11: unknown driver \"modbus_tpc\": did you mean \"modbus_tcp\"? Known: modbus_tcp"
            ])
        #expect(
            SampleKinds.issues("kind: Device\nname: a\nspec:\n  driver: opcua\n  connection: {}\n") == [
                "plant.yaml:4:11: unknown driver \"opcua\". Known: modbus_tcp"
            ])
    }

    @Test("the document's own keys are checked")
    func header() {
        #expect(
            SampleKinds.issues("kind: Rule\nnmae: a\nspec: {}\napiVersion: v2\n") == [
                "plant.yaml:2:1: unknown key \"nmae\": did you mean \"name\"? Known: apiVersion, kind, name, space, labels, description, spec",
                "plant.yaml:4:13: apiVersion is \"v2\"; this release knows tundish/v1",
                "plant.yaml:1:1: name is missing",
            ])
        #expect(
            SampleKinds.issues("- a\n") == [
                "plant.yaml:1:1: a document is a map with kind, name and spec, not a list"
            ])
        #expect(
            SampleKinds.issues("kind: Rule\nname: a b\n") == [
                "plant.yaml:2:7: name \"a b\" has the character \" \"; allowed are letters, digits, - _ and ."
            ])
    }

    @Test("a YAML mistake has its place")
    func syntax() {
        #expect(
            SampleKinds.issues("kind: Rule\nname: [a\nspec: b\n").first?.hasPrefix("plant.yaml:3:5: YAML: ") == true)
        #expect(
            SampleKinds.issues("kind: Rule\nkind: Rule\nname: a") == [
                "plant.yaml:2:1: key \"kind\" is given twice; the first is in line 1"
            ])
        #expect(
            SampleKinds.issues("kind: Rule\nname: *x\n") == [
                "plant.yaml:2:7: unknown alias *x: define it before with &NAME"
            ])
    }

    @Test("a kind's own check reports inside a value: in a block, in quotes")
    func insideValues() {
        let rule = "kind: Rule\nname: a\nspec:\n  sql: |\n    SELECT a\n      FORM b\n"
        #expect(SampleKinds.issues(rule) == ["plant.yaml:6:7: expected FROM, found \"FORM\""])
        #expect(
            SampleKinds.issues("kind: Rule\nname: a\nspec: { sql: \"SELECT a FORM b\" }") == [
                "plant.yaml:3:24: expected FROM, found \"FORM\""
            ])
        let device = """
            kind: Device
            name: a
            spec:
              driver: modbus_tcp
              connection: { host: h }
              groups: [ { name: g, interval: 1s, tags: [ { name: t, address: "40001", type: bool } ] } ]
            """
        #expect(
            SampleKinds.issues(device) == [
                "plant.yaml:6:68: address \"40001\": ! is missing after the unit"
            ])
    }

    @Test("the same resource twice is an error, wherever")
    func duplicates() {
        #expect(
            SampleKinds.issues("kind: Rule\nname: a\nspec: { sql: x }\n---\nkind: Rule\nname: a\nspec: { sql: y }\n")
                == [
                    "plant.yaml:6:7: Rule \"a\" is given twice; the first is in line 1"
                ])
    }

    @Test(
        "texts stay texts whatever YAML would make of them",
        arguments: ["no", "on", "0x10", "1e3", "null", "true", "1_000", "2026-01-01", "007"])
    func textStaysText(text: String) {
        #expect(
            SampleKinds.spec("Sink", "type: postgres\nconnection: { url: \(text) }")?["connection"]?["url"]
                == .string(text))
        #expect(
            SampleKinds.spec("Sink", "type: postgres\nconnection: { url: u }\ncolumns: { a: \(text) }")?["columns"]?[
                "a"] == .string(text))
    }

    @Test("a truth is true or false, a number a number: quotes and YAML 1.1's words do not count")
    func scalars() {
        for word in ["yes", "on", "\"true\"", "1", "True"] {
            #expect(
                SampleKinds.issues("kind: Listener\nname: a\nspec: { bind: \"h:1\", allowAnonymous: \(word) }").count
                    == 1)
        }
        #expect(
            SampleKinds.issues("kind: Listener\nname: a\nspec: { bind: \"h:1\", limits: { receiveMaximum: \"5\" } }")
                == [
                    "plant.yaml:3:48: receiveMaximum: expected a whole number, found the text \"5\""
                ])
        #expect(
            SampleKinds.issues("kind: Listener\nname: a\nspec: { bind: \"h:1\", limits: { receiveMaximum: 65536 } }")
                == [
                    "plant.yaml:3:48: receiveMaximum: 65536 is not in 1 to 65535"
                ])
        #expect(
            SampleKinds.issues("kind: Listener\nname: a\nspec: { bind: 1883 }") == [
                "plant.yaml:3:15: bind: \"1883\" is not HOST:PORT, such as 127.0.0.1:1883 or [::1]:1883"
            ])
        #expect(
            SampleKinds.issues("kind: Listener\nname: a\nspec: [ a ]") == [
                "plant.yaml:3:7: spec: expected a map of keys, found a list"
            ])
    }

    @Test("durations")
    func durations() {
        let good: [(String, Int64)] = [
            ("100ms", 100_000_000), ("5s", 5_000_000_000), ("2h", 7_200_000_000_000), ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000), ("250us", 250_000), ("0", 0), ("1d", 86_400_000_000_000),
        ]
        for (text, nanoseconds) in good { #expect(ScalarReading.duration(text) == nanoseconds) }
        for bad in ["", "5", "s", "5 s", "-1s", "1.s", ".5s", "5x", "1e3s", "99999999999999d", "５s"] {
            #expect(ScalarReading.duration(bad) == nil, "\(bad)")
        }
        for nanoseconds: Int64 in [0, 1, 1500, 100_000_000, 90_000_000_000, 86_400_000_000_000, 1_500_000_000] {
            #expect(ScalarReading.duration(ScalarReading.text(duration: nanoseconds)) == nanoseconds)
        }
    }

    @Test("sizes")
    func sizes() {
        let good: [(String, Int64)] = [
            ("64KiB", 65_536), ("1GiB", 1 << 30), ("4096", 4096), ("1.5MB", 1_500_000), ("1 MiB", 1 << 20), ("0", 0),
        ]
        for (text, bytes) in good { #expect(ScalarReading.size(text) == bytes) }
        for bad in ["", "KiB", "1K", "-1", "-1KiB", "1gib", "99999999TiB"] {
            #expect(ScalarReading.size(bad) == nil, "\(bad)")
        }
        for bytes: Int64 in [0, 1, 1024, 1 << 30, 1_000_000] {
            #expect(ScalarReading.size(ScalarReading.text(size: bytes)) == bytes)
        }
    }

    @Test("a password in a URL is refused with what to do instead")
    func passwordInURL() {
        #expect(
            SampleKinds.issues(
                "kind: Sink\nname: a\nspec:\n  type: postgres\n  connection: { url: \"postgres://u:geheim@h/db\" }")
                == [
                    "plant.yaml:5:22: url: a password inside a URL can be seen by everyone; write the URL with \"u@\" alone and give the password by reference: { secret: NAME }, { env: NAME } or { file: PATH }"
                ])
        for fine in ["postgres://u@h/db", "http://h:80/a@b:c", "http://[::1]:80/", "u:p@h", "http://u:@h"] {
            #expect(StringForms.userOfPassword(inURL: fine) == nil)
        }
    }

    @Test("secrets by reference or text; anything else is refused")
    func secrets() {
        func password(_ text: String) -> ConfigValue? {
            SampleKinds.spec("Sink", "type: postgres\nconnection: { url: u, password: \(text) }")?["connection"]?[
                "password"]
        }
        #expect(password("abc") == .secret(.inline("abc")))
        #expect(password("{ secret: s }") == .secret(.secret("s")))
        #expect(password("{ env: E }") == .secret(.environment("E")))
        #expect(password("{ file: /run/x }") == .secret(.file("/run/x")))
        #expect(
            SampleKinds.issues(
                "kind: Sink\nname: a\nspec:\n  type: postgres\n  connection: { url: u, password: { secrt: x } }"
            ).first
                == "plant.yaml:5:37: unknown key \"secrt\": did you mean \"secret\"? Known: secret, env, file")
        #expect(password("{ secret: a, env: b }") == nil)
        #expect(password("[ a ]") == nil)
    }

    @Test("exactly one of several keys")
    func oneOf() {
        func issues(_ output: String) -> [String] {
            SampleKinds.issues("kind: Rule\nname: a\nspec: { sql: x, outputs: [ \(output) ] }")
        }
        #expect(issues("{ historian: }") == [])
        #expect(
            issues("{ sink: a, historian: {} }") == [
                "plant.yaml:3:28: outputs[0]: exactly one of publish, sink, historian is wanted, found sink and historian"
            ])
        #expect(
            issues("{ publsh: {} }") == [
                "plant.yaml:3:30: unknown key \"publsh\": did you mean \"publish\"? Known: publish, sink, historian"
            ])
        #expect(issues("{}").count == 1)
    }

    @Test("lists and maps have bounds, topics their rules")
    func bounds() {
        let many = (0..<33).map { "{ sink: s\($0) }" }.joined(separator: ", ")
        #expect(
            SampleKinds.issues("kind: Rule\nname: a\nspec: { sql: x, outputs: [ \(many) ] }") == [
                "plant.yaml:3:26: outputs: 33 entries; at most 32 are allowed"
            ])
        #expect(StringForms.fault("a/+/b", .topic) == "has a wildcard (+ or #), which a topic must not")
        #expect(StringForms.fault("a/+/#", .topicFilter) == nil)
        #expect(StringForms.fault("a/#/b", .topicFilter) == "has # other than as its last level")
        #expect(StringForms.fault("a+/b", .topicFilter) == "has + within a level; + stands for a whole level")
        for address in ["127.0.0.1:1883", "[::1]:80", "host:0"] {
            #expect(StringForms.fault(address, .hostPort) == nil)
        }
        for address in ["host", ":80", "::1:80", "h:99999", "h:"] {
            #expect(StringForms.fault(address, .hostPort) != nil)
        }
    }

    @Test("offline, a missing reference is a warning; nothing is refused for it")
    func offlineReferences() {
        var (documents, issues) = SampleKinds.registry.reader.read(
            "kind: Rule\nname: a\nspec: { sql: x, outputs: [ { sink: db } ] }", file: "plant.yaml")
        let checked = SampleKinds.registry.check(documents, &issues)
        documents = []
        SampleKinds.registry.checkReferences(checked, severity: .warning, exists: { _ in false }, &issues)
        #expect(issues.isValid)
        #expect(
            issues.issues.map(\.description) == [
                "plant.yaml:3:36: warning: Rule \"a\" needs Sink \"db\", which does not exist"
            ])
    }

    @Test("many mistakes are all counted; the list of them is bounded")
    func manyIssues() {
        let keys = (0..<500).map { "  k\($0): 1" }.joined(separator: "\n")
        let (documents, issues) = SampleKinds.registry.reader.read(
            "kind: Rule\nname: a\nspec:\n  sql: x\n\(keys)\n", file: "f")
        var list = issues
        _ = SampleKinds.registry.check(documents, &list)
        #expect(list.issues.count == IssueList.kept)
        #expect(Rejection(list.issues).problem.code == "resource.invalid")
    }
}
