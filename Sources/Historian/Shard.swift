import Journal
import Model
import Synchronization

/// What all shards share.
final class HistorianShared: Sendable {
    let options: HistorianOptions
    let catalogue: SeriesCatalogue
    let days: DayIndex
    let files: any FileSystem
    let time: any TimeSource
    let backlogPoints = Atomic<Int>(0)
    let pointsApplied = Atomic<Int>(0)
    let pointsAccepted = Atomic<Int>(0)
    let pointsRefused = Atomic<Int>(0)
    let pointsLate = Atomic<Int>(0)
    let chunkPoints = Atomic<Int>(0)
    let chunkBytes = Atomic<Int>(0)
    let writeFailures = Atomic<Int>(0)
    private let problems = Mutex<[Trouble: Problem]>([:])
    private let chunkID: Atomic<Int64>

    init(
        options: HistorianOptions, catalogue: SeriesCatalogue, days: DayIndex, files: any FileSystem,
        time: any TimeSource
    ) {
        self.options = options
        self.catalogue = catalogue
        self.days = days
        self.files = files
        self.time = time
        chunkID = Atomic(catalogue.boot << 32)
    }

    /// What can go wrong by itself, and be well again by itself.
    enum Trouble: Hashable, Comparable {
        case journal
        case catalogue(shard: Int)
        case chunks(shard: Int)
        case retention(shard: Int)
    }

    /// The most important thing that is wrong now; nil while all is well.
    var problem: Problem? { problems.withLock { problems in problems.min { $0.key < $1.key }?.value } }

    /// Nil: it is well again.
    func report(_ trouble: Trouble, _ problem: Problem?) { problems.withLock { $0[trouble] = problem } }

    /// Grows from chunk to chunk, also across restarts.
    func nextChunkID() -> Int64 { chunkID.wrappingAdd(1, ordering: .relaxed).newValue }
    /// Chunks made from now on have greater ids.
    func newestChunkID() -> Int64 { chunkID.load(ordering: .relaxed) }
}

/// What waits for a shard.
struct ShardInbox: Sendable {
    struct Entry: Sendable {
        var position: Int64
        var batch: SampleBatch
        var layout: Layout
    }

    var entries: [Entry] = []
    var jobs: [@Sendable (Shard) -> Void] = []
    /// Behind the last journal record that was handed out, whether or not this shard got something of it.
    var routedUpTo: Int64 = 0
    var isClosing = false
    var isClosed = false
}

/// Some of the groups: compresses their points and writes their chunks. Its state belongs to its thread, which is
/// what makes it Sendable; others talk to it through the inbox.
final class Shard: @unchecked Sendable {
    let number: Int
    let shared: HistorianShared
    let inbox = Monitor(ShardInbox())
    /// Told the journal position that this shard no longer needs anything before.
    private let onProgress: @Sendable (_ shard: Int, _ position: Int64) -> Void
    private let journalEnd: @Sendable () -> Int64

    var groups: [UInt64: GroupHead] = [:]
    var index: [SeriesID: SeriesPlace] = [:]
    var sealed: [SealedChunk] = []
    var sealedBytes = 0
    var late: [LateKey: LatePoints] = [:]
    let writer = BlockWriter()
    private let drain = Drain()
    private var openFiles: [(day: Day, file: DayFile)] = []
    private static let openFilesMax = 8
    /// Heads that share a transaction, and so a sync.
    private static let rowsPerTransaction = 4000
    private var lastFlush: Int64 = 0
    private var sweptAt: Int64 = 0
    private var retryAt: Int64 = 0
    private var lastRetention: Int64?

    struct SeriesPlace {
        unowned(unsafe) var group: GroupHead
        var tag: Int32
    }

    init(
        number: Int, shared: HistorianShared, journalEnd: @escaping @Sendable () -> Int64,
        onProgress: @escaping @Sendable (_ shard: Int, _ position: Int64) -> Void
    ) {
        self.number = number
        self.shared = shared
        self.journalEnd = journalEnd
        self.onProgress = onProgress
    }

