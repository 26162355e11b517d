import Bus
import Model
import Testing

@testable import BrokerCore

/// A client's own book: what a real one keeps while brokers come and go.
private final class Reader {
    let name: String
    var client: TestClient?
    var taken: [Int] = []
    private var open: Set<UInt16> = []

    init(_ name: String) { self.name = name }

    func connect(_ desk: Desk, shard: Int) {
        client = desk.connected(name, shard: shard, clean: false, expiry: 100_000)
    }

    /// Takes what has come; `answers`: and acknowledges it. True if something had come.
    func work(answers: Bool = true) -> Bool {
        guard let client else { return false }
        var isBusy = false
        for packet in client.take() {
            isBusy = true
            switch packet {
            case .publish(let message):
                let isNew = message.qos != .exactlyOnce || open.insert(message.packetID).inserted
                if isNew { taken.append(Int(message.payload.string) ?? -1) }
                guard answers else { continue }
                let answer = AcknowledgePacket(packetID: message.packetID)
                client.send(message.qos == .exactlyOnce ? .pubrec(answer) : .puback(answer))
            case .pubrel(let release):
                open.remove(release.packetID)
                client.send(.pubcomp(AcknowledgePacket(packetID: release.packetID)))
            default: continue
            }
        }
        return isBusy
    }
}

/// Sends numbered messages and finishes what it began with the broker before.
private final class Writer {
    enum Phase { case sent, released }

    let name: String
    let qos: QoS
    var client: TestClient?
    /// Numbers acknowledged.
    var confirmed: Set<Int> = []
    private var open: [(id: UInt16, number: Int, phase: Phase)] = []

    init(_ name: String, _ qos: QoS) {
        self.name = name
        self.qos = qos
    }

    func connect(_ desk: Desk, shard: Int) {
        let client = desk.connected(name, shard: shard, clean: false, expiry: 100_000)
        self.client = client
        for item in open {
            switch item.phase {
            case .sent: send(item.id, item.number, isDuplicate: true)
            case .released: client.send(.pubrel(AcknowledgePacket(packetID: item.id)))
            }
        }
    }

    func publish(_ number: Int) {
        guard let id = (1...50).map({ UInt16($0) }).first(where: { id in !open.contains { $0.id == id } }) else {
            return
        }
        open.append((id, number, .sent))
        send(id, number, isDuplicate: false)
    }

    private func send(_ id: UInt16, _ number: Int, isDuplicate: Bool) {
        var packet = PublishPacket(topic: "t/\(name)", payload: Bytes("\(number)"), qos: qos, packetID: id)
        packet.isDuplicate = isDuplicate
        client?.send(.publish(packet))
    }

    func work() -> Bool {
        guard let client else { return false }
        var isBusy = false
        for packet in client.take() {
            isBusy = true
            switch packet {
            case .puback(let answer): finish(answer.packetID)
            case .pubrec(let answer):
                guard let index = open.firstIndex(where: { $0.id == answer.packetID }) else { continue }
                confirmed.insert(open[index].number)
                open[index].phase = .released
                client.send(.pubrel(AcknowledgePacket(packetID: answer.packetID)))
            case .pubcomp(let answer): finish(answer.packetID)
            default: continue
            }
        }
        return isBusy
    }

    private func finish(_ id: UInt16) {
        guard let index = open.firstIndex(where: { $0.id == id }) else { return }
        confirmed.insert(open[index].number)
        open.remove(at: index)
    }
}

/// A small ledger: brokers that are killed between any two blocks, under the same clients.
@Suite("Durability, killed at random")
struct DurabilityCrashTests {
    private final class World {
        var random: SeededRandom
        var store = TestStore()
        let time = ManualTime()
        var desk: Desk
        let readers: [Reader] = ["q1", "q2", "g0", "g1"].map { Reader($0) }
        let writers: [Writer] = [Writer("a", .atLeastOnce), Writer("b", .exactlyOnce)]
        var number = 0
        var limits = ExchangeLimits()

        init(seed: UInt64) {
            random = SeededRandom(seed: seed)
            limits.keptBytesMax = 40
            limits.logBytesMin = 3000
            desk = Desk(shards: 1 + Int(seed % 3), limits: limits, store: store, time: time, seed: seed)
        }

