import Bus
import Formats
import Model
import Synchronization

@testable import Console

/// What the console sees of a system, set by the test.
final class FakeServices: ConsoleServices {
    struct State {
        var values: [TagPath: LiveValue] = [:]
        var version: UInt64 = 1
        var writes: [WriteRequest] = []
        var queries: [HistoryQuery] = []
        var liveCalls = 0
        var statusCalls = 0
        var isReady = true
        var writeProblem: Problem?
        var acknowledgements: [String] = []
        var clients: [ClientInfo] = []
        var disconnected: [String] = []
        var deletedRetained: [String] = []
        var metered: [String] = []
    }

    let state = Mutex(State())

    func set(_ path: String, _ value: Value?, at milliseconds: Int64, code: String? = nil) {
        guard let path = TagPath(path) else { return }
        state.withLock {
            $0.values[path] = LiveValue(timestamp: Timestamp(milliseconds: milliseconds), value: value, code: code)
            $0.version += 1
        }
    }

    func liveValues(_ requests: [LiveGroupRequest]) async -> [LiveGroupAnswer] {
        state.withLock { state in
            state.liveCalls += 1
            return requests.map { request in
                if request.device == "nobody" { return .unknown }
                if request.knownVersion == state.version { return .unchanged }
                return .values(
                    version: state.version,
                    request.tags.map {
                        state.values[TagPath(device: request.device, group: request.group, tag: $0)]
                    })
            }
        }
    }

    func status() async -> StatusReport {
        state.withLock { $0.statusCalls += 1 }
        var report = StatusReport()
        report.version = "1.2.3"
        report.flow = [FlowStation(.devices, unit: .tags, ratePerSecond: 1234.5, total: 99)]
        return report
    }

    func diagnostics(device: String) async -> DeviceDiagnostics? {
        guard device == "press-1" else { return nil }
        return DeviceDiagnostics(
            device: device, driver: "modbus_tcp", endpoint: "127.0.0.1:1502", state: .connected,
            since: Timestamp(milliseconds: 1), counters: ["requests": 7])
    }

    func tags(_ query: TagQuery) async -> TagPage {
        let tag = Tag(name: "temperature", type: ValueType(.float32), access: .readWrite, unit: "°C")
        let bad = TagInfo(device: "press-1", group: "fast", tag: tag, quality: .badTimeout)
        let good = TagInfo(
            device: "press-1", group: "fast", tag: tag, timestamp: Timestamp(milliseconds: 5), value: .float32(71.5),
            quality: .good)
        return TagPage(total: 2, items: [good, bad])
    }

    func write(_ request: WriteRequest) async throws(Problem) -> WriteAnswer {
        let problem = state.withLock { state in
            state.writes.append(request)
            return state.writeProblem
        }
        if let problem { throw problem }
        return WriteAnswer(
            timestamp: Timestamp(milliseconds: 9),
            results: request.values.map { item in
                item.tag == "mode"
                    ? WriteResult(item.tag, .failure(Problem("device.timeout", "the device did not answer in time")))
                    : WriteResult(item.tag, .success(item.value))
            })
    }

    func query(_ query: HistoryQuery) async throws(Problem) -> HistoryAnswer {
        state.withLock { $0.queries.append(query) }
        guard let path = query.tags.first else { throw Problem("query.invalid", "no tags") }
        return HistoryAnswer(series: [
            .init(
                path: path, type: ValueType(.float64), unit: nil, columns: ["time", "value", "quality"],
                rows: .samples([
                    (Timestamp(milliseconds: 1), .float64(0.1), nil),
                    (Timestamp(milliseconds: 2), nil, "device.timeout"),
                ]))
        ])
    }

