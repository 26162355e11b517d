import Bus
import Model
package import NIOCore
import Synchronization

/// A shard as closures hold it until the exchange is dissolved; used on the shard's loop only. A weak reference in its
/// place would make each retain of the shard take the slow way.
final class ShardHandle: @unchecked Sendable {
    fileprivate(set) var shard: Shard?
}

/// One event loop's part of the broker: its connections, their sessions, the tree of their filters, and what it owns
/// by hash. Everything in it is touched on its event loop only.
package final class Shard: @unchecked Sendable {
    package let index: Int
    package let loop: any EventLoop
    private(set) var limits: ExchangeLimits
    let time: any TimeSource
    let random: any RandomSource
    let hash: TopicHash
    let log: ShardLog
    /// All shards, this one included, by index. Set once before anything runs.
    var peers: [Shard] = []

    // Topics
    let tree = SubscriptionTree()
    var routes: RouteCache
    var generations: TopicGenerations
    let retained = RetainedStore()
    var interests: [InterestKey: Interest] = [:]
    var groups: TextMap<SharedGroup> = [:]
    let propertyBuffer = PropertyBuffer()

    // Clients
    var connections: [UInt64: Connection] = [:]
    var sessions: TextMap<Session> = [:]
    /// Of the client ids that this shard owns: where their sessions are.
    var holders: TextMap<Holder> = [:]
    var components: [ObjectIdentifier: ComponentSubscription] = [:]
    private var nextSerial: UInt64 = 1
    /// What to do when another shard has answered.
    var awaiting: [UInt64: (ShardMessage) -> Void] = [:]

    // The turn
    private var isTurnMarked = false
    private var dirty: ContiguousArray<Connection> = []
    var closing: [Connection] = []
    var dirtyComponents: [ComponentSubscription] = []
    /// Sessions that ended in this turn, kept until nothing can point to them any more.
    var ended: [Session] = []
    private var outboxes: [Outbox]
    /// Answers that must not overtake what this turn sends to third shards.
    private var lateOutboxes: [Outbox]
    private var awaitingLog: ContiguousArray<Connection> = []
    /// What goes on when the log has reached a position, in order.
    private var afterLog = RingQueue<(position: UInt64, body: () -> Void)>()
    private var turnTask: @Sendable () -> Void = {}
    /// For what runs later on this loop.
    let handle = ShardHandle()

    // Durability
    /// False until what the log holds has been taken up; clients and publishers wait.
    var isReady = true
    /// Connections whose CONNECT came before that.
    var waitingForStart: [Connection] = []
    /// Other shards that have said how far they are with their part.
    var installedPeers = 0
    var readyPeers = 0
    var whenReady: (() -> Void)?
    /// What components wait for that needs all of it.
    var atReady: [() -> Void] = []
    /// Messages found in the log, while sessions are taken up.
    var recoveredMessages: [UInt64: StoredMessage] = [:]
    /// Bytes of content that sessions which outlive their connections keep in memory.
    var keptBytes = 0
    var compaction: Compaction?
    var compactionLead: CompactionLead?
    /// Shards that have written their part, by round.
    var compactedPeers: [Int: Int] = [:]
    /// What this shard needs of the log, in bytes; read by shard 0.
    let liveLogBytes = Atomic<Int>(0)

    // Watching
    /// Filters whose messages are counted.
    var meters: [TopicMeter] = []
    var events = EventDesk()

    // Backpressure
    /// Messages under way to this shard.
    let arriving = Atomic<Int>(0)
    var isCongested = false
    var paused: [Connection] = []
    var waitingPublishers: [ComponentPublisher] = []

    var timers = DeadlineHeap()
    var tickTask: RepeatedTask?
    var systemTopicsTask: RepeatedTask?
    package internal(set) var counters = ShardCounters()
    /// Monotonic nanoseconds, as of the last bytes or turn.
    private(set) var now: Int64
    private var wall: Timestamp?

    init(
        index: Int, count: Int, loop: any EventLoop, limits: ExchangeLimits, time: any TimeSource,
        random: any RandomSource, hash: TopicHash, store: (any DurabilityStore)?
    ) {
        self.index = index
        self.loop = loop
        self.limits = limits
        self.time = time
        self.random = random
        self.hash = hash
        log = ShardLog(store: store, shard: index, time: time)
        routes = RouteCache(countMax: limits.routeCacheMax)
        generations = TopicGenerations(hash: hash)
        outboxes = Array(repeating: Outbox(), count: count)
        lateOutboxes = Array(repeating: Outbox(), count: count)
        now = time.monotonicNanoseconds()
        turnTask = { [handle] in handle.shard?.endTurn() }
        log.onDue = { [unowned self] in markTurn() }
        isReady = store == nil
        store?.attach(shard: index) { [loop, handle] in loop.execute { handle.shard?.logAdvanced() } }
        handle.shard = self
    }

    /// Lets go of the others and of itself; nothing may be used any more.
    func dissolve() {
        peers = []
        handle.shard = nil
    }

    func setLimits(_ limits: ExchangeLimits) {
        self.limits = limits
        for group in groups.values { group.strategy = limits.strategy(ofGroup: group.key.text) }
    }

    func refreshNow() -> Int64 {
        now = time.monotonicNanoseconds()
        return now
    }

    /// The wall clock, read once in a turn.
    var wallTime: Timestamp {
        if let wall { return wall }
        let time = time.now()
        wall = time
        return time
    }

    func makeSerial() -> UInt64 {
        nextSerial += 1
        return nextSerial << 8 | UInt64(index)
    }

    func makeClientID() -> String {
        let digits = String(random.next(), radix: 36) + String(random.next(), radix: 36)
        return "auto-" + digits
    }

    /// The shard that owns a client id, a shared group or a retained topic.
    @inline(__always)
    func owner(_ hash: UInt64) -> Int { peers.count == 1 ? 0 : Int((hash >> 32) % UInt64(peers.count)) }

    // MARK: Connections

    /// A listener has accepted a connection on this shard's event loop.
    package func accept(_ transport: any Transport, _ context: ConnectionContext) -> Connection {
        _ = refreshNow()
        let connection = Connection(id: makeSerial(), shard: self, transport: transport, context: context)
        connections[connection.id] = connection
        timers.insert(now &+ Int64(context.limits.connectSeconds) * 1_000_000_000, .connection(connection.id))
        return connection
    }

    // MARK: The turn

    /// Asks for `endTurn` when the loop has handled what is ready now.
    @inline(__always)
    func markTurn() {
        guard !isTurnMarked else { return }
        isTurnMarked = true
        loop.execute(turnTask)
    }

    @inline(__always)
    func markDirty(_ connection: Connection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirty.append(connection)
        markTurn()
    }

    /// Sends what the turn has gathered: one write per connection, one batch per shard and component.
    private func endTurn() {
        isTurnMarked = false
        wall = nil
        _ = refreshNow()
        var rounds = 0
        // Ending connections may publish wills, which make others dirty.
        while !closing.isEmpty, rounds < 64 {
            let list = closing
            closing = []
            for connection in list { ended(connection) }
            rounds += 1
        }
        let batches = dirtyComponents
        dirtyComponents.removeAll(keepingCapacity: true)
        for component in batches { component.flush() }
        // The disk may work while the sockets do.
        log.flush()
        var index = 0
        while index < dirty.count {
            let connection = dirty[index]
            connection.isDirty = false
            if connection.isWritable || connection.closesAfterFlush { connection.flush() }
            if connection.closesAfterFlush {
                connection.closesAfterFlush = false
                connection.transport.close()
            }
            index += 1
        }
        dirty.removeAll(keepingCapacity: dirty.count < 4096)
        // Before anything that builds on it goes to other shards.
        log.flush()
        flushOutboxes()
        ended.removeAll()
        if !closing.isEmpty || !dirty.isEmpty { markTurn() }
    }

    /// Goes on at once, or when the log has made `position` durable.
    func whenDurable(_ position: UInt64, _ body: @escaping () -> Void) {
        if position <= log.durable { body() } else { afterLog.append((position, body)) }
    }

    /// An acknowledgement of the connection waits for the log.
    @inline(__always)
    func awaitLog(_ connection: Connection) {
        guard !connection.awaitsLog else { return }
        connection.awaitsLog = true
        awaitingLog.append(connection)
    }

    private func logAdvanced() {
        guard log.advance() else { return }
        _ = refreshNow()
        while let first = afterLog.first, first.position <= log.durable {
            _ = afterLog.popFirst()
            first.body()
        }
        var waiting: ContiguousArray<Connection> = []
        swap(&waiting, &awaitingLog)
        for connection in waiting {
            connection.awaitsLog = false
            guard connection.state != .closed else { continue }
            connection.logAdvanced()
            if !connection.pendingAcknowledgements.isEmpty { awaitLog(connection) }
        }
    }

    // MARK: Other shards

    /// Puts a message into the batch for a shard; one to this shard itself is handled at once.
    func post(_ target: Int, _ message: ShardMessage) {
        if target == index {
            receive(message, from: index)
        } else {
            outboxes[target].append(message)
            markTurn()
        }
    }

    func postLate(_ target: Int, _ message: ShardMessage) {
        if target == index {
            receive(message, from: index)
        } else {
            lateOutboxes[target].append(message)
            markTurn()
        }
    }

    /// Puts a message that need not be kept into the batch for a shard.
    @inline(__always)
    func post(_ target: Int, frameOf publication: inout Publication) {
        outboxes[target].append(frameOf: &publication)
        markTurn()
    }

    private func flushOutboxes() {
        guard peers.count > 1 else { return }
        for target in outboxes.indices where outboxes[target].count > 0 {
            handOver(outboxes[target].take(), to: peers[target])
        }
        for target in lateOutboxes.indices where lateOutboxes[target].count > 0 {
            handOver(lateOutboxes[target].take(), to: peers[target])
        }
    }

    private func handOver(_ batch: Outbox.Batch, to peer: Shard) {
        counters.handedOver += UInt64(batch.count)
        counters.handOverBatches += 1
        let waiting = peer.arriving.add(batch.count, ordering: .relaxed).newValue
        peer.loop.execute { [index] in peer.receive(batch, from: index) }
        if waiting > limits.handOverMax { becomeCongested() }
    }

    private func receive(_ batch: Outbox.Batch, from sender: Int) {
        arriving.subtract(batch.count, ordering: .relaxed)
        _ = refreshNow()
        for message in batch.messages { receive(message, from: sender) }
    }

    // MARK: Backpressure

    /// Another shard is behind: publishers of this one wait.
    private func becomeCongested() {
        guard !isCongested else { return }
        isCongested = true
        counters.congestions += 1
        loop.scheduleTask(in: .milliseconds(1)) { [handle] in handle.shard?.checkCongestion() }
    }

    /// Publishers that had to wait go on.
    func resumePublishers() {
        let publishers = waitingPublishers
        waitingPublishers = []
        for publisher in publishers { publisher.drain(on: self) }
    }

    private func checkCongestion() {
        let isBehind = peers.contains { $0 !== self && $0.arriving.load(ordering: .relaxed) > limits.handOverMax / 2 }
        if isBehind {
            loop.scheduleTask(in: .milliseconds(1)) { [handle] in handle.shard?.checkCongestion() }
            return
        }
        isCongested = false
        let connections = paused
        paused = []
        for connection in connections {
            connection.isReadPaused = false
            connection.transport.setReading(true)
            connection.transport.resume()
        }
        resumePublishers()
    }

    func pause(_ connection: Connection) {
        guard !connection.isReadPaused else { return }
        connection.isReadPaused = true
        connection.transport.setReading(false)
        paused.append(connection)
    }
}
