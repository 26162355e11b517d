import Bus
import Formats
import Model

/// The rules of one topic and the fields that they use together.
final class TopicPlan {
    let runners: [RuleRunner]
    let table: FieldTable
    /// Rule by rule, from its fields to the table's.
    private let maps: [UnsafeMutablePointer<Int32>]

    init(_ runners: [RuleRunner]) {
        self.runners = runners
        var paths: [[JSONStep]] = []
        var indexes: [[JSONStep]: Int32] = [:]
        maps = runners.map { runner in
            let map = UnsafeMutablePointer<Int32>.allocate(capacity: max(runner.rule.fields.count, 1))
            for (field, path) in runner.rule.fields.enumerated() {
                let slot = indexes[path] ?? Int32(paths.count)
                if indexes[path] == nil {
                    indexes[path] = slot
                    paths.append(path)
                }
                map[field] = slot
            }
            return map
        }
        table = FieldTable(paths)
    }

    deinit {
        for map in maps { map.deallocate() }
    }

    @inline(__always)
    func map(_ index: Int) -> UnsafePointer<Int32> { UnsafePointer(maps[index]) }
}

/// All rules and what they share, without tasks and without the bus: messages in, messages out. Belongs to whoever
/// holds the engine's lock.
final class StreamCore {
    /// Topics whose plans are remembered; beyond, all are looked up anew.
    private static let topicsMax = 65_536

    let context: EvaluationContext
    let options: StreamOptions
    let historian: (any HistorianOutput)?
    let sinks: (any SinkOutputs)?
    var writer = JSONWriter(capacity: 4096)
    /// In whose name the current message's results are published.
    private(set) var origin: Origin
    private(set) var monotonic: Int64 = 0
    private(set) var loopsDropped: UInt64 = 0

    private var runners: [String: RuleRunner] = [:]
    private var order: [RuleRunner] = []
    private var plans: [Bytes: TopicPlan?] = [:]
    private var plansByRules: [[ObjectIdentifier]: TopicPlan] = [:]
    private var emissions = Emissions()
    /// One origin for each number of rules that a message has passed.
    private let origins: [Origin]
    private var hops: [ObjectIdentifier: Int] = [:]
    private var ratesUpdated: Int64 = 0

    init(
        time: any TimeSource, random: any RandomSource = SystemRandom(), options: StreamOptions = StreamOptions(),
        historian: (any HistorianOutput)? = nil, sinks: (any SinkOutputs)? = nil
    ) {
        self.options = options
        self.historian = historian
        self.sinks = sinks
        context = EvaluationContext(time: time, random: random, nodeName: options.nodeName)
        origins = (0..<max(1, options.hopsMax)).map { _ in Origin(.rule, clientID: "rules") }
        origin = origins[0]
        for (index, origin) in origins.enumerated() { hops[ObjectIdentifier(origin)] = index + 1 }
    }

    // MARK: rules

    func install(_ rule: CompiledRule) {
        let name = rule.configuration.name
        let old = runners[name]
        let runner = RuleRunner(
            rule, options: options, monotonic: context.time.monotonicNanoseconds(), keeping: old)
        runners[name] = runner
        if let old {
            origin = origins[0]
            old.end(
                old.alarms.filter { before in !runner.alarms.contains { $0.alarm.spec == before.alarm.spec } }, self)
        }
        rulesChanged()
    }

    /// False if there was none. Its alarms return to normal.
    func remove(_ name: String) -> Bool {
        guard let runner = runners.removeValue(forKey: name) else { return false }
        origin = origins[0]
        runner.end(runner.alarms, self)
        rulesChanged()
        return true
    }

    private func rulesChanged() {
        order = runners.values.sorted { $0.rule.configuration.name < $1.rule.configuration.name }
        plans.removeAll()
        plansByRules.removeAll()
    }

    func runner(_ name: String) -> RuleRunner? { runners[name] }
    var all: [RuleRunner] { order }

    /// Each filter once.
    var filters: [TopicFilter] {
        var seen: Set<String> = []
        return order.flatMap(\.rule.filters).filter { seen.insert($0.text).inserted }
    }

    // MARK: messages

    func process(_ messages: ArraySlice<Message>) {
        monotonic = context.time.monotonicNanoseconds()
        for message in messages { process(message) }
        context.end()
        if monotonic - ratesUpdated >= 1_000_000_000 {
            ratesUpdated = monotonic
            for runner in order { runner.updateRate(monotonic) }
        }
    }

    private func process(_ message: Message) {
        guard let plan = plan(message.topic) else { return }
        var hop = 0
        if message.origin.kind == .rule, let known = hops[ObjectIdentifier(message.origin)] { hop = known }
        guard hop < origins.count else { return dropLoop(plan) }
        origin = origins[hop]
        context.begin(message, plan.table)
        for index in plan.runners.indices {
            plan.runners[index].run(context, plan.map(index), message, self)
        }
    }

    private func dropLoop(_ plan: TopicPlan) {
        loopsDropped &+= 1
        for runner in plan.runners {
            runner.metrics.matched &+= 1
            runner.fail(
                Problem(
                    "rule.loop",
                    "the message has passed \(origins.count) rules; it was dropped because rules form a loop",
                    ["hops": String(origins.count)]), self)
        }
    }

    private func plan(_ topic: Topic) -> TopicPlan? {
        if let known = plans[topic.utf8] { return known }
        if plans.count >= Self.topicsMax { plans.removeAll() }
        let matching = order.filter { $0.rule.takes(topic) }
        // A copy: the topic may be a slice of a much larger frame.
        let name = topic.utf8.withUnsafeBytes { Bytes(copying: $0) }
        guard !matching.isEmpty else {
            plans[name] = .some(nil)
            return nil
        }
        // Topics that the same rules take share one plan.
        let key = matching.map { ObjectIdentifier($0) }
        let plan = plansByRules[key] ?? TopicPlan(matching)
        plansByRules[key] = plan
        plans[name] = plan
        return plan
    }

    func emit(_ message: Message, _ owner: RuleRunner) {
        emissions.messages.append(message)
        emissions.owners.append(owner)
        owner.metrics.emitted &+= 1
    }

    /// What has been made since the last call; `confirm` tells how it went.
    func takeMessages() -> [Message] {
        var taken: [Message] = []
        swap(&taken, &emissions.messages)
        return taken
    }

    /// Ends what `takeMessages` began: counts drops where the bus had no room.
    func confirm(taken: Bool) {
        if !taken {
            for owner in emissions.owners {
                owner.metrics.emitted &-= 1
                owner.metrics.dropped &+= 1
                owner.fail(Problem("rule.dropped", "the broker's queue is full; the result was dropped"), self)
            }
        }
        emissions.owners.removeAll(keepingCapacity: true)
    }

    // MARK: time

    /// Whether an alarm waits for its delay.
    var hasPending: Bool { order.contains { $0.alarms.contains { $0.pending > 0 } } }

    func tick() {
        monotonic = context.time.monotonicNanoseconds()
        origin = origins[0]
        for runner in order {
            runner.tick(self)
            runner.updateRate(monotonic)
        }
    }
}
