import Formats
import Model

/// Text with `${...}` in it. Between the braces stands a column of the result, or any expression of the rule's
/// dialect; `${.}` is the whole result.
struct Template {
    enum Part {
        case text([UInt8])
        case node(Int32)
        case result
    }

    let parts: [Part]

    /// The text where nothing is to be filled in.
    var constant: [UInt8]? {
        if parts.isEmpty { return [] }
        guard parts.count == 1, case .text(let text) = parts[0] else { return nil }
        return text
    }
}

/// A template before its expressions are compiled.
enum TemplateText {
    enum Part: Equatable {
        case text(String)
        case expression(String)
    }

    static func split(_ template: String) throws(Problem) -> [Part] {
        var parts: [Part] = []
        var rest = template[...]
        while let open = rest.firstRange(of: "${") {
            if open.lowerBound > rest.startIndex { parts.append(.text(String(rest[..<open.lowerBound]))) }
            guard let close = rest[open.upperBound...].firstIndex(of: "}") else {
                throw Problem(
                    "rule.template", "template \"\(template)\": \"${\" without \"}\"", ["template": template])
            }
            parts.append(.expression(String(rest[open.upperBound..<close])))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        return parts
    }
}

extension EvaluationContext {
    /// Writes the filled template as plain text. False where something in it is NULL, which is left out.
    @discardableResult
    func write(_ template: Template, result: Projection, to writer: inout JSONWriter) -> Bool {
        var isComplete = true
        for part in template.parts {
            switch part {
            case .text(let text): writer.raw(text)
            case .result: write(result, to: &writer)
            case .node(let node):
                let cell = evaluate(node)
                if let text = asText(cell) { writer.raw(text) } else { isComplete = false }
            }
        }
        return isComplete
    }
}