        func roll(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        var shard: Int { roll(desk.exchange.shards.count) }

        func begin() {
            for reader in readers { reader.connect(desk, shard: shard) }
            readers[0].client?.subscribe("t/#", SubscriptionOptions(qos: .atLeastOnce))
            readers[1].client?.subscribe("t/+", SubscriptionOptions(qos: .exactlyOnce))
            readers[2].client?.subscribe("$share/g/t/#", SubscriptionOptions(qos: .exactlyOnce))
            readers[3].client?.subscribe("$share/g/t/#", SubscriptionOptions(qos: .atLeastOnce))
            for writer in writers { writer.connect(desk, shard: shard) }
        }

        func step() {
            switch roll(12) {
            case 0...4:
                number += 1
                writers[roll(2)].publish(number)
            case 5: _ = readers[roll(4)].work()
            case 6: _ = readers[roll(4)].work(answers: false)
            case 7:
                let reader = readers[roll(4)]
                if let client = reader.client {
                    client.vanish()
                    reader.client = nil
                } else {
                    reader.connect(desk, shard: shard)
                }
            case 8: desk.advance(seconds: 0.5)
            case 9: writers[roll(2)].connect(desk, shard: shard)
            default:
                store.sync(roll(4))
                desk.settle()
                for writer in writers { _ = writer.work() }
            }
        }

        /// The process is killed; the next one finds what was durable, and perhaps some of what was not.
        func crash() {
            store = store.survivor(extra: roll(store.waiting.count + 1))
            let shards = 1 + roll(3)
            desk = Desk(shards: shards, limits: limits, store: store, time: time, seed: random.next())
            for reader in readers { reader.connect(desk, shard: shard) }
            for writer in writers { writer.connect(desk, shard: shard) }
            store.isImmediate = false
        }

        func finish() {
            store.isImmediate = true
            store.sync()
            desk.settle()
            for reader in readers where reader.client == nil { reader.connect(desk, shard: shard) }
            var isBusy = true
            while isBusy {
                isBusy = false
                for writer in writers where writer.work() { isBusy = true }
                for reader in readers where reader.work() { isBusy = true }
                desk.settle()
            }
        }
    }

    @Test(
        "what was acknowledged arrives, QoS 2 once, in order, however often the process is killed", arguments: 0..<120)
    func kills(seed: Int) {
        let world = World(seed: UInt64(seed))
        world.begin()
        world.store.isImmediate = false
        for _ in 0..<4 {
            for _ in 0..<(20 + world.roll(60)) { world.step() }
            world.crash()
        }
        world.finish()
        let confirmed = world.writers[0].confirmed.union(world.writers[1].confirmed)
        #expect(!confirmed.isEmpty)
        for reader in world.readers[..<2] {
            #expect(
                confirmed.subtracting(reader.taken).isEmpty,
                "\(reader.name) misses some, of \(world.writers[0].confirmed.sorted()) \(world.writers[1].confirmed.sorted())"
            )
        }
        let group = world.readers[2].taken + world.readers[3].taken
        #expect(confirmed.subtracting(group).isEmpty, "the group misses some")
        let twice = world.readers[1].taken.filter { world.writers[1].confirmed.contains($0) }
        #expect(Set(twice).count == twice.count, "QoS 2 came twice: \(twice)")
        for reader in world.readers[..<2] {
            for writer in world.writers {
                var seen: Set<Int> = []
                let first = reader.taken.filter { writer.confirmed.contains($0) && seen.insert($0).inserted }
                #expect(first == first.sorted(), "\(reader.name) of \(writer.name)")
            }
        }
        for shard in world.desk.exchange.shards {
            #expect(shard.counters.lost == 0)
            #expect(shard.log.liveBytes == 0)
        }
    }

    @Test("recovery decides once: what a second start finds is what the first found")
    func idempotent() {
        for seed in 0..<20 {
            let world = World(seed: UInt64(seed))
            world.begin()
            world.store.isImmediate = false
            for _ in 0..<80 { world.step() }
            let survivor = world.store.survivor(extra: world.roll(world.store.waiting.count + 1))
            let first = Desk(shards: 2, limits: world.limits, store: survivor, time: world.time, seed: 5)
            let second = Desk(
                shards: 3, limits: world.limits, store: survivor.survivor(), time: world.time, seed: 6)
            func waiting(_ desk: Desk) -> [String: [UInt64]] {
                var found: [String: [UInt64]] = [:]
                for shard in desk.exchange.shards {
                    for session in shard.sessions.values {
                        found[session.clientID] = session.recorded.entries.map { $0.id << 16 | UInt64($0.packetID) }
                    }
                }
                return found
            }
            #expect(waiting(first) == waiting(second))
            #expect(waiting(first).count == 6)
            #expect(second.exchange.recovered?.completed == 0)
        }
    }

    @Test("a log whose bytes are damaged anywhere is read without harm; what is whole is used")
    func damaged() {
        let world = World(seed: 3)
        world.begin()
        world.store.isImmediate = false
        for _ in 0..<150 { world.step() }
        world.store.sync()
        var random = SeededRandom(seed: 8)
        for _ in 0..<400 {
            var blocks = world.store.blocks
            let index = Int(random.next() % UInt64(blocks.count))
            var bytes = blocks[index].bytes.withUnsafeBytes { Array($0) }
            if random.next() % 2 == 0 {
                bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 + random.next() % 255)
            } else {
                bytes.removeLast(Int(random.next() % UInt64(bytes.count)))
            }
            blocks[index].bytes = bytes.withUnsafeBytes { Bytes(copying: $0) }
            let desk = Desk(shards: 2, store: TestStore(blocks: blocks), time: world.time, seed: 4)
            #expect(desk.exchange.recovered != nil)
            #expect(desk.exchange.recovered?.problem == nil)
        }
    }
}
