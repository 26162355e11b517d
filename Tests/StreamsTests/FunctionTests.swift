import Model
import Testing

@testable import Streams

@Suite("Functions")
struct FunctionTests {
    static let cases: [(String, String)] = [
        // Maths.
        ("abs(-3)", "3"), ("abs(-9223372036854775808)", "9223372036854775808"), ("abs(-2.5)", "2.5"),
        ("ceil(1.2)", "2"), ("floor(-1.2)", "-2"),
        ("round(2.5)", "3"), ("round(71.456, 1)", "71.5"), ("round(7)", "7"), ("trunc(-2.7)", "-2"),
        ("trunc(2.789, 2)", "2.78"), ("sign(-4)", "-1"),
        ("sqrt(16)", "4.0"), ("sqrt(-1)", "null"), ("exp(0)", "1.0"), ("ln(1)", "0.0"), ("log(1)", "0.0"),
        ("log(2, 8)", "3.0"), ("log10(1000)", "3.0"),
        ("log2(8)", "3.0"), ("power(2, 10)", "1024.0"), ("mod(7, 4)", "3"), ("div(7, 2)", "3"), ("sin(0)", "0.0"),
        ("cos(0)", "1.0"), ("tan(0)", "0.0"),
        ("asin(0)", "0.0"), ("acos(1)", "0.0"), ("atan(0)", "0.0"), ("atan2(0, 1)", "0.0"), ("sinh(0)", "0.0"),
        ("cosh(0)", "1.0"), ("tanh(0)", "0.0"),
        ("radians(180)", "3.141592653589793"), ("degrees(pi())", "180.0"), ("greatest(1, 3, 2)", "3"),
        ("least('b', 'a')", "\"a\""),
        ("random() BETWEEN 0 AND 1", "true"), ("bitand(6, 3)", "2"), ("bitor(6, 3)", "7"), ("bitxor(6, 3)", "5"),
        ("bitnot(0)", "-1"), ("bitsl(1, 4)", "16"),
        ("bitsr(16, 2)", "4"), ("bit(5, 2)", "true"), ("clamp(12, 0, 10)", "10"), ("scale(5, 0, 10, 0, 100)", "50.0"),
        // Text.
        ("lower('ÄB')", "\"äb\""), ("upper('ab')", "\"AB\""), ("length('äb')", "2"), ("byte_length('äb')", "3"),
        ("trim('  a ')", "\"a\""),
        ("ltrim('  a ')", "\"a \""), ("rtrim('  a ')", "\"  a\""), ("reverse('abc')", "\"cba\""),
        ("concat('a', 1, NULL, true)", "\"a1true\""),
        ("concat_ws('-', 'a', NULL, 'b')", "\"a-b\""), ("starts_with('abc', 'ab')", "true"),
        ("ends_with('abc', 'bc')", "true"), ("indexof('abc', 'c')", "2"),
        ("indexof('abc', 'x')", "-1"), ("find('a.b', '.')", "\".b\""), ("replace('aXbX', 'X', '--')", "\"a--b--\""),
        ("repeat('ab', 3)", "\"ababab\""),
        ("lpad(7, 3, '0')", "\"007\""), ("rpad('a', 3)", "\"a  \""), ("substring('abcdef', 2, 3)", "\"bcd\""),
        ("substr('abcdef', 2)", "\"cdef\""),
        ("left('äbc', 2)", "\"äb\""), ("right('abc', 2)", "\"bc\""), ("split_part('a/b/c', '/', 2)", "\"b\""),
        ("split_part('a/b', '/', 9)", "null"),
        ("split('a,,b', ',')", "[\"a\",\"b\"]"), ("tokens('a b')", "[\"a\",\"b\"]"), ("ascii('A')", "65"),
        ("chr(65)", "\"A\""), ("hex('AZ')", "\"415A\""),
        ("unhex('415a')", "\"AZ\""), ("unhex('4')", "null"), ("base64_encode('hello')", "\"aGVsbG8=\""),
        ("base64_decode('aGVsbG8=')", "\"hello\""),
        ("base64_decode('?')", "null"), ("crc32('123456789')", "3421780262"), ("lower(NULL)", "null"),
        // JSON.
        ("json_decode('[1, 2]')", "[1, 2]"), ("json_decode('{')", "null"),
        ("json_encode(array(1, 'a'))", "\"[1,\\\"a\\\"]\""),
        ("json_get(o, 'a.b[1]')", "2"), ("json_get(o, 'a.x')", "null"), ("map_get('a.b', o)", "[1,2]"),
        ("map_get('z', o, 'none')", "\"none\""),
        ("json_keys(o)", "[\"a\",\"c\"]"), ("array_length(o.a.b)", "2"), ("length(o.a.b)", "2"), ("nth(1, o.a.b)", "1"),
        ("nth(3, o.a.b)", "null"),
        ("first(o.a.b)", "1"), ("last(o.a.b)", "2"), ("contains(o.a.b, 2)", "true"), ("contains('abc', 'bc')", "true"),
        ("contains(9, o.a.b)", "false"),
        ("array(1, NULL, 'x')", "[1,null,\"x\"]"), ("object('k', 1, 'l', o.a)", "{\"k\":1,\"l\":{\"b\":[1,2]}}"),
        // Time.
        ("now()", "1767225600000"), ("now_timestamp()", "1767225600"),
        ("now_timestamp('microsecond')", "1767225600000000"), ("now_rfc3339()", "\"2026-01-01T00:00:00Z\""),
        ("unix_ts_to_rfc3339(0)", "\"1970-01-01T00:00:00Z\""),
        ("unix_ts_to_rfc3339(1500, 'millisecond')", "\"1970-01-01T00:00:01.500Z\""),
        ("rfc3339_to_unix_ts('1970-01-01T00:01:00Z')", "60"),
        ("rfc3339_to_unix_ts('1970-01-01T00:00:00.25Z', 'ms')", "250"),
        ("format_time(1767225600001)", "\"2026-01-01T00:00:00.001Z\""),
        ("parse_time('2026-01-01T01:00:00+01:00')", "1767225600000"), ("year(now())", "2026"), ("month(now())", "1"),
        ("day(now())", "1"),
        ("hour('2026-01-01T13:14:15Z')", "13"), ("minute('2026-01-01T13:14:15Z')", "14"),
        ("second('2026-01-01T13:14:15Z')", "15"), ("day_of_week(now())", "4"),
        ("day_of_year('2026-02-01T00:00:00Z')", "32"), ("date_trunc('hour', '2026-01-01T13:14:15Z')", "1767272400000"),
        ("date_trunc('month', '2026-01-31T00:00:00Z')", "1767225600000"),
        ("hour('1969-12-31T23:30:00Z')", "23"),
        // Casts and tests.
        ("int('42')", "42"), ("int(' 4.9 ')", "4"), ("float('1.5')", "1.5"), ("str(1.5)", "\"1.5\""),
        ("bool('true')", "true"), ("typeof(o)", "\"object\""), ("typeof(missing)", "\"null\""),
        ("typeof(1)", "\"integer\""), ("is_null(missing)", "true"), ("is_not_null(o)", "true"),
        ("is_bool(true)", "true"), ("is_int(1)", "true"), ("is_float(1.5)", "true"),
        ("is_num('1')", "false"), ("is_str('a')", "true"), ("is_map(o)", "true"), ("is_array(o.a.b)", "true"),
        ("coalesce(missing, NULL, 3)", "3"), ("nullif(1, 1)", "null"), ("nullif(1, 2)", "1"),
        ("if(1 > 2, 'a', 'b')", "\"b\""), ("if(NULL, 'a', 'b')", "\"b\""),
        // Topics.
        ("topic_level(topic, 2)", "\"b\""), ("topic_level(topic, 9)", "null"), ("topic_levels(topic)", "3"),
        ("topic_match(topic, 'a/+/#')", "true"), ("length(uuid_v4())", "36"),
    ]

