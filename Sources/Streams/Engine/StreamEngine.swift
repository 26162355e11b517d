package import Bus
package import Model
import Synchronization

/// Limits of the engine.
package struct StreamOptions: Sendable {
    /// Messages that wait for evaluation; further ones are dropped and counted.
    package var inboxMessagesMax = 65_536
    /// Rules in a chain that one message may pass.
    package var hopsMax = 16
    /// Alarm states per output.
    package var alarmKeysMax = 100_000
    /// What the metadata column `node` says.
    package var nodeName = "tundish"
    package init() {}
}

/// Runs rules over the messages of a bus: one subscription, one worker that evaluates off the event loops.
package final class StreamEngine: Sendable {
    /// Messages evaluated in one go before others may look at the rules.
    private static let turnMessages = 512
    /// How often delays of alarms are looked at while one runs.
    private static let tickInterval = Duration.milliseconds(50)

    private let bus: any Bus
    private let publisher: any BusPublisher
    private let core: Mutex<StreamCore>
    /// Held while messages are evaluated and handed over, so that results keep their order.
    private let turn = Mutex<Void>(())
    private let inbox: MessageInbox
    private let signal: AsyncStream<Void>.Continuation
    private let subscription: RuleSubscription
    private let worker = Mutex<Task<Void, Never>?>(nil)
    private let ticker = Mutex<Task<Void, Never>?>(nil)
    private let sinks: (any SinkOutputs)?
    private let subscriptionFailures = Counter()
    /// The bus may deliver by other filters than the rules have.
    private let isSubscriptionStale = Atomic<Bool>(false)

    package init(
        bus: any Bus, time: any TimeSource = SystemTime(), random: any RandomSource = SystemRandom(),
        historian: (any HistorianOutput)? = nil, sinks: (any SinkOutputs)? = nil,
        options: StreamOptions = StreamOptions()
    ) {
        self.bus = bus
        self.sinks = sinks
        publisher = bus.publisher(Origin(.rule, clientID: "rules"))
        core = Mutex(StreamCore(time: time, random: random, options: options, historian: historian, sinks: sinks))
        let (stream, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.signal = signal
        let inbox = MessageInbox(messagesMax: options.inboxMessagesMax) { signal.yield() }
        self.inbox = inbox
        subscription = RuleSubscription(bus: bus) { inbox.offer($0) }
        worker.withLock { task in
            task = Task.detached { [weak self] in
                for await _ in stream {
                    guard let self else { return }
                    self.drain()
                }
            }
        }
    }

    deinit { signal.finish() }

    // MARK: rules

    /// Checks a rule without running it. Returns warnings. Errors: `rule.sql` with `line` and `column` in the
    /// statement's text, `rule.template`, `rule.topic`, `rule.qos`, `rule.sink`.
    package func check(_ rule: RuleConfiguration) throws(Problem) -> [Problem] {
        try CompiledRule(rule, sinks: sinks).warnings
    }

    /// Adds a rule, or replaces the one of the same name, without disturbing the others. Returns, with warnings, when
    /// its messages reach it. A rule that is not enabled is removed. Errors: those of `check`, `rule.subscribe`.
    @discardableResult
    package func apply(_ rule: RuleConfiguration) async throws(Problem) -> [Problem] {
        let compiled = try CompiledRule(rule, sinks: sinks)
        guard rule.isEnabled else {
            try await remove(rule.name)
            return compiled.warnings
        }
        let filters = change { core in
            core.install(compiled)
            return core.filters
        }
        do {
            try await subscribe(filters)
        } catch {
            change { _ = $0.remove(rule.name) }
            throw Problem(
                "rule.subscribe", "rule \"\(rule.name)\": the subscription failed: \(error)", ["rule": rule.name])
        }
        return compiled.warnings
    }

    /// Removes the rule; what alarms it has raised return to normal. Idempotent. `rule.subscribe`: the rule is gone,
    /// but its topics still arrive, for nobody; another call tries again to give them up.
    package func remove(_ name: String) async throws(Problem) {
        let (isGone, filters) = change { core in (core.remove(name), core.filters) }
        guard isGone || isSubscriptionStale.load(ordering: .relaxed) else { return }
        do {
            try await subscribe(filters)
        } catch {
            throw Problem(
                "rule.subscribe", "rule \"\(name)\" is removed, but its topics could not be given up: \(error)",
                ["rule": name])
        }
    }

    /// Changes the rules and hands over what that makes.
    private func change<R: Sendable>(_ body: (StreamCore) -> R) -> R {
        turn.withLock { _ in
            let (result, messages) = core.withLock { core in (body(core), core.takeMessages()) }
            handOver(messages)
            return result
        }
    }

    private func subscribe(_ filters: [TopicFilter]) async throws {
        do {
            try await subscription.set(filters)
            isSubscriptionStale.store(false, ordering: .relaxed)
        } catch {
            subscriptionFailures.add()
            isSubscriptionStale.store(true, ordering: .relaxed)
            throw error
        }
    }

    package var ruleNames: [String] { core.withLock { $0.all.map(\.rule.configuration.name) } }

    package func metrics(of rule: String) -> RuleMetrics? {
        core.withLock { core in core.runner(rule)?.report(monotonic: core.context.time.monotonicNanoseconds()) }
    }

    /// The rule's plan as text.
    package func explain(_ name: String) -> String? { core.withLock { $0.runner(name)?.rule.explanation } }

    /// Messages that found the inbox full.
    package var dropped: UInt64 { inbox.dropped.count }

    /// Acknowledges the alarm's key, or all its keys; the messages say who did, if `username` is given. Returns how many
    /// there were to acknowledge.
    @discardableResult
    package func acknowledge(rule: String, alarm: String, key: String? = nil, by username: String? = nil) -> Int {
        turn.withLock { _ in
            let (count, messages) = core.withLock { core in
                let count = core.runner(rule)?.acknowledge(alarm: alarm, key: key, by: username, core) ?? 0
                return (count, core.takeMessages())
            }
            handOver(messages)
            return count
        }
    }

    /// Carries out delays that are over. The engine does so itself while one runs; tests call it after moving the clock.
    package func tick() {
        turn.withLock { _ in
            let messages = core.withLock { core in
                core.tick()
                return core.takeMessages()
            }
            handOver(messages)
        }
    }

    /// Ends the subscription and all evaluation. Idempotent.
    package func stop() async {
        await subscription.cancel()
        signal.finish()
        let running = worker.withLock { task in
            defer { task = nil }
            return task
        }
        await running?.value
        ticker.withLock { task in
            task?.cancel()
            task = nil
        }
    }

    // MARK: messages

    private func drain() {
        turn.withLock { _ in
            let waiting = inbox.takeAll()
            var start = 0
            while start < waiting.count {
                let end = min(start + Self.turnMessages, waiting.count)
                let messages = core.withLock { core in
                    core.process(waiting[start..<end])
                    return core.takeMessages()
                }
                handOver(messages)
                start = end
            }
        }
        if core.withLock({ $0.hasPending }) { startTicker() }
    }

    /// The caller holds the turn.
    private func handOver(_ messages: [Message]) {
        guard !messages.isEmpty else { return }
        let taken = publisher.publish(messages)
        core.withLock { $0.confirm(taken: taken) }
    }

    private func startTicker() {
        ticker.withLock { task in
            guard task == nil else { return }
            task = Task.detached { [weak self] in
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.tickInterval)
                    guard let self, self.tickWhilePending() else { return }
                }
            }
        }
    }

    /// False when nothing waits any more.
    private func tickWhilePending() -> Bool {
        tick()
        return ticker.withLock { task in
            if core.withLock({ $0.hasPending }) { return true }
            task = nil
            return false
        }
    }
}

