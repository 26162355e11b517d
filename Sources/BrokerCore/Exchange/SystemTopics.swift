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
        let now = time.now()
        publisher.publish(
            await systemTopics().map { name, text in
                Message(
                    topic: Topic(unchecked: Bytes("$SYS/" + name)), payload: .bytes(Bytes(text)), retain: true,
                    receivedAt: now, origin: origin)
            })
    }

    /// The topics below `$SYS/` and their values: `broker/...` under Mosquitto's names, `brokers/...` under EMQX's.
    func systemTopics() async -> [(name: String, value: String)] {
        let (counters, gauges) = await totals()
        let maxima = maxima.withLock { maxima in
            maxima.take(gauges)
            return maxima
        }
        let load = averages.withLock { averages in
            averages.update(
                [
                    counters.packetsReceived, counters.packetsSent, counters.publishReceived, counters.publishSent,
                    counters.dropped, counters.bytesReceived, counters.bytesSent, counters.connected,
                    counters.connected,
                ].map(Double.init), seconds: Double(max(1, limits.sysIntervalSeconds)))
            return averages.values
        }
        let figures = SystemFigures(
            counters: counters, gauges: gauges, maxima: maxima, load: load, now: time.now(), startedAt: startedAt)
        let node = limits.nodeName
        return figures.mosquittoTopics.map { ("broker/" + $0.name, $0.value) } + [("brokers", node)]
            + figures.emqxTopics.map { ("brokers/\(node)/" + $0.name, $0.value) }
    }
}

/// The most that there has been of what is published with its maximum.
struct GaugeMaxima {
    var connections = 0
    var sessions = 0
    var subscriptions = 0
    var sharedSubscriptions = 0
    var retained = 0

    mutating func take(_ gauges: ShardGauges) {
        connections = max(connections, gauges.connections)
        sessions = max(sessions, gauges.sessions)
        subscriptions = max(subscriptions, gauges.subscriptions)
        sharedSubscriptions = max(sharedSubscriptions, gauges.sharedSubscriptions)
        retained = max(retained, gauges.retained)
    }
}

/// What the broker counts and holds, as the values of system topics.
struct SystemFigures {
    let counters: ShardCounters
    let gauges: ShardGauges
    let maxima: GaugeMaxima
    /// By `LoadAverages.names` and minutes.
    let load: [[Double]]
    let now: Timestamp
    let startedAt: Timestamp

    private var uptimeSeconds: Int64 { (now.nanoseconds - startedAt.nanoseconds) / 1_000_000_000 }

    /// Below `$SYS/broker/`.
    var mosquittoTopics: [(name: String, value: String)] {
        let stored = gauges.retained + gauges.queued
        let away = gauges.sessions - gauges.connections
        var topics: [(name: String, value: String)] = [
            ("version", "tundish version 0.1"),
            ("uptime", "\(uptimeSeconds) seconds"),
            ("clients/total", "\(gauges.sessions)"),
            ("clients/connected", "\(gauges.connections)"),
            ("clients/active", "\(gauges.connections)"),
            ("clients/disconnected", "\(away)"),
            ("clients/inactive", "\(away)"),
            ("clients/maximum", "\(maxima.connections)"),
            ("clients/expired", "\(counters.sessionsExpired)"),
            ("messages/received", "\(counters.packetsReceived)"),
            ("messages/sent", "\(counters.packetsSent)"),
            ("messages/stored", "\(stored)"),
            ("store/messages/count", "\(stored)"),
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

    /// Below `$SYS/brokers/{node}/`, those of EMQX's that this broker counts.
    var emqxTopics: [(name: String, value: String)] {
        var topics: [(name: String, value: String)] = [
            ("version", "0.1"), ("sysdescr", "Tundish"), ("uptime", "\(uptimeSeconds)"), ("datetime", now.description),
        ]
        let stats = [
            ("connections", gauges.sessions, maxima.sessions),
            ("live_connections", gauges.connections, maxima.connections),
            ("sessions", gauges.sessions, maxima.sessions),
            ("subscribers", gauges.subscriptions, maxima.subscriptions),
            ("subscriptions", gauges.subscriptions, maxima.subscriptions),
            ("subscriptions/shared", gauges.sharedSubscriptions, maxima.sharedSubscriptions),
            ("retained", gauges.retained, maxima.retained),
        ]
        for (name, count, maximum) in stats {
            topics.append(("stats/\(name)/count", "\(count)"))
            topics.append(("stats/\(name)/max", "\(maximum)"))
        }
        let metrics = [
            ("bytes/received", counters.bytesReceived), ("bytes/sent", counters.bytesSent),
            ("packets/received", counters.packetsReceived), ("packets/sent", counters.packetsSent),
            ("packets/publish/received", counters.publishReceived), ("packets/publish/sent", counters.publishSent),
            ("messages/received", counters.publishReceived), ("messages/sent", counters.publishSent),
            ("messages/delivered", counters.publishSent), ("messages/dropped", counters.dropped),
            ("messages/dropped/expired", counters.expired), ("messages/retained", UInt64(gauges.retained)),
            ("client/connected", counters.connected), ("session/takenover", counters.takenOver),
            ("session/terminated", counters.sessionsExpired),
            (
                "authorization/deny",
                counters.publishDenied + counters.subscribeDenied
            ),
        ]
        for (name, count) in metrics { topics.append(("metrics/" + name, "\(count)")) }
        return topics
    }
}
