import Bus
import Model

/// A shard's part of the log: gathers the records of a loop turn into one block, hands that over when the turn ends,
/// and knows what is durable. A position is the number of the block that a record stands in.
///
/// Without a store everything is durable at once and nothing is written.
package final class ShardLog {
    let store: (any DurabilityStore)?
    private let shard: Int
    private let time: any TimeSource
    var buffer = RecordBuffer()
    /// Of the block that is being filled; 0: none is.
    private var open: UInt64 = 0
    /// Of the newest block that this shard has made.
    private(set) var newest: UInt64 = 0
    /// Everything up to this position is durable.
    private(set) var durable: UInt64 = 0
    /// The open block must go at the end of the turn: somebody waits for it, or others build on it.
    private var isDue = false
    private var nextID: UInt64 = 1
    /// Asks for the end of the turn, at which the block goes.
    var onDue: () -> Void = {}
    private(set) var blocks: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    /// Bytes of records of messages that this shard's persistent sessions and retained topics still need.
    var liveBytes = 0
    /// Entries of persistent sessions that refer to messages.
    var liveEntries = 0
    /// Records before this block must not be referred to any more: they are written anew when they are needed.
    var horizon: UInt64 = 0

    /// A block that nobody waits for goes when it is this long, or at the next tick.
    static let lazyBytes = 128 << 10
    /// A block ends between two publications when it is this long.
    static let blockBytes = 2 << 20

    init(store: (any DurabilityStore)?, shard: Int, time: any TimeSource) {
        self.store = store
        self.shard = shard
        self.time = time
        if store == nil { durable = .max }
    }

    @inline(__always)
    var isOn: Bool { store != nil }

    var isRefusing: Bool { store?.isRefusing ?? false }

    /// Where what is being written now stands.
    @inline(__always)
    var position: UInt64 { open != 0 ? open : newest }

    /// Whether everything this shard has ever recorded is durable.
    var isQuiet: Bool { open == 0 && (store == nil || newest <= durable) }

    /// Begins a block if none is open.
    @inline(__always)
    private func begin() {
        if open == 0 { makeBlock() }
    }

    private func makeBlock() {
        guard let store else { return }
        open = store.nextBlockNumber()
        newest = open
        buffer.put(BlockHeader.version)
        buffer.put(UInt8(0))
        buffer.put(UInt16(truncatingIfNeeded: shard))
        buffer.put(open)
        buffer.put(time.now().nanoseconds)
    }

    /// Hands the open block over if it is due, or if `always`.
    func flush(always: Bool = false) {
        guard open != 0, let store, isDue || always || buffer.count >= Self.lazyBytes else { return }
        let block = Bytes(copying: buffer.bytes)
        buffer.clear()
        blocks += 1
        bytes += UInt64(block.count)
        let number = open
        open = 0
        isDue = false
        store.append(block, number: number, shard: shard)
    }

    /// Whether a place stands in the block that has not been handed over.
    func isOpen(_ place: RecordPlace) -> Bool { open != 0 && place.block == open }

    /// Between two publications: a block that has become long goes.
    @inline(__always)
    func flushIfLong() {
        if buffer.count >= Self.blockBytes { flush(always: true) }
    }

    /// What stands in the open block must be handed over before this turn's messages to other shards.
    func setDue() {
        guard open != 0, !isDue else { return }
        isDue = true
        onDue()
    }

    /// Tells whether something is written between two looks.
    var mark: UInt64 { bytes &+ UInt64(buffer.count) }

    /// The position of all that was written so far, for whoever answers for it.
    var awaited: UInt64 { open == 0 ? newest : due() }

    /// The store has news. True if `durable` has moved.
    func advance() -> Bool {
        guard let store else { return false }
        let number = store.durableNumber(shard: shard)
        guard number > durable else { return false }
        durable = number
        return true
    }

    /// A number for a message or a session that no other has or had.
    func makeID() -> UInt64 {
        defer { nextID += 1 }
        return nextID << 8 | UInt64(shard)
    }

    /// Everything in the log has numbers below this.
    func startIDs(at number: UInt64) { nextID = max(nextID, number) }

    // MARK: Messages

    /// Writes a message with its content and makes it the current one; gives it id and place.
    func published(_ message: StoredMessage, type: RecordType, now: Int64) {
        begin()
        if message.id == 0 { message.id = makeID() }
        message.place = RecordPlace(block: open, offset: buffer.count)
        let start = buffer.count
        let topic = message.topic
        let payload = message.payload.bytes
        let properties = message.wireProperties
        let name = message.origin.clientID
        buffer.reserve(1 + MessageRecord.fixedBytes + topic.count + payload.count + properties.count + name.utf8.count)
        buffer.unsafePut(type.rawValue)
        buffer.unsafePut(message.id)
        let expires = message.expiresAt != .max
        buffer.unsafePut(message.qos.rawValue | (message.retain ? 4 : 0))
        buffer.unsafePut(message.receivedAt.nanoseconds)
        buffer.unsafePut(expires ? time.now().nanoseconds &+ (message.expiresAt &- now) : Int64.max)
        buffer.unsafePut(UInt16(truncatingIfNeeded: topic.count))
        buffer.unsafePut(UInt32(truncatingIfNeeded: payload.count))
        buffer.unsafePut(UInt32(truncatingIfNeeded: properties.count))
        buffer.unsafePut(OriginCode.code(message.origin.kind))
        buffer.unsafePut(UInt16(truncatingIfNeeded: min(name.utf8.count, 65_535)))
        topic.withUnsafeBytes { buffer.raw($0) }
        payload.withUnsafeBytes { buffer.raw($0) }
        properties.withUnsafeBytes { buffer.raw($0) }
        var short = name.utf8.count > 65_535 ? String(decoding: name.utf8.prefix(65_535), as: UTF8.self) : name
        short.withUTF8 { buffer.raw(UnsafeRawBufferPointer($0)) }
        message.recordBytes = UInt32(truncatingIfNeeded: buffer.count - start)
    }

    /// A message whose record stands elsewhere becomes the current one. `arrived`: another shard sent it here.
    func about(_ id: UInt64, arrived: Bool) {
        put(.about)
        buffer.put(id)
        buffer.put(UInt8(arrived ? 1 : 0))
    }

    /// A message that is in memory becomes the current one.
    func refer(to message: StoredMessage, now: Int64) {
        if message.place.block < horizon {
            published(message, type: .copied, now: now)
        } else {
            about(message.id, arrived: false)
        }
    }

    func sentTo(_ shards: UInt64, retaining owner: Int?) {
        put(.sentTo)
        buffer.put(shards)
        buffer.put(UInt8(owner == nil ? 0 : 1))
        buffer.put(UInt8(truncatingIfNeeded: owner ?? 0))
        setDue()
    }

    /// The session keeps the current message; with a packet id, because it is sent at once. Waits for nothing.
    @inline(__always)
    func took(session: UInt64, flags: UInt8, subscriptionID: UInt32, group: String?, packetID: UInt16) {
        put(.took)
        buffer.put(
            flags & 7 | (packetID != 0 ? 8 : 0) | (subscriptionID != 0 ? 16 : 0) | (group != nil ? 32 : 0))
        buffer.number(session)
        if packetID != 0 { buffer.put(packetID) }
        if subscriptionID != 0 { buffer.number(UInt64(subscriptionID)) }
        if let group { buffer.text(group) }
    }

    func assigned(group: String) {
        put(.assigned)
        buffer.text(group)
        setDue()
    }

    func groupDone(_ id: UInt64, group: String) {
        put(.groupDone)
        buffer.put(id)
        buffer.text(group)
    }

    func retained(_ id: UInt64) {
        put(.retained)
        buffer.put(id)
    }

    func notRetained(_ id: UInt64) {
        put(.notRetained)
        buffer.put(id)
    }

    // MARK: Sessions

    @inline(__always)
    func put(_ type: RecordType) {
        begin()
        buffer.put(type.rawValue)
    }

    @inline(__always)
    private func put(_ type: RecordType, _ session: UInt64, packetID: UInt16) {
        begin()
        buffer.put(type.rawValue)
        buffer.number(session)
        buffer.put(packetID)
    }

    /// Marks what was written so far as awaited; returns its position.
    @inline(__always)
    func due() -> UInt64 {
        setDue()
        return position
    }

    func sending(session: UInt64, _ id: UInt64, packetID: UInt16) {
        put(.sending)
        buffer.number(session)
        buffer.put(id)
        buffer.put(packetID)
    }

    func received(session: UInt64, packetID: UInt16) -> UInt64 {
        put(.received, session, packetID: packetID)
        return due()
    }

    func finished(session: UInt64, packetID: UInt16) { put(.finished, session, packetID: packetID) }

    func removed(session: UInt64, _ id: UInt64) {
        put(.removed)
        buffer.number(session)
        buffer.put(id)
    }

    func gaveBack(session: UInt64, _ id: UInt64, group: String) {
        put(.gaveBack)
        buffer.number(session)
        buffer.put(id)
        buffer.text(group)
        setDue()
    }

    func incoming(session: UInt64, packetID: UInt16, isReleased: Bool) -> UInt64 {
        put(isReleased ? .incomingReleased : .incomingTaken, session, packetID: packetID)
        return due()
    }

    func session(_ type: RecordType, _ session: UInt64) -> UInt64 {
        put(type)
        buffer.number(session)
        return due()
    }

    /// `started`, if a client id is given, or `connected`.
    func connected(
        session: UInt64, newFor clientID: String?, expirySeconds: UInt32, version: ProtocolVersion, username: String?,
        will: Will?, now: Int64
    ) -> UInt64 {
        put(clientID == nil ? .connected : .started)
        buffer.number(session)
        if let clientID { buffer.text(clientID) }
        buffer.put(expirySeconds)
        buffer.put(version.rawValue)
        buffer.text(username ?? "")
        buffer.put(UInt8(will == nil ? 0 : 1))
        if let will { SnapshotCoding.put(will, into: &buffer) }
        return due()
    }

    func disconnected(session: UInt64, expirySeconds: UInt32, keepsWill: Bool, at wall: Int64) -> UInt64 {
        put(.disconnected)
        buffer.number(session)
        buffer.put(wall)
        buffer.put(expirySeconds)
        buffer.put(UInt8(keepsWill ? 1 : 0))
        return due()
    }

    func subscribed(
        session: UInt64, filter: String, options: SubscriptionOptions, subscriptionID: UInt32
    ) -> UInt64 {
        put(.subscribed)
        buffer.number(session)
        buffer.text(filter)
        buffer.put(options.rawValue)
        buffer.number(UInt64(subscriptionID))
        return due()
    }

    func unsubscribed(session: UInt64, filter: String) -> UInt64 {
        put(.unsubscribed)
        buffer.number(session)
        buffer.text(filter)
        return due()
    }

    func epoch(seed: UInt64, shards: Int) -> UInt64 {
        put(.epoch)
        buffer.put(seed)
        buffer.put(UInt16(truncatingIfNeeded: shards))
        return due()
    }

    func owners(seed: UInt64, shards: Int) {
        put(.owners)
        buffer.put(seed)
        buffer.put(UInt16(truncatingIfNeeded: shards))
    }

    func snapshot(session: UInt64, _ snapshot: RecordedSession) {
        put(.snapshot)
        buffer.number(session)
        SnapshotCoding.put(snapshot, into: &buffer)
    }
}
