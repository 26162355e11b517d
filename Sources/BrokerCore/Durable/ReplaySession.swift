import Bus

/// A session while the log is read.
final class ReplaySession {
    let number: UInt64
    /// The shard whose word counts.
    var home: UInt16
    var recorded: RecordedSession
    var incoming: Set<UInt16>
    var isConnected = true
    /// Block of its beginning or of its newest snapshot.
    let since: UInt64
    /// What the shard to which the session was moving took for it meanwhile.
    var strangers: [RecordedSession.Entry] = []
    /// Entries before this one are gone.
    private var head = 0

    init(number: UInt64, home: UInt16, since: UInt64, _ recorded: RecordedSession) {
        self.number = number
        self.home = home
        self.since = since
        self.recorded = recorded
        incoming = Set(recorded.incoming)
    }

    func append(_ entry: RecordedSession.Entry) {
        recorded.entries.append(entry)
        if entry.packetID != 0 { sent(entry.packetID) }
    }

    /// What a start gives it afterwards goes before newer messages of the same shard that wait: a publisher's order stays.
    func insert(_ entry: RecordedSession.Entry) {
        let newer = find { $0.state == .free && $0.id & 0xFF == entry.id & 0xFF && $0.id > entry.id }
        if let newer { recorded.entries.insert(entry, at: newer) } else { append(entry) }
    }

    private func sent(_ packetID: UInt16) { recorded.nextPacketID = packetID == .max ? 1 : packetID + 1 }

    func groupNumber(_ group: String) -> Int32 {
        if let index = recorded.groups.firstIndex(of: group) { return Int32(index) }
        recorded.groups.append(group)
        return Int32(recorded.groups.count - 1)
    }

    func subscriptionIndex(_ filter: String) -> Int? {
        recorded.subscriptions.firstIndex { $0.filter == filter }
    }

    func holds(_ id: UInt64) -> Bool {
        recorded.entries[head...].contains { $0.id == id && !$0.isGone } || strangers.contains { $0.id == id }
    }

    private func find(_ matches: (RecordedSession.Entry) -> Bool) -> Int? {
        var index = head
        while index < recorded.entries.count {
            let entry = recorded.entries[index]
            if !entry.isGone, matches(entry) { return index }
            index += 1
        }
        return nil
    }

    func send(_ id: UInt64, _ packetID: UInt16) {
        guard packetID != 0, let index = find({ $0.state == .free && $0.id == id }) else { return }
        recorded.entries[index].packetID = packetID
        recorded.entries[index].state =
            recorded.entries[index].flags & 3 == 2 ? .awaitingPubrec : .awaitingPuback
        sent(packetID)
    }

    /// The message whose content is not needed any more.
    func receive(_ packetID: UInt16) -> UInt64? {
        guard let index = find({ $0.packetID == packetID && $0.state == .awaitingPubrec }) else { return nil }
        defer { recorded.entries[index].id = 0 }
        recorded.entries[index].state = .awaitingPubcomp
        return recorded.entries[index].id
    }

    func finish(_ packetID: UInt16) -> UInt64? {
        guard let index = find({ $0.packetID == packetID && $0.state != .free }) else { return nil }
        return remove(at: index)
    }

    func remove(_ id: UInt64) -> Bool {
        guard let index = find({ $0.id == id && $0.state != .awaitingPubcomp }) else { return false }
        _ = remove(at: index)
        return true
    }

    private func remove(at index: Int) -> UInt64 {
        let id = recorded.entries[index].id
        recorded.entries[index].isGone = true
        while head < recorded.entries.count, recorded.entries[head].isGone { head += 1 }
        if head > 1024, head * 2 > recorded.entries.count {
            recorded.entries.removeFirst(head)
            head = 0
        }
        return id
    }

    /// What both shards took counts once, in the place where the old one put it.
    func settleStrangers() {
        guard !strangers.isEmpty else { return }
        let known = Set(recorded.entries[head...].lazy.filter { !$0.isGone }.map(\.id))
        var extra: [RecordedSession.Entry] = []
        for entry in strangers where !known.contains(entry.id) { extra.append(entry) }
        strangers = []
        for entry in extra { append(entry) }
    }

    /// As it is now, in flight first.
    var current: RecordedSession {
        var session = recorded
        let there = recorded.entries[head...].filter { !$0.isGone }
        session.entries = there.filter { $0.state != .free } + there.filter { $0.state == .free }
        session.incoming = incoming.sorted()
        return session
    }
}
