#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Journal
import Model
import Synchronization

/// Brings the journal's points that are in no file back to the shards, once each.
struct Replay {
    let shared: HistorianShared
    let journal: Journal
    let reader: JournalReader
    let intake: Intake
    private var layouts: [UInt64: Layout] = [:]
    /// For each day how far each series had come in the files when the store was opened.
    private var progress: [Day: [SeriesID: Int64]] = [:]
    private var problem: Problem?

    init(shared: HistorianShared, journal: Journal, reader: JournalReader, intake: Intake) {
        self.shared = shared
        self.journal = journal
        self.reader = reader
        self.intake = intake
    }

    /// Blocks until all is with the shards.
    mutating func run() throws(Problem) {
        var position = reader.committed
        while true {
            let part = try reader.read(from: position, bytesMax: 4 << 20)
            if part.records.isEmpty {
                intake.deliver([], position: part.next.rawValue, next: part.next.rawValue)
                return
            }
            for record in part.records {
                let next = record.position.rawValue + Int64(record.bytes.count + JournalRecord.overheadBytes)
                let batches = try read(record)
                let points = batches.reduce(0) { $0 + $1.batch.count }
                shared.backlogPoints.wrappingAdd(points, ordering: .relaxed)
                intake.deliver(batches, position: record.position.rawValue, next: next)
            }
            position = part.next
            while shared.backlogPoints.load(ordering: .relaxed) > shared.options.backlogPointsMax { usleep(1000) }
        }
    }

    private mutating func read(_ record: JournalRecord) throws(Problem) -> [(batch: SampleBatch, layout: Layout)] {
        var batches: [(batch: SampleBatch, layout: Layout)] = []
        var fresh: [Layout] = []
        let catalogue = shared.catalogue
        let known = layouts
        var found: [UInt64: Layout] = [:]
        var failure: Problem?
        let isSound = record.bytes.withUnsafeBytes { bytes in
            do throws(ChunkDamage) {
                try IntakeRecord.read(
                    bytes,
                    layout: { (hash) throws(ChunkDamage) -> Layout in
                        if let layout = known[hash] ?? found[hash] { return layout }
                        do throws(Problem) {
                            if let layout = try catalogue.layout(hash) {
                                found[hash] = layout
                                return layout
                            }
                        } catch { failure = error }
                        throw ChunkDamage()
                    },
                    onLayout: { layout in
                        found[layout.hash] = layout
                        fresh.append(layout)
                    },
                    onBatch: { batches.append(($0, $1)) })
                return true
            } catch { return false }
        }
        if let failure { throw failure }
        if !isSound {
            throw Problem(
                "historian.damaged",
                "the intake journal has a record at \(record.position.rawValue) that is not one of ours",
                ["journal": journal.directory, "position": String(record.position.rawValue)])
        }
        layouts.merge(found) { $1 }
        var kept: [(batch: SampleBatch, layout: Layout)] = []
        for (number, (batch, layout)) in batches.enumerated() {
            kept.append((try filtered(batch, record.position.rawValue << 16 | Int64(number)), layout))
        }
        return kept
    }

    /// Without the points that are in a file. The number of batches in a record stays, because positions count them.
    private mutating func filtered(_ batch: SampleBatch, _ position: Int64) throws(Problem) -> SampleBatch {
        var kept: [Int] = []
        for row in 0..<batch.count {
            let day = day(of: batch.time(row).nanoseconds)
            if progress[day] == nil { progress[day] = try load(day) }
            let series = batch.descriptor.series[batch.tagIndex(row)]
            if position >= progress[day]?[series] ?? .min { kept.append(row) }
        }
        if kept.count == batch.count { return batch }
        let builder = SampleBatchBuilder(sparse: batch.descriptor, timestamp: batch.timestamp, capacity: kept.count)
        for row in kept {
            let tag = batch.tagIndex(row)
            if batch.descriptor.tags[tag].type.isInline {
                builder.set(tag: tag, slot: batch.slots[row], quality: batch.quality(row))
            } else {
                builder.set(tag: tag, bytes: batch.blobBytes(row), quality: batch.quality(row))
            }
            if batch.sourceTimes != nil { builder.setSourceTime(tag: tag, batch.time(row)) }
        }
        return builder.finish()
    }

    private func load(_ day: Day) throws(Problem) -> [SeriesID: Int64] {
        var all: [SeriesID: Int64] = [:]
        for shard in shared.days.shards(of: day) {
            all.merge(try DayFile.progress(path: shared.days.path(day, shard))) { max($0, $1) }
        }
        return all
    }
}
