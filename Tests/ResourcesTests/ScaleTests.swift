import Model
import Testing

@testable import Resources

@Suite("Scale")
struct ScaleTests {
    @Test("a device of 10,000 tags is applied, changed in one tag, and told apart by that tag alone")
    func manyTags() async throws {
        let fixture = try StoreFixture()
        func device(_ scale: String) -> String {
            let tags = (0..<10_000).map { number in
                "        - { name: t\(number), address: \"1!4\(number)\", type: float32, scale: \(number == 5000 ? scale : "1") }\n"
            }
            return "kind: Device\nname: big\nspec:\n  driver: modbus_tcp\n  connection: { host: h }\n  groups:\n"
                + "    - name: g\n      interval: 1s\n      tags:\n" + tags.joined()
        }
        try await fixture.apply(device("1"))
        let result = try await fixture.apply(device("0.1"))
        #expect(
            result.changes[0].differences == [
                SpecDifference(path: "spec.groups[g].tags[t5000].scale", before: "1", after: "0.1")
            ])
    }
}
