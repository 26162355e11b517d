import Journal
import Model
import SQLiteDisk
import Testing

@testable import Resources

/// A store on a disk in memory.
private final class FaultyStore {
    let disk: FaultyFiles
    let path = "/faulty/resources-\(SystemRandom().next())"

    init(seed: UInt64 = 1) {
        disk = FaultyFiles(seed: seed)
        SQLiteDisk.mount(path, on: disk)
    }

    struct Opened {
        var store: ResourceStore
        var directory: DataDirectory

        func apply(_ text: String) async throws {
            _ = try await store.apply(Array(text.utf8), file: "plant.yaml", StoreFixture.console)
        }

        func sql(_ name: String) async throws -> String? {
            guard case .string(let sql)? = try await store.get(.rule(name))?.spec["sql"] else { return nil }
            return sql
        }

        func close() {
            store.close()
            directory.release()
        }
    }

    func open() throws -> Opened {
        let directory = try DataDirectory(path, files: disk)
        do {
            let store = try ResourceStore(
                directory, registry: SampleKinds.registry, time: ManualTime(), random: SystemRandom())
            return Opened(store: store, directory: directory)
        } catch {
            directory.release()
            throw error
        }
    }

    /// What a power cut leaves, with the power back.
    func restart() {
        disk.restart()
        SQLiteDisk.mount(path, on: disk)
    }
}

private func problem(_ body: () async throws -> Void) async -> Problem? {
    do { try await body() } catch { return (error as? Rejection)?.problem ?? error as? Problem }
    return nil
}

@Suite("Store on a failing disk", .serialized)
struct StoreFaultTests {
    @Test(
        "a change that cannot be kept is refused in one sentence and leaves no trace; with the fault gone all works again",
        arguments: [
            (FaultyFiles.Operation.write, FileFault.full, "store.full"), (.write, .io, "store.io"),
            (.sync, .io, "store.io"), (.sync, .full, "store.full"),
        ])
    func refused(_ operation: FaultyFiles.Operation, _ fault: FileFault, _ code: String) async throws {
        let place = FaultyStore()
        var opened = try place.open()
        try await opened.apply(rule("a", "SELECT 1"))
        let before = try await opened.store.revision()
        var events = opened.store.watch(kinds: ["Rule"]).makeAsyncIterator()

        place.disk.fail(operation, on: "resources.sqlite", with: fault, isLasting: true)
        for text in [rule("b", "SELECT 2"), rule("a", "SELECT 3")] {
            let told = await problem { try await opened.apply(text) }
            #expect(told?.code == code)
            #expect(told?.message.contains("\(place.path)/resources.sqlite") == true)
            #expect(told?.message.contains("\n") == false)
        }
        #expect(try await opened.sql("a") == "SELECT 1")
        #expect(try await opened.sql("b") == nil)
        #expect(try await opened.store.revision() == before)

        place.disk.heal()
        try await opened.apply(rule("b", "SELECT 4"))
        #expect(try await opened.sql("b") == "SELECT 4")
        #expect(try await opened.store.revision() == before + 1)
        let heard = await events.next()
        #expect("\(String(describing: heard))".contains("Rule"))

        place.disk.cutPower(atChange: 1)
        opened.close()
        place.restart()
        opened = try place.open()
        #expect(try await opened.sql("a") == "SELECT 1")
        #expect(try await opened.sql("b") == "SELECT 4")
        opened.close()
    }

    @Test("a store that cannot be read says so, and opens when it can")
    func unreadable() async throws {
        let place = FaultyStore()
        var opened = try place.open()
        try await opened.apply(rule("a"))
        opened.close()
        place.disk.fail(.read, on: "resources.sqlite", with: .io, isLasting: true)
        #expect(await problem { _ = try place.open() }?.code == "store.io")
        place.disk.heal()
        opened = try place.open()
        #expect(try await opened.sql("a") == "SELECT 1")
        opened.close()
    }

    @Test("a power cut at any write leaves every change that was answered, and none by half")
    func powerCut() async throws {
        for seed in 0..<30 {
            let place = FaultyStore(seed: UInt64(seed))
            var opened = try place.open()
            place.disk.cutPower(atChange: 1 + seed * 4)
            var answered: [Int] = []
            for index in 0..<40 where !place.disk.isOff {
                // Two in one change: both or none.
                let text = rule("r\(index)", "SELECT \(index)") + "---\n" + rule("s\(index)", "SELECT \(index)")
                if await problem({ try await opened.apply(text) }) == nil { answered.append(index) }
                if index % 9 == 8, !place.disk.isOff {
                    // The last one to close writes the log back into the database.
                    opened.close()
                    guard let next = try? place.open() else { break }
                    opened = next
                }
            }
            place.disk.cutPower(atChange: 1)
            opened.close()
            place.restart()
            opened = try place.open()
            let names = Set(try await opened.store.list(kind: "Rule").items.map(\.key.name))
            #expect(names.isSuperset(of: answered.flatMap { ["r\($0)", "s\($0)"] }), "seed \(seed)")
            for name in names { #expect(names.contains((name.hasPrefix("r") ? "s" : "r") + name.dropFirst())) }
            for index in answered { #expect(try await opened.sql("r\(index)") == "SELECT \(index)") }
            try await opened.apply(rule("after"))
            opened.close()
        }
    }

    @Test("a power cut while the store opens for the first time is no hindrance")
    func powerCutAtOpening() async throws {
        for change in stride(from: 1, through: 60, by: 2) {
            let place = FaultyStore(seed: UInt64(change))
            place.disk.cutPower(atChange: change)
            if let opened = try? place.open() {
                place.disk.cutPower(atChange: 1)
                opened.close()
            }
            place.restart()
            let opened = try place.open()
            try await opened.apply(rule("a"))
            #expect(try await opened.sql("a") == "SELECT 1")
            opened.close()
        }
    }
}
