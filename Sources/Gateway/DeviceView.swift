package import Model

/// What a device is doing.
package enum DeviceState: String, Sendable {
    /// Not enabled, or removed.
    case stopped
    /// Trying for the first time.
    case connecting
    /// Connected, and every tag is good.
    case connected
    /// Connected, but some tags are not.
    case degraded
    /// Not connected, or silent.
    case disconnected
    /// Cannot run as configured.
    case failed
}

/// A device's state with the reason.
package struct DeviceStatus: Sendable, Hashable {
    package var state: DeviceState
    /// Stable code; empty where all is well.
    package var code: String
    package var message: String
    package var arguments: [String: String]
    package var since: Timestamp

    package init(_ state: DeviceState, _ problem: Problem? = nil, since: Timestamp) {
        self.state = state
        code = problem?.code ?? ""
        message = problem?.message ?? ""
        arguments = problem?.arguments ?? [:]
        self.since = since
    }
}

/// One tag with its present value.
package struct TagReading: Sendable, Hashable {
    package var device: String
    package var group: String
    package var tag: Tag
    package var address: String
    /// Nil while the quality is bad.
    package var value: Value?
    package var quality: Quality
    /// The stable code and sentence of the quality; nil while it is good.
    package var error: StatusName?
    package var timestamp: Timestamp
}

/// What became of one tag of a write.
package struct TagWriteResult: Sendable, Hashable {
    package var tag: String
    /// The value as it is in the device now.
    package var value: Value?
    package var problem: Problem?
}

package struct GroupDiagnostics: Sendable, Hashable {
    package var name: String
    package var topic: String
    package var intervalMilliseconds: Double
    package var tags: Int
    package var good: Int
    package var bad: Int
    package var cycles: UInt64
    /// Cycles left out because the one before was still going on.
    package var skipped: UInt64
    package var lastCycleAt: Timestamp?
    package var lastCycleMilliseconds: Double
    package var requestsPerCycle: Int
}

package struct DeviceDiagnostics: Sendable, Hashable {
    package var device: String
    package var driver: String
    package var endpoint: String
    package var status: DeviceStatus
    package var lastError: Problem?
    package var lastErrorAt: Timestamp?
    /// Requests, responses, timeouts, errors, retries, bytesSent, bytesReceived, reconnects, writes, ...: by name, in
    /// the order in which they are shown.
    package var counters: [CounterReading]
    package var roundTripLastMilliseconds: Double
    package var roundTripMeanMilliseconds: Double
    package var roundTripMaxMilliseconds: Double
    package var groups: [GroupDiagnostics]
}

/// One counter of a device, named as it is shown.
package struct CounterReading: Sendable, Hashable {
    package var name: String
    package var value: UInt64

    package init(_ name: String, _ value: UInt64) {
        self.name = name
        self.value = value
    }
}

/// Numbers over all devices.
package struct GatewaySummary: Sendable, Hashable {
    package var devices = 0
    package var connected = 0
    package var degraded = 0
    package var disconnected = 0
    package var tags = 0
    package var tagsGood = 0
    package var tagsBad = 0
    /// Tags read since the start, good or not.
    package var samples: UInt64 = 0
    package var batches: UInt64 = 0
    package var cyclesSkipped: UInt64 = 0
    package var publishDropped: UInt64 = 0

    package init() {}
}
