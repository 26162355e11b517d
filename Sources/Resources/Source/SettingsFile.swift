package import Model

/// A file that is one map of settings rather than resources, such as `tundish.yaml`.
package enum SettingsFile {
    /// Reads YAML (or JSON, which is YAML) against a schema; positions as in resource files.
    package static func read(
        _ text: String, file: String, schema: Schema
    ) -> (settings: ConfigValue, issues: IssueList) {
        var issues = IssueList()
        let root: SourceNode
        do throws(Issue) {
            let documents = try YAMLReader.read(Array(text.utf8), file: file, limits: SourceLimits())
            let first = documents.first?.root ?? .map([])
            root = first.isNull ? .map([]) : first
        } catch {
            issues.add(error)
            return (.object([]), issues)
        }
        let document = Document(
            key: ResourceKey(kind: "Settings", name: "settings"), labels: [:], description: nil, spec: root, root: root,
            file: file, text: text, format: .yaml)
        let (settings, found) = Validator.validate(document, schema)
        return (settings, found)
    }
}