    @Test("gives its value", arguments: cases)
    func value(_ pair: (String, String)) {
        #expect(result(pair.0, "{\"o\":{\"a\":{\"b\":[1,2]},\"c\":null}}") == pair.1, "\(pair.0)")
    }

    @Test("every function has a case")
    func complete() {
        let text = Self.cases.map(\.0).joined(separator: " ")
        for function in SQLFunctions.all {
            #expect(text.contains(function.name + "("), "\(function.name)")
        }
        #expect(SQLFunctions.all.count >= 90)
        #expect(
            Set(SQLFunctions.all.flatMap { [$0.name] + $0.aliases }).count
                == SQLFunctions.all.reduce(0) { $0 + 1 + $1.aliases.count })
    }

    @Test("what a function cannot take is named")
    func arguments() {
        #expect(result("upper(1)") == "line 1, column 8: upper: argument 1 cannot be an integer")
        #expect(result("lpad('a', -1)") == "line 1, column 8: lpad: argument 2 cannot be an integer")
        #expect(result("repeat('abcdefgh', 100000000)") == "the result needs more than 4194304 bytes")
        #expect(result("scale(1, 2, 2, 0, 1)") == "line 1, column 8: division by zero")
    }
}

@Suite("Dialects")
struct DialectTests {
    @Test("EMQX: columns and payload.x, nested names, arrays from 1, + joins texts, numbers in texts compare")
    func emqx() throws {
        let payload = "{\"x\":5,\"list\":[10,20],\"s\":\"7\"}"
        func check(_ sql: String, _ expected: String) {
            #expect(run(sql, payload, dialect: .emqx, topic: "t/1") == expected, "\(sql)")
        }
        check("SELECT payload.x AS x, clientid, qos FROM \"t/#\"", "{\"x\":5,\"clientid\":\"trial\",\"qos\":0}")
        check("SELECT payload.x FROM \"t/#\"", "{\"payload\":{\"x\":5}}")
        check(
            "SELECT payload.list[1] AS a, payload.list[-1] AS b, payload.list[0] AS c FROM \"t/#\"",
            "{\"a\":10,\"b\":20,\"c\":null}")
        check("SELECT payload.x AS x, x + 1 AS y FROM \"t/#\" WHERE y = 6", "{\"x\":5,\"y\":6}")
        check("SELECT 'a' + 'b' AS c, 'n' + 1 AS d FROM \"t/#\" WHERE payload.s > 3", "{\"c\":\"ab\",\"d\":\"n1\"}")
        check("SELECT payload.x AS out.x, topic AS out.t FROM \"t/#\"", "{\"out\":{\"x\":5,\"t\":\"t/1\"}}")
        check("SELECT nth(2, tokens(topic, '/')) AS id FROM \"t/#\" WHERE topic =~ 't/+'", "{\"id\":\"1\"}")
        check(
            "SELECT flags.retain AS r, payload FROM \"t/#\"",
            "{\"r\":false,\"payload\":\"{\\\"x\\\":5,\\\"list\\\":[10,20],\\\"s\\\":\\\"7\\\"}\"}")
        check("SELECT x FROM \"t/#\"", "{\"x\":null}")
        #expect(
            run("SELECT * FROM \"t/#\"", "{}", dialect: .emqx, topic: "t/1").contains(
                "\"payload\":\"{}\",\"peerhost\":null,\"topic\":\"t/1\",\"qos\":0,\"flags\":{\"retain\":false,\"dup\":false}"
            ))
        let rule = RuleConfiguration(name: "r", sql: "SELECT temperature FROM \"t\"", dialect: .emqx)
        #expect(
            try CompiledRule(rule).warnings.map(\.message) == [
                "line 1, column 8: EMQX has no column temperature; it is NULL. Fields of the payload are written payload.temperature"
            ])
    }

    @Test("eKuiper: stream fields, arrows, meta() and mqtt(), texts in double quotes, whole division")
    func ekuiper() {
        let payload = "{\"temperature\":25,\"deep\":{\"a\":[{\"b\":3}]},\"name\":\"p\"}"
        func check(_ sql: String, _ expected: String) {
            #expect(run(sql, payload, dialect: .ekuiper, topic: "t/1") == expected, "\(sql)")
        }
        check("SELECT temperature, deep->a[0]->b AS b FROM demo WHERE temperature > 20", "{\"temperature\":25,\"b\":3}")
        check(
            "SELECT demo.temperature, meta(topic) AS t, mqtt(demo.qos) AS q FROM demo",
            "{\"temperature\":25,\"t\":\"t/1\",\"q\":0}")
        check("SELECT 5 / 2 AS d, 5.0 / 2 AS e FROM demo WHERE name = \"p\"", "{\"d\":2,\"e\":2.5}")
        check("SELECT * FROM demo", payload)
        check(
            "SELECT temperature + 1, upper(name), `name` FROM demo",
            "{\"kuiper_field_0\":26,\"upper\":\"P\",\"name\":\"p\"}")
        check(
            "SELECT cast(temperature, \"string\") AS s FROM demo AS d WHERE d.temperature BETWEEN 20 AND 30",
            "{\"s\":\"25\"}")
        check("SELECT topic FROM demo", "{\"topic\":null}")
        check(
            "SELECT meta(nothing) FROM demo",
            "line 1, column 13: unknown metadata column nothing; known are clientid, messageid, qos, retain, timestamp, topic, username"
        )
        check("SELECT a[0:2] FROM demo", "line 1, column 11: slices are not available yet")
    }
}

