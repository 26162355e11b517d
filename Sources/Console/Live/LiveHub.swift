import Bus
import Formats
import HTTPTypes
import Logging
import Model
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Synchronization

/// All open WebSockets. What several pages show is looked at once a tick and encoded once, however many there are.
actor LiveHub {
    static let admissionCheckNanoseconds: Int64 = 10_000_000_000
    /// What a socket may show: the same as the routes that read.
    static let right = Right.read

    nonisolated let time: any TimeSource
    nonisolated let counters = LiveCounters()
    private let services: any ConsoleServices
    private let bus: any Bus
    private let gatekeeper: Gatekeeper
    private let options: ConsoleOptions
    private let logger: Logger
    private var pages: [ObjectIdentifier: LivePage] = [:]
    private var groups: [TagPath: LiveGroup] = [:]
    private var stamp: UInt64 = 0
    private var reportDueAt: Int64 = 0
    private var pingDueAt: Int64 = 0
    private var admissionDueAt: Int64 = 0
    private var ticking: Task<Void, Never>?
    private var isTicking = false
    private var isStopped = false

    init(
        services: any ConsoleServices, bus: any Bus, gatekeeper: Gatekeeper, options: ConsoleOptions, logger: Logger
    ) {
        self.services = services
        self.bus = bus
        self.gatekeeper = gatekeeper
        self.options = options
        self.logger = logger
        time = options.time
    }

    func start() {
        guard ticking == nil else { return }
        isStopped = false
        let pause = options.liveTick
        ticking = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: pause)
                await self?.tick()
            }
        }
    }

    func stop() async {
        isStopped = true
        ticking?.cancel()
        ticking = nil
        let ends = pages.values.map { $0.socket.close(.goingAway, "the server stops", within: .seconds(1)) }
        // An error while closing is as good as closed.
        for end in ends { try? await end.get() }
    }

    // MARK: Pages

    /// Serves one socket from its first request to its end.
    func serve(_ socket: LiveSocket, head: HTTPRequestHead, requests: AsyncStream<Bytes>) async {
        guard let page = await admit(socket, head) else {
            counters.refused.add()
            return
        }
        counters.opened.add()
        pages[ObjectIdentifier(socket)] = page
        for await text in requests { await take(text, page) }
        pages[ObjectIdentifier(socket)] = nil
        counters.closed.add()
        for id in [Int64](page.tags.keys) + [Int64](page.topics.keys) { await unsubscribe(id, page) }
    }

    /// Nil: refused, with a reason.
    private func admit(_ socket: LiveSocket, _ head: HTTPRequestHead) async -> LivePage? {
        let end = head.uri.firstIndex(of: "?") ?? head.uri.endIndex
        var fields = HTTPFields()
        for (name, value) in head.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let queryToken = QueryItems(parsing: head.uri[end...].dropFirst()).text("token")
        let host = head.headers.first(name: "host")
        do {
            guard head.uri[..<end] == "\(API.base)/live" else {
                throw Refusal(.notFound, "path.unknown", "there is no WebSocket at this path")
            }
            guard !isStopped, pages.count < options.socketsMax else {
                socket.close(.init(codeNumber: 1013), "too many open pages")
                return nil
            }
            try gatekeeper.checkHost(host)
            guard let caller = try await gatekeeper.identify(fields, queryToken: queryToken) else {
                throw Gatekeeper.unauthenticated
            }
            try Gatekeeper.check(caller, Self.right)
            try gatekeeper.checkOrigin(head.headers.first(name: "origin"), host: host, caller: caller)
            let token = Gatekeeper.bearerToken(fields) ?? queryToken
            return LivePage(socket) { [gatekeeper] in
                await gatekeeper.isStillAdmitted(caller, token: token, Self.right)
            }
        } catch let refusal as Refusal {
            socket.close(.policyViolation, refusal.problem.code)
        } catch {
            socket.close(.policyViolation, "refused")
        }
        return nil
    }

    private func take(_ text: Bytes, _ page: LivePage) async {
        do {
            switch try LiveRequest(parsing: text) {
            case .ping: send(page, "{\"op\":\"pong\"}")
            case .unsubscribe(let id): await unsubscribe(id, page)
            case .subscribe(let id, let subject):
                await unsubscribe(id, page)
                guard page.subscriptions < LivePage.subscriptionsMax else {
                    throw LiveRequest.Failure(
                        id: id,
                        problem: Problem(
                            "live.subscriptions", "a page may have \(LivePage.subscriptionsMax) subscriptions",
                            ["allowed": "\(LivePage.subscriptionsMax)"]))
                }
                try await subscribe(id, subject, page)
            }
        } catch let failure as LiveRequest.Failure {
            sendError(page, failure.id, failure.problem)
        } catch {
            logger.error("live request failed", metadata: ["error": "\(error)"])
        }
    }

    private func subscribe(_ id: Int64, _ subject: LiveRequest.Subject, _ page: LivePage) async throws {
        let now = time.monotonicNanoseconds()
        switch subject {
        case .status:
            page.status.insert(id)
            reportDueAt = 0
        case .device(let device):
            page.devices[id] = LivePage.DeviceSubscription(device)
            reportDueAt = 0
        case .tags(let paths, let interval):
            var used: [LiveGroup] = []
            var seen: Set<ObjectIdentifier> = []
            var items: [LivePage.TagSubscription.Item] = []
            items.reserveCapacity(paths.count)
            for path in paths {
                let group = group(path)
                if seen.insert(ObjectIdentifier(group)).inserted { used.append(group) }
                items.append(.init(group: group, entry: group.use(path.tag)))
            }
            page.tags[id] = .init(
                items: items, groups: used, intervalNanoseconds: interval.nanoseconds, dueAt: now)
        case .topics(let filters):
            let subscription = LivePage.TopicSubscription()
            page.topics[id] = subscription
            do {
                let inbox = subscription.inbox
                subscription.subscription = try await bus.subscribe(
                    filters, name: "console", options: SubscribeOptions(wantsRetained: true),
                    deliver: { inbox.offer($0) })
            } catch {
                page.topics[id] = nil
                let problem = error as? Problem ?? Problem("live.topics", "cannot subscribe: \(error)")
                throw LiveRequest.Failure(id: id, problem: problem)
            }
        }
    }

    private func group(_ path: TagPath) -> LiveGroup {
        let key = TagPath(device: path.device, group: path.group, tag: "")
        if let group = groups[key] { return group }
        let group = LiveGroup(device: path.device, group: path.group)
        groups[key] = group
        return group
    }

    private func unsubscribe(_ id: Int64, _ page: LivePage) async {
        page.status.remove(id)
        page.devices[id] = nil
        if let subscription = page.tags.removeValue(forKey: id) {
            for item in subscription.items { item.group.release(item.entry) }
            for group in subscription.groups {
                group.compact()
                if group.isUnused { groups[TagPath(device: group.device, group: group.group, tag: "")] = nil }
            }
        }
        if let subscription = page.topics.removeValue(forKey: id) { await subscription.subscription?.cancel() }
    }

    // MARK: Ticks

    /// Sends what is due. A tick that comes while one still runs is left out.
    func tick() async {
        guard !isTicking, !pages.isEmpty else { return }
        isTicking = true
        defer { isTicking = false }
        let now = time.monotonicNanoseconds()
        await sendTags(now)
        sendMessages()
        if now >= reportDueAt {
            reportDueAt = now + options.reportTick.nanoseconds
            await sendStatus()
            await sendDiagnostics()
        }
        if now >= pingDueAt {
            pingDueAt = now + options.pingInterval.nanoseconds
            ping(now)
        }
        if now >= admissionDueAt {
            admissionDueAt = now + Self.admissionCheckNanoseconds
            for page in pages.values where await !page.isStillAdmitted() {
                page.socket.close(.policyViolation, "request.unauthenticated")
            }
        }
    }

    private func sendTags(_ now: Int64) async {
        var due: [(page: LivePage, id: Int64, subscription: LivePage.TagSubscription)] = []
        var wanted: [ObjectIdentifier: LiveGroup] = [:]
        for page in pages.values {
            for (id, subscription) in page.tags where subscription.dueAt <= now {
                subscription.dueAt = now + subscription.intervalNanoseconds
                guard page.socket.isReady else {
                    counters.skipped.add()
                    continue
                }
                due.append((page, id, subscription))
                for group in subscription.groups { wanted[ObjectIdentifier(group)] = group }
            }
        }
        if due.isEmpty { return }
        let asked = wanted.values.map { (group: $0, revision: $0.listRevision, request: $0.request) }
        let answers = await services.liveValues(asked.map(\.request))
        let wall = time.now()
        stamp += 1
        for (ask, answer) in zip(asked, answers) where ask.group.listRevision == ask.revision {
            _ = ask.group.take(answer, now: wall, stamp: stamp)
        }
        for (page, id, subscription) in due where page.tags[id] === subscription {
            sendTags(page, id, subscription)
        }
    }

    /// Only what changed since the page's last message; an entry that has no text yet comes with a later tick.
    private func sendTags(_ page: LivePage, _ id: Int64, _ subscription: LivePage.TagSubscription) {
        var writer = JSONWriter(capacity: 256)
        writer.raw("{\"id\":")
        writer.integer(id)
        writer.raw(",\"t\":[")
        var isFirst = true
        for (index, item) in subscription.items.enumerated() where item.entry.stamp > subscription.seenStamp {
            writer.raw(isFirst ? "[" : ",[" as StaticString)
            isFirst = false
            writer.integer(index)
            writer.raw(item.entry.text)
            writer.byte(UInt8(ascii: "]"))
        }
        subscription.seenStamp = stamp
        if isFirst { return }
        writer.raw("]}")
        send(page, writer)
    }

    private func sendMessages() {
        for page in pages.values {
            for (id, subscription) in page.topics {
                guard page.socket.isReady else {
                    counters.skipped.add()
                    continue
                }
                let messages = subscription.inbox.takeAll()
                if messages.isEmpty { continue }
                let dropped = subscription.inbox.dropped.count
                let lost = dropped - subscription.droppedBefore
                subscription.droppedBefore = dropped
                counters.dropped.add(Int(lost))
                var writer = JSONWriter(capacity: 1024)
                writer.raw("{\"id\":")
                writer.integer(id)
                writer.raw(",\"m\":[")
                for (index, message) in messages.enumerated() {
                    if index > 0 { writer.byte(UInt8(ascii: ",")) }
                    writer.json(Self.json(message))
                }
                writer.raw("]")
                if lost > 0 {
                    writer.raw(",\"dropped\":")
                    writer.integer(lost)
                }
                writer.raw("}")
                send(page, writer)
            }
        }
    }

    private static func json(_ message: Message) -> JSONValue {
        .object(
            [JSONMember("topic", .string(message.topic.string))] + PayloadJSON.members(message.payload.bytes)
                + [JSONMember("at", .time(message.receivedAt)), JSONMember("retain", .bool(message.retain))])
    }

    private func sendStatus() async {
        guard pages.values.contains(where: { !$0.status.isEmpty }) else { return }
        let text = Array(await services.status().json.text.utf8)
        for page in pages.values {
            for id in page.status { sendReport(page, id, "status", text) }
        }
    }

    private func sendDiagnostics() async {
        let devices = Set(pages.values.flatMap { $0.devices.values.map(\.device) })
        for device in devices {
            let text = (await services.diagnostics(device: device)).map { Array($0.json.text.utf8) }
            for page in pages.values {
                for (id, subscription) in page.devices where subscription.device == device {
                    if let text {
                        subscription.isToldUnknown = false
                        sendReport(page, id, "diagnostics", text)
                    } else if !subscription.isToldUnknown {
                        subscription.isToldUnknown = true
                        sendError(
                            page, id, Problem("device.unknown", "there is no device \"\(device)\"", ["name": device]))
                    }
                }
            }
        }
    }

    private func sendReport(_ page: LivePage, _ id: Int64, _ name: StaticString, _ text: [UInt8]) {
        guard page.socket.isReady else {
            counters.skipped.add()
            return
        }
        var writer = JSONWriter(capacity: text.count + 48)
        writer.raw("{\"id\":")
        writer.integer(id)
        writer.raw(",\"")
        writer.raw(name)
        writer.raw("\":")
        writer.raw(text)
        writer.raw("}")
        send(page, writer)
    }

    /// A page that has said nothing for some intervals is gone, whatever TCP believes.
    private func ping(_ now: Int64) {
        let silenceMax = options.pingInterval.nanoseconds * 3
        for page in pages.values {
            if now - page.socket.heardAt.load(ordering: .relaxed) > silenceMax {
                page.socket.close(.goingAway, "no sign of life")
            } else {
                page.socket.ping()
            }
        }
    }

    private func send(_ page: LivePage, _ writer: borrowing JSONWriter) {
        counters.messages.add()
        page.socket.send(writer.withUnsafeBytes { ByteBuffer(bytes: $0) })
    }

    private func send(_ page: LivePage, _ text: String) {
        counters.messages.add()
        page.socket.send(ByteBuffer(string: text))
    }

    private func sendError(_ page: LivePage, _ id: Int64?, _ problem: Problem) {
        send(page, JSONValue.object(["id": id.map(JSONValue.integer), "error": problem.json]).text)
    }
}
