import Bus
package import Model
import Resources
import Streams

/// Runs the rules of a file on one message, and prints what each makes of it.
package func testRules(
    file: String, name: String?, topic: String, payload: String, output: CommandOutput = .standard
) throws(Problem) {
    for rule in try rules(file: file, name: name) {
        let outcome = try RuleTrial.evaluate(
            rule, topic: topic, payload: .json(Bytes(payload)), at: SystemTime().now())
        guard outcome.matched else {
            output.line("\(rule.name): does not read topic \(topic)")
            continue
        }
        if let error = outcome.error {
            output.line("\(rule.name): \(error.message)")
        } else if !outcome.passed {
            output.line("\(rule.name): WHERE is not true")
        } else {
            output.line("\(rule.name): \(outcome.result?.string ?? "")")
            for message in outcome.messages { output.line("  -> \(message.topic) \(message.payload.bytes.string)") }
        }
    }
}

/// Prints the plans of a file's rules.
package func explainRules(file: String, name: String?, output: CommandOutput = .standard) throws(Problem) {
    for rule in try rules(file: file, name: name) {
        output.line("rule \(rule.name)")
        output.line(try RuleTrial.explain(rule))
    }
}

private func rules(file: String, name: String?) throws(Problem) -> [RuleConfiguration] {
    let registry = NodeKinds.registry
    var (documents, issues) = registry.reader.read(try readTextFile(file), file: file)
    documents = documents.filter { $0.key.kind == NodeKinds.ruleName && (name == nil || $0.key.name == name) }
    let checked = registry.check(documents, &issues)
    guard issues.isValid else {
        throw Problem("resource.invalid", issues.issues.map(\.description).joined(separator: "\n"))
    }
    if checked.isEmpty {
        throw Problem("rule.unknown", "\(file): has no rule\(name.map { " \"\($0)\"" } ?? "")", ["file": file])
    }
    var rules: [RuleConfiguration] = []
    for item in checked { rules.append(try RuleConfiguration(name: item.key.name, item.spec)) }
    return rules
}