@Suite("Typed samples")
struct TypedTests {
    func check(
        _ columns: String, _ expected: String, _ batch: SampleBatch = pressBatch(), dialect: SQLDialect = .tundish
    ) {
        #expect(run("SELECT \(columns) FROM \"#\"", .samples(batch), dialect: dialect) == expected, "\(columns)")
    }

    @Test("have the shape of the values format, whatever the group publishes")
    func shape() {
        check("device, \"group\", timestamp", "{\"device\":\"press-1\",\"group\":\"fast\",\"timestamp\":1767225600000}")
        check(
            "values.temperature, values.count, values.speed, values.state, values.on",
            "{\"temperature\":71.5,\"count\":7,\"speed\":18446744073709551615,\"state\":\"läuft\",\"on\":true}")
        check("values.flow, values.nothing, other", "{\"flow\":null,\"nothing\":null,\"other\":null}")
        check(
            "quality.speed AS q, quality.count AS c, errors.flow.code AS e, errors.count AS n",
            "{\"q\":\"uncertain.last_usable\",\"c\":null,\"e\":\"device.timeout\",\"n\":null}")
        check("values.list, values.list[1] AS second", "{\"list\":[4,5],\"second\":5}")
        check(
            "errors",
            "{\"errors\":{\"flow\":{\"code\":\"device.timeout\",\"message\":\"the device did not answer in time\"}}}")
        check("payload.values.count AS c", "{\"c\":7}", dialect: .emqx)
        check("topic, qos", "{\"topic\":\"a/b/c\",\"qos\":0}")
    }

