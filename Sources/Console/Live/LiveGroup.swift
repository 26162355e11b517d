import Formats
import Model

/// The newest values of the tags of one group that are on any screen. Belongs to the hub.
final class LiveGroup {
    /// One tag: its value, the text that all pages get, and when it changed.
    final class Entry {
        let tag: String
        /// How many subscriptions show it.
        fileprivate(set) var uses = 0
        /// Counts changes over all groups; a page that has seen a later stamp has this value.
        fileprivate(set) var stamp: UInt64 = 0
        /// `,timestamp,value` and, unless good, `,"code"`.
        fileprivate(set) var text: [UInt8] = []
        private var value: LiveValue?
        private var isKnown = false

        fileprivate init(_ tag: String) { self.tag = tag }

        /// Whether the value is another one. `missing` is the code of what has no sample.
        fileprivate func set(_ new: LiveValue?, missing: String, now: Timestamp, stamp: UInt64) -> Bool {
            if isKnown, new == value { return false }
            isKnown = true
            value = new
            self.stamp = stamp
            let shown = new ?? LiveValue(timestamp: now, value: nil, code: missing)
            var writer = JSONWriter(capacity: 64)
            writer.byte(UInt8(ascii: ","))
            writer.integer(shown.timestamp.milliseconds)
            writer.byte(UInt8(ascii: ","))
            if let value = shown.value { writer.value(value) } else { writer.null() }
            if let code = shown.code {
                writer.byte(UInt8(ascii: ","))
                writer.string(code)
            }
            text = writer.withUnsafeBytes { Array($0) }
            return true
        }
    }

    let device: String
    let group: String
    private(set) var entries: [Entry] = []
    /// Differs for every list of entries.
    private(set) var listRevision: UInt64 = 0
    private var indexes: [String: Int] = [:]
    private var version: UInt64?

    init(device: String, group: String) {
        self.device = device
        self.group = group
    }

    var isUnused: Bool { entries.allSatisfy { $0.uses == 0 } }

    func use(_ tag: String) -> Entry {
        if let index = indexes[tag] {
            entries[index].uses += 1
            return entries[index]
        }
        let entry = Entry(tag)
        entry.uses = 1
        indexes[tag] = entries.count
        entries.append(entry)
        listChanged()
        return entry
    }

    func release(_ entry: Entry) { entry.uses -= 1 }

    /// Forgets tags that nobody shows any more, once they are the greater part.
    func compact() {
        let used = entries.count { $0.uses > 0 }
        guard used * 2 < entries.count else { return }
        entries.removeAll { $0.uses == 0 }
        indexes = Dictionary(
            entries.enumerated().map { ($0.element.tag, $0.offset) }, uniquingKeysWith: { first, _ in first })
        listChanged()
    }

    private func listChanged() {
        listRevision += 1
        version = nil
    }

    var request: LiveGroupRequest {
        LiveGroupRequest(device: device, group: group, tags: entries.map(\.tag), knownVersion: version)
    }

    /// Takes an answer to a request that was made from this list of entries. Whether anything changed.
    func take(_ answer: LiveGroupAnswer, now: Timestamp, stamp: UInt64) -> Bool {
        var hasChanged = false
        switch answer {
        case .unchanged: break
        case .unknown:
            version = nil
            for entry in entries where entry.set(nil, missing: "tag.unknown", now: now, stamp: stamp) {
                hasChanged = true
            }
        case .values(let version, let values):
            self.version = version
            for (entry, value) in zip(entries, values)
            where entry.set(value, missing: "device.waiting", now: now, stamp: stamp) {
                hasChanged = true
            }
        }
        return hasChanged
    }
}