    func start() { WorkerThread.start("historian-\(number)") { self.run() } }

    private func run() {
        while true {
            let work = inbox.wait(
                until: { !$0.entries.isEmpty || !$0.jobs.isEmpty || $0.isClosing }, milliseconds: 1000
            ) { inbox -> (entries: [ShardInbox.Entry], jobs: [@Sendable (Shard) -> Void], isLast: Bool) in
                var entries: [ShardInbox.Entry] = []
                var jobs: [@Sendable (Shard) -> Void] = []
                swap(&entries, &inbox.entries)
                swap(&jobs, &inbox.jobs)
                return (entries, jobs, inbox.isClosing && entries.isEmpty && jobs.isEmpty)
            }
            if work.isLast { return close() }
            take(work.entries)
            for job in work.jobs { job(self) }
            keepHouse()
        }
    }

    private func close() {
        for (_, file) in openFiles { file.close() }
        openFiles = []
        groups = [:]
        index = [:]
        inbox.signal { inbox in
            inbox.isClosed = true
            return true
        }
    }

    // MARK: Taking in

    private func take(_ entries: [ShardInbox.Entry]) {
        if entries.isEmpty { return }
        announce(entries)
        var points = 0
        for entry in entries {
            points += entry.batch.count
            let group = group(entry.layout)
            if group.add(entry.batch, position: entry.position) { drain(group) }
        }
        shared.backlogPoints.wrappingSubtract(points, ordering: .relaxed)
        shared.pointsApplied.wrappingAdd(points, ordering: .relaxed)
    }

    /// New layouts enter the catalogue before any chunk or cursor relies on them.
    private func announce(_ entries: [ShardInbox.Entry]) {
        var fresh: [Layout] = []
        for entry in entries where groups[entry.layout.groupHash]?.layout.hash != entry.layout.hash {
            if !fresh.contains(where: { $0.hash == entry.layout.hash }) { fresh.append(entry.layout) }
        }
        if fresh.isEmpty { return }
        unannounced += fresh
        announceAll()
    }

    /// Layouts that the catalogue could not take yet. While there are any the journal is not shortened.
    private var unannounced: [Layout] = []

    private func announceAll() {
        if unannounced.isEmpty { return }
        do throws(Problem) {
            try shared.catalogue.store(unannounced)
            unannounced = []
            shared.report(.catalogue(shard: number), nil)
        } catch { fail(.catalogue(shard: number), error) }
    }

    private func group(_ layout: Layout) -> GroupHead {
        if let known = groups[layout.groupHash] {
            if known.layout === layout { return known }
            if known.layout.hash == layout.hash {
                known.layout = layout
                return known
            }
            retire(known)
        }
        let group = GroupHead(layout)
        group.drainedUpTo = 0
        groups[layout.groupHash] = group
        for (tag, series) in layout.descriptor.series.enumerated() {
            // A series that was in the group before goes on behind its newest time.
            if let last = retiredTimes[series] { group.heads[tag].lastTime = last }
            index[series] = SeriesPlace(group: group, tag: Int32(tag))
        }
        retiredTimes = [:]
        return group
    }

    private var retiredTimes: [SeriesID: Int64] = [:]

    /// The group's tags have changed: its heads end here.
    private func retire(_ group: GroupHead) {
        drain(group)
        retiredTimes = [:]
        for tag in group.heads.indices {
            retiredTimes[group.layout.descriptor.series[tag]] = group.heads[tag].lastTime
            if !group.heads[tag].isEmpty { seal(group, tag) }
        }
        // Late points of these series are written with what is sealed: they must not wait for a head that is gone.
        flush(includingLate: true)
        for series in group.layout.descriptor.series { index[series] = nil }
        groups[group.layout.groupHash] = nil
    }

    func drain(_ group: GroupHead) {
        guard let first = group.raw.first, let last = group.raw.last else { return }
        group.drainedUpTo = last.position + 1
        drain.run(group) { tag, points, blob in append(group, tag, points, first.position, blob) }
        group.removeRaw()
    }

