import Model

/// What the fuzz target and its smoke run call: any bytes as a statement in each dialect, and run where it is right.
package enum SQLParserProbe {
    package static func run(_ bytes: [UInt8]) {
        let sql = String(decoding: bytes, as: UTF8.self)
        for dialect in SQLDialect.allCases {
            let rule = RuleConfiguration(name: "fuzz", sql: sql, dialect: dialect, streams: ["a": "#"])
            // A statement that is wrong is refused with a reason: the expected outcome.
            _ = try? RuleTrial.evaluate(
                rule, topic: "a/b", payload: .json("{\"a\":[1,{\"b\":\"x\"}],\"q\":2.5,\"é\":true}"),
                at: Timestamp(milliseconds: 1_767_225_600_000))
        }
    }
}
