import Bus
import Formats
import Model

/// The states of an alarm. ISA-18.2-2016, 5.2.
enum AlarmState: String {
    case normal
    /// The condition holds, and nobody has acknowledged it.
    case unacknowledgedActive = "unack_active"
    case acknowledgedActive = "ack_active"
    /// The condition is gone, and nobody has acknowledged that it was there.
    case returnedUnacknowledged = "rtn_unack"

    /// The standard's abbreviation.
    var abbreviation: String {
        switch self {
        case .normal: "NORM"
        case .unacknowledgedActive: "UNACK"
        case .acknowledgedActive: "ACKED"
        case .returnedUnacknowledged: "RTNUN"
        }
    }
}

/// One alarm output of a rule: a state for each key. Only keys that are not normal take memory.
final class AlarmTracker {
    private struct Entry {
        var state = AlarmState.normal
        /// The condition as it was last seen.
        var condition = false
        /// When a change that waits for its delay takes place; monotonic nanoseconds. Nil: none waits.
        var due: Int64?
        var raisedAt = Timestamp(nanoseconds: 0)
        /// Who acknowledged this raising, and when; the name is nil where nobody said it.
        var acknowledged: (by: String?, at: Timestamp)?
        var seen: Sighting
    }

    /// What a message said about a key.
    private struct Sighting {
        var topic: Topic
        var device: [UInt8]?
        var message: [UInt8]
        var values: [UInt8]
        var source: Topic
    }

    let alarm: CompiledAlarm
    private let ruleName: String
    private let keysMax: Int
    private var entries: [[UInt8]: Entry] = [:]
    private(set) var pending = 0
    /// Keys that had no room.
    private(set) var overflowed: UInt64 = 0

    init(_ alarm: CompiledAlarm, ruleName: String, keysMax: Int) {
        self.alarm = alarm
        self.ruleName = ruleName
        self.keysMax = keysMax
    }

    /// Takes over the states of the same alarm of the rule's last version.
    func adopt(_ old: AlarmTracker) {
        entries = old.entries
        pending = old.pending
    }

    private var onDelay: Int64 { alarm.spec.onDelay.nanoseconds }
    private var offDelay: Int64 { alarm.spec.offDelay.nanoseconds }

    /// Takes the condition of the context's message. Calls `emit` with what is to be published. False where the topic
    /// or the key cannot be made, or there is no room for another key.
    func observe(
        _ condition: Bool, _ context: EvaluationContext, _ projection: Projection, _ writer: inout JSONWriter,
        at time: Timestamp, monotonic: Int64, _ emit: (Topic, Bytes) -> Void
    ) -> Bool {
        writer.reset()
        guard context.write(alarm.key, result: projection, to: &writer) else {
            // Without a key there is nothing whose state could be told.
            return !condition
        }
        let key = writer.withUnsafeBytes { Array($0) }
        let known = entries[key]
        guard condition || known != nil else { return true }
        if let known, known.condition == condition, known.due == nil { return true }
        guard let sighting = sighting(key, context, projection, &writer) else { return false }
        if known == nil, entries.count >= keysMax, !makeRoom() {
            overflowed += 1
            return false
        }
        var entry = known ?? Entry(seen: sighting)
        let isActive = entry.state == .unacknowledgedActive || entry.state == .acknowledgedActive
        entry.seen = sighting
        if entry.condition != condition || known == nil {
            entry.condition = condition
            if entry.due != nil { pending -= 1 }
            entry.due = nil
            if condition != isActive {
                let delay = condition ? onDelay : offDelay
                if delay > 0 {
                    entry.due = monotonic &+ delay
                    pending += 1
                } else {
                    change(&entry, key, at: time, &writer, emit)
                }
            }
        } else if let due = entry.due, monotonic >= due {
            entry.due = nil
            pending -= 1
            change(&entry, key, at: time, &writer, emit)
        }
        store(entry, key)
        return true
    }