    /// Appends points of one series, in the order in which they came.
    private func append(
        _ group: GroupHead, _ tag: Int, _ points: PointColumns, _ position: Int64, _ blob: (Int) -> [UInt8]
    ) {
        var start = 0
        while start < points.count {
            let time = points.times[start]
            if time <= group.heads[tag].lastTime {
                addLate(group, tag, points, start, position, blob)
                start += 1
                continue
            }
            let today = day(of: time)
            var end = start + 1
            while end < points.count, end - start < BlockFormat.pointsMax, points.times[end] > points.times[end - 1],
                day(of: points.times[end]) == today
            { end += 1 }
            if !group.heads[tag].isEmpty, day(of: group.heads[tag].start) != today { seal(group, tag) }
            putBlock(group, tag, points.dropFirst(start, count: end - start), position) { blob(start + $0) }
            start = end
        }
        if group.heads[tag].mustSeal { seal(group, tag) }
    }

    private func putBlock(
        _ group: GroupHead, _ tag: Int, _ points: PointColumns, _ position: Int64, _ blob: (Int) -> [UInt8]
    ) {
        let type = group.layout.descriptor.tags[tag].type
        writer.sink.count = 0
        if group.heads[tag].isEmpty {
            BlockFormat.putType(type, into: writer.sink)
            group.heads[tag].id = shared.nextChunkID()
            group.heads[tag].start = points.times[0]
            if !type.isInline { group.heads[tag].dictionary = BlobDictionary() }
        }
        writer.put(
            points, type: type, state: &group.heads[tag].state, dictionary: group.heads[tag].dictionary, blob: blob)
        group.heads[tag].append(writer.sink.bytes)
        group.heads[tag].count += Int32(points.count)
        group.heads[tag].lastTime = points.times[points.count - 1]
        if group.heads[tag].firstUnsaved == .max { group.heads[tag].firstUnsaved = position }
    }

    private func addLate(
        _ group: GroupHead, _ tag: Int, _ points: PointColumns, _ row: Int, _ position: Int64, _ blob: (Int) -> [UInt8]
    ) {
        shared.pointsLate.wrappingAdd(1, ordering: .relaxed)
        let type = group.layout.descriptor.tags[tag].type
        let key = LateKey(series: group.layout.descriptor.series[tag], day: day(of: points.times[row]))
        var slot = points.slots[row]
        if late[key] == nil { late[key] = LatePoints(type: type, firstUnsaved: position) }
        if !type.isInline {
            let bytes = blob(row)
            slot = UInt64(late[key]?.points.blob.count ?? 0) << 32 | UInt64(bytes.count)
            late[key]?.points.blob.append(contentsOf: bytes)
        }
        late[key]?.points.append(time: points.times[row], slot: slot, status: points.statuses?[row] ?? 0)
    }

    /// Ends the series' chunk; it is written soon.
    private func seal(_ group: GroupHead, _ tag: Int) {
        let head = group.heads[tag]
        let chunk = SealedChunk(
            row: Self.row(head, group.layout.descriptor.series[tag]), day: day(of: head.start),
            upTo: group.drainedUpTo, firstUnsaved: head.firstUnsaved)
        sealed.append(chunk)
        sealedBytes += chunk.row.bytes.count
        group.heads[tag].reset()
    }

    static func row(_ head: SeriesHead, _ series: SeriesID) -> ChunkRow {
        ChunkRow(
            id: head.id, series: series, start: head.start, end: head.lastTime, count: Int(head.count),
            added: Int(head.count - head.savedCount), bytes: Array(head.bytes))
    }

    // MARK: Keeping house

