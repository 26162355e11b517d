import Foundation
import GRDB
import Journal
import Model
import Testing

@testable import Resources

/// A store in a folder of its own, which goes with it.
final class StoreFixture: Sendable {
    let folder: String
    let directory: DataDirectory
    let store: ResourceStore
    let time = ManualTime()

    init(folder: String? = nil, registry: KindRegistry = SampleKinds.registry) throws {
        self.folder = folder ?? NSTemporaryDirectory() + "tundish-resources-" + UUID().uuidString
        directory = try DataDirectory(self.folder, files: SystemFiles())
        store = try ResourceStore(directory, registry: registry, time: time, random: SeededRandom(seed: 1))
    }

    func close() {
        store.close()
        directory.release()
    }

    deinit {
        close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    static let console = ChangeContext(author: "ann", source: ChangeSource(.console))

    @discardableResult
    func apply(_ text: String, _ context: ChangeContext = console, dryRun: Bool = false) async throws -> ApplyResult {
        try await store.apply(Array(text.utf8), file: "plant.yaml", context, dryRun: dryRun)
    }

    func rejection(_ body: () async throws -> Void) async -> Rejection? {
        do { try await body() } catch { return error as? Rejection }
        return nil
    }
}

func rule(_ name: String, _ sql: String = "SELECT 1", sink: String? = nil) -> String {
    "kind: Rule\nname: \(name)\nspec:\n  sql: \(sql)\n" + (sink.map { "  outputs: [ { sink: \($0) } ]\n" } ?? "")
}

func sink(_ name: String, password: String? = nil) -> String {
    let given = password.map { ", password: \($0)" } ?? ""
    return "kind: Sink\nname: \(name)\nspec:\n  type: postgres\n  connection: { url: \"postgres://u@h/d\"\(given) }\n"
}

extension ResourceKey {
    static func rule(_ name: String) -> ResourceKey { ResourceKey(kind: "Rule", name: name) }
    static func sink(_ name: String) -> ResourceKey { ResourceKey(kind: "Sink", name: name) }
}

@Suite("Store")
struct StoreTests {
    @Test("an apply takes one revision; what does not differ is left alone; the plan tells by path")
    func apply() async throws {
        let fixture = try StoreFixture()
        let first = try await fixture.apply(SampleKinds.contractExample)
        #expect(first.revision == 1)
        #expect(first.changes.map(\.action) == [.create, .create, .create, .create])
        let again = try await fixture.apply("# a comment\n" + SampleKinds.contractExample)
        #expect(again.revision == 1)
        #expect(again.changes.allSatisfy { $0.action == .unchanged })
        let changed = SampleKinds.contractExample.replacing("interval: 100ms", with: "interval: 50ms")
            .replacing("scale: 0.1, ", with: "").replacing("qos: 1", with: "qos: 2")
        let plan = try await fixture.apply(changed, dryRun: true)
        #expect(plan.dryRun && plan.revision == 1)
        #expect(plan.changes.map(\.action) == [.unchanged, .update, .update, .unchanged])
        #expect(
            plan.changes[1].differences == [
                SpecDifference(path: "spec.groups[fast].interval", before: "\"100ms\"", after: "\"50ms\""),
                SpecDifference(path: "spec.groups[fast].tags[temperature].scale", before: "0.1", after: nil),
            ])
        #expect(try await fixture.store.revision() == 1)
        let done = try await fixture.apply(changed)
        #expect(done.revision == 2)
        let device = try #require(try await fixture.store.get(ResourceKey(kind: "Device", name: "press-1")))
        #expect(device.revision == 2)
        #expect(device.spec["groups"]?.list?[0]["interval"] == .duration(50_000_000))
        #expect(device.author == "ann" && device.source == ChangeSource(.console))
        let listener = try #require(try await fixture.store.get(ResourceKey(kind: "Listener", name: "plant-floor")))
        #expect(listener.revision == 1)
    }

