import Formats

/// The shapes that the OpenAPI document names. A member's type is `string`, `integer`, `number`, `boolean`, `any`,
/// the name of another shape, `[...]` around one for a list, or `{...}` for free keys; `?` marks what may be absent.
enum OpenAPISchemas {
    static let all: JSONValue = .object(
        [JSONMember("Any", .object([])), JSONMember("Text", .object(["type": "string"]))]
            + shapes.map { JSONMember($0.name, object($0.members)) })

    static var names: [String] { all.members?.map(\.key) ?? [] }

    private static func object(_ members: KeyValuePairs<String, String>) -> JSONValue {
        let required = members.filter { !$0.value.hasSuffix("?") }.map { JSONValue.string($0.key) }
        return .object([
            "type": "object",
            "properties": .object(members.map { JSONMember($0.key, type($0.value)) }),
            "required": required.isEmpty ? nil : .array(required),
        ])
    }

    private static func type(_ text: String) -> JSONValue {
        let text = text.hasSuffix("?") ? String(text.dropLast()) : text
        if text.hasPrefix("[") {
            return .object(["type": "array", "items": type(String(text.dropFirst().dropLast()))])
        }
        if text.hasPrefix("{") {
            return .object(["type": "object", "additionalProperties": type(String(text.dropFirst().dropLast()))])
        }
        switch text {
        case "any": return .object([])
        case "string", "integer", "number", "boolean": return .object(["type": .string(text)])
        default: return OpenAPIDocument.reference(text)
        }
    }

