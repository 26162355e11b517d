import Model
import Testing

@testable import Streams

@Suite("SQL parser")
struct ParserTests {
    static let wrong: [(String, String)] = [
        ("", "line 1, column 1: expected SELECT, not the end of the statement"),
        ("SELECT", "line 1, column 7: expected an expression, not the end of the statement"),
        ("SELECT a", "line 1, column 9: expected \",\" or FROM, not the end of the statement"),
        ("SELECT a\nFROM", "line 2, column 5: expected a topic filter in double quotes, not the end of the statement"),
        (
            "SELECT a FROM t",
            "line 1, column 15: unknown stream t; write the topic filter in double quotes, or use one of: demo"
        ),
        ("SELECT a FROM \"a/#/b\"", "line 1, column 15: topic \"a/#/b\", column 3: \"#\" must be the last level"),
        ("SELECT a FROM \"$share/g/a\"", "line 1, column 15: a rule reads every message; leave out $share/.../"),
        ("SELECT a FROM \"t\" WHERE", "line 1, column 24: expected an expression, not the end of the statement"),
        ("SELECT a FROM \"t\" WHERE a >", "line 1, column 28: expected an expression, not the end of the statement"),
        (
            "SELECT a FROM \"t\" WHERE a > 1 b",
            "line 1, column 31: expected an operator or the end of the statement, not \"b\""
        ),
        ("SELECT a FROM \"t\" GROUP BY a", "line 1, column 19: GROUP is not available yet"),
        ("SELECT (a FROM \"t\"", "line 1, column 11: expected \")\", not \"FROM\""),
        ("SELECT 'abc FROM", "line 1, column 8: the text that starts here is not closed; expected '"),
        ("SELECT a AS FROM \"t\"", "line 1, column 13: expected a column name behind AS, not \"FROM\""),
        ("SELECT a IS 3 FROM \"t\"", "line 1, column 13: expected NULL or NOT NULL, not 3"),
        ("SELECT CASE a END FROM \"t\"", "line 1, column 15: expected WHEN, not \"END\""),
        ("SELECT CASE WHEN a THEN 1 FROM \"t\"", "line 1, column 27: expected WHEN, ELSE or END, not \"FROM\""),
        (
            "SELECT CAST(a AS blob) FROM \"t\"",
            "line 1, column 18: unknown type blob; known are bigint, double, string, boolean, timestamp"
        ),
        ("SELECT uper(a) FROM \"t\"", "line 1, column 8: unknown function uper; did you mean upper?"),
        ("SELECT abs(1, 2) FROM \"t\"", "line 1, column 8: abs takes 1 argument, not 2"),
        ("SELECT replace(a) FROM \"t\"", "line 1, column 8: replace takes 3 arguments, not 1"),
        ("SELECT a FROM \"t\" WHERE a # 1", "line 1, column 27: unexpected character \"#\""),
        (
            "SELECT 1x FROM \"t\"",
            "line 1, column 8: \"1x\" is not a number; a name that starts with a digit needs `backticks`"
        ),
        ("SELECT 1e999 FROM \"t\"", "line 1, column 8: the number 1e999 is out of range"),
        ("SELECT a /* x\n FROM", "line 1, column 10: the comment is not closed"),
        ("FOREACH a FROM \"t\"", "line 1, column 1: FOREACH is not available yet"),
        (
            "SELECT * FROM \"$events/client_connected\"",
            "line 1, column 15: events such as \"$events/client_connected\" are not available yet"
        ),
        (
            "SELECT a LIKE 'x' ESCAPE 'ab' FROM \"t\"",
            "line 1, column 26: ESCAPE needs one ASCII character in single quotes"
        ),
    ]

    @Test("an error says what was expected, what was seen, and where", arguments: wrong)
    func error(_ pair: (String, String)) { #expect(run(pair.0) == pair.1) }

    @Test("the place is an argument of the problem, for whoever maps it to a file")
    func place() {
        #expect { try RuleTrial.check(sql: "SELECT a\nFROM \"t\"\nWHERE ?") } throws: { error in
            let problem = error as? Problem
            return problem?.code == "rule.sql" && problem?.arguments["line"] == "3"
                && problem?.arguments["column"] == "7"
        }
    }

    @Test("comments, case and spaces do not matter; several filters may be read")
    func lenient() {
        #expect(
            run("select a -- one\n , /* two */ b from \"x/#\",\"a/#\" where a=1 ;", "{\"a\":1,\"b\":2}")
                == "{\"a\":1,\"b\":2}")
        #expect(run("SELECT a FROM \"x/#\"", "{}") == "-")
    }

    @Test("deep nesting and long chains are refused, not crashed on")
    func bounds() {
        let deep = String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
        #expect(result(deep).hasSuffix("nested more than 64 levels deep"))
        #expect(result(String(repeating: "NOT ", count: 5000) + "a").hasSuffix("nested more than 64 levels deep"))
        #expect(result(String(repeating: "- ", count: 5000) + "a").hasSuffix("nested more than 64 levels deep"))
        #expect(result("1" + String(repeating: "+1", count: 5000)).hasSuffix("more than 500 operators"))
        #expect(result("1" + String(repeating: "+1", count: 490)) == "491")
        let doubling =
            "SELECT 1 AS a0" + (1..<40).map { ", a\($0 - 1) + a\($0 - 1) AS a\($0)" }.joined() + " FROM \"#\""
        #expect(run(doubling, dialect: .emqx).hasSuffix("the expression is too large"))
        #expect(result("'" + String(repeating: "x", count: 70_000) + "'").hasSuffix("longer than 65536 bytes"))
    }

    @Test("random statements never crash (seeded smoke run of the fuzz target)")
    func smoke() {
        var random = SplitMix64(seed: 11)
        let words = [
            "SELECT", "FROM", "WHERE", "\"a/+\"", "\"#\"", "a", "payload", ".", "[", "]", "(", ")", ",", "1", "2.5",
            "'x'", "*", "+", "-", "/", "=", "<",
            "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST",
            "AS", "int", "abs", "concat", "->",
            "`q`", "meta", "topic", "DIV", "%", "||", "=~", ";", "é", "\u{0}", "'", "18446744073709551615", "coalesce",
            "json_get", "repeat", "lpad",
        ]
        for _ in 0..<6_000 {
            var text = random.next() % 2 == 0 ? "SELECT " : ""
            for _ in 0..<Int(random.next() % 14) { text += words[Int(random.next() % UInt64(words.count))] + " " }
            if random.next() % 2 == 0 { text += " FROM \"#\"" }
            SQLParserProbe.run(Array(text.utf8))
        }
        for _ in 0..<1_500 {
            SQLParserProbe.run((0..<Int(random.next() % 40)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
    }

    @Test("a plan names topics, fields, filter, columns and outputs")
    func plan() throws {
        let rule = RuleConfiguration(
            name: "r",
            sql: "SELECT device, upper(values.s) AS s FROM \"a/+\" WHERE values.t BETWEEN 1 AND 2 OR qos = 1",
            outputs: [.publish(PublishSpec(topic: "a/${device}", qos: 1))])
        #expect(
            try RuleTrial.explain(rule) == """
                read    "a/+" (dialect tundish)
                fields  device, values.s, values.t, qos
                filter  ((field(values.t) BETWEEN 1 AND 2) OR (field(qos) or meta(qos) = 1))
                column  device = field(device)
                column  s = upper(field(values.s))
                output  publish "a/${device}" qos 1
                warning rule "r" reads "a/+" and may publish to it itself; messages that go round are dropped
                """)
    }
}