    @Test("every expression gives what it gives on the encoded message")
    func sameAsJSON() throws {
        let batch = pressBatch(temperature: 71.3)
        let encoded = try makeJSON(batch)
        for expression in [
            "values.temperature", "values.temperature = 71.3", "values.temperature > 71.3", "values.temperature * 2",
            "values.speed - 1", "values.count / 2",
            "upper(values.state)", "values", "payload", "values.flow IS NULL", "round(values.temperature)",
            "errors.flow.message", "quality", "values.list[0] + 1",
            "values.temperature IN (71.3)", "values.temperature BETWEEN 71.3 AND 71.3", "values.on AND true",
            "CAST(values.temperature AS string)",
        ] {
            let typed = run("SELECT \(expression) AS r FROM \"#\"", .samples(batch))
            #expect(typed == run("SELECT \(expression) AS r FROM \"#\"", .json(encoded)), "\(expression)")
        }
        #expect(run("SELECT * FROM \"#\"", .samples(batch)) == encoded.string)
    }

    @Test("of several samples of a tag the last counts; a value that is not a number is NULL")
    func sparse() {
        let builder = SampleBatchBuilder(sparse: pressDescriptor, timestamp: startOf2026)
        builder.set(tag: 1, value: .int(1))
        builder.set(tag: 1, value: .int(2))
        builder.set(tag: 0, value: .float32(.nan))
        check(
            "values.count, values.temperature, values.on", "{\"count\":2,\"temperature\":null,\"on\":null}",
            builder.finish())
    }
}
