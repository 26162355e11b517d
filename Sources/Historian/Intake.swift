import Journal
import Model
import Synchronization

/// The way in: batches go into the journal, and when they are durable to their shards.
final class Intake: Sendable {
    private struct Known {
        /// Held so that the object's identity stays its own.
        var descriptor: BatchDescriptor
        var layout: Layout
        /// The journal has the layout, since this start.
        var isSent = false
    }

    private struct Layouts {
        var known: [ObjectIdentifier: Known] = [:]
        /// The newest descriptor of each group; older ones are forgotten.
        var newest: [UInt64: ObjectIdentifier] = [:]
    }

    private static let recordBytes = 4 << 20
    private static let recordBatches = 32_768
    private let shared: HistorianShared
    private let journal: Journal
    private let shards: [Shard]
    private let layouts = Mutex(Layouts())
    private let isClosed = Atomic<Bool>(false)

    init(shared: HistorianShared, journal: Journal, shards: [Shard]) {
        self.shared = shared
        self.journal = journal
        self.shards = shards
    }

    func close() { isClosed.store(true, ordering: .sequentiallyConsistent) }

    func append(_ batches: [SampleBatch], completion: @escaping @Sendable (Problem?) -> Void) {
        let points = batches.reduce(0) { $0 + $1.count }
        if isClosed.load(ordering: .sequentiallyConsistent) {
            return refuse(points, Problem("historian.closed", "the historian is closed"), completion)
        }
        let backlog = shared.backlogPoints.wrappingAdd(points, ordering: .relaxed).newValue
        if backlog > max(shared.options.backlogPointsMax, points) {
            shared.backlogPoints.wrappingSubtract(points, ordering: .relaxed)
            return refuse(
                points,
                Problem(
                    "historian.busy",
                    "the historian has \(backlog - points) points to take in; at most \(shared.options.backlogPointsMax) may wait",
                    ["backlog": String(backlog - points), "max": String(shared.options.backlogPointsMax)]), completion)
        }
        let parts = encode(batches)
        journal.append(parts.map(\.bytes)) { [self] result in
            switch result {
            case .success(let end):
                route(parts, end: end.rawValue)
                shared.pointsAccepted.wrappingAdd(points, ordering: .relaxed)
                completion(nil)
            case .failure(let problem):
                shared.backlogPoints.wrappingSubtract(points, ordering: .relaxed)
                refuse(points, problem, completion)
            }
        }
    }

    private func refuse(_ points: Int, _ problem: Problem, _ completion: @Sendable (Problem?) -> Void) {
        shared.pointsRefused.wrappingAdd(points, ordering: .relaxed)
        completion(problem)
    }

    private struct Part {
        var bytes: Bytes
        var batches: [(batch: SampleBatch, layout: Layout)]
        var fresh: [ObjectIdentifier]
    }

    private func encode(_ batches: [SampleBatch]) -> [Part] {
        let sink = ByteSink(capacity: 64 + batches.reduce(0) { $0 + $1.count * 5 + $1.blob.count + 32 })
        var parts: [Part] = []
        var part = Part(bytes: Bytes(), batches: [], fresh: [])
        part.batches.reserveCapacity(batches.count)
        func finish() {
            part.bytes = Bytes(copying: sink.bytes)
            parts.append(part)
            sink.count = 0
            part = Part(bytes: Bytes(), batches: [], fresh: [])
        }
        for batch in batches {
            let (layout, isSent) = layout(batch.descriptor)
            let identity = ObjectIdentifier(batch.descriptor)
            if !isSent, !part.fresh.contains(identity) {
                IntakeRecord.put(layout, into: sink)
                part.fresh.append(identity)
            }
            IntakeRecord.put(batch, layout, into: sink)
            part.batches.append((batch, layout))
            if sink.count >= Self.recordBytes || part.batches.count >= Self.recordBatches { finish() }
        }
        if !part.batches.isEmpty { finish() }
        return parts
    }

    private func layout(_ descriptor: BatchDescriptor) -> (Layout, isSent: Bool) {
        let identity = ObjectIdentifier(descriptor)
        if let known = layouts.withLock({ $0.known[identity] }) { return (known.layout, known.isSent) }
        let layout = Layout(descriptor)
        layouts.withLock { layouts in
            if let older = layouts.newest[layout.groupHash] { layouts.known[older] = nil }
            layouts.newest[layout.groupHash] = identity
            layouts.known[identity] = Known(descriptor: descriptor, layout: layout)
        }
        return (layout, false)
    }

    /// Hands durable batches to their shards, in the journal's order: this runs on the journal's thread.
    private func route(_ parts: [Part], end: Int64) {
        let fresh = parts.flatMap(\.fresh)
        if !fresh.isEmpty {
            layouts.withLock { layouts in for identity in fresh { layouts.known[identity]?.isSent = true } }
        }
        var position = end - parts.reduce(0) { $0 + Int64($1.bytes.count + JournalRecord.overheadBytes) }
        for part in parts {
            let next = position + Int64(part.bytes.count + JournalRecord.overheadBytes)
            deliver(part.batches, position: position, next: next)
            position = next
        }
    }

    func deliver(_ batches: [(batch: SampleBatch, layout: Layout)], position: Int64, next: Int64) {
        var entries = [[ShardInbox.Entry]](repeating: [], count: shards.count)
        for (number, (batch, layout)) in batches.enumerated() {
            let shard = Int(layout.groupHash % UInt64(shards.count))
            entries[shard].append(
                ShardInbox.Entry(position: position << 16 | Int64(number), batch: batch, layout: layout))
        }
        for (shard, more) in zip(shards, entries) {
            shard.inbox.signal { inbox in
                inbox.routedUpTo = max(inbox.routedUpTo, next)
                if more.isEmpty { return false }
                inbox.entries += more
                return true
            }
        }
    }
}
