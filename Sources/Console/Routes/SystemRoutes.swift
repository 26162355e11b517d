import Formats
import HTTPTypes
package import Model

/// Status, metrics and health.
extension API {
    func systemRoutes() -> [Route] {
        [
            Route(.get, "\(API.base)/status", "system", "The whole system at a glance", answer: "Status") {
                [services] _ in .json(await services.status().json)
            }.needs(.read),
            Route(
                .get, "\(API.base)/live", "system",
                "WebSocket: live values, status, diagnostics and messages; a plain request is answered with 426",
                answer: "Any"
            ) { _ in
                var refusal = Refusal(
                    HTTPResponse.Status(code: 426, reasonPhrase: "Upgrade Required"), "request.upgrade_required",
                    "this is a WebSocket: ask for an upgrade")
                if let upgrade = HTTPField.Name("Upgrade") { refusal.headers[upgrade] = "websocket" }
                throw refusal
            }.needs(LiveHub.right),
            Route(.get, "/metrics", "system", "All counters in Prometheus' text format", answer: "Text") {
                [services, hub] _ in
                let samples = await services.metrics() + hub.counters.collect()
                return .text(PrometheusText.write(samples), contentType: PrometheusText.contentType)
            }.with {
                $0.access = .loopback(or: .read)
                $0.answerType = "text/plain"
            },
            Route(.get, "/healthz", "system", "Whether the process answers", answer: "Text") { _ in .text("ok\n") }
                .with {
                    $0.access = .open
                    $0.answerType = "text/plain"
                },
            Route(.get, "/readyz", "system", "Whether everything that was configured has started", answer: "Readiness")
            {
                [services] _ in
                let readiness = await services.readiness()
                return .json(
                    .object([
                        "ready": .bool(readiness.isReady), "reasons": .array(readiness.reasons.map(\.json)),
                    ]), status: readiness.isReady ? .ok : .serviceUnavailable)
            }.with { $0.access = .open },
        ]
    }
}

extension StatusReport {
    var json: JSONValue {
        .object([
            "name": .string(name), "version": .string(version), "startedAt": .time(startedAt),
            "uptimeSeconds": .number(uptimeSeconds), "memoryBytes": .count(memoryBytes),
            "cpuSeconds": .number(cpuSeconds),
            "revision": .integer(revision),
            "devices": .object([
                "total": .count(devices.total), "connected": .count(devices.connected),
                "degraded": .count(devices.degraded), "disconnected": .count(devices.disconnected),
            ]),
            "tags": .object(["total": .count(tags.total), "good": .count(tags.good), "bad": .count(tags.bad)]),
            "rules": .object([
                "total": .count(rules.total), "running": .count(rules.running), "failed": .count(rules.failed),
            ]),
            "clients": .count(clients), "subscriptions": .count(subscriptions), "retained": .count(retained),
            "flow": .array(flow.map(\.json)),
            "historian": .object([
                "points": .count(historian.points), "bytes": .count(historian.bytes),
                "series": .count(historian.series),
                "bytesPerPoint": historian.bytesPerPoint.map(JSONValue.number),
            ]),
            "problems": .array(problems.map(\.json)),
        ])
    }
}

extension FlowStation {
    fileprivate var json: JSONValue {
        .object([
            "id": .string(station.rawValue), "ratePerSecond": .number(ratePerSecond), "unit": .string(unit.rawValue),
            "total": .count(total), "dropped": .count(dropped), "state": .string(state.rawValue),
        ])
    }
}

extension ReportedProblem {
    fileprivate var json: JSONValue {
        .object([
            "severity": .string(severity.rawValue), "code": .string(problem.code), "message": .string(problem.message),
            "arguments": problem.argumentsJSON,
            "resource": resource.map { .object(["kind": .string($0.kind), "name": .string($0.name)]) },
        ])
    }
}

/// Prometheus' text exposition format, version 0.0.4.
package enum PrometheusText {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Samples of one name stand together, in the order in which the name was first seen.
    package static func write(_ samples: [MetricSample]) -> String {
        var order: [String] = []
        var byName: [String: [MetricSample]] = [:]
        for sample in samples {
            if byName[sample.name] == nil { order.append(sample.name) }
            byName[sample.name, default: []].append(sample)
        }
        var text = ""
        for name in order {
            guard let group = byName[name], let first = group.first else { continue }
            text += "# HELP \(name) \(escaped(first.help, quotes: false))\n# TYPE \(name) \(first.kind.rawValue)\n"
            for sample in group {
                text += name + labels(sample.labels) + " " + number(sample.value) + "\n"
            }
        }
        return text
    }

    private static func labels(_ labels: [String: String]) -> String {
        if labels.isEmpty { return "" }
        let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(escaped($0.value, quotes: true))\"" }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.append(character)
            }
        }
        return result
    }
}
