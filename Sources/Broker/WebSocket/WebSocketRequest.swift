import Crypto

/// The HTTP request that a WebSocket begins with, and the answer to it. RFC 6455, 4.2; MQTT 5.0, 6
struct WebSocketRequest {
    /// Longest request, line and header together.
    static let bytesMax = 8192

    enum Outcome {
        case needsMore
        /// `count`: the request's length; what follows are frames.
        case accept(response: String, count: Int)
        /// An answer after which the connection closes.
        case refuse(response: String)
    }

    private var method = ""
    private var target = ""
    private var fields: [String: String] = [:]

    /// `bytes`: what has come so far.
    static func parse(_ bytes: UnsafeRawBufferPointer, _ settings: WebSocketSettings) -> Outcome {
        let window = UnsafeRawBufferPointer(rebasing: bytes.prefix(bytesMax))
        guard let end = endOfHeader(window) else {
            if window.count == bytesMax {
                return refusal("431 Request Header Fields Too Large", "The request is longer than \(bytesMax) bytes.")
            }
            // Something that is not HTTP at all is told so at once.
            if let first = window.first, !(0x41...0x5A).contains(first) {
                return refusal("400 Bad Request", "This is not an HTTP request. \(hint(settings))")
            }
            return .needsMore
        }
        var request = WebSocketRequest()
        guard request.read(UnsafeRawBufferPointer(rebasing: window[..<end])) else {
            return refusal("400 Bad Request", "The request is malformed. \(hint(settings))")
        }
        return request.answer(settings, count: end)
    }

    private static func hint(_ settings: WebSocketSettings) -> String {
        "This port speaks MQTT over WebSocket at \(settings.path)."
    }

    /// Just after the empty line.
    private static func endOfHeader(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index + 3 < bytes.count {
            if bytes[index] == 0x0D, bytes[index + 1] == 0x0A, bytes[index + 2] == 0x0D, bytes[index + 3] == 0x0A {
                return index + 4
            }
            index += 1
        }
        return nil
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.allSatisfy({ $0 >= 0x20 || $0 == 0x0D || $0 == 0x0A || $0 == 0x09 }) else { return false }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: true)
        guard let first = lines.first else { return false }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0", !words[1].isEmpty else {
            return false
        }
        method = String(words[0])
        target = String(words[1])
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
                !line[..<colon].contains(where: { $0 == " " || $0 == "\t" })
            else { return false }
            let name = line[..<colon].lowercased()
            let value = Self.trim(line[line.index(after: colon)...])
            fields[name] = fields[name].map { $0 + "," + value } ?? value
        }
        return true
    }

    private static func trim(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }

    private func list(_ name: String) -> [String] {
        (fields[name] ?? "").split(separator: ",").map { Self.trim($0) }
    }

    private func answer(_ settings: WebSocketSettings, count: Int) -> Outcome {
        let path = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
        guard path == settings.path else {
            return Self.refusal("404 Not Found", "There is nothing at this path. \(Self.hint(settings))")
        }
        guard method == "GET" else {
            return Self.refusal("405 Method Not Allowed", "Only GET is allowed.", ["Allow: GET"])
        }
        guard list("upgrade").contains(where: { $0.lowercased() == "websocket" }),
            list("connection").contains(where: { $0.lowercased() == "upgrade" })
        else {
            return Self.refusal(
                "426 Upgrade Required", "\(Self.hint(settings)) Connect with a WebSocket client.",
                ["Upgrade: websocket", "Connection: Upgrade"])
        }
        guard fields["sec-websocket-version"] == "13" else {
            return Self.refusal(
                "426 Upgrade Required", "WebSocket version 13 is spoken here.", ["Sec-WebSocket-Version: 13"])
        }
        guard let key = fields["sec-websocket-key"], Self.isKey(key), fields["host"] != nil else {
            return Self.refusal("400 Bad Request", "Host and a Sec-WebSocket-Key of 16 bytes in Base64 are needed.")
        }
        // [MQTT-6.0.0-3]
        guard let chosen = list("sec-websocket-protocol").first(where: { $0 == "mqtt" || $0 == "mqttv3.1" }) else {
            return Self.refusal("400 Bad Request", "The subprotocol \"mqtt\" must be offered.")
        }
        if !settings.origins.isEmpty, let origin = fields["origin"], !settings.origins.contains(origin) {
            return Self.refusal("403 Forbidden", "Pages of this origin may not connect.")
        }
        // [MQTT-6.0.0-4]
        let lines = [
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: \(Self.acceptance(of: key))", "Sec-WebSocket-Protocol: \(chosen)",
        ]
        return .accept(response: lines.joined(separator: "\r\n") + "\r\n\r\n", count: count)
    }

    private static func refusal(_ status: String, _ sentence: String, _ fields: [String] = []) -> Outcome {
        let body = sentence + "\n"
        let lines =
            [
                "HTTP/1.1 \(status)", "Content-Type: text/plain; charset=utf-8", "Content-Length: \(body.utf8.count)",
            ] + (fields.contains { $0.hasPrefix("Connection:") } ? [] : ["Connection: close"]) + fields
        return .refuse(response: lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// Whether it is the Base64 form of 16 bytes.
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 24 && bytes[22] == 0x3D && bytes[23] == 0x3D
            && bytes[..<22].allSatisfy { alphabet.contains($0) }
    }

    /// RFC 6455, 4.2.2
    static func acceptance(of key: String) -> String {
        var hash = Insecure.SHA1()
        Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8).withUnsafeBytes { hash.update(bufferPointer: $0) }
        return base64(Array(hash.finalize()))
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for digit in 0..<4 {
                let isPadding = digit > group.count
                text.append(isPadding ? 0x3D : alphabet[Int(bits >> UInt32(18 - 6 * digit) & 63)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