    func ruleMetrics(_ name: String) async -> RuleMetrics? {
        name == "hot" ? RuleMetrics(matched: 1, passed: 1, failed: 0, emitted: 1, perSecond: 0.5) : nil
    }
    func sinkFigures(_ name: String) async -> SinkFigures? {
        guard name == "plant-db" else { return nil }
        let names = [
            "offered", "refused", "written", "known", "setApart", "dropped", "damaged", "queued", "inFlight", "batches",
            "retries", "bytesOnDisk",
        ]
        return SinkFigures(
            figures: names.map { ($0, 1) }, rowsPerSecond: 0.5, oldestSeconds: 2, state: "failed",
            problem: Problem("postgres.table_missing", "there is no table"))
    }
    func refusedRows(ofSink name: String, limit: Int) async -> [RefusedSinkRow]? {
        name == "plant-db"
            ? [RefusedSinkRow(time: Timestamp(milliseconds: 5), code: "22000", reason: "no number", row: "{}")] : nil
    }
    func clients() async -> [ClientInfo] { state.withLock { $0.clients } }
    func client(_ id: String) async -> ClientReport? {
        state.withLock { $0.clients.first { $0.clientID == id } }.map { info in
            ClientReport(
                info: info, expirySeconds: .max, inflight: 1, inflightMax: 20, waiting: 2, waitingMax: 100,
                awaitingRelease: 0, unsentBytes: 3, isWritable: false, silentMilliseconds: 4, willTopic: "gone",
                packetBytesMax: 5, certificateSubject: nil,
                subscriptions: [SubscriptionInfo(clientID: id, filter: "a/#", qos: 1)])
        }
    }
    func disconnect(client id: String, discarding: Bool) async -> Bool {
        state.withLock { state in
            guard state.clients.contains(where: { $0.clientID == id }) else { return false }
            state.disconnected.append(discarding ? id + " and its session" : id)
            return true
        }
    }
    func subscriptions(client: String?) async -> [SubscriptionInfo] {
        [
            SubscriptionInfo(clientID: "c", filter: "a/#", qos: 1),
            SubscriptionInfo(clientID: "d", filter: "$share/g/b/+", qos: 2, shareName: "g"),
        ].filter { client == nil || $0.clientID == client }
    }
    func retained(filter: TopicFilter?, limit: Int) async -> [RetainedInfo] {
        let all = ["a", "a/b", "c"].map {
            RetainedInfo(topic: $0, payload: Bytes([0xFF, 0]), qos: 0, receivedAt: Timestamp(milliseconds: 3))
        }
        return Array(
            all.filter { message in filter.map { $0.matches(Topic(unchecked: Bytes(message.topic))) } ?? true }
                .prefix(limit))
    }
    func deleteRetained(topic: Topic, by username: String) async throws(Problem) -> Bool {
        state.withLock { $0.deletedRetained.append("\(topic.string) by \(username)") }
        return topic.string == "a"
    }
    func listeners() async -> [ListenerReport] {
        [
            ListenerReport(
                name: "mqtt", protocol: "mqtt", address: "127.0.0.1:1883", connections: 2, halfOpen: 1, accepted: 9,
                refused: 3, closed: ["keep_alive": 4])
        ]
    }
    func topicMetrics() async -> [TopicMetricsReport] {
        state.withLock { $0.metered }.map {
            TopicMetricsReport(
                filter: $0, startedAt: Timestamp(milliseconds: 1), received: [1, 2, 3], receivedBytes: 60, sent: 7,
                dropped: 1, receivedPerSecond: 0.5, sentPerSecond: 1, droppedPerSecond: 0)
        }
    }
    func startTopicMetrics(_ filter: TopicFilter) async throws(Problem) {
        let isNew = state.withLock { state in
            if state.metered.contains(filter.text) { return false }
            state.metered.append(filter.text)
            return true
        }
        if !isNew { throw Problem("topic_metrics.exists", "counted already") }
    }
    func stopTopicMetrics(_ filter: String) async -> Bool {
        state.withLock { state in
            guard let index = state.metered.firstIndex(of: filter) else { return false }
            state.metered.remove(at: index)
            return true
        }
    }
    func refusals() async -> [AccessRefusal] {
        [
            AccessRefusal(
                at: Timestamp(milliseconds: 5), action: .publish, clientID: "c", username: "bob", peer: "10.0.0.1:5",
                listener: "mqtt", cause: "publish_denied", detail: "secret/x", by: "plant")
        ]
    }
    func alarms() async -> [AlarmInfo] { [] }
    func acknowledge(alarm id: String, by username: String) async throws(Problem) -> Int {
        if id == "alarms/hot/press-1" {
            state.withLock { $0.acknowledgements.append(username) }
            return 1
        }
        throw id == "alarms/calm"
            ? Problem("alarm.nothing_to_acknowledge", "it is normal") : Problem("alarm.unknown", "there is none")
    }
    func drivers() async -> [DriverInfo] {
        [
            DriverInfo(
                name: "modbus_tcp", title: "Modbus TCP", connection: Schema([Field("host", .string, help: "Host")]))
        ]
    }
    func metrics() async -> [MetricSample] {
        [
            MetricSample("tundish_x_total", .counter, "Xs.", labels: ["b": "say \"hi\"", "a": "1"], 3),
            MetricSample("tundish_y", .gauge, "Ys.", 0.5), MetricSample("tundish_x_total", .counter, "Xs.", 4),
        ]
    }
    func readiness() async -> Readiness {
        state.withLock { $0.isReady }
            ? Readiness(isReady: true) : Readiness(isReady: false, reasons: [Problem("a.b", "c")])
    }
}

