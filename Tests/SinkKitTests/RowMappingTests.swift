import Model
import Testing

@testable import SinkKit

@Suite("Columns out of rows")
struct RowMappingTests {
    private func values(_ templates: [(name: String, template: String, type: ValueType?)], _ row: String) throws
        -> [Value?]
    {
        let mapping = try RowMapping(templates, divisions: [])
        let reading = RowMapping.Reading(mapping)
        var values = mapping.emptyRow
        let failure = Bytes(row).withUnsafeBytes { mapping.read($0, reading, into: &values) }
        #expect(failure == nil)
        return values
    }

    @Test("a field alone keeps its type; with text around it the column is text")
    func types() throws {
        let row = #"{"a":1,"b":2.5,"c":"x\"y","d":true,"e":null,"f":[1,2],"g":{"h":-7},"i.j":"dotted"}"#
        let names = [
            "${a}", "${b}", "${c}", "${d}", "${e}", "${f}", "${g.h}", "${i.j}", "${g}", "${none}", "<${a}-${c}>",
            "${.}", "plain",
        ]
        let found = try values(names.map { (name: $0, template: $0, type: nil) }, row)
        #expect(
            found == [
                .int(1), .float64(2.5), .string("x\"y"), .bool(true), nil, .array([.int(1), .int(2)]), .int(-7),
                .string("dotted"), .string(#"{"h":-7}"#), nil, .string("<1-x\"y>"), .string(row), .string("plain"),
            ])
    }

    @Test("a template that is not closed, or names nothing, is refused", arguments: ["${a", "x${}"])
    func badTemplates(_ template: String) {
        #expect(throws: Problem.self) { try RowMapping([(name: "c", template: template, type: nil)], divisions: []) }
    }

    @Test("a row that is no JSON says why")
    func notJSON() throws {
        let mapping = try RowMapping([(name: "c", template: "${c}", type: nil)], divisions: [])
        var values = mapping.emptyRow
        let reading = RowMapping.Reading(mapping)
        #expect(Bytes("{\"c\":").withUnsafeBytes { mapping.read($0, reading, into: &values) } != nil)
    }

    @Test("the lane follows the key, the device without one, the topic without a device")
    func lanes() throws {
        let byKey = LanePolicy(lanes: 8, key: "line")
        let standard = LanePolicy(lanes: 8)
        let mapping = try RowMapping([(name: "c", template: "${c}", type: nil)], divisions: [byKey, standard])
        let reading = RowMapping.Reading(mapping)
        func lane(_ row: String, _ policy: LanePolicy) -> Int {
            var values = mapping.emptyRow
            return Bytes(row).withUnsafeBytes { text in
                #expect(mapping.read(text, reading, into: &values) == nil)
                return mapping.lane(policy, text, reading)
            }
        }
        #expect(lane(#"{"line":"l1","device":"d"}"#, byKey) == byKey.lane(of: "l1".utf8))
        #expect(lane(#"{"line":"l1","device":"d"}"#, standard) == standard.lane(of: "d".utf8))
        #expect(lane(#"{"topic":"t"}"#, standard) == standard.lane(of: "t".utf8))
        #expect(lane("{}", byKey) == 0)
    }
}
