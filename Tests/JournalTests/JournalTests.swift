import Model
import Synchronization
import Testing

@testable import Journal

/// All records from `position` on, as text.
func texts(_ reader: JournalReader, from position: JournalPosition) throws -> [String] {
    var result: [String] = []
    var at = position
    while true {
        let part = try reader.read(from: at, bytesMax: 64)
        if part.records.isEmpty { return result }
        result += part.records.map { $0.bytes.string }
        at = part.next
    }
}

@Suite("Journal")
struct JournalTests {
    let files = FaultyFiles(seed: 7)

    func open(_ options: JournalOptions = JournalOptions()) throws -> Journal {
        try Journal.open(directory: "j", files: files, time: ManualTime(), options: options)
    }

    @Test("gives back what was appended, in order, also after a restart")
    func roundTrip() async throws {
        var journal = try open()
        for index in 0..<50 { try await journal.append([Bytes("a\(index)"), Bytes("b\(index)")]) }
        let expected = (0..<50).flatMap { ["a\($0)", "b\($0)"] }
        #expect(try texts(journal.reader("r"), from: .zero) == expected)
        let end = journal.end
        await journal.close()
        journal = try open()
        #expect(journal.end >= end)
        #expect(try texts(journal.reader("r"), from: .zero) == expected)
        #expect(journal.stats.bytesTorn == 0)
        await journal.close()
    }

    @Test("an empty record is a record")
    func empty() async throws {
        let journal = try open()
        try await journal.append([Bytes(), Bytes("x"), Bytes()])
        #expect(try texts(journal.reader("r"), from: .zero) == ["", "x", ""])
        await journal.close()
    }

