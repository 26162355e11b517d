import BrokerCore
import Model
import NIOCore
import NIOEmbedded

/// A log whose disk is as slow as the input says.
private final class ProbeLog: DurabilityStore, @unchecked Sendable {
    // Everything happens on one thread.
    private var blocks: [UInt64: Bytes] = [:]
    private var waiting: [(shard: Int, number: UInt64)] = []
    private var durable: [Int: UInt64] = [:]
    private var wakes: [Int: @Sendable () -> Void] = [:]
    private var next: UInt64 = 1
    var isHeld = false {
        didSet { sync() }
    }

    private func sync() {
        guard !isHeld else { return }
        let shards = Set(waiting.map(\.shard))
        for block in waiting { durable[block.shard] = block.number }
        waiting = []
        for shard in shards { wakes[shard]?() }
    }

    func attach(shard: Int, wake: @escaping @Sendable () -> Void) { wakes[shard] = wake }

    func nextBlockNumber() -> UInt64 {
        defer { next += 1 }
        return next
    }

    func append(_ block: Bytes, number: UInt64, shard: Int) {
        blocks[number] = block
        waiting.append((shard, number))
        sync()
    }

    func durableNumber(shard: Int) -> UInt64 { durable[shard] ?? 0 }
    var isRefusing: Bool { false }
    var problem: Problem? { nil }
    func onWorker(_ work: @escaping @Sendable () -> Void) { work() }
    func forEachBlock(_ body: (Bytes) -> Void) {}

    func read(_ places: [RecordPlace]) -> [Bytes?] {
        places.map { place in
            guard let block = blocks[place.block], place.offset < block.count else { return nil }
            return block.slice(place.offset..<block.count)
        }
    }

    /// The log is always too long: it is compacted all the time.
    func block(behind bytes: Int) -> UInt64? { next }
    func release(before number: UInt64) { blocks = blocks.filter { $0.key >= number } }
    var byteCount: Int { .max / 2 }
}

/// A broker on loops that move only when told, and what its clients know of each other.
final class ProbeWorld {
    struct Session {
        /// Everything that was ever subscribed in it.
        var filters: Set<String> = []
        /// QoS 2 messages that were finished, by serial number.
        var completed: [Int: Int] = [:]
        var isTainted = false
    }

    let loops: [EmbeddedEventLoop]
    let time = ManualTime()
    let exchange: Exchange
    private let log = ProbeLog()
    private var sessions: [String: Session] = [:]
    /// By serial number.
    private var topics: [Int: String] = [:]
    /// Delivered as often as somebody subscribes.
    private var retained: Set<Int> = []
    private var connects = 0
    private var serial = 0

    init(shards: Int) {
        loops = (0..<shards).map { _ in EmbeddedEventLoop() }
        var limits = ExchangeLimits()
        limits.sessionQueueMax = 12
        limits.inflightMax = 8
        limits.unsentBytesMax = 2000
        limits.claimsPerClientMax = 3
        // Little stays in memory, so that reading back is tried too.
        limits.keptBytesMax = 200
        exchange = Exchange(
            loops: loops, limits: limits, time: time, random: SeededRandom(seed: 1), store: log)
        exchange.recover()
        settle()
    }

    func fail(_ what: String) { preconditionFailure(what) }

    var isHeld: Bool { log.isHeld }

    /// The disk stops, or has caught up.
    func hold(_ isHeld: Bool) { log.isHeld = isHeld }

    func settle() { for _ in 0..<12 { for loop in loops { loop.run() } } }

    func advance(seconds: Int64) {
        time.advance(nanoseconds: seconds * 1_000_000_000)
        for shard in exchange.shards { shard.tick() }
    }

    func makeSerial(_ topic: String, retain: Bool) -> Int {
        serial += 1
        topics[serial] = topic
        if retain { retained.insert(serial) }
        return serial
    }

    func taint(_ clientID: String) { sessions[clientID, default: Session()].isTainted = true }

    func connected(_ clientID: String, isPresent: Bool) {
        connects += 1
        // What it subscribed ahead of the answer stays.
        if !isPresent { sessions[clientID, default: Session()].completed = [:] }
    }

    func subscribed(_ clientID: String, _ filter: String) {
        sessions[clientID, default: Session()].filters.insert(filter)
    }

    private func matching(_ topic: String, _ clientID: String) -> Int {
        guard let session = sessions[clientID], let name = try? Topic(topic) else { return 0 }
        return session.filters.count { filter in
            guard let parsed = try? TopicFilter(filter) else { return false }
            return parsed.matches(name)
        }
    }

    func check(_ topic: String, matches clientID: String) {
        if matching(topic, clientID) == 0, sessions[clientID]?.isTainted != true {
            fail("\(topic) to \(clientID), which subscribes nothing like it")
        }
    }

    /// A session finishes a QoS 2 message once for each of its subscriptions, at most.
    func completed(_ clientID: String, _ serial: Int) {
        // Of a message sent by an alias the topic is not known here.
        guard let topic = topics[serial], !topic.isEmpty, !retained.contains(serial) else { return }
        let count = sessions[clientID, default: Session()].completed[serial, default: 0] + 1
        sessions[clientID, default: Session()].completed[serial] = count
        if count > matching(topic, clientID), sessions[clientID]?.isTainted != true {
            fail("QoS 2 message \(serial) came \(count) times to \(clientID)")
        }
    }

    /// When every session was ended: nothing is left of any.
    func checkEmpty() {
        var counted: UInt64 = 0
        for shard in exchange.shards {
            let gauges = shard.gauges
            if gauges.connections + gauges.sessions + gauges.subscriptions + gauges.sharedSubscriptions + gauges.queued
                != 0
            {
                fail("left over: \(gauges)")
            }
            counted += shard.counters.connected
        }
        // A connection may fail before its CONNACK has left.
        if counted < UInt64(connects) { fail("\(counted) connections counted, \(connects) answered") }
    }
}
