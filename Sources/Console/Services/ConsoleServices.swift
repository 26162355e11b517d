package import Model

/// What the console shows and does beyond resources and accounts. The node implements it over the running parts.
/// Every call may come from any task and many at a time.
package protocol ConsoleServices: ConsoleBroker {
    /// The whole system at a glance. Called once a tick however many browsers watch.
    func status() async -> StatusReport
    /// Nil: no such device runs.
    func diagnostics(device: String) async -> DeviceDiagnostics?
    func tags(_ query: TagQuery) async -> TagPage
    /// Returns when the device has confirmed, or with an error for each tag that it did not.
    /// Throws `device.unknown`, `group.unknown`.
    func write(_ request: WriteRequest) async throws(Problem) -> WriteAnswer
    /// Throws `tag.unknown`, `query.invalid`.
    func query(_ query: HistoryQuery) async throws(Problem) -> HistoryAnswer
    /// Keeps points in the historian; returns when they are on the disk.
    func record(_ points: [RecordedPoint]) async throws(Problem)
    /// Nil: no such rule.
    func ruleMetrics(_ name: String) async -> RuleMetrics?
    /// Nil: no such sink.
    func sinkFigures(_ name: String) async -> SinkFigures?
    /// Newest first. Nil: no such sink.
    func refusedRows(ofSink name: String, limit: Int) async -> [RefusedSinkRow]?
    func alarms() async -> [AlarmInfo]
    /// Returns how many there were to acknowledge. Throws `alarm.unknown`, `alarm.foreign` for one that no rule of
    /// ours raised, `alarm.nothing_to_acknowledge`.
    func acknowledge(alarm id: String, by username: String) async throws(Problem) -> Int
    func drivers() async -> [DriverInfo]
    /// Readings of everything that counts, for `/metrics`.
    func metrics() async -> [MetricSample]
    func readiness() async -> Readiness
    /// The newest values of tags, for live pages; one call a tick. One answer for each request, in order.
    func liveValues(_ requests: [LiveGroupRequest]) async -> [LiveGroupAnswer]
}

extension ConsoleServices {
    package func record(_ points: [RecordedPoint]) async throws(Problem) {
        throw Problem("historian.missing", "there is no historian here")
    }
}

/// The tags of one group that are on somebody's screen.
package struct LiveGroupRequest: Sendable, Hashable {
    package var device: String
    package var group: String
    package var tags: [String]
    /// The version of the answer that the console has already; nil: it has none for this list of tags.
    package var knownVersion: UInt64?

    package init(device: String, group: String, tags: [String], knownVersion: UInt64? = nil) {
        self.device = device
        self.group = group
        self.tags = tags
        self.knownVersion = knownVersion
    }
}

package enum LiveGroupAnswer: Sendable {
    /// There is no such group (yet).
    case unknown
    /// Nothing in the group has changed since `knownVersion`.
    case unchanged
    /// One value for each tag of the request; nil where the group has no such tag or no sample yet. The version
    /// differs from that of any other state of the group (a count of its batches, for example).
    case values(version: UInt64, [LiveValue?])
}

/// The newest sample of a tag.
package struct LiveValue: Sendable, Hashable {
    package var timestamp: Timestamp
    /// Nil when the quality is bad.
    package var value: Value?
    /// Nil when good; otherwise the stable code, such as `device.timeout`.
    package var code: String?

    package init(timestamp: Timestamp, value: Value?, code: String? = nil) {
        self.timestamp = timestamp
        self.value = value
        self.code = code
    }
}

package struct Readiness: Sendable {
    package var isReady: Bool
    /// What is missing, one entry per part.
    package var reasons: [Problem]

    package init(isReady: Bool, reasons: [Problem] = []) {
        self.isReady = isReady
        self.reasons = reasons
    }
}

/// A driver of the catalogue and the form of its connection.
package struct DriverInfo: Sendable {
    package var name: String
    package var title: String
    package var titleChinese: String?
    package var connection: Schema

    package init(name: String, title: String, titleChinese: String? = nil, connection: Schema) {
        self.name = name
        self.title = title
        self.titleChinese = titleChinese
        self.connection = connection
    }
}
