package import Model
import Resources

/// Prints what a resource's document may contain: of one kind, or of all. No server is needed.
package func printSchema(kind wanted: String?, asMarkdown: Bool, output: CommandOutput) throws(Problem) {
    let registry = NodeKinds.registry
    guard let wanted else {
        output.line(
            asMarkdown
                ? SchemaMarkdown.reference(registry)
                : SourceWriter.json(JSONSchema.documents(registry), indented: true))
        return
    }
    let name = wanted.lowercased()
    guard let kind = registry.kinds.first(where: { $0.name.lowercased() == name || $0.plural == name }) else {
        let known = registry.kinds.map(\.name).joined(separator: ", ")
        throw Problem(
            "resource.kind", "there is no kind \"\(wanted)\"; known are \(known)", ["seen": wanted, "known": known])
    }
    output.line(
        asMarkdown ? SchemaMarkdown.reference(kind) : SourceWriter.json(JSONSchema.document(kind), indented: true))
}
