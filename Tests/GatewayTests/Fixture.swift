import Bus
import DriverKit
import Gateway
import Model
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

/// A bus that remembers what was published and hands it to who subscribed.
final class RecordingBus: Bus {
    struct State {
        var published: [Message] = []
        var subscriptions: [Int: (filters: [TopicFilter], deliver: @Sendable ([Message]) -> Void)] = [:]
        var next = 0
        var isFull = false
    }

    let state = Mutex(State())

    var published: [Message] { state.withLock { $0.published } }
    func messages(_ topic: String) -> [Message] { published.filter { $0.topic.string == topic } }
    func batches(_ topic: String) -> [SampleBatch] { messages(topic).compactMap(\.payload.samples) }

    func publisher(_ origin: Origin) -> any BusPublisher { Publisher(bus: self) }

    func subscribe(
        _ filters: [TopicFilter], name: String, options: SubscribeOptions,
        deliver: @escaping @Sendable ([Message]) -> Void
    ) async throws -> any BusSubscription {
        let id = state.withLock { state in
            state.next += 1
            state.subscriptions[state.next] = (filters, deliver)
            return state.next
        }
        return Subscription(bus: self, id: id)
    }

    func send(_ message: Message) {
        let receivers = state.withLock { state in
            state.subscriptions.values.filter { $0.filters.contains { $0.matches(message.topic) } }.map(\.deliver)
        }
        for deliver in receivers { deliver([message]) }
    }

    private struct Publisher: BusPublisher {
        let bus: RecordingBus
        func publish(_ messages: [Message]) -> Bool {
            let isTaken = bus.state.withLock { state in
                if !state.isFull { state.published += messages }
                return !state.isFull
            }
            if isTaken { for message in messages { bus.send(message) } }
            return isTaken
        }
        func publishConfirmed(_ messages: [Message]) async -> [PublishOutcome] {
            messages.map { _ in publish(messages) ? .accepted : .noSubscribers }
        }
    }

    private struct Subscription: BusSubscription {
        let bus: RecordingBus
        let id: Int
        func update(_ filters: [TopicFilter]) async throws {}
        func cancel() async { bus.state.withLock { $0.subscriptions[id] = nil } }
    }
}

/// What the toy devices of a test do, by host name; shared with the test.
final class ToyWorld: Sendable {
    struct Toy {
        var isReachable = true
        /// Numbers by address; what is absent is an unknown address.
        var values: [String: Double] = [:]
        var isHolding = false
        var connects = 0
        var closes = 0
        var reads = 0
        var written: [(String, Value)] = []
        /// Lets the test speak for the device.
        var drop: (@Sendable () -> Void)?
        var report: (@Sendable (String, Double) -> Void)?
        var held: [@Sendable () -> Void] = []
    }

    static let shared = ToyWorld()
    private let toys = Mutex<[String: Toy]>([:])

    func toy(_ host: String) -> Toy { toys.withLock { $0[host] ?? Toy() } }
    func change<R: Sendable>(_ host: String, _ body: @Sendable (inout Toy) -> R) -> R {
        toys.withLock { body(&$0[host, default: Toy()]) }
    }
    func release(_ host: String) {
        let held = change(host) { toy in
            defer { toy.held = [] }
            toy.isHolding = false
            return toy.held
        }
        for resume in held { resume() }
    }
}

final class ToyPlan: ReadPlan {
    let descriptor: BatchDescriptor
    let tags: [TagSpec]
    let problems: [Int: Problem]
    var requestCount: Int { 1 }

    init(_ tags: [TagSpec], _ descriptor: BatchDescriptor, problems: [Int: Problem]) {
        self.tags = tags
        self.descriptor = descriptor
        self.problems = problems
    }
}

class ToyBase {
    let context: DriverContext
    let host: String
    var events: DriverEvents?
    var plans: [ToyPlan] = []
    let endpoint: String
    var counters = DriverCounters()

