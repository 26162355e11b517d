import Bus
import Model
import NIOCore
import Synchronization

/// Rates over 1, 5 and 15 minutes, as Mosquitto computes its `load` topics: exponentially weighted, per minute.
struct LoadAverages {
    static let names = [
        "messages/received", "messages/sent", "publish/received", "publish/sent", "publish/dropped", "bytes/received",
        "bytes/sent", "sockets", "connections",
    ]
    static let minutes = [1, 5, 15]
    private var last: [Double] = Array(repeating: 0, count: names.count)
    private(set) var values: [[Double]] = Array(repeating: [0, 0, 0], count: names.count)

    mutating func update(_ totals: [Double], seconds: Double) {
        for (index, total) in totals.enumerated() where index < last.count {
            let perMinute = (total - last[index]) * 60 / seconds
            last[index] = total
            for (column, minutes) in Self.minutes.enumerated() {
                let weight = Self.decay(seconds / Double(minutes * 60))
                values[index][column] = perMinute + weight * (values[index][column] - perMinute)
            }
        }
    }

    /// e to the power of -x for small positive x, without a mathematics library.
    static func decay(_ x: Double) -> Double {
        var term = 1.0
        var sum = 1.0
        for n in 1...24 {
            term *= -min(x, 8) / Double(n)
            sum += term
        }
        return max(0, sum)
    }
}

extension Exchange {
    func startSystemTopics() {
        guard limits.sysIntervalSeconds > 0, let shard = shards.first else { return }
        let origin = Origin(.system, clientID: "$SYS")
        let publisher = publisher(origin)
        let interval = Int64(limits.sysIntervalSeconds)
        shard.loop.execute {
            shard.systemTopicsTask = shard.loop.scheduleRepeatedTask(
                initialDelay: .seconds(0), delay: .seconds(interval)
            ) { [weak self] task in
                guard let self else {
                    task.cancel()
                    return
                }
                Task { await self.publishSystemTopics(publisher, origin) }
            }
        }
    }

    private func publishSystemTopics(_ publisher: any BusPublisher, _ origin: Origin) async {
        let values = await systemTopics()
        let now = time.now()
        var messages: [Message] = []
        for (name, text) in values {
            messages.append(
                Message(
                    topic: Topic(unchecked: Bytes("$SYS/broker/" + name)), payload: .bytes(Bytes(text)), retain: true,
                    receivedAt: now, origin: origin))
        }
        publisher.publish(messages)
    }

    /// The topics below `$SYS/broker/` and their values, under Mosquitto's names.
    func systemTopics() async -> [(name: String, value: String)] {
        let (counters, gauges) = await totals()
        let uptime = (time.now().nanoseconds - startedAt.nanoseconds) / 1_000_000_000
        let maximum = max(clientsMaximum.load(ordering: .relaxed), gauges.connections)
        clientsMaximum.store(maximum, ordering: .relaxed)
        let load = averages.withLock { averages in
            averages.update(
                [
                    counters.packetsReceived, counters.packetsSent, counters.publishReceived, counters.publishSent,
                    counters.dropped, counters.bytesReceived, counters.bytesSent, counters.connected,
                    counters.connected,
                ].map(Double.init), seconds: Double(max(1, limits.sysIntervalSeconds)))
            return averages.values
        }
        var topics: [(name: String, value: String)] = [
            ("version", "tundish version 0.1"),
            ("uptime", "\(uptime) seconds"),
            ("clients/total", "\(gauges.sessions)"),
            ("clients/connected", "\(gauges.connections)"),
            ("clients/active", "\(gauges.connections)"),
            ("clients/disconnected", "\(gauges.sessions - gauges.connections)"),
            ("clients/inactive", "\(gauges.sessions - gauges.connections)"),
            ("clients/maximum", "\(maximum)"),
            ("clients/expired", "\(counters.sessionsExpired)"),
            ("messages/received", "\(counters.packetsReceived)"),
            ("messages/sent", "\(counters.packetsSent)"),
            ("messages/stored", "\(gauges.retained + gauges.queued)"),
            ("store/messages/count", "\(gauges.retained + gauges.queued)"),
            ("store/messages/bytes", "\(gauges.retainedBytes)"),
            ("retained messages/count", "\(gauges.retained)"),
            ("subscriptions/count", "\(gauges.subscriptions)"),
            ("shared_subscriptions/count", "\(gauges.sharedSubscriptions)"),
            ("publish/messages/received", "\(counters.publishReceived)"),
            ("publish/messages/sent", "\(counters.publishSent)"),
            ("publish/messages/dropped", "\(counters.dropped)"),
            ("publish/bytes/received", "\(counters.publishBytesReceived)"),
            ("publish/bytes/sent", "\(counters.publishBytesSent)"),
            ("bytes/received", "\(counters.bytesReceived)"),
            ("bytes/sent", "\(counters.bytesSent)"),
        ]
        for (index, name) in LoadAverages.names.enumerated() {
            for (column, minutes) in LoadAverages.minutes.enumerated() {
                let hundredths = Int64((load[index][column] * 100).rounded())
                let fraction = abs(hundredths % 100)
                topics.append(
                    ("load/\(name)/\(minutes)min", "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"))
            }
        }
        return topics
    }
}
