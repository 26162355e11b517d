package import Bus
import Model
import Synchronization

/// Puts recorded groups' samples from the bus into the historian. Its `deliver` fits `Bus.subscribe`.
///
/// Bounded by the historian's backlog: what does not fit is refused there and counted here and there.
package final class HistorianRecorder: Sendable {
    private let historian: Historian
    private let batches = Counter()
    private let refused = Counter()

    package init(_ historian: Historian) { self.historian = historian }

    /// Messages without typed samples, and groups with `record: false`, are passed over. Does not block.
    package func deliver(_ messages: [Message]) {
        var recorded: [SampleBatch] = []
        for message in messages {
            guard let batch = message.payload.samples, batch.descriptor.isRecorded, batch.count > 0 else { continue }
            recorded.append(batch)
        }
        if recorded.isEmpty { return }
        batches.add(recorded.count)
        let points = recorded.reduce(0) { $0 + $1.count }
        historian.append(recorded) { [refused] problem in
            if problem != nil { refused.add(points) }
        }
    }

    /// Batches handed to the historian.
    package var batchesRecorded: Int { Int(batches.count) }
    /// Points that the historian refused.
    package var pointsRefused: Int { Int(refused.count) }
}
