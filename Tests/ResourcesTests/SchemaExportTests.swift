import Foundation
import Testing

@testable import Resources

@Suite("Schemas for others")
struct SchemaExportTests {
    @Test("the form's JSON names every field with type, limits, default and help")
    func forms() throws {
        let text = SourceWriter.json(SchemaJSON.kind(SampleKinds.listener))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let fields = try #require(object["fields"] as? [[String: Any]])
        #expect(fields.map { $0["name"] as? String } == ["protocol", "bind", "allowAnonymous", "limits"])
        #expect(fields[0]["choices"] as? [String] == ["mqtt"])
        #expect(fields[1]["required"] as? Bool == true)
        let limits = try #require(fields[3]["fields"] as? [[String: Any]])
        #expect(limits[1]["default"] as? String == "1MiB" && limits[1]["maximum"] as? String == "256MiB")
        #expect(limits[2]["maximum"] as? Int == 65_535)
    }

    @Test("JSON Schema is closed, and chooses the connection by its driver")
    func jsonSchema() throws {
        let text = SourceWriter.json(JSONSchema.documents(SampleKinds.registry), indented: true)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect((object["oneOf"] as? [Any])?.count == 6)
        let device = SourceWriter.json(JSONSchema.document(SampleKinds.device))
        #expect(
            device.contains(
                "\"if\":{\"properties\":{\"driver\":{\"const\":\"modbus_tcp\"}}},\"then\":{\"properties\":{\"connection\":{\"type\":\"object\""
            ))
        #expect(device.contains("\"additionalProperties\":false"))
    }

    @Test("the reference page has a table for every object")
    func markdown() {
        let page = SchemaMarkdown.reference(SampleKinds.registry)
        #expect(page.contains("## Device\n"))
        #expect(page.contains("| `port` | whole number, 1 to 65535 | `502` | TCP port. |"))
        #expect(page.contains("`connection` with `driver: modbus_tcp`:"))
        #expect(page.contains("`groups[].tags[]`:"))
    }
}
