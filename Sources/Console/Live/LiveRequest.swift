import Formats
package import Model

/// What a page asks on its WebSocket.
package enum LiveRequest: Sendable, Equatable {
    package enum Subject: Sendable, Equatable {
        case tags([TagPath], interval: Duration)
        case status
        case device(String)
        case topics([TopicFilter])
    }

    case subscribe(id: Int64, Subject)
    case unsubscribe(id: Int64)
    case ping

    package static let tagsMax = 10_000
    package static let topicsMax = 32
    package static let intervalDefault = Duration.milliseconds(500)
    /// Values are shown to people: shorter than this nobody sees, longer than an hour nobody waits.
    package static let intervalMin = Duration.milliseconds(100)
    package static let intervalMax = Duration.seconds(3600)
    static let limits = JSONLimits(depthMax: 8, bytesMax: 1 << 20)

    /// Why a request is refused, and which one where it says so.
    package struct Failure: Error, Sendable, Equatable {
        package var id: Int64?
        package var problem: Problem
    }

    package init(parsing text: Bytes) throws(Failure) {
        let json: JSONValue
        do {
            json = try JSONValue(parsing: text, limits: Self.limits)
        } catch {
            throw Failure(id: nil, problem: Problem("live.json", "not valid JSON: \(error)", ["reason": "\(error)"]))
        }
        let id = json["id"]?.integer
        let seen = json["op"]?.string
        switch seen {
        case "ping": self = .ping
        case "subscribe", "unsubscribe":
            guard let id else { throw Failure(id: nil, problem: Problem("live.id", "\"id\" must be a whole number")) }
            self = seen == "subscribe" ? .subscribe(id: id, try Self.subject(json, id)) : .unsubscribe(id: id)
        default:
            throw Failure(
                id: id,
                problem: Problem(
                    "live.op", "\"op\" must be subscribe, unsubscribe or ping",
                    ["seen": String((seen ?? "").prefix(80)), "allowed": "subscribe, unsubscribe, ping"]))
        }
    }

    private static func subject(_ json: JSONValue, _ id: Int64) throws(Failure) -> Subject {
        if let tags = json["tags"] { return .tags(try paths(tags, id), interval: try interval(json, id)) }
        if json["status"]?.bool == true { return .status }
        if let device = json["device"]?.string, !device.isEmpty, device.utf8.count <= 1024 { return .device(device) }
        if let topics = json["topics"] { return .topics(try filters(topics, id)) }
        throw Failure(
            id: id, problem: Problem("live.subject", "name \"tags\", \"status\": true, \"device\" or \"topics\""))
    }

    private static func paths(_ json: JSONValue, _ id: Int64) throws(Failure) -> [TagPath] {
        guard let elements = json.array, (1...tagsMax).contains(elements.count) else {
            throw Failure(
                id: id,
                problem: Problem(
                    "live.tags", "\"tags\" must be a list of 1 to \(tagsMax) paths device/group/tag",
                    ["allowed": "\(tagsMax)"]))
        }
        var paths: [TagPath] = []
        paths.reserveCapacity(elements.count)
        for element in elements {
            guard let text = element.string, let path = TagPath(text) else {
                let seen = String(element.text.prefix(80))
                throw Failure(
                    id: id, problem: Problem("live.tags", "\(seen) is not a path device/group/tag", ["seen": seen]))
            }
            paths.append(path)
        }
        return paths
    }

    private static func interval(_ json: JSONValue, _ id: Int64) throws(Failure) -> Duration {
        guard let value = json["intervalMilliseconds"], value != .null else { return intervalDefault }
        let allowed = intervalMin.nanoseconds / 1_000_000...intervalMax.nanoseconds / 1_000_000
        guard let milliseconds = value.number,
            (Double(allowed.lowerBound)...Double(allowed.upperBound)).contains(milliseconds)
        else {
            let seen = String(value.text.prefix(80))
            let limits = "\(allowed.lowerBound) to \(allowed.upperBound)"
            throw Failure(
                id: id,
                problem: Problem(
                    "live.interval", "\"intervalMilliseconds\" must be a number from \(limits), not \(seen)",
                    ["seen": seen, "allowed": limits]))
        }
        return .milliseconds(Int64(milliseconds))
    }

    private static func filters(_ json: JSONValue, _ id: Int64) throws(Failure) -> [TopicFilter] {
        guard let elements = json.array, (1...topicsMax).contains(elements.count) else {
            throw Failure(
                id: id,
                problem: Problem(
                    "live.topics", "\"topics\" must be a list of 1 to \(topicsMax) topic filters",
                    ["allowed": "\(topicsMax)"]))
        }
        var filters: [TopicFilter] = []
        for element in elements {
            do {
                filters.append(try TopicFilter(element.string ?? ""))
            } catch {
                throw Failure(id: id, problem: Problem("topic.invalid", "\(error)", ["reason": error.reason]))
            }
        }
        return filters
    }
}
