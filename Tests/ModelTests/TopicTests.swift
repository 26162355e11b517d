import Model
import Testing

@Suite struct TopicTests {
    @Test(
        "filters match as MQTT 5.0, 4.7 says",
        arguments: [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player12", false),
            ("#", "a", true), ("#", "$SYS/x", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/x", true),
            ("sport/+", "sport", false), ("sport/+", "sport/", true), ("+", "/finance", false),
            ("+/+", "/finance", true), ("/+", "/finance", true), ("a/+/c", "a/b/c", true), ("a/+/c", "a/b/d", false),
            ("a/b", "a/b", true), ("a/b", "a/b/", false), ("a/b/", "a/b", false), ("a//b", "a//b", true),
            ("a/+/b", "a//b", true), ("a/#", "a/", true), ("ab", "abc", false), ("abc", "ab", false),
            ("+/#", "a", true), ("a/+/#", "a", false), ("a/+/#", "a/b", true),
        ] as [(String, String, Bool)])
    func matching(filter: String, topic: String, expected: Bool) throws {
        #expect(try TopicFilter(filter).matches(Topic(topic)) == expected)
    }

    @Test("agrees with a naive matcher on random filters and topics")
    func agreesWithNaive() throws {
        var random = SplitMix64(seed: 7)
        func levels(_ alphabet: [String]) -> [String] {
            (0..<Int.random(in: 1...4, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
        }
        func naive(_ filter: ArraySlice<String>, _ topic: ArraySlice<String>) -> Bool {
            guard let first = filter.first else { return topic.isEmpty }
            if first == "#" { return true }
            guard let level = topic.first else { return false }
            return (first == "+" || first == level) && naive(filter.dropFirst(), topic.dropFirst())
        }
        for _ in 0..<5000 {
            var filter = levels(["a", "b", "", "+"])
            if Bool.random(using: &random) { filter.append("#") }
            let topic = levels(["a", "b", ""])
            let filterText = filter.joined(separator: "/")
            let topicText = topic.joined(separator: "/")
            guard !filterText.isEmpty, !topicText.isEmpty else { continue }
            #expect(
                try TopicFilter(filterText).matches(Topic(topicText)) == naive(filter[...], topic[...]),
                "\(filterText) on \(topicText)")
        }
    }

    @Test(
        "says what is wrong and at which column",
        arguments: [
            ("", "topic \"\", column 1: must not be empty"),
            ("a/#/b", "topic \"a/#/b\", column 3: \"#\" must be the last level"),
            ("a+", "topic \"a+\", column 2: a wildcard must be a whole level"),
            ("$share/g", "topic \"$share/g\", column 9: expected \"/\" and a filter after the share name"),
            ("$share//x", "topic \"$share//x\", column 8: the share name must not be empty"),
            ("$share/g/x/#/y", "topic \"$share/g/x/#/y\", column 12: \"#\" must be the last level"),
        ])
    func badFilters(text: String, message: String) {
        #expect {
            try TopicFilter(text)
        } throws: { "\($0)" == message }
    }

    @Test("a topic has no wildcard and no U+0000")
    func badTopics() {
        #expect(throws: TopicError.self) { try Topic("a/+") }
        #expect(throws: TopicError.self) { try Topic("a/\0") }
        #expect(throws: TopicError.self) { try Topic(String(repeating: "x", count: 65_536)) }
    }

    @Test("a shared subscription keeps its name apart from its filter")
    func shared() throws {
        let filter = try TopicFilter("$share/line/a/+")
        #expect(filter.shareName == "line" && filter.pattern == "a/+" && filter.hasWildcard)
        #expect(try filter.matches(Topic("a/b")))
    }
}

@Suite struct BytesTests {
    @Test("slices share and compare by content")
    func slices() {
        let bytes = Bytes("temperature")
        #expect(bytes.slice(0..<4).string == "temp")
        #expect(bytes.slice(4..<4).isEmpty)
        #expect(bytes.slice(0..<4) == Bytes("temp") && bytes.slice(0..<4).hashValue == Bytes("temp").hashValue)
        #expect(bytes[0] == UInt8(ascii: "t"))
        #expect(Bytes([0xFF]).string == "\u{FFFD}")
    }
}