    private func keepHouse() {
        let now = shared.time.monotonicNanoseconds()
        if now < retryAt { return }
        announceAll()
        let crowded = late.contains { $0.value.points.count >= LatePoints.countMax }
        if sealed.count >= 256 || sealedBytes > 512 << 10 || crowded
            || (!sealed.isEmpty && now - lastFlush > 2_000_000_000)
        {
            flush(includingLate: crowded)
            lastFlush = now
        }
        let target = Int64(shared.options.journalBytesTarget)
        let end = journalEnd()
        if end - sweptAt >= max(target / 8, 1) {
            sweptAt = end
            sweep(before: (end - target / 2) << 16)
        }
        unlinkOld()
    }

    /// Writes everything that came before the intake position, and lets the journal go up to what is left.
    func sweep(before position: Int64) {
        announceAll()
        for group in groups.values {
            if let first = group.raw.first, first.position < position { drain(group) }
        }
        flush(includingLate: true)
        var heads: [(group: GroupHead, tag: Int)] = []
        for group in groups.values {
            for tag in group.heads.indices where group.heads[tag].firstUnsaved < position { heads.append((group, tag)) }
            if heads.count >= Self.rowsPerTransaction {
                flushHeads(heads)
                heads = []
            }
        }
        if !heads.isEmpty { flushHeads(heads) }
        report()
    }

    private func report() {
        if !unannounced.isEmpty { return }
        var first = groups.values.reduce(Int64.max) { min($0, $1.firstUnsaved) }
        for chunk in sealed { first = min(first, chunk.firstUnsaved) }
        for points in late.values { first = min(first, points.firstUnsaved) }
        let waiting = inbox.withLock { $0.entries.first?.position ?? $0.routedUpTo << 16 }
        onProgress(number, min(first, waiting) >> 16)
    }

    private func unlinkOld() {
        guard let retention = shared.options.retention else { return }
        let now = shared.time.now().nanoseconds
        if let last = lastRetention, abs(now - last) < 60_000_000_000 { return }
        lastRetention = now
        shared.report(.retention(shard: number), nil)
        let oldest = day(of: now &- retention.nanoseconds)
        for (day, shards) in shared.days.all() where day < oldest {
            // A shard that is no more is looked after by the first.
            for shard in shards where shard == number || (number == 0 && shard >= shared.options.shards) {
                unlink(day, shard)
            }
        }
    }

    private func unlink(_ day: Day, _ shard: Int) {
        if shard == number, let at = openFiles.firstIndex(where: { $0.day == day }) {
            openFiles.remove(at: at).file.close()
        }
        shared.days.remove(day, shard)
        let path = shared.days.path(day, shard)
        for suffix in ["-wal", "-shm", ""] {
            do throws(Problem) { try shared.files.remove(path + suffix) } catch {
                if error.fileFault != .notFound { fail(.retention(shard: number), error) }
            }
        }
    }

    // MARK: Writing

    /// Writes sealed chunks; with `includingLate` also all late points.
    func flush(includingLate: Bool) {
        var plan = WritePlan()
        for (at, chunk) in sealed.enumerated() {
            plan.days[chunk.day, default: WritePlan.Part()].sealed.append(at)
        }
        for key in late.keys {
            guard
                includingLate
                    || plan.days[key.day]?.sealed.contains(where: { sealed[$0].row.series == key.series }) ?? false
            else { continue }
            plan.days[key.day, default: WritePlan.Part()].late.append(key)
            // What is written of a series and day reaches up to one intake position: the head goes along.
            if let place = index[key.series], day(of: place.group.heads[Int(place.tag)].start) == key.day,
                place.group.heads[Int(place.tag)].firstUnsaved != .max
            {
                plan.days[key.day]?.heads.append((place.group, Int(place.tag)))
            }
        }
        write(plan)
    }

    private func flushHeads(_ heads: [(group: GroupHead, tag: Int)]) {
        var plan = WritePlan()
        for (group, tag) in heads {
            let day = day(of: group.heads[tag].start)
            plan.days[day, default: WritePlan.Part()].heads.append((group, tag))
            let key = LateKey(series: group.layout.descriptor.series[tag], day: day)
            if late[key] != nil { plan.days[day]?.late.append(key) }
        }
        write(plan)
    }

