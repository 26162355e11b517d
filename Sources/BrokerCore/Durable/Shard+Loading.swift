import Model
import NIOCore

extension Shard {
    // MARK: What sessions keep

    /// A persistent session of this shard refers to the message.
    @inline(__always)
    func hold(_ message: StoredMessage) {
        if message.references == 0 {
            log.liveBytes += Int(message.recordBytes)
            keptBytes += message.contentBytes
        }
        message.references += 1
        log.liveEntries += 1
    }

    @inline(__always)
    func unhold(_ message: StoredMessage) {
        guard message.references > 0 else { return }
        message.references -= 1
        log.liveEntries -= 1
        if message.references == 0 {
            log.liveBytes -= Int(message.recordBytes)
            keptBytes -= message.contentBytes
        }
    }

    /// After a publication has reached everyone: what only sleeping sessions wait for need not stay in memory.
    @inline(__always)
    func letGo(_ publication: Publication) {
        guard publication.mayLetGo, !publication.isHeldOnline, let kept = publication.kept else { return }
        letGo(kept)
    }

    func letGo(_ message: StoredMessage) {
        guard keptBytes > limits.keptBytesMax, message.mayLetGo, message.references > 0 else { return }
        keptBytes -= message.contentBytes
        message.letGo()
        counters.letGo += 1
    }

    // MARK: Reading back

    /// Reads the content of messages back; `done` is called on the event loop when all are there, as far as they can be.
    /// `each` is called for each that was not there until then, and may let it go again: nobody has seen it.
    func load(
        _ messages: [StoredMessage], each: @escaping (StoredMessage) -> Void = { _ in }, done: @escaping () -> Void
    ) {
        // What was written in this turn is not yet where it could be read.
        if messages.contains(where: { log.isOpen($0.place) }) { log.flush(always: true) }
        let places = messages.map(\.place)
        let ids = messages.map(\.id)
        let box = LoopConfined((messages, each, done))
        guard let store = log.store else { return }
        store.onWorker { [loop, handle] in
            let contents = Shard.contents(places, ids, store)
            loop.execute { handle.shard?.loaded(box.value.0, places, contents, box.value.1, box.value.2) }
        }
    }

    private static func contents(
        _ places: [RecordPlace], _ ids: [UInt64], _ store: any DurabilityStore
    ) -> [MessageContent?]? {
        do throws(Problem) {
            return zip(try store.read(places), ids).map { bytes, id in
                bytes.flatMap { $0.withUnsafeBytes { MessageRecord.content($0, id: id) } }
            }
        } catch { return nil }
    }

    private func loaded(
        _ messages: [StoredMessage], _ places: [RecordPlace], _ contents: [MessageContent?]?,
        _ each: @escaping (StoredMessage) -> Void, _ done: @escaping () -> Void
    ) {
        guard let contents else {
            // The disk refuses to be read: later perhaps not.
            counters.loadFailures += 1
            let box = LoopConfined((messages, each, done))
            loop.scheduleTask(in: .seconds(1)) { [handle] in
                handle.shard?.load(box.value.0, each: box.value.1, done: box.value.2)
            }
            return
        }
        _ = refreshNow()
        var moved: [StoredMessage] = []
        for (index, message) in messages.enumerated() where !message.isLoaded {
            guard let content = contents[index] else {
                // Written anew meanwhile, and the old place released?
                if message.place != places[index] { moved.append(message) } else { message.isLost = true }
                continue
            }
            message.putBack(content)
            counters.loaded += 1
            if message.references > 0 { keptBytes += message.contentBytes }
            each(message)
        }
        if !moved.isEmpty { return load(moved, each: each, done: done) }
        done()
        markTurn()
    }
}

extension Session {
    /// Messages that are read back at a time, and are there before they are needed.
    static let aheadMax = 4096

    /// Reads back the content of what is to be sent next, before it is its turn.
    func loadAhead() {
        guard !isLoading, connection != nil, let first = queue.first else { return }
        let middle = queue[min(queue.count, Self.aheadMax / 2) - 1] ?? first
        if first.message.isLoaded, middle.message.isLoaded { return }
        var wanted: [StoredMessage] = []
        for index in 0..<min(queue.count, Self.aheadMax) {
            guard let message = queue[index]?.message, !message.isLoaded, !message.isLost else { continue }
            wanted.append(message)
        }
        if wanted.isEmpty { return }
        isLoading = true
        let (clientID, serial, shard) = (clientID, serial, shard)
        shard.load(wanted) {
            guard let session = shard.sessions[clientID], session.serial == serial else { return }
            session.isLoading = false
            session.pump()
        }
    }

    /// Sends what was in flight again, then goes on; reads back first what is not in memory.
    func resume() {
        let missing = inflight.unfinished.compactMap { entry in
            entry.message.flatMap { $0.isLoaded || $0.isLost ? nil : $0 }
        }
        waitingForLog = 0
        if missing.isEmpty {
            resend()
            pump()
            return
        }
        isResuming = true
        let (clientID, serial, shard) = (clientID, serial, shard)
        let connectionID = connection?.id
        shard.load(missing) {
            guard let session = shard.sessions[clientID], session.serial == serial else { return }
            guard let connection = session.connection, connection.id == connectionID else { return }
            session.isResuming = false
            session.finishLost()
            session.resend()
            session.pump()
        }
    }

    private func finishLost() {
        for entry in inflight.unfinished where entry.message?.isLost == true {
            shard.counters.lost += 1
            finish(entry.packetID)
        }
    }
}

/// Carries what belongs to an event loop through another thread and back; nobody looks at it on the way.
struct LoopConfined<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