    @Test("many appenders share a sync")
    func groups() async throws {
        let journal = try open()
        let done = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for index in 0..<200 {
                        journal.append([Bytes("\(task) \(index)")]) { if case .success = $0 { done.add() } }
                    }
                    try await journal.append([Bytes("\(task) end")])
                }
            }
            try await group.waitForAll()
        }
        #expect(done.count == 1600)
        #expect(journal.stats.recordsAppended == 1608)
        #expect(journal.stats.groupsSynced < 800)
        let all = try texts(journal.reader("r"), from: .zero)
        for task in 0..<8 {
            #expect(all.filter { $0.hasPrefix("\(task) ") } == (0..<200).map { "\(task) \($0)" } + ["\(task) end"])
        }
        await journal.close()
    }

    @Test("positions of completions are those behind the records, in order")
    func positions() async throws {
        let journal = try open()
        let a = try await journal.append([Bytes("one")])
        let b = try await journal.append([Bytes("two"), Bytes("three")])
        let reader = try journal.reader("r")
        #expect(try texts(reader, from: a) == ["two", "three"])
        #expect(try texts(reader, from: b) == [])
        await journal.close()
    }

    @Test("is shortened by the slowest reader, and keeps everything for it")
    func truncation() async throws {
        let journal = try open(JournalOptions(bytesMax: 1 << 20, segmentBytes: 1024))
        let slow = try journal.reader("slow")
        let fast = try journal.reader("fast")
        for index in 0..<200 { try await journal.append([Bytes("record number \(index)")]) }
        let size = journal.stats.bytesOnDisk
        fast.commit(journal.end)
        try await journal.append([Bytes("x")])
        #expect(journal.start == .zero)
        #expect(journal.stats.bytesOnDisk >= size)
        slow.commit(journal.end)
        try await journal.append([Bytes("y")])
        // The writer truncates after it has acknowledged; one more group makes sure that it has.
        try await journal.append([Bytes("z")])
        #expect(journal.start > .zero)
        #expect(journal.stats.bytesOnDisk < 4096)
        #expect(try texts(slow, from: slow.committed) == ["y", "z"])
        await journal.close()
    }

    @Test("cursors survive a restart; a reader that is gone holds nothing back")
    func cursors() async throws {
        var journal = try open()
        let position = try await journal.append([Bytes("a")])
        try await journal.append([Bytes("b")])
        try journal.reader("r").commit(position)
        _ = try journal.reader("gone")
        journal.removeReader("gone")
        _ = try journal.reader("new", startingAt: .newest)
        await journal.close()
        journal = try open()
        #expect(try texts(journal.reader("r"), from: journal.reader("r").committed) == ["b"])
        #expect(try texts(journal.reader("new"), from: journal.reader("new").committed) == [])
        #expect(Set(journal.readers.keys) == ["r", "new"])
        await journal.close()
    }

    @Test("a full journal refuses and counts, and accepts again when its reader has caught up")
    func refuses() async throws {
        let journal = try open(JournalOptions(bytesMax: 8192, segmentBytes: 1024))
        let reader = try journal.reader("r")
        var accepted = 0
        var refusal: Problem?
        while refusal == nil {
            do throws(Problem) {
                try await journal.append([Bytes(String(repeating: "x", count: 100))])
                accepted += 1
            } catch { refusal = error }
        }
        #expect(refusal?.code == "journal.full")
        #expect(journal.stats.recordsRefused == 1)
        #expect(journal.stats.bytesOnDisk <= 8192)
        #expect(try texts(reader, from: .zero).count == accepted)
        reader.commit(journal.end)
        var isOpen = false
        for _ in 0..<1000 where !isOpen {
            await Task.yield()
            isOpen = (try? await journal.append([Bytes("again")])) != nil
        }
        #expect(isOpen)
        await journal.close()
    }

    @Test("with dropOldest the newest stay, and every record dropped unread is counted")
    func drops() async throws {
        let journal = try open(JournalOptions(bytesMax: 8192, segmentBytes: 1024, onFull: .dropOldest))
        let reader = try journal.reader("r")
        for index in 0..<500 { try await journal.append([Bytes("record number \(index)")]) }
        #expect(journal.stats.bytesOnDisk <= 8192 + 1024)
        let left = try texts(reader, from: reader.committed)
        #expect(left.last == "record number 499")
        #expect(Int(journal.stats.recordsDropped) + left.count == 500)
        #expect(try reader.read(from: .zero).droppedBytes > 0)
        await journal.close()
    }

    @Test("what is too big or comes after the end is refused")
    func refusals() async throws {
        let journal = try open(JournalOptions(recordBytesMax: 10))
        await #expect(throws: Problem.self) { try await journal.append([Bytes("12345678901")]) }
        await journal.close()
        await journal.close()
        do throws(Problem) {
            try await journal.append([Bytes("x")])
            Issue.record("accepted after close")
        } catch { #expect(error.code == "journal.closed") }
    }

    @Test("a second journal on the same directory is told so")
    func locked() async throws {
        let journal = try open()
        #expect(throws: Problem.self) { try open() }
        await journal.close()
        await (try open()).close()
    }

    @Test("a reader is woken by what is appended")
    func wakes() async throws {
        let journal = try open()
        let reader = try journal.reader("r")
        let woken = Counter()
        reader.onAppend { woken.add() }
        try await journal.append([Bytes("x")])
        try await journal.append([Bytes("y")])
        #expect(woken.count >= 1)
        await journal.close()
    }

    @Test("damage in the middle costs the rest of that segment, counted, and nothing else")
    func damage() async throws {
        var journal = try open(JournalOptions(bytesMax: 1 << 20, segmentBytes: 1024))
        _ = try journal.reader("r")
        for index in 0..<100 { try await journal.append([Bytes("record number \(index)")]) }
        await journal.close()
        files.damage("j/" + JournalFormat.fileName(base: 0), at: 500)
        journal = try open(JournalOptions(bytesMax: 1 << 20, segmentBytes: 1024))
        let left = try texts(journal.reader("r"), from: .zero)
        #expect(left.first == "record number 0")
        #expect(left.last == "record number 99")
        #expect(left.count > 50 && left.count < 100)
        #expect(journal.stats.bytesDamaged > 0)
        await journal.close()
    }
}