    /// Carries out what has waited long enough.
    func tick(at time: Timestamp, monotonic: Int64, _ writer: inout JSONWriter, _ emit: (Topic, Bytes) -> Void) {
        guard pending > 0 else { return }
        let due = entries.filter { $0.value.due.map { $0 <= monotonic } ?? false }
        for (key, value) in due.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            var entry = value
            entry.due = nil
            pending -= 1
            change(&entry, key, at: time, &writer, emit)
            store(entry, key)
        }
    }

    /// Acknowledges one key, or all. Returns how many there were to acknowledge.
    func acknowledge(
        _ key: [UInt8]?, by username: String?, at time: Timestamp, _ writer: inout JSONWriter,
        _ emit: (Topic, Bytes) -> Void
    ) -> Int {
        var count = 0
        for name in key.map({ [$0] }) ?? Array(entries.keys) {
            guard var entry = entries[name] else { continue }
            switch entry.state {
            case .unacknowledgedActive: entry.state = .acknowledgedActive
            case .returnedUnacknowledged: entry.state = .normal
            case .normal, .acknowledgedActive: continue
            }
            count += 1
            entry.acknowledged = (username, time)
            publish(entry, name, at: time, &writer, emit)
            store(entry, name)
        }
        return count
    }

    /// Returns every key to normal: nobody looks at the condition any more.
    func end(at time: Timestamp, _ writer: inout JSONWriter, _ emit: (Topic, Bytes) -> Void) {
        for (key, value) in entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            guard value.state != .normal else { continue }
            var entry = value
            entry.state = .normal
            publish(entry, key, at: time, &writer, emit)
        }
        entries = [:]
        pending = 0
    }

    private func store(_ entry: Entry, _ key: [UInt8]) {
        if entry.state == .normal, !entry.condition, entry.due == nil {
            entries[key] = nil
        } else {
            entries[key] = entry
        }
    }

    /// Forgets alarms that are over, though nobody acknowledged them.
    private func makeRoom() -> Bool {
        let over = entries.filter {
            $0.value.state == .returnedUnacknowledged && $0.value.due == nil && !$0.value.condition
        }
        for key in over.keys { entries[key] = nil }
        return entries.count < keysMax
    }

    private func change(
        _ entry: inout Entry, _ key: [UInt8], at time: Timestamp, _ writer: inout JSONWriter,
        _ emit: (Topic, Bytes) -> Void
    ) {
        if entry.condition {
            entry.state = .unacknowledgedActive
            entry.raisedAt = time
            entry.acknowledged = nil
        } else {
            entry.state = entry.state == .acknowledgedActive ? .normal : .returnedUnacknowledged
        }
        publish(entry, key, at: time, &writer, emit)
    }

    private func sighting(
        _ key: [UInt8], _ context: EvaluationContext, _ projection: Projection, _ writer: inout JSONWriter
    ) -> Sighting? {
        guard let source = context.message?.topic else { return nil }
        writer.reset()
        if let template = alarm.topic {
            guard context.write(template, result: projection, to: &writer) else { return nil }
        } else {
            writer.raw(Array("alarms/\(alarm.spec.name)/".utf8))
            writer.raw(key)
        }
        guard let topic = writer.withUnsafeBytes({ TopicText.checked($0) }) else { return nil }
        writer.reset()
        if let template = alarm.message {
            context.write(template, result: projection, to: &writer)
        } else {
            writer.raw(Array(alarm.spec.name.utf8))
        }
        let message = writer.withUnsafeBytes { Array($0) }
        writer.reset()
        context.write(projection, to: &writer)
        let values = context.failure == nil ? writer.withUnsafeBytes { Array($0) } : Array("{}".utf8)
        let device = context.asText(context.evaluate(alarm.device)).map { Array($0) }
        // A copy: the topic may be a slice of a much larger frame.
        let copy = Topic(unchecked: source.utf8.withUnsafeBytes { Bytes(copying: $0) })
        return Sighting(topic: topic, device: device, message: message, values: values, source: copy)
    }

    private func publish(
        _ entry: Entry, _ key: [UInt8], at time: Timestamp, _ writer: inout JSONWriter, _ emit: (Topic, Bytes) -> Void
    ) {
        writer.reset()
        writer.raw("{\"name\":")
        writer.string(alarm.spec.name)
        writer.raw(",\"key\":")
        key.withUnsafeBytes { writer.string($0) }
        if let device = entry.seen.device {
            writer.raw(",\"device\":")
            device.withUnsafeBytes { writer.string($0) }
        }
        writer.raw(",\"state\":")
        writer.string(entry.state.rawValue)
        writer.raw(",\"isa182\":")
        writer.string(entry.state.abbreviation)
        writer.raw(",\"severity\":")
        writer.string(alarm.spec.severity.rawValue)
        writer.raw(",\"message\":")
        entry.seen.message.withUnsafeBytes { writer.string($0) }
        writer.raw(",\"raised_at\":")
        writer.integer(entry.raisedAt.milliseconds)
        writer.raw(",\"changed_at\":")
        writer.integer(time.milliseconds)
        if let acknowledged = entry.acknowledged {
            writer.raw(",\"acknowledged_at\":")
            writer.integer(acknowledged.at.milliseconds)
            if let username = acknowledged.by {
                writer.raw(",\"acknowledged_by\":")
                writer.string(username)
            }
        }
        writer.raw(",\"rule\":")
        writer.string(ruleName)
        writer.raw(",\"source\":")
        writer.string(entry.seen.source.utf8)
        writer.raw(",\"values\":")
        writer.raw(entry.seen.values)
        writer.byte(UInt8(ascii: "}"))
        emit(entry.seen.topic, writer.bytes())
    }
}

/// Topics made from templates.
enum TopicText {
    /// Nil where the text is no topic that can be published to.
    static func checked(_ text: UnsafeRawBufferPointer) -> Topic? {
        guard text.count > 0, text.count <= 65_535, text.first != UInt8(ascii: "$") else { return nil }
        for byte in text where byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#") || byte == 0 { return nil }
        guard UTF8Check.isValid(text) else { return nil }
        return Topic(unchecked: Bytes(copying: text))
    }
}
