package import Bus
package import Model
import Synchronization

/// What one shard counts for one filter. Belongs to its event loop.
final class TopicMeter: @unchecked Sendable {
    let filter: TopicFilter
    var received: (UInt64, UInt64, UInt64) = (0, 0, 0)
    var receivedBytes: UInt64 = 0
    var sent: UInt64 = 0
    var dropped: UInt64 = 0

    init(_ filter: TopicFilter) { self.filter = filter }
}

/// The meters of a route; most routes have none, and pay for it with one comparison with nil.
final class RouteMeters {
    private let meters: [TopicMeter]

    init?(_ topic: Bytes, _ all: [TopicMeter]) {
        if all.isEmpty { return nil }
        let topic = Topic(unchecked: topic)
        meters = all.filter { $0.filter.matches(topic) }
        if meters.isEmpty { return nil }
    }

    func received(qos: UInt8, bytes: Int) {
        for meter in meters {
            switch qos {
            case 0: meter.received.0 += 1
            case 1: meter.received.1 += 1
            default: meter.received.2 += 1
            }
            meter.receivedBytes += UInt64(bytes)
        }
    }

    func delivered(_ count: Int, dropped: UInt64) {
        for meter in meters {
            meter.sent += UInt64(count)
            meter.dropped += dropped
        }
    }
}

extension Exchange {
    /// Filters that may be counted at a time.
    package static let topicMetersMax = 256

    /// Counts the messages of topics that `filter` matches from now on. Fails with `topic_metrics.count`,
    /// `topic_metrics.shared`, `topic_metrics.exists`.
    package func startTopicMetrics(_ filter: TopicFilter) async throws(Problem) {
        guard filter.shareName == nil else {
            throw Problem("topic_metrics.shared", "\"\(filter.text)\" names a shared subscription: count its filter")
        }
        let now = time.now()
        let fault: Problem? = topicMeters.withLock { meters in
            if meters[filter.text] != nil {
                return Problem(
                    "topic_metrics.exists", "\"\(filter.text)\" is counted already", ["filter": filter.text])
            }
            guard meters.count < Self.topicMetersMax else {
                return Problem(
                    "topic_metrics.count", "\(Self.topicMetersMax) filters are counted; stop one of them first",
                    ["allowed": "\(Self.topicMetersMax)"])
            }
            meters[filter.text] = now
            return nil
        }
        if let fault { throw fault }
        for shard in shards { await shard.run { $0.addMeter(TopicMeter(filter)) } }
    }

    /// False: it was not counted.
    package func stopTopicMetrics(_ filter: String) async -> Bool {
        guard topicMeters.withLock({ $0.removeValue(forKey: filter) }) != nil else { return false }
        for shard in shards { await shard.run { $0.removeMeter(filter) } }
        return true
    }

    /// By filter.
    package func topicMetrics() async -> [TopicFigures] {
        var figures = topicMeters.withLock { meters in
            meters.mapValues { TopicFigures(filter: "", startedAt: $0) }
        }
        for shard in shards {
            let parts = await shard.run { shard in
                shard.meters.map { meter in
                    (meter.filter.text, meter.received, meter.receivedBytes, meter.sent, meter.dropped)
                }
            }
            for (filter, received, bytes, sent, dropped) in parts {
                guard var one = figures[filter] else { continue }
                one.filter = filter
                one.received[0] += received.0
                one.received[1] += received.1
                one.received[2] += received.2
                one.receivedBytes += bytes
                one.sent += sent
                one.dropped += dropped
                figures[filter] = one
            }
        }
        return figures.values.filter { !$0.filter.isEmpty }.sorted { $0.filter < $1.filter }
    }
}

extension Shard {
    func addMeter(_ meter: TopicMeter) {
        meters.append(meter)
        changed(Bytes(meter.filter.pattern))
    }

    func removeMeter(_ filter: String) {
        guard let index = meters.firstIndex(where: { $0.filter.text == filter }) else { return }
        let meter = meters.remove(at: index)
        changed(Bytes(meter.filter.pattern))
    }
}