/// A store of devices in memory that keeps the rules of revisions.
final class FakeResources: ConsoleResources {
    let kinds = ["Listener", "Device", "Rule", "Sink", "Secret", "User"]
    private let state = Mutex<(revision: Int64, items: [String: ResourceView])>((0, [:]))

    func schema(kind: String) -> Schema? {
        Schema([Field("interval", .duration(.milliseconds(1) ... .seconds(60)), required: true, help: "How often")])
    }

    func list(kind: String) async throws(ResourceRefusal) -> (items: [ResourceView], revision: Int64) {
        state.withLock { ($0.items.values.filter { $0.kind == kind }.sorted { $0.name < $1.name }, $0.revision) }
    }

    func get(kind: String, name: String) async throws(ResourceRefusal) -> ResourceView {
        guard let view = state.withLock({ $0.items[kind + "/" + name] }) else {
            throw .notFound(Problem("resource.unknown", "there is no \(kind) \"\(name)\""))
        }
        return view
    }

    func put(
        kind: String, name: String, document: JSONValue, expecting: RevisionExpectation, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView {
        guard let spec = document["spec"] else {
            throw .invalid(
                Problem("resource.invalid", "1 error"),
                issues: [DocumentIssue(line: 1, column: 1, problem: Problem("key.missing", "spec"), known: ["spec"])])
        }
        return try state.withLock { (state) throws(ResourceRefusal) in
            let old = state.items[kind + "/" + name]
            let isExpected =
                switch expecting {
                case .absent: old == nil
                case .present: old != nil
                case .revision(let revision): old?.revision == revision
                }
            guard isExpected else {
                throw .revisionMismatch(Problem("resource.revision", "changed since"), current: old?.revision)
            }
            state.revision += 1
            let time = Timestamp(milliseconds: 7)
            let view = ResourceView(
                kind: kind, name: name, uid: "u", revision: state.revision, createdAt: time, updatedAt: time,
                author: context.author, source: context.source, spec: spec,
                status: ResourceStatusView(observedRevision: 0, state: "pending", since: time))
            state.items[kind + "/" + name] = view
            return view
        }
    }

    func delete(
        kind: String, name: String, expecting: RevisionExpectation?, by context: ChangeContext
    ) async throws(ResourceRefusal) {
        _ = try await get(kind: kind, name: name)
        state.withLock { $0.items[kind + "/" + name] = nil }
    }

    func history(kind: String, name: String) async throws(ResourceRefusal) -> [ResourceRevisionView] { [] }

    func rollback(
        kind: String, name: String, to revision: Int64, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ResourceView {
        try await get(kind: kind, name: name)
    }

    func apply(
        _ text: Bytes, syntax: DocumentSyntax, dryRun: Bool, by context: ChangeContext
    ) async throws(ResourceRefusal) -> ApplyView {
        if text.string.contains("bad") {
            throw .invalid(
                Problem("resource.invalid", "1 error"),
                issues: [
                    DocumentIssue(
                        file: "body", line: 3, column: 5,
                        problem: Problem("key.unknown", "unknown key", ["key": "bad"]),
                        known: ["interval"])
                ])
        }
        let others = ["User", "Secret"].filter { text.string.contains("kind: \($0)") }
        return ApplyView(
            revision: 4,
            changes: others.map { .init(kind: $0, name: "x", action: "unchanged") } + [
                .init(
                    kind: "Device", name: "press-1", action: "update",
                    differences: [.init(path: "groups[0].interval", before: "100ms", after: "200ms")])
            ])
    }
}

final class FakeAccounts: ConsoleAccounts {
    private struct State {
        var users: [String: String]
        var tokens: [String: TokenInfo] = [:]
        var roles: [String: Set<ConsoleRole>] = [:]
        var revisions: [String: Int64] = [:]
        var isBroken = false
    }

    private let state: Mutex<State>

    init(users: [String: String] = ["ann": "correct horse"]) { state = Mutex(State(users: users)) }

    /// Everyone is an administrator until a test says otherwise. Tokens `viewer-token`, ... have the role they name.
    func set(_ username: String, _ roles: Set<ConsoleRole>) {
        state.withLock {
            $0.roles[username] = roles
            $0.revisions[username, default: 0] += 1
        }
    }

    /// From now on nothing can be read.
    func breakDown(_ isBroken: Bool = true) { state.withLock { $0.isBroken = isBroken } }

    private func look<R: Sendable>(_ body: (inout State) -> R) throws(Problem) -> R {
        let found: R? = state.withLock { $0.isBroken ? nil : body(&$0) }
        guard let found else { throw Problem("accounts.unavailable", "the disk is gone") }
        return found
    }

    private static func account(_ username: String, _ state: State) -> Account {
        Account(
            username: username, roles: state.roles[username] ?? [.administrator],
            revision: state.revisions[username] ?? 0)
    }

    func needsSetup() async throws(Problem) -> Bool { try look { $0.users.isEmpty } }
    func createFirstAdministrator(username: String, password: String) async throws(Problem) {
        guard password.count >= 8 else { throw Problem("account.password_short", "at least 8 characters") }
        state.withLock { $0.users[username] = password }
    }
    func verify(username: String, password: String, peer: String) async throws(Problem) -> Account? {
        try look { $0.users[username] == password ? Self.account(username, $0) : nil }
    }
    func verify(token: String) async throws(Problem) -> Account? {
        try look { state in
            if token == "secret-token" { return Self.account("robot", state) }
            for role in ConsoleRole.allCases where token == "\(role.rawValue)-token" {
                return Account(username: "the \(role.rawValue)", roles: [role])
            }
            return state.tokens[token].map { Self.account($0.author, state) }
        }
    }
    func account(_ username: String) async throws(Problem) -> Account? {
        try look { $0.users[username] == nil ? nil : Self.account(username, $0) }
    }
    func tokens() async throws(Problem) -> [TokenInfo] { try look { Array($0.tokens.values) } }
    func createToken(name: String, by author: String) async throws(Problem) -> (info: TokenInfo, secret: String) {
        let info = TokenInfo(id: "t1", name: name, author: author, createdAt: Timestamp(milliseconds: 1))
        state.withLock { $0.tokens["new-secret"] = info }
        return (info, "new-secret")
    }
    func deleteToken(id: String) async throws(Problem) -> Bool {
        state.withLock { state in
            let before = state.tokens.count
            state.tokens = state.tokens.filter { $0.value.id != id }
            return state.tokens.count < before
        }
    }
}

/// A bus on which messages go straight to the subscribers.
final class FakeBus: Bus {
    private struct Member: Sendable {
        var filters: [TopicFilter]
        var deliver: @Sendable ([Message]) -> Void
    }
    private let members = Mutex<(next: Int, all: [Int: Member])>((0, [:]))
    let published = Mutex<[Message]>([])

    var subscriptionCount: Int { members.withLock { $0.all.count } }

    func send(_ messages: [Message]) -> Bool {
        published.withLock { $0 += messages }
        let all = members.withLock { Array($0.all.values) }
        var hasReceiver = false
        for member in all {
            let matching = messages.filter { message in member.filters.contains { $0.matches(message.topic) } }
            if !matching.isEmpty {
                hasReceiver = true
                member.deliver(matching)
            }
        }
        return hasReceiver
    }

    func publisher(_ origin: Origin) -> any BusPublisher { Publisher(bus: self) }

    func subscribe(
        _ filters: [TopicFilter], name: String, options: SubscribeOptions,
        deliver: @escaping @Sendable ([Message]) -> Void
    ) async throws -> any BusSubscription {
        let key = members.withLock { state in
            state.next += 1
            state.all[state.next] = Member(filters: filters, deliver: deliver)
            return state.next
        }
        return Subscription(bus: self, key: key)
    }

    private struct Publisher: BusPublisher {
        let bus: FakeBus
        func publish(_ messages: [Message]) -> Bool { bus.send(messages) }
        func publishConfirmed(_ messages: [Message]) async -> [PublishOutcome] {
            messages.map { bus.send([$0]) ? .accepted : .noSubscribers }
        }
    }

    private struct Subscription: BusSubscription {
        let bus: FakeBus
        let key: Int
        func update(_ filters: [TopicFilter]) async throws { bus.members.withLock { $0.all[key]?.filters = filters } }
        func cancel() async { bus.members.withLock { $0.all[key] = nil } }
    }
}
