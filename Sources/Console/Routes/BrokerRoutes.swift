import Bus
import Formats
import HTTPTypes
import Model

/// The broker: publishing, clients, subscriptions, retained messages, alarms.
extension API {
    static let retainedMax = 1_000

    func brokerRoutes() -> [Route] {
        [
            Route(
                .post, "\(API.base)/publish", "broker", "Publishes a message", answer: "PublishAnswer", handler: publish
            )
            .with {
                $0.requestBody = RouteBody("PublishRequest")
                $0.bodyBytesMax = API.payloadBytesMax
            },
            Route(.get, "\(API.base)/clients", "broker", "Sessions of the broker", answer: "ClientList") {
                [services] _ in
                .json(.object(["items": .array(await services.clients().map(\.json))]))
            },
            Route(.get, "\(API.base)/subscriptions", "broker", "Who subscribes to what", answer: "SubscriptionList") {
                [services] _ in
                let items = await services.subscriptions().map { subscription -> JSONValue in
                    .object([
                        "clientId": .string(subscription.clientID), "filter": .string(subscription.filter),
                        "qos": .integer(Int64(subscription.qos)),
                    ])
                }
                return .json(.object(["items": .array(items)]))
            },
            Route(
                .get, "\(API.base)/retained", "broker", "Retained messages", answer: "RetainedList", handler: retained
            )
            .with { $0.query = [RouteParameter("filter", "string", "A topic filter")] },
            Route(.get, "\(API.base)/alarms", "broker", "Alarms and their states", answer: "AlarmList") {
                [services] _ in
                .json(.object(["items": .array(await services.alarms().map(\.json))]))
            },
        ]
    }

    private func publish(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        let body = try request.jsonObject()
        let name = try body.requiredText("topic", max: 65_535)
        let topic: Topic
        do {
            topic = try Topic(name)
        } catch {
            throw Refusal(.unprocessableContent, "topic.invalid", "\(error)", ["topic": name, "reason": error.reason])
        }
        let text = try body.optionalText("payload", max: API.payloadBytesMax) ?? ""
        let payload: Bytes
        switch try body.optionalText("encoding", max: 16) ?? "plain" {
        case "plain": payload = Bytes(text)
        case "base64":
            guard let bytes = Base64.decode(text) else {
                throw Refusal(
                    .unprocessableContent, "request.base64", "\"payload\" is not valid Base64", ["name": "payload"])
            }
            payload = Bytes(bytes)
        case let seen: throw JSONValue.wrong("encoding", .string(seen), "plain or base64")
        }
        let level = try body.optionalInteger("qos", in: 0...2) ?? 0
        let message = Message(
            topic: topic, payload: .bytes(payload), qos: QoS(rawValue: UInt8(level)) ?? .atMostOnce,
            retain: try body.optionalBool("retain") ?? false, receivedAt: options.time.now(),
            origin: Origin(.console, clientID: "console", username: try caller(request).username, peer: request.peer))
        switch await publisher.publishConfirmed([message]).first {
        case .accepted: return .json(.object(["outcome": "accepted"]))
        case .noSubscribers: return .json(.object(["outcome": "noSubscribers"]))
        case .refused(let problem): throw Refusal(.serviceUnavailable, problem)
        case nil: throw Refusal(.serviceUnavailable, "broker.stopped", "the broker is not running")
        }
    }

    private func retained(_ request: ConsoleRequest) async throws -> ConsoleResponse {
        var filter: TopicFilter?
        if let text = request.query.text("filter") {
            do {
                filter = try TopicFilter(text)
            } catch {
                throw Refusal(.badRequest, "topic.invalid", "\(error)", ["topic": text, "reason": error.reason])
            }
        }
        let items = await services.retained(filter: filter, limit: Self.retainedMax).map { message -> JSONValue in
            .object(
                [JSONMember("topic", .string(message.topic))] + PayloadJSON.members(message.payload)
                    + [JSONMember("qos", .integer(Int64(message.qos))), JSONMember("at", .time(message.receivedAt))])
        }
        return .json(.object(["items": .array(items)]))
    }
}

extension ClientInfo {
    fileprivate var json: JSONValue {
        .object([
            "clientId": .string(clientID), "username": username.map(JSONValue.string),
            "protocol": .string(self.protocol),
            "peer": peer.map(JSONValue.string), "connectedAt": connectedAt.map(JSONValue.time),
            "keepAlive": .count(keepAliveSeconds), "cleanStart": .bool(cleanStart),
            "subscriptions": .count(subscriptions),
            "received": .count(received), "sent": .count(sent), "queued": .count(queued),
            "state": .string(state.rawValue),
        ])
    }
}

extension AlarmInfo {
    fileprivate var json: JSONValue {
        let own: JSONValue = .object([
            "id": .string(id), "name": .string(name), "device": device.map(JSONValue.string), "state": .string(state),
            "severity": .string(severity), "message": .string(message), "raisedAt": .time(raisedAt),
        ])
        let members = own.members ?? []
        return .object(members + details.filter { detail in !members.contains { $0.key == detail.key } })
    }
}

/// A payload for people: text where it is text.
enum PayloadJSON {
    /// What is longer is cut: a page shows it, nobody computes with it.
    static let shownBytesMax = 64 << 10

    static func members(_ payload: Bytes) -> [JSONMember] {
        let isCut = payload.count > shownBytesMax
        let shown = isCut ? payload.slice(0..<shownBytesMax) : payload
        var members: [JSONMember]
        if let text = text(shown, isCut) {
            members = [JSONMember("payload", .string(text))]
        } else {
            members = [JSONMember("payload", .string(Base64.encode(shown))), JSONMember("encoding", "base64")]
        }
        if isCut { members.append(JSONMember("bytes", .count(payload.count))) }
        return members
    }

    /// Nil when it is not UTF-8; a character that the cut split does not count.
    private static func text(_ bytes: Bytes, _ isCut: Bool) -> String? {
        for dropped in 0...(isCut ? 3 : 0) where dropped <= bytes.count {
            let text = bytes.slice(0..<bytes.count - dropped).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
            if let text { return text }
        }
        return nil
    }
}

/// RFC 4648, 4
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: Bytes) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let part = (0..<3).map { start + $0 < bytes.count ? UInt32(bytes[start + $0]) : 0 }
                let word = part[0] << 16 | part[1] << 8 | part[2]
                for index in 0..<4 {
                    let isPadding = start + index > bytes.count
                    text.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> (18 - 6 * UInt32(index)) & 63)])
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil for anything that is not canonical Base64 with padding.
    static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 4 == 0 else { return nil }
        let padding = digits.suffix(2).count { $0 == UInt8(ascii: "=") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3)
        var word: UInt32 = 0
        for (index, digit) in digits.enumerated() {
            var value: UInt8 = 0
            if index < digits.count - padding {
                guard let decoded = Self.value(digit) else { return nil }
                value = decoded
            } else if digit != UInt8(ascii: "=") {
                return nil
            }
            word = word << 6 | UInt32(value)
            if index % 4 == 3 {
                bytes.append(UInt8(truncatingIfNeeded: word >> 16))
                bytes.append(UInt8(truncatingIfNeeded: word >> 8))
                bytes.append(UInt8(truncatingIfNeeded: word))
            }
        }
        bytes.removeLast(min(padding, bytes.count))
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x41...0x5A: digit - 0x41
        case 0x61...0x7A: digit - 0x61 + 26
        case 0x30...0x39: digit - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
