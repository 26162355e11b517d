import Model

/// The forms that a text may have to have.
enum StringForms {
    /// What is wrong with the text, as the end of a sentence; nil if nothing is.
    static func fault(_ text: String, _ form: StringRule.Form) -> String? {
        switch form {
        case .text: return nil
        case .name: return DocumentReader.nameFault(text)
        case .sql: return text.allSatisfy(\.isWhitespace) ? "is empty" : nil
        case .topic: return topicFault(text, filter: false)
        case .topicFilter: return topicFault(text, filter: true)
        case .hostPort: return hostPortFault(text)
        case .valueType:
            if ValueType(text) != nil { return nil }
            let known = ScalarType.allCases.map(\.name)
            let nearest = nearestName(to: text, among: known).map { ": did you mean \"\($0)\"?" } ?? "."
            return "is not a type\(nearest) Known: \(known.joined(separator: ", ")), and arrays such as float32[8]"
        }
    }

    /// MQTT 5.0, 4.7.
    private static func topicFault(_ text: String, filter: Bool) -> String? {
        if text.isEmpty { return "is empty" }
        if text.utf8.count > 65_535 { return "is longer than 65535 bytes" }
        if text.utf8.contains(0) { return "has a zero character" }
        let levels = text.split(separator: "/", omittingEmptySubsequences: false)
        for (index, level) in levels.enumerated() {
            if !filter {
                if level.contains("+") || level.contains("#") {
                    return "has a wildcard (+ or #), which a topic must not"
                }
                continue
            }
            if level.contains("#"), level != "#" || index != levels.count - 1 {
                return "has # other than as its last level"
            }
            if level.contains("+"), level != "+" { return "has + within a level; + stands for a whole level" }
        }
        return nil
    }

    private static func hostPortFault(_ text: String) -> String? {
        let wanted = "is not HOST:PORT, such as 127.0.0.1:1883 or [::1]:1883"
        guard let colon = text.lastIndex(of: ":") else { return wanted }
        let host = text[..<colon]
        let port = text[text.index(after: colon)...]
        guard port.allSatisfy({ ("0"..."9").contains($0) }), let number = Int(port) else { return wanted }
        guard number <= 65_535 else { return "has the port \(port); ports end at 65535" }
        if host.isEmpty || host.contains(" ") { return wanted }
        if host.contains(":"), !(host.hasPrefix("[") && host.hasSuffix("]")) { return wanted }
        return nil
    }

    /// The user's name if the text is a URL with a password: `scheme://user:password@...`.
    static func userOfPassword(inURL text: String) -> String? {
        guard let scheme = text.firstRange(of: "://"), scheme.lowerBound > text.startIndex,
            text[..<scheme.lowerBound].allSatisfy({ $0.isLetter || $0.isNumber || "+-.".contains($0) })
        else { return nil }
        let authority = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") else {
            return nil
        }
        // `user:@host` has no password; `${NAME}` is a place for one, and still not the way.
        return authority.index(after: colon) == at ? nil : String(authority[..<colon])
    }
}
