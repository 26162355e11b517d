/// A topic name: where a message goes. MQTT 5.0, 4.7.
package struct Topic: Hashable, Sendable {
    /// UTF-8; 1 to 65,535 bytes; no `+`, `#` or U+0000.
    package let utf8: Bytes

    /// For bytes that were checked already.
    package init(unchecked utf8: Bytes) { self.utf8 = utf8 }

    package init(_ text: String) throws(TopicError) {
        try TopicError.check(text)
        if let offset = text.utf8.firstIndex(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
            throw TopicError(
                text: text, column: text.utf8.distance(from: text.utf8.startIndex, to: offset) + 1,
                reason: "a topic that is published to has no wildcard")
        }
        utf8 = Bytes(text)
    }

    package var string: String { utf8.string }
}

extension Topic: CustomStringConvertible {
    package var description: String { string }
}

/// What is wrong with a topic or a filter, and at which byte (counted from 1).
package struct TopicError: Error, Sendable, Equatable, CustomStringConvertible {
    package var text: String
    package var column: Int
    package var reason: String

    package var description: String { "topic \"\(text)\", column \(column): \(reason)" }

    fileprivate static func check(_ text: String) throws(TopicError) {
        let count = text.utf8.count
        if count == 0 { throw TopicError(text: text, column: 1, reason: "must not be empty") }
        if count > 65_535 { throw TopicError(text: text, column: 65_536, reason: "must have at most 65,535 bytes") }
        if let offset = text.utf8.firstIndex(of: 0) {
            throw TopicError(
                text: text, column: text.utf8.distance(from: text.utf8.startIndex, to: offset) + 1,
                reason: "must not contain U+0000")
        }
    }
}

/// What a subscription matches: a topic whose levels may be `+` (one level) or end in `#` (any number).
/// `$share/{group}/{filter}` names a shared subscription. MQTT 5.0, 4.7 and 4.8.
package struct TopicFilter: Hashable, Sendable {
    /// The whole text as the subscriber wrote it.
    package let text: String
    /// The shared subscription's name; nil for an ordinary one.
    package let shareName: String?
    /// The filter without `$share/{group}/`.
    package let pattern: String

    package init(_ text: String) throws(TopicError) {
        try TopicError.check(text)
        self.text = text
        guard text.utf8.starts(with: "$share/".utf8) else {
            shareName = nil
            pattern = text
            try Self.check(pattern: pattern, in: text, offset: 0)
            return
        }
        let rest = text.dropFirst("$share/".count)
        guard let slash = rest.firstIndex(of: "/") else {
            throw TopicError(
                text: text, column: text.utf8.count + 1, reason: "expected \"/\" and a filter after the share name")
        }
        let name = rest[..<slash]
        if name.isEmpty { throw TopicError(text: text, column: 8, reason: "the share name must not be empty") }
        if name.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
            throw TopicError(text: text, column: 8, reason: "the share name must not contain \"+\" or \"#\"")
        }
        shareName = String(name)
        pattern = String(rest[rest.index(after: slash)...])
        let offset = text.utf8.count - pattern.utf8.count
        if pattern.isEmpty {
            throw TopicError(text: text, column: offset + 1, reason: "expected a filter after the share name")
        }
        try Self.check(pattern: pattern, in: text, offset: offset)
    }

    package var hasWildcard: Bool { pattern.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") } }

    /// Whether a message on `topic` reaches a subscription to this filter. A wildcard in the first level does not
    /// match a topic that begins with `$`. [MQTT-4.7.2-1]
    package func matches(_ topic: Topic) -> Bool {
        topic.utf8.withUnsafeBytes { topic in
            var pattern = pattern
            return pattern.withUTF8 { Self.matches(pattern: UnsafeRawBufferPointer($0), topic: topic) }
        }
    }

    /// The same over UTF-8 of a pattern that was checked already.
    package static func matches(pattern: UnsafeRawBufferPointer, topic: UnsafeRawBufferPointer) -> Bool {
        let slash = UInt8(ascii: "/")
        let plus = UInt8(ascii: "+")
        let hash = UInt8(ascii: "#")
        if topic.first == UInt8(ascii: "$"), let first = pattern.first, first == plus || first == hash { return false }
        var p = 0
        var t = 0
        while p < pattern.count {
            if pattern[p] == hash { return true }
            if pattern[p] == plus {
                while t < topic.count, topic[t] != slash { t += 1 }
                p += 1
            } else {
                while p < pattern.count, pattern[p] != slash {
                    guard t < topic.count, topic[t] == pattern[p] else { return false }
                    p += 1
                    t += 1
                }
            }
            // Both stand at the end of a level.
            if p == pattern.count { return t == topic.count }
            if t == topic.count { return p + 2 == pattern.count && pattern[p + 1] == hash }
            guard topic[t] == slash else { return false }
            p += 1
            t += 1
        }
        // The pattern ends in an empty level.
        return t == topic.count
    }

    private static func check(pattern: String, in text: String, offset: Int) throws(TopicError) {
        let bytes = Array(pattern.utf8)
        for (index, byte) in bytes.enumerated() {
            guard byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#") else { continue }
            let startsLevel = index == 0 || bytes[index - 1] == UInt8(ascii: "/")
            let endsLevel = index == bytes.count - 1 || bytes[index + 1] == UInt8(ascii: "/")
            if !startsLevel || !endsLevel {
                throw TopicError(
                    text: text, column: offset + index + 1, reason: "a wildcard must be a whole level")
            }
            if byte == UInt8(ascii: "#"), index != bytes.count - 1 {
                throw TopicError(text: text, column: offset + index + 1, reason: "\"#\" must be the last level")
            }
        }
    }
}

extension TopicFilter: CustomStringConvertible {
    package var description: String { text }
}
