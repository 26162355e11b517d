import Bus
import Formats
import Model
import Synchronization

/// What evaluation has made and nobody has handed over yet. Belongs to the core.
struct Emissions {
    var messages: [Message] = []
    /// Whose message each is.
    var owners: [RuleRunner] = []
}

/// A rule at work: its counters and the state of its outputs. Belongs to the core.
final class RuleRunner {
    let rule: CompiledRule
    var metrics = RuleMetrics()
    private var failure: EvaluationFailure?
    private(set) var alarms: [AlarmTracker] = []
    private let refusals = Refusals()
    /// Output by output: what carries it out.
    private var steps: [Step] = []
    private let condition: Int32
    private let hasAlarms: Bool
    private var windowStart: Int64
    private var windowMatched: UInt64 = 0

    private enum Step {
        case publish(CompiledPublish)
        case historian(RuleRecording)
        case alarm(AlarmTracker)
        case sink(String)
    }

    init(_ rule: CompiledRule, options: StreamOptions, monotonic: Int64, keeping old: RuleRunner?) {
        self.rule = rule
        condition = rule.condition
        windowStart = monotonic
        var alarms: [AlarmTracker] = []
        for output in rule.outputs {
            switch output {
            case .publish(let publish): steps.append(.publish(publish))
            case .historian(let historian):
                steps.append(.historian(RuleRecording(historian, ruleName: rule.configuration.name)))
            case .alarm(let alarm):
                let tracker = AlarmTracker(alarm, ruleName: rule.configuration.name, keysMax: options.alarmKeysMax)
                // An alarm that stays as it was keeps its states while its rule is replaced.
                if let kept = old?.alarms.first(where: { $0.alarm.spec == alarm.spec }) { tracker.adopt(kept) }
                alarms.append(tracker)
                steps.append(.alarm(tracker))
            case .sink(let name): steps.append(.sink(name))
            }
        }
        self.alarms = alarms
        hasAlarms = !alarms.isEmpty
    }

    /// Evaluates the context's message.
    func run(
        _ context: EvaluationContext, _ slotMap: UnsafePointer<Int32>, _ message: Message, _ core: StreamCore
    ) {
        metrics.matched &+= 1
        context.enter(rule.program, slotMap)
        var passed = true
        var isKnown = true
        if condition >= 0 {
            let cell = context.evaluate(condition)
            passed = cell.isTrue
            isKnown = cell.kind == .bool
            if !isKnown, !cell.isNull { _ = context.fail(.condition, at: condition, cell) }
            if let failure = context.failure { return note(failure, core) }
        }
        guard passed || hasAlarms && isKnown else { return }
        if passed { metrics.passed &+= 1 }
        for step in steps {
            switch step {
            case .publish(let output):
                if passed { publish(output, context, message, core) }
            case .alarm(let tracker): observe(tracker, passed, context, message, core)
            case .historian(let recorder):
                if passed { record(recorder, context, message, core) }
            case .sink(let name):
                if passed { offer(name, context, core) }
            }
            if let failure = context.failure { return note(failure, core) }
        }
    }

    private func publish(
        _ output: CompiledPublish, _ context: EvaluationContext, _ message: Message, _ core: StreamCore
    ) {
        core.writer.reset()
        var topic = output.constantTopic
        if topic == nil {
            let isComplete = context.write(output.topic, result: rule.projection, to: &core.writer)
            guard isComplete, let made = core.writer.withUnsafeBytes({ TopicText.checked($0) }) else {
                return context.fail(EvaluationFailure(.topic))
            }
            topic = made
            core.writer.reset()
        }
        if let payload = output.payload {
            context.write(payload, result: rule.projection, to: &core.writer)
        } else {
            context.write(rule.projection, to: &core.writer)
        }
        guard context.failure == nil, let topic else { return }
        core.emit(
            Message(
                topic: topic, payload: .bytes(core.writer.bytes()), qos: output.qos, retain: output.retain,
                receivedAt: message.receivedAt, origin: core.origin), self)
    }

    private func observe(
        _ tracker: AlarmTracker, _ condition: Bool, _ context: EvaluationContext, _ message: Message, _ core: StreamCore
    ) {
        let taken = tracker.observe(
            condition, context, rule.projection, &core.writer, at: message.receivedAt, monotonic: core.monotonic
        ) { topic, payload in
            emitAlarm(topic, payload, tracker, core, at: message.receivedAt)
        }
        if !taken { context.fail(EvaluationFailure(.topic)) }
    }

