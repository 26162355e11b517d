package import Formats
package import HTTPTypes
package import Model
import NIOCore

/// A request as the routes see it: path parameters, query, body and who asks.
package struct ConsoleRequest: Sendable {
    package var method: HTTPRequest.Method
    /// Percent-decoded, without the query.
    package var path: String
    package var query: QueryItems
    package var headers: HTTPFields
    /// Address of the other end, without port.
    package var peer: String
    /// Values of the path template's `{...}`, decoded.
    package var parameters: [String: String] = [:]
    package var body = Bytes()
    /// Nil on routes that are open to everyone.
    package var caller: Caller?

    package init(
        method: HTTPRequest.Method, path: String, query: QueryItems = QueryItems(), headers: HTTPFields = [:],
        peer: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.peer = peer
    }

    package func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// The media type of the body, in lower case and without its parameters; nil where absent.
    package var contentType: String? {
        guard let field = headers[.contentType] else { return nil }
        let type = field.prefix { $0 != ";" && $0 != " " }
        return type.isEmpty ? nil : type.lowercased()
    }

    /// The body as a JSON object. An absent content type passes for JSON: command-line clients forget it.
    package func jsonObject() throws(Refusal) -> JSONValue {
        if let type = contentType, type != "application/json", !type.hasSuffix("+json") {
            throw Refusal(
                .unsupportedMediaType, "request.media_type",
                "the body must be application/json, not \(type)", ["seen": type, "allowed": "application/json"])
        }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: body)
        } catch {
            throw Refusal(
                .badRequest, "request.json", "the body is not valid JSON: \(error)", ["reason": "\(error)"])
        }
        guard case .object = value else {
            throw Refusal(.badRequest, "request.json_object", "the body must be a JSON object")
        }
        return value
    }
}

/// Who sends a request.
package struct Caller: Sendable, Hashable {
    package enum Means: Sendable, Hashable {
        case token
        /// The key of the session in the session store.
        case session(SessionKey)
    }

    package var username: String
    package var roles: Set<ConsoleRole>
    package var means: Means

    package init(_ account: Account, means: Means) {
        username = account.username
        roles = account.roles
        self.means = means
    }

    package func may(_ right: Right) -> Bool { roles.contains { $0.rights.contains(right) } }
}

/// The decoded items of a query string; the last one of a name counts.
package struct QueryItems: Sendable, Hashable {
    private var items: [String: String] = [:]

    package init() {}

    /// Malformed escapes are kept as they are.
    package init(parsing text: some StringProtocol) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = PercentCoding.decode(parts[0], plusIsSpace: true) ?? String(parts[0])
            let value = parts.count > 1 ? parts[1] : ""
            items[name] = PercentCoding.decode(value, plusIsSpace: true) ?? String(value)
        }
    }

    /// Nil where absent; an item without a value is empty.
    package subscript(_ name: String) -> String? { items[name] }

    /// Nil where absent or empty.
    package func text(_ name: String) -> String? {
        guard let text = items[name], !text.isEmpty else { return nil }
        return text
    }

    package func flag(_ name: String) throws(Refusal) -> Bool {
        switch items[name] {
        case nil, "false", "0": return false
        case "", "true", "1": return true
        case let seen?:
            throw Refusal(
                .badRequest, "request.parameter", "query parameter \"\(name)\" is \"\(seen)\": must be true or false",
                ["parameter": name, "seen": seen, "allowed": "true, false"])
        }
    }

    package func integer(_ name: String, in range: ClosedRange<Int>, default value: Int) throws(Refusal) -> Int {
        guard let text = text(name) else { return value }
        guard let number = Int(text), range.contains(number) else {
            throw Refusal(
                .badRequest, "request.parameter",
                "query parameter \"\(name)\" is \"\(text)\": must be a whole number from \(range.lowerBound) to \(range.upperBound)",
                ["parameter": name, "seen": text, "allowed": "\(range.lowerBound)...\(range.upperBound)"])
        }
        return number
    }
}

package enum PercentCoding {
    /// Nil when an escape is malformed or the result is not UTF-8.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%") {
                guard let high = digit(iterator.next()), let low = digit(iterator.next()) else { return nil }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case .some(let byte) where byte >= 0x30 && byte <= 0x39: byte - 0x30
        case .some(let byte) where byte >= 0x41 && byte <= 0x46: byte - 0x41 + 10
        case .some(let byte) where byte >= 0x61 && byte <= 0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
