/// Which answer a sent message waits for.
enum InflightState: UInt8, Sendable {
    case free
    case awaitingPuback
    case awaitingPubrec
    case awaitingPubcomp
}

/// A QoS 1 or 2 message that was sent and is not finished.
struct InflightEntry: Sendable {
    var message: StoredMessage?
    var group: SharedGroupKey?
    var subscriptionID: UInt32 = 0
    var packetID: UInt16 = 0
    var state = InflightState.free
    /// QoS in bits 0-1, retain in bit 2.
    var flags: UInt8 = 0
}

/// The messages in flight to one client, in the order in which they were sent: a ring whose place follows from the
/// packet identifier, so that an acknowledgement finds its message without a search.
struct InflightRing {
    /// Messages between the oldest unfinished and the newest, at most.
    static let spanMax = 32_768

    private var entries: ContiguousArray<InflightEntry> = []
    private var oldest: UInt32 = 0
    private var next: UInt32 = 0
    /// Unfinished messages.
    private(set) var count = 0

    private var span: Int { Int(next &- oldest) }

    /// Whether another message has a place.
    var hasRoom: Bool { span < Self.spanMax }

    private static func packetID(_ sequence: UInt32) -> UInt16 { UInt16(sequence % 65_535 + 1) }

    /// Adds a message and returns its packet identifier, which nothing in flight has. [MQTT-2.2.1-4]
    mutating func add(_ message: StoredMessage, flags: UInt8, subscriptionID: UInt32, group: SharedGroupKey?) -> UInt16
    {
        if next >= 65_535 * 60_000 { rebase() }
        if span == entries.count { grow() }
        let id = Self.packetID(next)
        entries[Int(next) & (entries.count &- 1)] = InflightEntry(
            message: message, group: group, subscriptionID: subscriptionID, packetID: id,
            state: flags & 3 == 2 ? .awaitingPubrec : .awaitingPuback, flags: flags)
        next &+= 1
        count += 1
        return id
    }

    /// The ring's place for a packet identifier; nil if nothing in flight has it.
    @inline(__always)
    private func place(_ id: UInt16) -> Int? {
        guard id != 0, count > 0 else { return nil }
        let first = Int(oldest % 65_535)
        var offset = Int(id) - 1 - first
        if offset < 0 { offset += 65_535 }
        guard offset < span else { return nil }
        let index = (Int(oldest) + offset) & (entries.count - 1)
        return entries[index].state == .free ? nil : index
    }

    func group(_ id: UInt16) -> SharedGroupKey? {
        guard let place = place(id) else { return nil }
        return entries[place].group
    }

    func state(_ id: UInt16) -> InflightState {
        guard let place = place(id) else { return .free }
        return entries[place].state
    }

    /// What is in flight under a packet identifier.
    func entry(_ id: UInt16) -> InflightEntry? { place(id).map { entries[$0] } }

    /// The message is received; only the handshake's end is awaited. Returns what is not needed any more.
    @discardableResult
    mutating func markReceived(_ id: UInt16) -> StoredMessage? {
        guard let place = place(id) else { return nil }
        defer {
            entries[place].state = .awaitingPubcomp
            entries[place].message = nil
            entries[place].group = nil
        }
        return entries[place].message
    }

    /// Finishes a message.
    @discardableResult
    mutating func remove(_ id: UInt16) -> InflightEntry? {
        guard let place = place(id) else { return nil }
        let entry = entries[place]
        entries[place] = InflightEntry()
        count -= 1
        while oldest != next, entries[Int(oldest) & (entries.count &- 1)].state == .free { oldest &+= 1 }
        return entry
    }

    /// What is unfinished, oldest first.
    var unfinished: [InflightEntry] {
        (0..<span).compactMap { offset in
            let entry = entries[(Int(oldest) + offset) & (entries.count - 1)]
            return entry.state == .free ? nil : entry
        }
    }

    /// Puts back what another shard had in flight, with the same packet identifiers.
    mutating func restore(_ saved: [InflightEntry], nextPacketID: UInt16) {
        self = InflightRing()
        guard let first = saved.first else {
            oldest = UInt32(max(nextPacketID, 1)) - 1
            next = oldest
            return
        }
        oldest = UInt32(first.packetID) - 1
        next = oldest
        for entry in saved {
            while Self.packetID(next) != entry.packetID {
                if span == entries.count { grow() }
                entries[Int(next) & (entries.count - 1)] = InflightEntry()
                next += 1
            }
            if span == entries.count { grow() }
            entries[Int(next) & (entries.count - 1)] = entry
            next += 1
            count += 1
        }
        while Self.packetID(next) != nextPacketID, span < Self.spanMax {
            if span == entries.count { grow() }
            entries[Int(next) & (entries.count - 1)] = InflightEntry()
            next += 1
        }
    }

    var nextPacketID: UInt16 { Self.packetID(next) }

    private mutating func grow() {
        var larger = ContiguousArray<InflightEntry>(repeating: InflightEntry(), count: max(8, entries.count * 2))
        for offset in 0..<span {
            let sequence = Int(oldest) + offset
            larger[sequence & (larger.count - 1)] = entries[sequence & (entries.count - 1)]
        }
        entries = larger
    }

    /// Keeps sequence numbers far from their end without changing packet identifiers.
    private mutating func rebase() {
        let saved = unfinished
        let nextID = nextPacketID
        restore(saved, nextPacketID: nextID)
    }
}