    private func emitAlarm(
        _ topic: Topic, _ payload: Bytes, _ tracker: AlarmTracker, _ core: StreamCore, at time: Timestamp
    ) {
        core.emit(
            Message(
                topic: topic, payload: .bytes(payload), qos: tracker.alarm.qos, retain: true, receivedAt: time,
                origin: core.origin), self)
    }

    private func record(
        _ recorder: RuleRecording, _ context: EvaluationContext, _ message: Message, _ core: StreamCore
    ) {
        guard let batch = recorder.batch(context, rule.projection, &core.writer, at: message.receivedAt) else { return }
        guard let historian = core.historian else {
            return fail(Problem("rule.historian", "there is no historian"), core)
        }
        metrics.emitted &+= 1
        let refusals = refusals
        let time = core.context.time
        historian.record(batch) { problem in refusals.add(problem, at: time.now()) }
    }

    private func offer(_ sink: String, _ context: EvaluationContext, _ core: StreamCore) {
        core.writer.reset()
        context.write(rule.projection, to: &core.writer)
        guard context.failure == nil, let sinks = core.sinks else { return }
        if sinks.offer(core.writer.bytes(), sink: sink) {
            metrics.emitted &+= 1
        } else {
            metrics.dropped &+= 1
            fail(Problem("rule.dropped", "sink \"\(sink)\" is full; the result was dropped", ["sink": sink]), core)
        }
    }

    // MARK: time and errors

    func tick(_ core: StreamCore) {
        let time = core.context.time.now()
        for tracker in alarms where tracker.pending > 0 {
            tracker.tick(at: time, monotonic: core.monotonic, &core.writer) { topic, payload in
                emitAlarm(topic, payload, tracker, core, at: time)
            }
        }
    }

    /// The rule is no more, or these alarms of it: whatever is not normal returns to normal.
    func end(_ ending: [AlarmTracker], _ core: StreamCore) {
        let time = core.context.time.now()
        for tracker in ending {
            tracker.end(at: time, &core.writer) { topic, payload in emitAlarm(topic, payload, tracker, core, at: time) }
        }
    }

    func acknowledge(alarm: String, key: String?, by username: String?, _ core: StreamCore) -> Int {
        let time = core.context.time.now()
        var count = 0
        for tracker in alarms where tracker.alarm.spec.name == alarm {
            count += tracker.acknowledge(key.map { Array($0.utf8) }, by: username, at: time, &core.writer) {
                topic, payload in
                emitAlarm(topic, payload, tracker, core, at: time)
            }
        }
        return count
    }

    private func note(_ failure: EvaluationFailure, _ core: StreamCore) {
        metrics.failed &+= 1
        self.failure = failure
        metrics.lastErrorAt = core.context.message?.receivedAt
    }

    func fail(_ problem: Problem, _ core: StreamCore) {
        metrics.failed &+= 1
        failure = nil
        metrics.lastError = problem
        metrics.lastErrorAt = core.context.message?.receivedAt ?? core.context.time.now()
    }

    /// The counters with the last error as a sentence.
    func report(monotonic: Int64) -> RuleMetrics {
        updateRate(monotonic)
        var report = metrics
        if let failure { report.lastError = failure.problem(rule.program) }
        refusals.enter(into: &report)
        return report
    }

    func updateRate(_ monotonic: Int64) {
        let elapsed = monotonic - windowStart
        guard elapsed >= 1_000_000_000 else { return }
        metrics.perSecond = Double(metrics.matched - windowMatched) / (Double(elapsed) / 1e9)
        windowStart = monotonic
        windowMatched = metrics.matched
    }
}

/// What the historian refused of a rule's results. It says so on its own threads, when the result is long gone.
private final class Refusals: Sendable {
    private struct State {
        var count: UInt64 = 0
        var last: (problem: Problem, at: Timestamp)?
    }

    private let state = Mutex(State())

    func add(_ problem: Problem, at time: Timestamp) {
        state.withLock { state in
            state.count += 1
            state.last = (problem, time)
        }
    }

    /// What was counted as handed over was dropped.
    func enter(into report: inout RuleMetrics) {
        let (count, last) = state.withLock { ($0.count, $0.last) }
        guard let last else { return }
        report.emitted &-= count
        report.dropped &+= count
        report.failed &+= count
        if let known = report.lastErrorAt, known > last.at { return }
        report.lastErrorAt = last.at
        report.lastError = Problem(
            "rule.dropped", "the historian refused a result: \(last.problem.message)", last.problem.arguments)
    }
}
