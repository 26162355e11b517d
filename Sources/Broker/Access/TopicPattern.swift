import BrokerCore
package import Model

/// The topics of an access rule: a filter whose levels may hold placeholders, or, after `eq `, exactly one text.
package struct TopicPattern: Sendable, Hashable {
    private enum Level: Sendable, Hashable {
        case text([UInt8])
        case template(Template)
        /// `+`
        case one
        /// `#`
        case rest
    }

    /// A level of a pattern for one client, or of a filter.
    private enum Word: Equatable {
        case text(ArraySlice<UInt8>)
        case one
        case rest
    }

    package let text: String
    private let isLiteral: Bool
    private let levels: [Level]

    /// Fails with `access.topic` or `access.placeholder`.
    package init(_ text: String) throws(Problem) {
        self.text = text
        isLiteral = text.hasPrefix("eq ")
        let pattern = isLiteral ? String(text.dropFirst(3)) : text
        do throws(TopicError) { _ = try TopicFilter(pattern) } catch {
            throw Problem("access.topic", "topic \"\(text)\": \(error.reason)", ["topic": text])
        }
        var levels: [Level] = []
        for level in pattern.split(separator: "/", omittingEmptySubsequences: false) {
            if level == "+", !isLiteral {
                levels.append(.one)
            } else if level == "#", !isLiteral {
                levels.append(.rest)
            } else {
                let template = try Template(String(level))
                if template.uses(.password) {
                    throw Problem("access.topic", "topic \"\(text)\": a topic cannot hold a password", ["topic": text])
                }
                levels.append(template.hasPlaces ? .template(template) : .text(Array(level.utf8)))
            }
        }
        self.levels = levels
    }

    /// The levels for a client; nil if it lacks something that a placeholder names. A value with a separator or a
    /// wildcard in it could stand for more than the rule's author meant: it gives nothing where the rule allows, and
    /// stands for itself, level by level, where the rule denies.
    private func words(_ client: ClientIdentity, isDeny: Bool) -> [Word]? {
        var words: [Word] = []
        for level in levels {
            switch level {
            case .one: words.append(.one)
            case .rest: words.append(.rest)
            case .text(let bytes): words.append(.text(bytes[...]))
            case .template(let template):
                guard let filled = template.filled({ client.value(of: $0) }) else { return nil }
                let bytes = Array(filled.utf8)
                if bytes.contains(where: {
                    $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#")
                }),
                    !isDeny
                {
                    return nil
                }
                words += bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { .text($0) }
            }
        }
        return words
    }

    /// Whether a publication on the topic is meant.
    func matches(topic: [UInt8], _ client: ClientIdentity, isDeny: Bool) -> Bool {
        guard let words = words(client, isDeny: isDeny) else { return false }
        return Self.covers(words, Self.split(topic[...], isFilter: false), isSystem: topic.first == UInt8(ascii: "$"))
    }

    /// Whether a subscription is meant: of a rule that allows, if it gets nothing but topics of the rule; of a rule that
    /// denies, if it would get one of them.
    func matches(filter: [UInt8], _ client: ClientIdentity, isDeny: Bool) -> Bool {
        guard let words = words(client, isDeny: isDeny) else { return false }
        let isSystem = filter.first == UInt8(ascii: "$")
        if isLiteral {
            return Self.split(filter[...], isFilter: false) == words
        }
        let asked = Self.split(filter[...], isFilter: true)
        return isDeny ? Self.meets(words, asked) : Self.covers(words, asked, isSystem: isSystem)
    }

    private static func split(_ text: ArraySlice<UInt8>, isFilter: Bool) -> [Word] {
        text.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { level in
            if isFilter, level.count == 1, level.first == UInt8(ascii: "+") { return .one }
            if isFilter, level.count == 1, level.first == UInt8(ascii: "#") { return .rest }
            return .text(level)
        }
    }

    /// Whether every topic of `asked` is one of `rule`. [MQTT-4.7.2-1]: a wildcard in front is not about `$...`.
    private static func covers(_ rule: [Word], _ asked: [Word], isSystem: Bool) -> Bool {
        if isSystem, rule.first == .one || rule.first == .rest { return false }
        var index = 0
        for word in rule {
            if word == .rest { return true }
            guard index < asked.count, asked[index] != .rest else { return false }
            if word != .one, word != asked[index] { return false }
            index += 1
        }
        // "a/#" is also about "a".
        return index == asked.count
    }

    /// Whether some topic is one of both.
    private static func meets(_ rule: [Word], _ asked: [Word]) -> Bool {
        func isSystem(_ words: [Word]) -> Bool {
            if case .text(let text)? = words.first { return text.first == UInt8(ascii: "$") }
            return false
        }
        func isWild(_ words: [Word]) -> Bool { words.first == .one || words.first == .rest }
        if isSystem(rule) && isWild(asked) || isSystem(asked) && isWild(rule) { return false }
        var index = 0
        while true {
            let (a, b) = (index < rule.count ? rule[index] : nil, index < asked.count ? asked[index] : nil)
            if a == .rest || b == .rest { return true }
            guard let a, let b else {
                // One has ended: the other matches as well if nothing but "/#" is left of it.
                return a == nil && b == nil
            }
            if a != .one, b != .one, a != b { return false }
            index += 1
        }
    }
}
