package import Formats
package import Model

/// `GET /api/v1/devices/{name}/diagnostics`.
package struct DeviceDiagnostics: Sendable {
    package enum State: String, Sendable { case connected, connecting, degraded, disconnected }

    package var device: String
    package var driver: String
    /// What the device is reached at, such as `127.0.0.1:1502`.
    package var endpoint: String
    package var state: State
    package var since: Timestamp
    package var lastError: (problem: Problem, at: Timestamp)?
    /// `requests`, `responses`, `timeouts`, `errors`, `bytesSent`, `bytesReceived`, `reconnects`, `writes`, and what
    /// else the driver counts.
    package var counters: [String: UInt64]
    /// Milliseconds; nil before the first answer.
    package var roundTripLast: Double?
    package var roundTripMean: Double?
    package var roundTripMax: Double?
    package var groups: [GroupDiagnostics]

    package init(
        device: String, driver: String, endpoint: String, state: State, since: Timestamp,
        lastError: (problem: Problem, at: Timestamp)? = nil, counters: [String: UInt64] = [:],
        roundTripLast: Double? = nil, roundTripMean: Double? = nil, roundTripMax: Double? = nil,
        groups: [GroupDiagnostics] = []
    ) {
        self.device = device
        self.driver = driver
        self.endpoint = endpoint
        self.state = state
        self.since = since
        self.lastError = lastError
        self.counters = counters
        self.roundTripLast = roundTripLast
        self.roundTripMean = roundTripMean
        self.roundTripMax = roundTripMax
        self.groups = groups
    }
}

package struct GroupDiagnostics: Sendable {
    package var name: String
    package var topic: String
    package var intervalMilliseconds: Double
    package var tags: Int
    package var good: Int
    package var bad: Int
    package var cycles: UInt64
    package var skipped: UInt64
    package var lastCycleAt: Timestamp?
    package var lastCycleMilliseconds: Double?
    package var requestsPerCycle: Int

    package init(
        name: String, topic: String, intervalMilliseconds: Double, tags: Int, good: Int, bad: Int, cycles: UInt64,
        skipped: UInt64, lastCycleAt: Timestamp?, lastCycleMilliseconds: Double?, requestsPerCycle: Int
    ) {
        self.name = name
        self.topic = topic
        self.intervalMilliseconds = intervalMilliseconds
        self.tags = tags
        self.good = good
        self.bad = bad
        self.cycles = cycles
        self.skipped = skipped
        self.lastCycleAt = lastCycleAt
        self.lastCycleMilliseconds = lastCycleMilliseconds
        self.requestsPerCycle = requestsPerCycle
    }
}

/// Which tags are asked for. `text` is looked for in device, group, tag, description and address, whatever the case.
package struct TagQuery: Sendable {
    package var text: String?
    package var device: String?
    package var group: String?
    package var limit: Int
    package var offset: Int

    package init(text: String? = nil, device: String? = nil, group: String? = nil, limit: Int = 200, offset: Int = 0) {
        self.text = text
        self.device = device
        self.group = group
        self.limit = limit
        self.offset = offset
    }
}

package struct TagPage: Sendable {
    /// How many match, whatever the page.
    package var total: Int
    package var items: [TagInfo]

    package init(total: Int, items: [TagInfo]) {
        self.total = total
        self.items = items
    }
}

/// A tag with its newest sample.
package struct TagInfo: Sendable {
    package var device: String
    package var group: String
    package var tag: Tag
    package var address: String?
    package var timestamp: Timestamp?
    package var value: Value?
    package var quality: Quality
    /// The name of a quality that is not good.
    package var status: StatusName?

    package init(
        device: String, group: String, tag: Tag, address: String? = nil, timestamp: Timestamp? = nil,
        value: Value? = nil, quality: Quality = .badWaitingForInitialData, status: StatusName? = nil
    ) {
        self.device = device
        self.group = group
        self.tag = tag
        self.address = address
        self.timestamp = timestamp
        self.value = value
        self.quality = quality
        self.status = status
    }
}

/// `POST /api/v1/write`.
package struct WriteRequest: Sendable {
    package var device: String
    package var group: String
    /// In the order of the request; not yet converted to the tags' types.
    package var values: [WriteItem]
    /// The user or token that asks.
    package var author: String

    package init(device: String, group: String, values: [WriteItem], author: String) {
        self.device = device
        self.group = group
        self.values = values
        self.author = author
    }
}

package struct WriteAnswer: Sendable {
    package var timestamp: Timestamp
    package var results: [WriteResult]

    package init(timestamp: Timestamp, results: [WriteResult]) {
        self.timestamp = timestamp
        self.results = results
    }
}

/// `GET /api/v1/rules/{name}/metrics`.
package struct RuleMetrics: Sendable {
    package var matched: UInt64
    package var passed: UInt64
    package var failed: UInt64
    package var emitted: UInt64
    package var lastError: Problem?
    /// Messages matched per second, lately.
    package var perSecond: Double

    package init(
        matched: UInt64, passed: UInt64, failed: UInt64, emitted: UInt64, lastError: Problem? = nil, perSecond: Double
    ) {
        self.matched = matched
        self.passed = passed
        self.failed = failed
        self.emitted = emitted
        self.lastError = lastError
        self.perSecond = perSecond
    }
}