    init(_ context: DriverContext, _ settings: ConfigValue) throws(Problem) {
        guard let host = settings["host"]?.string else {
            throw Problem("device.configuration", "connection: host is missing")
        }
        self.context = context
        self.host = host
        endpoint = host
    }

    static func schema() -> Schema { Schema([Field("host", .string, required: true, help: "Name.")]) }

    func validate(_ tag: TagSpec) -> Problem? {
        tag.address.hasPrefix("!") ? tag.problem(AddressProblem(column: 1, reason: "must not begin with \"!\"")) : nil
    }

    func plan(_ tags: [TagSpec], _ descriptor: BatchDescriptor) -> any ReadPlan {
        var problems: [Int: Problem] = [:]
        for (index, tag) in tags.enumerated() { problems[index] = validate(tag) }
        return ToyPlan(tags, descriptor, problems: problems)
    }

    func connect(_ events: DriverEvents) async throws(Problem) {
        let isReachable = ToyWorld.shared.change(host) { toy in
            toy.connects += 1
            return toy.isReachable
        }
        guard isReachable else { throw Problem("device.unreachable", "\(host): nobody is there") }
        self.events = events
        let box = NIOLoopBound(self, eventLoop: context.eventLoop)
        let loop = context.eventLoop
        ToyWorld.shared.change(host) { toy in
            toy.drop = { loop.execute { box.value.events?.connectionLost(Problem("device.connection_lost", "gone")) } }
            toy.report = { address, value in loop.execute { box.value.report(address, value) } }
        }
    }

    func report(_ address: String, _ value: Double) {
        for plan in plans {
            guard let index = plan.tags.firstIndex(where: { $0.address == address }) else { continue }
            let builder = SampleBatchBuilder(sparse: plan.descriptor, timestamp: context.time.now())
            builder.set(tag: index, slot: slot(value, plan.tags[index].wireType.scalar))
            events?.samples(plan, builder)
        }
    }

    func subscribe(_ plan: any ReadPlan) async throws(Problem) {
        if let plan = plan as? ToyPlan { plans.append(plan) }
    }

    func unsubscribe(_ plan: any ReadPlan) async { plans.removeAll { $0 === plan } }

    private func slot(_ value: Double, _ type: ScalarType) -> UInt64 {
        switch type {
        case .float32: UInt64(Float(value).bitPattern)
        case .float64: value.bitPattern
        default: UInt64(bitPattern: Int64(value))
        }
    }

    func read(_ plan: any ReadPlan, into builder: SampleBatchBuilder) async {
        guard let plan = plan as? ToyPlan else { return }
        let isHolding = ToyWorld.shared.change(host) { toy in
            toy.reads += 1
            return toy.isHolding
        }
        if isHolding {
            let host = host
            await withCheckedContinuation { continuation in
                ToyWorld.shared.change(host) { $0.held.append { continuation.resume() } }
            }
        }
        let toy = ToyWorld.shared.toy(host)
        for (index, tag) in plan.tags.enumerated() {
            if plan.problems[index] != nil {
                builder.fail(tag: index, .badAddressInvalid)
            } else if events == nil {
                builder.fail(tag: index, .badNoCommunication)
            } else if let value = toy.values[tag.address] {
                builder.set(tag: index, slot: slot(value, tag.wireType.scalar))
            } else {
                builder.fail(tag: index, .badAddressUnknown)
            }
        }
    }

    func write(_ items: [TagWrite]) async -> [TagWriteOutcome] {
        let isHolding = ToyWorld.shared.toy(host).isHolding
        if isHolding {
            let host = host
            await withCheckedContinuation { continuation in
                ToyWorld.shared.change(host) { $0.held.append { continuation.resume() } }
            }
        }
        return items.map { item in
            ToyWorld.shared.change(host) { toy in
                guard toy.values[item.spec.address] != nil else { return .failed(.badAddressUnknown) }
                toy.written.append((item.spec.address, item.value))
                toy.values[item.spec.address] = item.value.double ?? 0
                return .written
            }
        }
    }

