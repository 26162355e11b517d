import Model
import Testing

@testable import Resources

@Suite("Resource files")
struct FileSourceTests {
    private func files(_ files: [String: String]) -> [SourceFile] {
        files.sorted { $0.key < $1.key }.map { SourceFile(path: $0.key, content: .success(Array($0.value.utf8))) }
    }

    private func sql(_ fixture: StoreFixture, _ name: String) async throws -> String? {
        try await fixture.store.get(.rule(name))?.spec["sql"]?.string
    }

    @Test("an unchanged file undoes nothing that was done in the console")
    func unchangedFile() async throws {
        let fixture = try StoreFixture()
        let plant = files(["plant.yaml": rule("a") + "---\n" + rule("b")])
        let first = await fixture.store.applyFiles(plant)
        #expect(first[0].result?.changes.map(\.action) == [.create, .create])
        #expect(try await fixture.store.get(.rule("a"))?.source == ChangeSource(.file, "plant.yaml"))
        try await fixture.apply(rule("a", "SELECT console"))
        _ = try await fixture.store.delete(.rule("b"), StoreFixture.console)
        let second = await fixture.store.applyFiles(plant)
        #expect(second[0].result == nil && second[0].rejection == nil)
        #expect(try await sql(fixture, "a") == "SELECT console")
        #expect(try await sql(fixture, "b") == nil)
    }

    @Test("of a changed file only the changed documents are applied; they take over, the others stay as they are")
    func changedFile() async throws {
        let fixture = try StoreFixture()
        _ = await fixture.store.applyFiles(files(["plant.yaml": rule("a") + "---\n" + rule("b")]))
        try await fixture.apply(rule("a", "SELECT console") + "---\n" + rule("b", "SELECT console"))
        let outcome = await fixture.store.applyFiles(
            files(["plant.yaml": "# new\n" + rule("a") + "---\n" + rule("b", "SELECT file")]))
        #expect(outcome[0].result?.changes.map(\.key) == [.rule("b")])
        #expect(try await sql(fixture, "a") == "SELECT console")
        #expect(try await sql(fixture, "b") == "SELECT file")
    }

    @Test("what the file made and holds no more is deleted, unless someone else has changed it since")
    func prune() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("own"))
        _ = await fixture.store.applyFiles(
            files(["plant.yaml": ["a", "b", "c"].map { rule($0) }.joined(separator: "---\n")]))
        try await fixture.apply(rule("b", "SELECT console"))
        let outcome = await fixture.store.applyFiles(files(["plant.yaml": rule("c")]))
        #expect(outcome[0].result?.changes.map(\.action) == [.delete, .left])
        #expect(
            outcome[0].result?.changes[1].note?.message
                == "Rule \"b\" is not in plant.yaml any more, but stays: ann changed it (console)")
        #expect(try await fixture.store.list().items.map(\.name) == ["b", "c", "own"])
    }

    @Test("a document that moves to another file keeps its identity")
    func moves() async throws {
        let fixture = try StoreFixture()
        _ = await fixture.store.applyFiles(files(["a.yaml": rule("x") + "---\n" + rule("y"), "b.yaml": rule("z")]))
        let uid = try await fixture.store.get(.rule("y"))?.uid
        _ = await fixture.store.applyFiles(
            files(["a.yaml": rule("x"), "b.yaml": rule("z") + "---\n" + rule("y", "SELECT 2")]))
        #expect(try await fixture.store.get(.rule("y"))?.uid == uid)
        #expect(try await sql(fixture, "y") == "SELECT 2")
    }

    @Test("files refer to each other; one that is wrong is reported and the rest goes on")
    func wrongFile() async throws {
        let fixture = try StoreFixture()
        let outcome = await fixture.store.applyFiles(
            files([
                "a.yaml": rule("a", sink: "db"), "b.yaml": sink("db"), "c.yaml": rule("c", sink: "nowhere"),
                "d.yaml": "kind: Rul\nname: d\n",
            ])
                + [
                    SourceFile(
                        path: "e.yaml",
                        content: .failure(Problem("file.denied", "cannot open e.yaml: permission denied")))
                ])
        #expect(outcome.map(\.path) == ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"])
        #expect(outcome.map { $0.rejection == nil } == [true, true, false, false, false])
        #expect(
            outcome[2].rejection?.problem.message
                == "c.yaml:5:22: Rule \"c\" needs Sink \"nowhere\", which does not exist")
        #expect(outcome[3].rejection?.issues.first?.known == ["Listener", "Device", "Rule", "Sink", "Secret", "User"])
        #expect(try await fixture.store.list().items.map(\.name) == ["a", "db"])
    }

    @Test("the same resource in two files is refused, with both places")
    func twice() async throws {
        let fixture = try StoreFixture()
        let outcome = await fixture.store.applyFiles(files(["a.yaml": rule("x"), "b.yaml": rule("x", "SELECT 2")]))
        #expect(outcome[0].rejection == nil)
        #expect(
            outcome[1].rejection?.problem.message == "b.yaml:2:7: Rule \"x\" is given twice; the first is in a.yaml:1")
    }

    @Test(
        "a file that is gone from its folder counts as empty; one that cannot be read, or another configuration, prunes nothing"
    )
    func goneFile() async throws {
        let fixture = try StoreFixture()
        _ = await fixture.store.applyFiles(
            files(["rules/a.yaml": rule("a"), "rules/b.yaml": rule("b")]), folders: ["rules"])
        _ = await fixture.store.applyFiles(
            [SourceFile(path: "rules/a.yaml", content: .failure(Problem("file.denied", "no")))]
                + files(["rules/b.yaml": rule("b")]), folders: ["rules"])
        _ = await fixture.store.applyFiles(files(["other.yaml": rule("c")]), folders: [])
        #expect(try await fixture.store.list().items.map(\.name) == ["a", "b", "c"])
        let outcome = await fixture.store.applyFiles(files(["rules/b.yaml": rule("b")]), folders: ["rules"])
        #expect(outcome.compactMap(\.result).flatMap(\.changes).map(\.key) == [.rule("a")])
        #expect(try await fixture.store.list().items.map(\.name) == ["b", "c"])
    }
}
