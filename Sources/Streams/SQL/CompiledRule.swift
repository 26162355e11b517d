import Formats
import Model

/// A rule after parsing, resolving names and checking outputs. Immutable.
final class CompiledRule: @unchecked Sendable {
    // All properties are constants; `Program` says why it may be shared.
    let configuration: RuleConfiguration
    let filters: [TopicFilter]
    let program: Program
    let fields: [[JSONStep]]
    /// -1: every message passes.
    let condition: Int32
    let projection: Projection
    let outputs: [CompiledOutput]
    let statement: SelectStatement
    private(set) var warnings: [Problem]

    /// Errors: `rule.sql` with `line` and `column`; `rule.template`, `rule.topic`, `rule.sink`.
    init(_ configuration: RuleConfiguration, sinks: (any SinkOutputs)? = nil) throws(Problem) {
        self.configuration = configuration
        var builder = RuleBuilder(configuration)
        do throws(SQLError) {
            try builder.statement()
        } catch {
            throw error.problem
        }
        outputs = try builder.compileOutputs(sinks)
        filters = builder.filters
        statement = builder.parsed
        condition = builder.condition
        projection = Projection(columns: builder.columns, star: builder.star)
        program = builder.compiler.finish()
        fields = builder.compiler.fields
        warnings = builder.compiler.warnings
        for output in outputs {
            if let pattern = output.topicPattern,
                let filter = filters.first(where: { TopicOverlap.possible(pattern, $0) })
            {
                warnings.append(
                    Problem(
                        "rule.loop",
                        "rule \"\(configuration.name)\" reads \"\(filter.text)\" and may publish to it itself; "
                            + "messages that go round are dropped",
                        ["rule": configuration.name, "filter": filter.text]))
            }
        }
    }

    func takes(_ topic: Topic) -> Bool {
        for filter in filters where filter.matches(topic) { return true }
        return false
    }
}

/// Whether a topic template can make a topic that a filter takes. Levels with `${}` can be anything.
enum TopicOverlap {
    static func possible(_ template: [TemplateText.Part], _ filter: TopicFilter) -> Bool {
        // A placeholder may hold slashes; what stands behind it is not looked at.
        var prefix = ""
        var isOpen = false
        for part in template {
            guard case .text(let text) = part else {
                isOpen = true
                break
            }
            prefix += text
        }
        if !isOpen {
            guard let topic = try? Topic(prefix) else { return false }
            return filter.matches(topic)
        }
        let levels = prefix.split(separator: "/", omittingEmptySubsequences: false)
        let wanted = filter.pattern.split(separator: "/", omittingEmptySubsequences: false)
        for (index, level) in levels.enumerated() {
            guard index < wanted.count else { return false }
            if wanted[index] == "#" { return true }
            let isLast = index == levels.count - 1
            if wanted[index] == "+" { continue }
            guard isLast ? wanted[index].hasPrefix(level) : wanted[index] == level else { return false }
        }
        return true
    }
}

/// Gathers the parts of a compiled rule.
struct RuleBuilder {
    let configuration: RuleConfiguration
    var compiler: Compiler
    var parsed = SelectStatement(columns: [], sources: [], condition: nil)
    var filters: [TopicFilter] = []
    var condition: Int32 = -1
    var columns: [(path: [String], node: Int32)] = []
    /// The field of the whole payload, for `*`.
    var star: Int32?

    init(_ configuration: RuleConfiguration) {
        self.configuration = configuration
        compiler = Compiler(dialect: configuration.dialect, sourceNames: [])
    }

    mutating func statement() throws(SQLError) {
        let dialect = configuration.dialect
        parsed = try Parser.parse(configuration.sql, dialect: dialect, streams: configuration.streams)
        var names: Set<String> = []
        for source in parsed.sources {
            names.formUnion(source.names)
            filters.append(try filter(source))
        }
        compiler = Compiler(dialect: dialect, sourceNames: names)
        for (index, column) in parsed.columns.enumerated() { try add(column, index) }
        if let condition = parsed.condition { self.condition = try compiler.compile(condition) }
    }

    private func filter(_ source: Source) throws(SQLError) -> TopicFilter {
        if source.filter.hasPrefix("$events/") {
            throw SQLError(source.position, "events such as \"\(source.filter)\" are not available yet")
        }
        let filter: TopicFilter
        do throws(TopicError) {
            filter = try TopicFilter(source.filter)
        } catch {
            throw SQLError(source.position, "\(error)")
        }
        guard filter.shareName == nil else {
            throw SQLError(source.position, "a rule reads every message; leave out $share/.../")
        }
        return filter
    }

    private mutating func add(_ column: SelectColumn, _ index: Int) throws(SQLError) {
        guard case .expression(let expression) = column.kind else {
            try addStar(column.position)
            return
        }
        let node = try compiler.compile(expression)
        let path = column.alias.isEmpty ? name(of: expression, index) : column.alias
        if configuration.dialect == .tundish, columns.contains(where: { $0.path == path }) {
            throw SQLError(
                column.position, "two columns are named \(path.joined(separator: ".")); give one another name with AS")
        }
        columns.append((path, node))
        if configuration.dialect == .emqx { compiler.define(path, node) }
    }

    private mutating func addStar(_ position: SourcePosition) throws(SQLError) {
        guard configuration.dialect == .emqx else {
            star = compiler.field([])
            return
        }
        for name in [
            "id", "event", "clientid", "username", "payload", "peerhost", "topic", "qos", "flags", "pub_props",
            "timestamp", "publish_received_at", "node",
        ] {
            guard let meta = Meta.emqx[name] else { continue }
            columns.append(([name], try compiler.metaNode(meta, position)))
        }
    }

    /// What a column without AS is called.
    private func name(of expression: Expression, _ index: Int) -> [String] {
        switch (expression.kind, configuration.dialect) {
        case (.name(let steps), .emqx):
            return steps.compactMap { if case .key(let key) = $0 { key } else { nil } }
        case (.name(let steps), .tundish):
            let keys: [String] = steps.compactMap { if case .key(let key) = $0 { key } else { nil } }
            return [keys.last ?? "column\(index + 1)"]
        case (.name(let steps), .ekuiper):
            let own =
                steps.count == 2
                && { if case .key(let key) = steps[0] { compiler.sourceNames.contains(key) } else { false } }()
            if steps.count == 1 || own, case .key(let key)? = steps.last { return [key] }
            return ["kuiper_field_\(index)"]
        case (.call(let name, _), _): return [name.lowercased()]
        case (_, .ekuiper): return ["kuiper_field_\(index)"]
        default: return ["column\(index + 1)"]
        }
    }

    // MARK: templates

    mutating func template(_ text: String) throws(Problem) -> Template {
        var parts: [Template.Part] = []
        for part in try TemplateText.split(text) {
            switch part {
            case .text(let text): parts.append(.text(Array(text.utf8)))
            case .expression("."), .expression("*"): parts.append(.result)
            case .expression(let source): parts.append(.node(try placeholder(source, text)))
            }
        }
        return Template(parts: parts)
    }

    private mutating func placeholder(_ source: String, _ template: String) throws(Problem) -> Int32 {
        if let column = columns.last(where: { $0.path.joined(separator: ".") == source }) { return column.node }
        do throws(SQLError) {
            return try compiler.compile(try Parser.parseExpression(source, dialect: configuration.dialect))
        } catch {
            throw Problem(
                "rule.template", "template \"\(template)\": ${\(source)}: \(error.reason)",
                ["template": template, "placeholder": source, "reason": error.reason])
        }
    }
}