    private struct WritePlan {
        struct Part {
            var sealed: [Int] = []
            var late: [LateKey] = []
            var heads: [(group: GroupHead, tag: Int)] = []
        }
        var days: [Day: Part] = [:]
    }

    private func write(_ plan: WritePlan) {
        var done: Set<Int> = []
        var isSound = true
        for (day, part) in plan.days.sorted(by: { $0.key < $1.key }) {
            do throws(Problem) {
                try write(part, day)
                done.formUnion(part.sealed)
            } catch {
                fail(.chunks(shard: number), error)
                isSound = false
                retryAt = shared.time.monotonicNanoseconds() + 1_000_000_000
            }
        }
        if isSound, !plan.days.isEmpty { shared.report(.chunks(shard: number), nil) }
        if done.isEmpty { return }
        sealed = sealed.enumerated().filter { !done.contains($0.offset) }.map(\.element)
        sealedBytes = sealed.reduce(0) { $0 + $1.row.bytes.count }
    }

    private func write(_ part: WritePlan.Part, _ day: Day) throws(Problem) {
        var rows: [ChunkRow] = []
        var progress: [SeriesID: Int64] = [:]
        for at in part.sealed {
            rows.append(sealed[at].row)
            progress[sealed[at].row.series] = max(progress[sealed[at].row.series] ?? 0, sealed[at].upTo)
        }
        for key in part.late {
            guard let points = late[key] else { continue }
            rows.append(lateRow(key, points))
            if let place = index[key.series] {
                progress[key.series] = max(progress[key.series] ?? 0, place.group.drainedUpTo)
            }
        }
        for (group, tag) in part.heads {
            let series = group.layout.descriptor.series[tag]
            rows.append(Self.row(group.heads[tag], series))
            progress[series] = max(progress[series] ?? 0, group.drainedUpTo)
        }
        try file(day).write(rows, progress: progress.map { ($0.key, $0.value) })
        for key in part.late { late[key] = nil }
        for (group, tag) in part.heads {
            group.heads[tag].savedCount = group.heads[tag].count
            group.heads[tag].firstUnsaved = .max
        }
        // Of a chunk that was there before, the share of the new points is counted.
        shared.chunkPoints.wrappingAdd(rows.reduce(0) { $0 + $1.added }, ordering: .relaxed)
        shared.chunkBytes.wrappingAdd(
            rows.reduce(0) { $0 + $1.bytes.count * $1.added / max(1, $1.count) }, ordering: .relaxed)
    }

    private func lateRow(_ key: LateKey, _ late: LatePoints) -> ChunkRow {
        let points = MergedPoints.sorted(late.points)
        writer.sink.count = 0
        BlockFormat.putType(late.type, into: writer.sink)
        var state = BlockState()
        let dictionary = late.type.isInline ? nil : BlobDictionary()
        points.withColumns { columns in
            var start = 0
            while start < columns.count {
                let count = min(BlockFormat.pointsMax, columns.count - start)
                writer.put(
                    columns.dropFirst(start, count: count), type: late.type, state: &state, dictionary: dictionary
                ) {
                    points.bytes(start + $0)
                }
                start += count
            }
        }
        return ChunkRow(
            id: shared.nextChunkID(), series: key.series, start: points.times.first ?? 0, end: points.times.last ?? 0,
            count: points.count, added: points.count, bytes: Array(writer.sink.bytes))
    }

    private func file(_ day: Day) throws(Problem) -> DayFile {
        if let at = openFiles.firstIndex(where: { $0.day == day }) {
            let entry = openFiles.remove(at: at)
            openFiles.append(entry)
            return entry.file
        }
        if openFiles.count >= Self.openFilesMax { openFiles.removeFirst().file.close() }
        let file = try DayFile(path: shared.days.path(day, number))
        shared.days.add(day, number)
        openFiles.append((day, file))
        return file
    }

    private func fail(_ trouble: HistorianShared.Trouble, _ problem: Problem) {
        shared.writeFailures.wrappingAdd(1, ordering: .relaxed)
        shared.report(trouble, problem)
    }
}
