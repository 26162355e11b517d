import Model
import Synchronization
import Testing

@testable import Journal

@Suite("Journal under faults")
struct JournalFaultTests {
    @Test("a full disk refuses what does not fit, keeps what did, and goes on when there is room")
    func fullDisk() async throws {
        let files = FaultyFiles()
        let journal = try Journal.open(directory: "j", files: files)
        files.limit(bytes: 1000)
        var accepted: [String] = []
        var refused = 0
        for index in 0..<40 {
            do throws(Problem) {
                try await journal.append([Bytes("record \(index) " + String(repeating: "x", count: 50))])
                accepted.append("record \(index) ")
            } catch {
                #expect(error.code == "journal.full")
                refused += 1
            }
        }
        #expect(accepted.count > 5 && refused > 5)
        files.limit(bytes: .max)
        try await journal.append([Bytes("record 99 ")])
        files.restart()
        let again = try Journal.open(directory: "j", files: files)
        let found = try texts(again.reader("r"), from: .zero)
        #expect(found.map { String($0.prefix { $0 != "x" }) } == accepted + ["record 99 "])
        await again.close()
    }

    @Test("after a refused sync nothing is acknowledged until reopened, and then nothing acknowledged is lost")
    func refusedSync() async throws {
        for seed in 0..<50 {
            let files = FaultyFiles(seed: UInt64(seed))
            let journal = try Journal.open(directory: "j", files: files)
            var acknowledged: [String] = []
            for index in 0..<5 {
                try await journal.append([Bytes("before \(index)")])
                acknowledged.append("before \(index)")
            }
            files.fail(.sync, with: .io)
            for index in 0..<3 {
                do throws(Problem) {
                    try await journal.append([Bytes("during \(index)")])
                    Issue.record("acknowledged after a failed sync")
                } catch { #expect(error.code == "journal.failed") }
            }
            #expect(journal.stats.failure != nil)
            try await journal.reopen()
            for index in 0..<5 {
                try await journal.append([Bytes("after \(index)")])
                acknowledged.append("after \(index)")
            }
            files.restart()
            let again = try Journal.open(directory: "j", files: files)
            let found = try texts(again.reader("r"), from: .zero).filter { !$0.hasPrefix("during") }
            #expect(found == acknowledged)
            await again.close()
        }
    }

    @Test("a read error is passed on, and the next read works")
    func readError() async throws {
        let files = FaultyFiles()
        let journal = try Journal.open(directory: "j", files: files)
        try await journal.append([Bytes("x")])
        let reader = try journal.reader("r")
        files.fail(.read, with: .io)
        #expect(throws: Problem.self) { try reader.read(from: .zero) }
        #expect(try reader.read(from: .zero).records.count == 1)
        await journal.close()
    }

    /// Appends, commits and rolls with small segments until the power goes; returns what was acknowledged.
    private func work(_ files: FaultyFiles) async -> (acknowledged: [String], committed: Int) {
        let options = JournalOptions(bytesMax: 1 << 20, segmentBytes: 1024)
        guard let journal = try? Journal.open(directory: "j", files: files, options: options),
            let reader = try? journal.reader("r")
        else { return ([], 0) }
        var acknowledged: [String] = []
        var committed = 0
        for index in 0..<60 {
            let text = "record number \(index) " + String(repeating: "y", count: index)
            do throws(Problem) {
                let position = try await journal.append([Bytes(text)])
                acknowledged.append(text)
                if index % 7 == 3 {
                    reader.commit(position)
                    committed = index + 1
                }
            } catch { break }
        }
        await journal.close()
        return (acknowledged, committed)
    }

    @Test(
        "a power cut at every single write, sync and rename loses nothing acknowledged and repeats only what was not committed"
    )
    func powerCuts() async throws {
        let whole = FaultyFiles(seed: 1)
        _ = await work(whole)
        let changes = whole.changes
        #expect(changes > 100)
        for cut in 1...changes {
            let files = FaultyFiles(seed: UInt64(cut))
            files.cutPower(atChange: cut)
            let (acknowledged, committed) = await work(files)
            files.restart()
            let journal = try Journal.open(
                directory: "j", files: files, options: JournalOptions(bytesMax: 1 << 20, segmentBytes: 1024))
            let reader = try journal.reader("r")
            let found = try texts(reader, from: reader.committed)
            // From the cursor on everything acknowledged is there, in order, perhaps followed by what was not.
            let first =
                found.first.flatMap { $0.split(separator: " ").dropFirst(2).first }.flatMap { Int($0) }
                ?? acknowledged.count
            #expect(first <= max(committed, acknowledged.count))
            #expect(
                Array(found.prefix(max(0, acknowledged.count - first))) == Array(acknowledged.dropFirst(first)),
                "cut \(cut)")
            #expect(found.count <= acknowledged.count - first + 1)
            #expect(first <= committed || acknowledged.count <= first)
            try await journal.append([Bytes("afterwards")])
            #expect(try texts(reader, from: reader.committed).last == "afterwards")
            await journal.close()
        }
    }

    @Test("recovery stops at the first torn record, at every length of the file")
    func truncatedAtEveryLength() async throws {
        let files = FaultyFiles()
        let journal = try Journal.open(directory: "j", files: files)
        var ends: [Int] = []
        for index in 0..<6 {
            ends.append(JournalFormat.headerBytes + Int(try await journal.append([Bytes("record \(index)")]).rawValue))
        }
        await journal.close()
        let path = "j/" + JournalFormat.fileName(base: 0)
        let content = try files.contents(path)
        for length in 0...content.count {
            let copy = FaultyFiles()
            copy.put(path, Array(content[..<length]))
            let again = try Journal.open(directory: "j", files: copy)
            #expect(try texts(again.reader("r"), from: .zero).count == ends.filter { $0 <= length }.count)
            await again.close()
        }
    }

    @Test("a seeded run of the recovery fuzzer finds nothing")
    func fuzzSmoke() async throws {
        let files = FaultyFiles()
        let journal = try Journal.open(directory: "j", files: files)
        for index in 0..<20 { try await journal.append([Bytes("record \(index)")]) }
        await journal.close()
        let seed = try files.contents("j/" + JournalFormat.fileName(base: 0))
        var random = SplitMix64(seed: 42)
        for round in 0..<3000 {
            var bytes = round % 3 == 0 ? [] : [1] + seed
            if round % 3 == 0 {
                bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            } else {
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 1..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if round % 3 == 2 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            }
            #expect(bytes.withUnsafeBytes { JournalRecoveryProbe.run($0) })
        }
    }

    @Test("the operating system's files do the same")
    func realFiles() async throws {
        let directory = "/tmp/tundish-journal-test-\(SystemRandom().next())"
        let files = SystemFiles()
        var journal = try Journal.open(
            directory: directory, options: JournalOptions(bytesMax: 1 << 20, segmentBytes: 4096))
        for index in 0..<300 { try await journal.append([Bytes("record number \(index)")]) }
        #expect(throws: Problem.self) { try Journal.open(directory: directory) }
        await journal.close()
        journal = try Journal.open(directory: directory)
        #expect(try texts(journal.reader("r"), from: .zero).count == 300)
        await journal.close()
        try files.replace(FilePath.join(directory, "note"), with: Array("hello".utf8))
        #expect(try files.contents(FilePath.join(directory, "note")) == Array("hello".utf8))
        for name in try files.list(directory) { try files.remove(FilePath.join(directory, name)) }
        #expect(try files.list(directory) == [])
        #expect(throws: Problem.self) { try files.open(FilePath.join(directory, "absent"), .read) }
    }
}
