package import Model

/// A kind of resource: its name, the shape of its spec, and what the schema cannot say.
package struct ResourceKind: Sendable {
    /// As documents name it: `Device`.
    package var name: String
    /// As paths name it: `devices`.
    package var plural: String
    /// One sentence for people.
    package var help: String
    package var helpChinese: String?
    package var schema: Schema
    /// Checks of a spec that has passed its schema: an address, a statement. Reports at the place it concerns.
    package var check: (@Sendable (_ name: String, _ spec: ConfigValue, _ report: inout IssueReporter) -> Void)?
    /// What the spec needs of other resources. References to secrets are found without it.
    package var references: (@Sendable (_ spec: ConfigValue) -> [ResourceReference])?
    /// Changes a spec before it is stored, given the stored one: a password becomes its hash.
    var prepare: (@Sendable (_ spec: SourceNode, _ former: SourceNode?) throws(Problem) -> SourceNode)?
    /// Keys of the spec that are never shown, though they are not of the type `secret`.
    var hiddenKeys: Set<String> = []
    /// Never shown and always encrypted: every document of the kind.
    var isSealed = false

    package init(
        name: String, plural: String, help: String, helpChinese: String? = nil, schema: Schema,
        check: (@Sendable (_ name: String, _ spec: ConfigValue, _ report: inout IssueReporter) -> Void)? = nil,
        references: (@Sendable (_ spec: ConfigValue) -> [ResourceReference])? = nil
    ) {
        self.name = name
        self.plural = plural
        self.help = help
        self.helpChinese = helpChinese
        self.schema = schema
        self.check = check
        self.references = references
    }
}

/// One resource that another needs.
package struct ResourceReference: Sendable, Hashable {
    package var kind: String
    package var name: String
    /// Where the spec names it.
    package var path: ConfigPath

    package init(kind: String, name: String, path: ConfigPath) {
        self.kind = kind
        self.name = name
        self.path = path
    }
}

/// Takes what a kind's own check finds wrong, and finds the place in the file.
package struct IssueReporter {
    private let document: Document
    package private(set) var issues: IssueList

    init(_ document: Document, _ issues: IssueList) {
        self.document = document
        self.issues = issues
    }

    /// Reports at a value of the spec. `line` and `column` are counted from 1 within the value's text, such as a
    /// position in an SQL statement or an address.
    package mutating func report(
        _ problem: Problem, at path: ConfigPath, line: Int? = nil, column: Int? = nil, known: [String] = [],
        severity: Issue.Severity = .error
    ) {
        let node = document.spec.nearest(path)
        var place = (line: node.line, column: node.column)
        if line != nil || column != nil { place = node.position(inText: line ?? 1, column: column ?? 1) }
        issues.add(
            Issue(
                problem, file: document.file, line: place.line, column: place.column, known: known,
                severity: severity))
    }
}

/// A document that passed its schema and its kind's check.
package struct CheckedDocument: Sendable {
    package var document: Document
    package var spec: ConfigValue
    package var references: [ResourceReference]

    package var key: ResourceKey { document.key }
}

/// The kinds that a running system knows.
package struct KindRegistry: Sendable {
    package private(set) var kinds: [ResourceKind]
    private var byName: [String: Int] = [:]

    /// `Secret` and `User` are there without being given.
    package init(_ kinds: [ResourceKind]) {
        self.kinds = kinds + [.secret, .user]
        for (index, kind) in self.kinds.enumerated() { byName[kind.name] = index }
    }

    package subscript(_ name: String) -> ResourceKind? { byName[name].map { kinds[$0] } }

    package func kind(plural: String) -> ResourceKind? { kinds.first { $0.plural == plural } }

    /// By name, plural or either in any case, as people type it.
    package func kind(typed text: String) -> ResourceKind? {
        let lower = text.lowercased()
        return kinds.first { $0.name.lowercased() == lower || $0.plural == lower }
    }

    package var reader: DocumentReader { DocumentReader(kinds: kinds.map(\.name)) }

    /// Schema, the kind's own check, and duplicates among the documents. References are checked by the store,
    /// which knows what else there is, or by `checkReferences`.
    package func check(_ documents: [Document], _ issues: inout IssueList) -> [CheckedDocument] {
        var seen: [ResourceKey: Document] = [:]
        var checked: [CheckedDocument] = []
        for document in documents {
            if let first = seen.updateValue(document, forKey: document.key) {
                let place = first.file == document.file ? "line \(first.root.line)" : "\(first.file):\(first.root.line)"
                issues.add(
                    document.issue(
                        "resource.duplicate", "\(document.key) is given twice; the first is in \(place)",
                        ["kind": document.key.kind, "name": document.key.name, "first": place],
                        at: document.root["name"] ?? document.root))
                continue
            }
            if let result = check(document, &issues) { checked.append(result) }
        }
        return checked
    }

    func check(_ document: Document, _ issues: inout IssueList) -> CheckedDocument? {
        guard let kind = self[document.key.kind] else { return nil }
        let (spec, found) = Validator.validate(document, kind.schema)
        var list = found
        if list.isValid, let check = kind.check {
            var reporter = IssueReporter(document, list)
            check(document.key.name, spec, &reporter)
            list = reporter.issues
        }
        for issue in list.issues.sorted(by: { ($0.line, $0.column) < ($1.line, $1.column) }) { issues.add(issue) }
        guard list.isValid else { return nil }
        let references = (kind.references?(spec) ?? []) + Self.secretReferences(spec)
        return CheckedDocument(document: document, spec: spec, references: references)
    }

    /// What the documents need and neither they nor `exists` have. Offline it is a warning: a server may have it.
    package func checkReferences(
        _ checked: [CheckedDocument], severity: Issue.Severity, exists: (ResourceKey) -> Bool, _ issues: inout IssueList
    ) {
        let given = Set(checked.map(\.key))
        for item in checked {
            for reference in item.references {
                let key = ResourceKey(space: item.key.space, kind: reference.kind, name: reference.name)
                if given.contains(key) || exists(key) { continue }
                issues.add(
                    item.document.issue(
                        "resource.reference.missing", "\(item.key) needs \(key), which does not exist",
                        ["kind": reference.kind, "name": reference.name],
                        at: item.document.spec.nearest(reference.path),
                        severity: severity))
            }
        }
    }

    private static func secretReferences(_ spec: ConfigValue, _ path: ConfigPath = ConfigPath()) -> [ResourceReference]
    {
        switch spec {
        case .secret(.secret(let name)): [ResourceReference(kind: ResourceKind.secretName, name: name, path: path)]
        case .list(let values):
            values.enumerated().flatMap { secretReferences($0.element, path[$0.offset]) }
        case .object(let entries): entries.flatMap { secretReferences($0.value, path[$0.key]) }
        default: []
        }
    }
}
