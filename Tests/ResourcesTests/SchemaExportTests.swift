import Foundation
import Testing

@testable import Resources

@Suite("Schemas for others")
struct SchemaExportTests {
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