    func close() {
        events = nil
        plans = []
        ToyWorld.shared.change(host) { $0.closes += 1 }
    }
}

final class ToyDriver: ToyBase, Driver {
    static let info = DriverInfo(
        name: "toy", title: "Toy", titleChinese: "玩具", connection: ToyBase.schema(), addressHelp: "any",
        addressHelpChinese: "任意")
    init(_ context: DriverContext, settings: ConfigValue) throws(Problem) { try super.init(context, settings) }
}

final class ToyEventDriver: ToyBase, Driver {
    static let info = DriverInfo(
        name: "toy_events", title: "Toy", titleChinese: "玩具", connection: ToyBase.schema(), addressHelp: "any",
        addressHelpChinese: "任意", acquisition: .unsolicited)
    init(_ context: DriverContext, settings: ConfigValue) throws(Problem) { try super.init(context, settings) }
}

/// No jitter.
struct NoRandom: RandomSource {
    func next() -> UInt64 { 0 }
}

/// A gateway with toys on a loop whose time the test moves.
struct Fixture {
    let bus = RecordingBus()
    let loop = NIOAsyncTestingEventLoop()
    let gateway: Gateway
    let host: String
    let statuses = StatusLog()

    final class StatusLog: Sendable {
        private let entries = Mutex<[DeviceStatus]>([])
        func add(_ status: DeviceStatus) { entries.withLock { $0.append(status) } }
        var all: [DeviceStatus] { entries.withLock { $0 } }
    }

    init(_ values: [String: Double] = ["a": 1, "b": 2], host: String = #function) {
        self.host = host
        let statuses = statuses
        gateway = Gateway(
            drivers: [ToyDriver.self, ToyEventDriver.self], bus: bus, loops: loop, random: NoRandom(), links: NoLinks(),
            onStatus: { _, status in statuses.add(status) })
        ToyWorld.shared.change(host) {
            $0 = ToyWorld.Toy()
            $0.values = values
        }
    }

    var toy: ToyWorld.Toy { ToyWorld.shared.toy(host) }
    func change(_ body: @Sendable (inout ToyWorld.Toy) -> Void) { ToyWorld.shared.change(host, body) }

    func device(_ groups: [GroupConfiguration], driver: String = "toy", host other: String? = nil)
        -> DeviceConfiguration
    {
        DeviceConfiguration(
            name: "press", uid: "uid", driver: driver, connection: .object(["host": .string(other ?? host)]),
            groups: groups)
    }

    func group(
        _ name: String = "fast", _ interval: Duration = .seconds(1), _ tags: [TagConfiguration]? = nil,
        report: ReportPolicy = .cycle
    ) -> GroupConfiguration {
        GroupConfiguration(
            name: name, interval: interval, report: report,
            tags: tags ?? [
                TagConfiguration(name: "a", address: "a", type: ValueType(.float64), access: .readWrite),
                TagConfiguration(name: "b", address: "b", type: ValueType(.int16), access: .readWrite),
            ])
    }

    /// Waits, with a deadline, for what other tasks are about to make true.
    func eventually(
        _ text: String, at location: SourceLocation = #_sourceLocation, _ condition: () async -> Bool
    ) async {
        let deadline = ContinuousClock.now + .seconds(10)
        while await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("not within 10 s: \(text)", sourceLocation: location)
                return
            }
            await loop.run()
            await Task.yield()
        }
    }

    func pass(_ time: TimeAmount) async { await loop.advanceTime(by: time) }

    func end() async {
        await gateway.shutdown()
        ToyWorld.shared.release(host)
    }
}

struct NoLinks: LinkConnector {
    func connect(host: String, port: Int, timeout: TimeAmount, on eventLoop: any EventLoop) async throws(Problem)
        -> any Link
    {
        throw Problem("device.unreachable", "no network here")
    }
}