    @Test("one wrong document refuses all, and every issue is in the answer")
    func allOrNothing() async throws {
        let fixture = try StoreFixture()
        let rejection = await fixture.rejection {
            try await fixture.apply(rule("a") + "---\n" + rule("b", "\"\"") + "---\n" + rule("c", sink: "nowhere"))
        }
        #expect(rejection?.problem.code == "resource.invalid")
        #expect(
            rejection?.issues.map(\.description) == [
                "plant.yaml:9:8: sql: \"\" is empty",
                "plant.yaml:15:22: Rule \"c\" needs Sink \"nowhere\", which does not exist",
            ])
        #expect(try await fixture.store.list().items.isEmpty)
        #expect(try await fixture.store.revision() == 0)
    }

    @Test("references may go in any order of one apply; what is needed is not deleted")
    func references() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("r", sink: "db") + "---\n" + sink("db"))
        let rejection = await fixture.rejection {
            _ = try await fixture.store.delete(.sink("db"), StoreFixture.console)
        }
        #expect(rejection?.problem.message == "Sink \"db\" is needed by Rule \"r\": change or delete it first")
        _ = try await fixture.store.delete(.rule("r"), StoreFixture.console)
        _ = try await fixture.store.delete(.sink("db"), StoreFixture.console)
        #expect(try await fixture.store.list().items.isEmpty)
    }

    @Test("an expected revision that is not there is a conflict")
    func conflict() async throws {
        let fixture = try StoreFixture()
        var context = StoreFixture.console
        context.expected = [.rule("a"): 0]
        try await fixture.apply(rule("a"), context)
        let twice = await fixture.rejection { try await fixture.apply(rule("a", "SELECT 2"), context) }
        #expect(twice?.problem.code == "resource.conflict")
        #expect(
            twice?.problem.message
                == "Rule \"a\" is not at revision 0 but there is revision 1 by ann: look at it and try again")
        context.expected = [.rule("a"): 1]
        #expect(try await fixture.apply(rule("a", "SELECT 2"), context).revision == 2)
    }

    @Test(
        "history tells who, from where, when and what; rollback is a new change; a deleted resource comes back under its uid"
    )
    func history() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a"))
        fixture.time.advance(nanoseconds: 1_000_000_000)
        try await fixture.apply(rule("a", "SELECT 2"), ChangeContext(author: "bob", source: ChangeSource(.cli)))
        let uid = try #require(try await fixture.store.get(.rule("a"))?.uid)
        let entries = try await fixture.store.history(.rule("a"))
        #expect(entries.map(\.revision) == [2, 1])
        #expect(entries.map(\.author) == ["bob", "ann"])
        #expect(entries.map(\.action) == [.update, .create])
        #expect(entries[0].at.nanoseconds - entries[1].at.nanoseconds == 1_000_000_000)
        #expect(entries[0].shown.map { SourceWriter.json($0) } == "{\"sql\":\"SELECT 2\"}")
        let back = try await fixture.store.rollback(.rule("a"), to: 1, StoreFixture.console)
        #expect(back.changes.map(\.action) == [.rollback] && back.revision == 3)
        #expect(try await fixture.store.get(.rule("a"))?.spec["sql"] == .string("SELECT 1"))
        _ = try await fixture.store.delete(.rule("a"), StoreFixture.console)
        #expect(try await fixture.store.history(.rule("a")).first?.action == .delete)
        _ = try await fixture.store.rollback(.rule("a"), to: 2, StoreFixture.console)
        #expect(try await fixture.store.get(.rule("a"))?.uid == uid)
        let unknown = await fixture.rejection {
            _ = try await fixture.store.rollback(.rule("a"), to: 99, StoreFixture.console)
        }
        #expect(unknown?.problem.message == "Rule \"a\" has no revision 99; kept are 5, 3, 2, 1")
    }

    @Test("a renamed resource keeps uid and history; a name that others use is not changed")
    func rename() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a", sink: "db") + "---\n" + sink("db"))
        let uid = try await fixture.store.get(.rule("a"))?.uid
        let result = try await fixture.store.rename(.rule("a"), to: "b", StoreFixture.console)
        #expect(result.changes.map(\.key) == [.rule("b")])
        #expect(try await fixture.store.get(.rule("b"))?.uid == uid)
        #expect(try await fixture.store.get(.rule("a")) == nil)
        #expect(try await fixture.store.history(.rule("b")).map(\.action) == [.rename, .create])
        #expect(
            await fixture.rejection { _ = try await fixture.store.rename(.sink("db"), to: "x", StoreFixture.console) }?
                .problem.code == "resource.referenced")
        #expect(
            await fixture.rejection { _ = try await fixture.store.rename(.rule("b"), to: "b", StoreFixture.console) }?
                .problem.code == "resource.exists")
        #expect(try await fixture.apply(rule("b", sink: "db")).changes.map(\.action) == [.unchanged])
    }

    @Test("revisions are capped; a big document is stored compressed and comes back whole")
    func caps() async throws {
        let fixture = try StoreFixture()
        for number in 0..<(StoreDatabase.revisionsMax + 5) { try await fixture.apply(rule("a", "SELECT \(number)")) }
        #expect(try await fixture.store.history(.rule("a"), limit: 1000).count == StoreDatabase.revisionsMax)
        let tags = (0..<5000).map { "        - { name: t\($0), address: \"1!4\($0)\", type: float32 }\n" }.joined()
        let device =
            "kind: Device\nname: big\nspec:\n  driver: modbus_tcp\n  connection: { host: h }\n  groups:\n    - name: g\n      interval: 1s\n      tags:\n"
            + tags
        try await fixture.apply(device)
        let big = try #require(try await fixture.store.get(ResourceKey(kind: "Device", name: "big")))
        #expect(big.spec["groups"]?.list?[0]["tags"]?.list?.count == 5000)
        let stored = try await fixture.store.read { db in
            try Int.fetchOne(db, sql: "SELECT length(body) FROM revision WHERE kind = 'Device'") ?? 0
        }
        #expect(stored < device.utf8.count / 4)
    }

    @Test("spaces keep resources of the same name apart")
    func spaces() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a") + "---\nspace: other\n" + rule("a"))
        #expect(try await fixture.store.list(space: "other").items.count == 1)
        #expect(try await fixture.store.list().items.count == 2)
    }

    @Test("what a watcher hears: changes in order, of its kinds; too slow a watcher is told to look again")
    func watch() async throws {
        let fixture = try StoreFixture()
        var rules = fixture.store.watch(kinds: ["Rule"]).makeAsyncIterator()
        try await fixture.apply(sink("db"))
        try await fixture.apply(rule("a", sink: "db"))
        guard case .changed(2, let keys)? = await rules.next() else { throw Problem("test", "no event") }
        #expect(keys == [.rule("a")])
        let slow = fixture.store.watch()
        for number in 0..<(Watchers.bufferedMax + 10) { fixture.store.watchers.changed(Int64(number), [.rule("a")]) }
        fixture.store.close()
        var last: ResourceEvent?
        var count = 0
        for await event in slow {
            last = event
            count += 1
        }
        guard case .resync? = last else { throw Problem("test", "no resync") }
        #expect(count <= Watchers.bufferedMax)
        #expect(fixture.store.watchers.resyncs.count > 0)
    }

    @Test("applies at the same time each take effect, none is lost")
    func concurrent() async throws {
        let fixture = try StoreFixture()
        await withTaskGroup(of: Int64?.self) { group in
            for number in 0..<40 {
                group.addTask { try? await fixture.apply(rule("r\(number % 10)", "SELECT \(number)")).revision }
            }
            var revisions: Set<Int64> = []
            for await revision in group { if let revision { revisions.insert(revision) } }
            #expect(revisions.count == 40)
        }
        #expect(try await fixture.store.list(kind: "Rule").items.count == 10)
        // Of those that expect the same revision, one wins.
        var context = StoreFixture.console
        context.expected = [.rule("r0"): try #require(try await fixture.store.get(.rule("r0"))).revision]
        let won = await withTaskGroup(of: Bool.self) { [context] group in
            for number in 0..<8 {
                group.addTask { (try? await fixture.apply(rule("r0", "SELECT x\(number)"), context)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(won == 1)
    }

    @Test("what was acknowledged is in a copy taken from under a living store, as after kill -9")
    func crash() async throws {
        let fixture = try StoreFixture()
        for number in 0..<20 {
            try await fixture.apply(rule("r\(number)"))
            guard number % 5 == 4 else { continue }
            let copy = NSTemporaryDirectory() + "tundish-copy-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
            for file in ["resources.sqlite", "resources.sqlite-wal", "secret.key", "format"] {
                try FileManager.default.copyItem(atPath: fixture.folder + "/" + file, toPath: copy + "/" + file)
            }
            let reopened = try StoreFixture(folder: copy)
            #expect(try await reopened.store.list().items.count == number + 1)
            #expect(try await reopened.store.revision() == Int64(number + 1))
        }
    }

    @Test("a full disk is one clear sentence; reading goes on, and writing once there is room")
    func fullDisk() async throws {
        let fixture = try StoreFixture()
        try await fixture.apply(rule("a"))
        let pages = try await fixture.store.pool.write { db in try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0 }
        try await fixture.store.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA max_page_count = \(pages)")
        }
        // Random text, which does not get smaller.
        var generator = SplitMix64(seed: 7)
        let long = (0..<8000).map { _ in String(generator.next() % 36, radix: 36) }.joined()
        let rejection = await fixture.rejection { try await fixture.apply(rule("b", long)) }
        #expect(rejection?.problem.code == "store.full")
        #expect(
            rejection?.problem.message
                == "cannot write \(fixture.folder)/resources.sqlite: the disk is full; free some space")
        #expect(try await fixture.store.get(.rule("a")) != nil)
        try await fixture.store.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA max_page_count = 100000")
        }
        try await fixture.apply(rule("b", long))
        #expect(try await fixture.store.revision() == 2)
    }

    @Test("a damaged database is said to be damaged")
    func damaged() throws {
        let fixture = try StoreFixture()
        fixture.close()
        for file in ["resources.sqlite-wal", "resources.sqlite-shm"] {
            try? FileManager.default.removeItem(atPath: fixture.folder + "/" + file)
        }
        try Data(repeating: 0x41, count: 8192).write(to: URL(filePath: fixture.folder + "/resources.sqlite"))
        #expect { try StoreFixture(folder: fixture.folder) } throws: { ($0 as? Problem)?.code == "store.damaged" }
    }
}

@Suite("Data directory")
struct DataDirectoryTests {
    @Test("a newer format is refused, a foreign one too")
    func format() throws {
        let fixture = try StoreFixture()
        fixture.close()
        try "2\n".write(toFile: fixture.folder + "/format", atomically: true, encoding: .utf8)
        #expect { try DataDirectory(fixture.folder, files: SystemFiles()) } throws: { error in
            (error as? Problem)?.message
                == "data directory \(fixture.folder) has format 2; this release knows formats up to 1: use the newer release, or restore a backup"
        }
        try "x".write(toFile: fixture.folder + "/format", atomically: true, encoding: .utf8)
        #expect { try DataDirectory(fixture.folder, files: SystemFiles()) } throws: {
            ($0 as? Problem)?.code == "data.foreign"
        }
        try "1\n".write(toFile: fixture.folder + "/format", atomically: true, encoding: .utf8)
        try DataDirectory(fixture.folder, files: SystemFiles()).release()
    }

    @Test("one process at a time")
    func locked() throws {
        let fixture = try StoreFixture()
        #expect { try DataDirectory(fixture.folder, files: SystemFiles()) } throws: {
            ($0 as? Problem)?.fileFault == .locked
        }
    }

    @Test("keys and tokens are for the owner alone")
    func modes() throws {
        let fixture = try StoreFixture()
        let attributes = try FileManager.default.attributesOfItem(atPath: fixture.folder + "/secret.key")
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        let folder = try FileManager.default.attributesOfItem(atPath: fixture.folder)
        #expect((folder[.posixPermissions] as? NSNumber)?.intValue == 0o700)
    }
}
