import Formats
import HTTPTypes
import Testing

@testable import Console

@Suite("OpenAPI")
struct OpenAPITests {
    @Test("the document has every route of the table but itself, and nothing else")
    func matchesTable() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let document = try await harness.call("GET", "/api/openapi.json").json
            #expect(document["openapi"]?.string == "3.1.0")
            var described: Set<String> = []
            for path in document["paths"]?.members ?? [] {
                for operation in path.value.members ?? [] {
                    described.insert("\(operation.key.uppercased()) \(path.key)")
                }
            }
            let routes = Set(harness.server.table.routes.map { "\($0.method.rawValue) \($0.path)" })
            #expect(described == routes.subtracting(["GET /api/openapi.json"]))
        }
    }

    @Test("every shape that is referred to exists, operation ids are unique, path parameters are declared")
    func isConsistent() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let document = try await harness.call("GET", "/api/openapi.json").json
            var references: Set<String> = []
            func collect(_ value: JSONValue) {
                if let reference = value["$ref"]?.string { references.insert(reference) }
                for member in value.members ?? [] { collect(member.value) }
                for element in value.array ?? [] { collect(element) }
            }
            collect(document)
            for reference in references {
                var value: JSONValue? = document
                for part in reference.split(separator: "/").dropFirst() { value = value?[String(part)] }
                #expect(value != nil, "\(reference)")
            }
            var ids: [String] = []
            for path in document["paths"]?.members ?? [] {
                for operation in path.value.members ?? [] {
                    ids.append(operation.value["operationId"]?.string ?? "")
                    let declared = (operation.value["parameters"]?.array ?? []).filter { $0["in"]?.string == "path" }
                    #expect(declared.count == path.key.count { $0 == "{" }, "\(path.key)")
                }
            }
            #expect(Set(ids).count == ids.count)
        }
    }
}