extension StreamEngine: MetricSource {
    package func collect() async -> [MetricSample] {
        var samples = [
            MetricSample(
                "tundish_streams_inbox_dropped_total", .counter, "Messages dropped because rules were behind.",
                Double(inbox.dropped.count)),
            MetricSample(
                "tundish_streams_inbox_messages", .gauge, "Messages that wait for rules.", Double(inbox.count)),
        ]
        let (reports, loops) = core.withLock { core in
            let now = core.context.time.monotonicNanoseconds()
            return (core.all.map { ($0.rule.configuration.name, $0.report(monotonic: now)) }, core.loopsDropped)
        }
        samples.append(
            MetricSample(
                "tundish_streams_subscription_failures_total", .counter,
                "Changes of the rules' topics that the broker refused.", Double(subscriptionFailures.count)))
        samples.append(
            MetricSample(
                "tundish_streams_loops_dropped_total", .counter, "Messages dropped because rules form a loop.",
                Double(loops)))
        for (name, report) in reports {
            let labels = ["rule": name]
            func add(_ metric: String, _ help: String, _ value: UInt64) {
                samples.append(
                    MetricSample("tundish_rule_\(metric)_total", .counter, help, labels: labels, Double(value)))
            }
            add("matched", "Messages on the rule's topics.", report.matched)
            add("passed", "Messages whose WHERE was true.", report.passed)
            add("failed", "Messages that could not be evaluated or handed over.", report.failed)
            add("emitted", "Results handed over.", report.emitted)
            add("dropped", "Results dropped because the receiver was full.", report.dropped)
        }
        return samples
    }
}

/// The one subscription of all rules. Changes are made one after the other; only the last wish counts.
private actor RuleSubscription {
    private let bus: any Bus
    private let deliver: @Sendable ([Message]) -> Void
    private var current: (any BusSubscription)?
    private var last: Task<Void, any Error>?

    init(bus: any Bus, deliver: @escaping @Sendable ([Message]) -> Void) {
        self.bus = bus
        self.deliver = deliver
    }

    func set(_ filters: [TopicFilter]) async throws {
        let before = last
        let change = Task {
            _ = await before?.result
            try await install(filters)
        }
        last = change
        try await change.value
    }

    /// Cancelling cannot fail: there is nothing to install.
    func cancel() async { _ = try? await set([]) }

    private func install(_ filters: [TopicFilter]) async throws {
        if filters.isEmpty {
            await current?.cancel()
            current = nil
        } else if let current {
            try await current.update(filters)
        } else {
            current = try await bus.subscribe(filters, name: "rules", options: SubscribeOptions(), deliver: deliver)
        }
    }
}
