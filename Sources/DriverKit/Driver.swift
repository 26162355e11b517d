package import Model
package import NIOCore

/// A southbound driver: one conversation with one device.
///
/// An instance belongs to one event loop: the host creates it, calls it and drops it there, and its callbacks come
/// there, so it needs no locks and is not Sendable. The host owns schedule, reconnect and back-off, scaling, reports
/// and the console's view; a driver adds only what its protocol has. The pieces of a driver, each tested without a
/// socket: the codec (`Wire`), the address, the plan, the session.
///
/// Order of calls: `init`, any number of `validate` and `plan`; `connect`; then `read`, `write`, `subscribe` in any
/// overlap, of which a `write` goes ahead of every request that waits; `close`. After a failed `connect` or
/// `DriverEvents.connectionLost` the host calls `close` and later `connect` again on the same instance.
package protocol Driver: AnyObject, SendableMetatype {
    static var info: DriverInfo { get }

    /// Checks the settings, which follow `info.connection`. No I/O.
    init(_ context: DriverContext, settings: ConfigValue) throws(Problem)

    /// Where the device is, for people: `127.0.0.1:1502`.
    var endpoint: String { get }

    /// What is wrong with a tag; nil if it can be read or written as its access says. No I/O.
    func validate(_ tag: TagSpec) -> Problem?

    /// How to read a group in as few requests as the protocol and the device's limits allow. A tag that `validate`
    /// refuses fails alone: the plan carries its problem and the others are read. No I/O.
    ///
    /// `tags` and `descriptor.tags` have the same order. A plan is read by one `read` at a time.
    func plan(_ tags: [TagSpec], _ descriptor: BatchDescriptor) -> any ReadPlan

    /// Opens the conversation and whatever the protocol wants before the first request. Called once at a time.
    /// `events` is kept until `close`.
    func connect(_ events: DriverEvents) async throws(Problem)

    /// Reads once. Every row of `builder`, which is dense, gets a value or the quality that says why not; returns
    /// when all have one. Never throws: what fails, fails for the tags it fails for.
    func read(_ plan: any ReadPlan, into builder: SampleBatchBuilder) async

    /// Writes, ahead of all reads that wait; returns one outcome for each item, in order, after the device has
    /// confirmed or refused.
    func write(_ items: [TagWrite]) async -> [TagWriteOutcome]

    /// Asks for a group's samples as they change; they come by `events.samples` until `unsubscribe` or the loss of
    /// the connection. Only for drivers that are not `.polled`.
    func subscribe(_ plan: any ReadPlan) async throws(Problem)
    func unsubscribe(_ plan: any ReadPlan) async

    /// What the device has below an address; nil asks for the top. Error `driver.cannot_browse` where it cannot.
    func browse(below address: String?) async throws(Problem) -> [BrowsedTag]

    /// Ends the conversation at once; what is outstanding fails with `Quality.badNotConnected`. Idempotent.
    func close()

    var counters: DriverCounters { get }
}

extension Driver {
    package func subscribe(_ plan: any ReadPlan) async throws(Problem) {}
    package func unsubscribe(_ plan: any ReadPlan) async {}

    package func browse(below address: String?) async throws(Problem) -> [BrowsedTag] {
        throw Problem(
            "driver.cannot_browse", "driver \"\(Self.info.name)\" cannot list what a device has",
            ["driver": Self.info.name])
    }
}

/// How a driver reads one group. A class of the driver's own; confined to its event loop.
package protocol ReadPlan: AnyObject {
    var descriptor: BatchDescriptor { get }
    /// Requests of a whole cycle when nothing fails.
    var requestCount: Int { get }
    /// Tags that cannot be read, by index, and why.
    var problems: [Int: Problem] { get }
}

/// What the host gives a driver.
package struct DriverContext {
    /// The device's name, for messages.
    package let device: String
    package let eventLoop: any EventLoop
    package let time: any TimeSource
    package let random: any RandomSource
    package let links: any LinkConnector

    package init(
        device: String, eventLoop: any EventLoop, time: any TimeSource, random: any RandomSource,
        links: any LinkConnector
    ) {
        self.device = device
        self.eventLoop = eventLoop
        self.time = time
        self.random = random
        self.links = links
    }
}

/// What happens without being asked for. Called on the driver's event loop only.
package final class DriverEvents {
    private let onSamples: (any ReadPlan, SampleBatchBuilder) -> Void
    private let onLost: (Problem) -> Void

    package init(
        samples: @escaping (any ReadPlan, SampleBatchBuilder) -> Void, connectionLost: @escaping (Problem) -> Void
    ) {
        onSamples = samples
        onLost = connectionLost
    }

    /// Samples of a subscribed group, unscaled, in a sparse builder made from the plan's descriptor; with source
    /// times where the protocol has them.
    package func samples(_ plan: any ReadPlan, _ builder: SampleBatchBuilder) { onSamples(plan, builder) }

    /// The conversation ended on its own. At most once per `connect`; the driver has failed what was outstanding.
    package func connectionLost(_ problem: Problem) { onLost(problem) }
}

/// What a driver counts since it was made. Plain integers of the loop.
package struct DriverCounters: Sendable, Hashable {
    package var requests: UInt64 = 0
    package var responses: UInt64 = 0
    package var timeouts: UInt64 = 0
    /// Answers of the device that report an error.
    package var errors: UInt64 = 0
    package var retries: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    /// Requests that were not sent because their unit is silent.
    package var skippedSilent: UInt64 = 0
    /// Requests refused because too many waited.
    package var refused: UInt64 = 0
    package var roundTripLastNanoseconds: Int64 = 0
    package var roundTripSumNanoseconds: Int64 = 0
    package var roundTripMaxNanoseconds: Int64 = 0

    package init() {}

    package mutating func roundTrip(nanoseconds: Int64) {
        roundTripLastNanoseconds = nanoseconds
        roundTripSumNanoseconds &+= nanoseconds
        roundTripMaxNanoseconds = max(roundTripMaxNanoseconds, nanoseconds)
    }
}
