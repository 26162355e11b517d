package import Model
import Resources

/// Validates files and folders without a server; prints each issue. Returns how many errors there are.
package func checkFiles(_ paths: [String], output: CommandOutput) throws(Problem) -> Int {
    var files: [String] = []
    for path in paths { files += try resourceFiles(path) }
    if files.isEmpty { throw Problem("usage", "there is no .yaml, .yml or .json file to check") }
    let registry = NodeKinds.registry
    var issues = IssueList()
    var documents: [Document] = []
    for file in files {
        let read = registry.reader.read(try readTextFile(file), file: file)
        documents += read.documents
        for issue in read.issues.issues { issues.add(issue) }
    }
    let checked = registry.check(documents, &issues)
    registry.checkReferences(checked, severity: .warning, exists: { _ in false }, &issues)
    for issue in issues.issues { output.line(issue.description) }
    if issues.errors > issues.issues.count { output.line("... and \(issues.errors - issues.issues.count) more") }
    if issues.isValid {
        output.line("\(counted(checked.count, "document")) in \(counted(files.count, "file")): all valid")
    }
    return issues.errors
}

/// `1 file`, `2 files`.
private func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }
