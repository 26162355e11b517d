#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
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
    if issues.isValid { output.line("\(checked.count) documents in \(files.count) files are valid") }
    return issues.errors
}

/// A file itself, or the resource files of a folder, in the order of their names. `-` is standard input.
func resourceFiles(_ path: String) throws(Problem) -> [String] {
    if path == "-" { return [path] }
    var status = stat()
    guard stat(path, &status) == 0 else {
        throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    guard let directory = opendir(path) else {
        throw Problem("file.unreadable", "\(path): \(errnoText(errno))", ["file": path])
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        if name.hasSuffix(".yaml") || name.hasSuffix(".yml") || name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted().map { path.hasSuffix("/") ? path + $0 : path + "/" + $0 }
}