    private static let shapes: [(name: String, members: KeyValuePairs<String, String>)] = [
        (
            "Problem",
            [
                "type": "string", "title": "string", "status": "integer", "code": "string", "detail": "string",
                "arguments": "{string}", "issues": "[Issue]?",
            ]
        ),
        (
            "Issue",
            [
                "file": "string?", "line": "integer?", "column": "integer?", "code": "string", "message": "string",
                "arguments": "{string}", "known": "[string]?",
            ]
        ),
        (
            "Session",
            [
                "authenticated": "boolean", "username": "string?", "roles": "[string]?", "rights": "[string]?",
                "needsSetup": "boolean", "version": "string",
            ]
        ),
        ("Setup", ["token": "string", "username": "string", "password": "string"]),
        ("Login", ["username": "string", "password": "string"]),
        ("TokenRequest", ["name": "string"]),
        ("Token", ["id": "string", "name": "string", "author": "string", "createdAt": "integer"]),
        ("TokenList", ["items": "[Token]"]),
        (
            "NewToken",
            ["id": "string", "name": "string", "author": "string", "createdAt": "integer", "token": "string"]
        ),
        (
            "Status",
            [
                "name": "string", "version": "string", "startedAt": "integer", "uptimeSeconds": "number",
                "memoryBytes": "integer", "cpuSeconds": "number", "revision": "integer", "devices": "{integer}",
                "tags": "{integer}", "rules": "{integer}", "clients": "integer", "subscriptions": "integer",
                "retained": "integer", "flow": "[FlowStation]", "historian": "{number}", "problems": "[any]",
            ]
        ),
        (
            "FlowStation",
            [
                "id": "string", "ratePerSecond": "number", "unit": "string", "total": "integer", "dropped": "integer",
                "state": "string",
            ]
        ),
        ("Readiness", ["ready": "boolean", "reasons": "[any]"]),
        ("KindList", ["kinds": "[string]"]),
        ("Schema", ["fields": "[Field]"]),
        (
            "Field",
            [
                "name": "string", "type": "string", "required": "boolean", "default": "any?", "unit": "string?",
                "help": "string", "helpChinese": "string?", "fields": "[Field]?", "of": "any?", "choices": "[string]?",
                "min": "any?", "max": "any?", "form": "string?", "by": "string?", "cases": "{Schema}?",
            ]
        ),
        ("ResourceDocument", ["apiVersion": "string?", "kind": "string?", "name": "string?", "spec": "{any}"]),
        (
            "Resource",
            [
                "apiVersion": "string", "kind": "string", "space": "string", "name": "string", "uid": "string",
                "revision": "integer", "createdAt": "integer", "updatedAt": "integer", "author": "string",
                "source": "string", "spec": "{any}", "status": "ResourceStatus",
            ]
        ),
        (
            "ResourceStatus",
            [
                "observedRevision": "integer", "state": "string", "code": "string?", "message": "string?",
                "arguments": "{string}?", "since": "integer",
            ]
        ),
        ("ResourceList", ["items": "[Resource]", "revision": "integer"]),
        ("History", ["items": "[Revision]"]),
        (
            "Revision",
            [
                "revision": "integer", "author": "string", "source": "string", "at": "integer", "action": "string",
                "spec": "{any}?",
            ]
        ),
        ("Rollback", ["to": "integer"]),
        ("Apply", ["dryRun": "boolean", "revision": "integer", "changes": "[Change]"]),
        ("Change", ["kind": "string", "name": "string", "action": "string", "diff": "[Difference]"]),
        ("Difference", ["path": "string", "before": "any?", "after": "any?"]),
        (
            "Diagnostics",
            [
                "device": "string", "driver": "string", "endpoint": "string", "state": "string", "since": "integer",
                "lastError": "any?", "counters": "{integer}", "roundTripMilliseconds": "{number}",
                "groups": "[GroupDiagnostics]",
            ]
        ),
        (
            "GroupDiagnostics",
            [
                "name": "string", "topic": "string", "intervalMilliseconds": "number", "tags": "integer",
                "good": "integer", "bad": "integer", "cycles": "integer", "skipped": "integer",
                "lastCycleAt": "integer?", "lastCycleMilliseconds": "number?", "requestsPerCycle": "integer",
            ]
        ),
        (
            "RuleMetrics",
            [
                "matched": "integer", "passed": "integer", "failed": "integer", "emitted": "integer",
                "lastError": "any?", "perSecond": "number",
            ]
        ),
        (
            "SinkMetrics",
            [
                "offered": "integer", "refused": "integer", "written": "integer", "known": "integer",
                "setApart": "integer", "dropped": "integer", "damaged": "integer", "queued": "integer",
                "inFlight": "integer", "batches": "integer", "retries": "integer", "bytesOnDisk": "integer",
                "rowsPerSecond": "number", "oldestSeconds": "number?", "state": "string", "problem": "any?",
            ]
        ),
        ("RefusedRows", ["items": "[RefusedRow]"]),
        ("RefusedRow", ["time": "integer", "code": "string", "reason": "string", "row": "string"]),
        ("TagPage", ["total": "integer", "items": "[Tag]"]),
        (
            "Tag",
            [
                "device": "string", "group": "string", "tag": "string", "type": "string", "unit": "string?",
                "description": "string?", "access": "string", "address": "string?", "value": "any",
                "quality": "string", "error": "any?", "timestamp": "integer?",
            ]
        ),
        ("WriteRequest", ["device": "string", "group": "string", "values": "{any}"]),
        ("WriteAnswer", ["device": "string", "group": "string", "timestamp": "integer", "results": "{any}"]),
        (
            "Query",
            [
                "tags": "[string]", "from": "any?", "to": "any?", "last": "string?", "buckets": "integer?",
                "bucket": "string?", "aggregates": "[string]?", "limit": "integer?",
            ]
        ),
        ("PointsRequest", ["points": "[Point]"]),
        ("Point", ["tag": "string", "time": "integer?", "value": "any"]),
        ("PointsAnswer", ["accepted": "integer"]),
        ("QueryAnswer", ["from": "integer", "to": "integer", "series": "[Series]"]),
        (
            "Series",
            [
                "tag": "string", "type": "string", "unit": "any", "columns": "[string]", "truncated": "boolean",
                "rows": "[[any]]",
            ]
        ),
        (
            "PublishRequest",
            ["topic": "string", "payload": "string?", "encoding": "string?", "qos": "integer?", "retain": "boolean?"]
        ),
        ("PublishAnswer", ["outcome": "string"]),
        ("ClientPage", ["total": "integer", "items": "[Client]"]),
        (
            "Client",
            [
                "clientId": "string", "username": "string?", "protocol": "string", "peer": "string?",
                "listener": "string?", "connectedAt": "integer?", "keepAlive": "integer", "cleanStart": "boolean",
                "subscriptions": "integer", "received": "integer", "sent": "integer", "queued": "integer",
                "dropped": "integer", "state": "string",
            ]
        ),
        (
            "ClientReport",
            [
                "clientId": "string", "username": "string?", "protocol": "string", "peer": "string?",
                "listener": "string?", "connectedAt": "integer?", "keepAlive": "integer", "cleanStart": "boolean",
                "subscriptions": "integer", "received": "integer", "sent": "integer", "queued": "integer",
                "dropped": "integer", "state": "string", "sessionExpirySeconds": "integer?", "inflight": "integer",
                "inflightMax": "integer", "waiting": "integer", "waitingMax": "integer", "awaitingRelease": "integer",
                "unsentBytes": "integer", "slow": "boolean", "silentMilliseconds": "integer?", "willTopic": "string?",
                "packetBytesMax": "integer?", "certificateSubject": "string?", "filters": "[Subscription]",
            ]
        ),
        ("SubscriptionPage", ["total": "integer", "items": "[Subscription]"]),
        (
            "Subscription",
            [
                "clientId": "string", "filter": "string", "qos": "integer", "noLocal": "boolean",
                "retainAsPublished": "boolean", "retainHandling": "integer", "subscriptionId": "integer?",
                "share": "string?",
            ]
        ),
        ("RetainedPage", ["total": "integer", "more": "boolean", "items": "[Retained]"]),
        (
            "Retained",
            [
                "topic": "string", "payload": "string", "encoding": "string?", "bytes": "integer?", "qos": "integer",
                "at": "integer",
            ]
        ),
        ("ListenerList", ["items": "[ListenerReport]"]),
        (
            "ListenerReport",
            [
                "name": "string", "protocol": "string", "address": "string", "connections": "integer",
                "halfOpen": "integer", "accepted": "integer", "refused": "integer", "closed": "{integer}",
                "certificateExpires": "integer?", "problems": "[any]",
            ]
        ),
        ("TopicMetricsRequest", ["filter": "string"]),
        ("TopicMetricsList", ["items": "[TopicMetrics]"]),
        (
            "TopicMetrics",
            [
                "filter": "string", "startedAt": "integer", "received": "integer", "receivedByQos": "[integer]",
                "receivedBytes": "integer", "sent": "integer", "dropped": "integer", "receivedPerSecond": "number",
                "sentPerSecond": "number", "droppedPerSecond": "number",
            ]
        ),
        ("RefusalPage", ["total": "integer", "items": "[AccessRefusal]"]),
        (
            "AccessRefusal",
            [
                "at": "integer", "action": "string", "clientId": "string", "username": "string?", "peer": "string",
                "listener": "string", "cause": "string", "detail": "string", "by": "string",
            ]
        ),
        ("AlarmList", ["items": "[Alarm]"]),
        ("Acknowledged", ["id": "string", "acknowledged": "integer"]),
        (
            "Alarm",
            [
                "id": "string", "name": "string", "device": "string?", "state": "string", "severity": "string",
                "message": "string", "raisedAt": "integer",
            ]
        ),
    ]
}
