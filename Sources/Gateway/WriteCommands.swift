import Bus
import Formats
import Model
import Synchronization

/// A write on its way to a device.
struct WriteRequest: Sendable {
    var device: String
    var group: String
    var values: [WriteItem]
}

/// Write commands from the bus: publications on `tundish/{device}/{group}/write`, each answered on its response
/// topic or else on `.../write/result`.
final class WriteCommands: Sendable {
    static let filter = "tundish/+/+/write"

    private let gateway: Gateway
    private let bus: any Bus
    private let time: any TimeSource
    private let publisher: any BusPublisher
    private let origin = Origin(.system, clientID: "gateway")
    private let inbox: MessageInbox
    private let wakes: AsyncStream<Void>
    private let finish: AsyncStream<Void>.Continuation
    private let running = Mutex<(subscription: (any BusSubscription)?, task: Task<Void, Never>?)>((nil, nil))

    init(_ gateway: Gateway, _ bus: any Bus, _ time: any TimeSource) {
        self.gateway = gateway
        self.bus = bus
        self.time = time
        publisher = bus.publisher(origin)
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        finish = wake
        inbox = MessageInbox(messagesMax: Gateway.commandsMax) { wake.yield() }
    }

    var dropped: UInt64 { inbox.dropped.count }

    func start() async throws {
        let inbox = inbox
        let subscription = try await bus.subscribe(
            [try TopicFilter(Self.filter)], name: "gateway-writes", options: SubscribeOptions()
        ) { inbox.offer($0) }
        let task = Task { [weak self, wakes] in
            for await _ in wakes { await self?.drain() }
        }
        running.withLock { $0 = (subscription, task) }
    }

    func stop() async {
        let (subscription, task) = running.withLock { state in
            defer { state = (nil, nil) }
            return state
        }
        await subscription?.cancel()
        finish.finish()
        task?.cancel()
    }

    private func drain() async {
        for message in inbox.takeAll() { await handle(message) }
    }

    private func handle(_ message: Message) async {
        let levels = message.topic.string.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count == 4 else { return }
        let (device, group) = (String(levels[1]), String(levels[2]))
        let dialect = await gateway.dialect(device: device, group: group)
        let command: WriteCommand
        do throws(Problem) {
            guard message.origin.mayWriteDevices else {
                throw Problem(
                    "write.not_permitted", "client \"\(message.origin.clientID)\" may not write to devices",
                    ["client": message.origin.clientID])
            }
            command = try WriteFormat.decode(message.payload.bytes, dialect: dialect)
        } catch {
            return answer(
                message,
                WriteFormat.encodeRefusal(
                    device: device, group: group, timestamp: time.now(), problem: error, dialect: dialect))
        }
        await gateway.begin(WriteRequest(device: device, group: group, values: command.values)) { [self] results in
            answer(
                message,
                WriteFormat.encodeResult(
                    device: device, group: group, timestamp: time.now(), results: results.map(\.wire),
                    dialect: dialect, uuid: command.uuid))
        }
    }

    /// Publishes the answer to a command. [MQTT-3.3.2-15] the correlation data go back as they came.
    private func answer(_ command: Message, _ payload: Bytes) {
        let asked = command.properties?.responseTopic.flatMap { try? Topic($0.string) }
        let topic = asked ?? Topic(unchecked: Bytes(command.topic.string + "/result"))
        let correlation = command.properties?.correlationData
        publisher.publish([
            Message(
                topic: topic, payload: .bytes(payload), qos: command.qos, receivedAt: time.now(), origin: origin,
                properties: MessageProperties(
                    isUTF8Payload: true, contentType: "application/json", correlationData: correlation))
        ])
    }
}

extension TagWriteResult {
    var wire: WriteResult {
        if let value { return WriteResult(tag, .success(value)) }
        return WriteResult(tag, .failure(problem ?? Problem("internal_error", "nothing is known about this write")))
    }
}

extension DeviceRunner {
    func begin(_ command: WriteRequest, _ done: @escaping @Sendable ([TagWriteResult]) -> Void) {
        Task { done(await self.write(group: command.group, command.values)) }
    }
}
