import Model

extension LoadGenerator {
    /// Publishes to persistent sessions that are away, each publisher with a window of messages unacknowledged; then
    /// the sessions return all at once, and everything that was acknowledged must come.
    func runStore() throws -> LoadResult {
        var now = clock.monotonicNanoseconds()
        let measureTo = now + Int64(plan.seconds * 1e9)
        let storeBegin = try mark(0)
        var watch = StallWatch(now: now, limit: 2 * Self.stallNanoseconds)
        for publisher in publishers.indices { try publish(publisher, count: room(for: publisher), time: now) }
        while acknowledged < published {
            try receiveAll(milliseconds: 500)
            now = clock.monotonicNanoseconds()
            for publisher in takeListed() where now < measureTo {
                let count = room(for: publisher)
                if count > 0 { try publish(publisher, count: count, time: now) }
            }
            try watch.check(acknowledged, now: now)
        }
        var result = LoadResult()
        result.measured = phase(from: storeBegin, to: try mark(acknowledged))
        result.published = published
        result.replayed = try replay()
        result.account = account.close(sent: publishers.map(\.sequence))
        try forgetSubscribers()
        return result
    }

    /// How many messages a publisher may send now.
    private func room(for publisher: Int) -> Int {
        let free = publishers[publisher].free.count
        guard plan.messagesMax > 0 else { return free }
        return max(0, min(free, plan.messagesMax - published))
    }

    private func replay() throws -> LoadPhase {
        let begin = try mark(0)
        let clients = (0..<plan.shape.subscribersTotal).map {
            LoadConnection.Client(id: subscriberID($0), isClean: false)
        }
        for (index, socket) in try LoadConnection.openAll(plan, clients).enumerated() {
            connections[index].socket = socket
            try listen(index)
        }
        let expected = published * plan.shape.subscribers
        var watch = StallWatch(now: clock.monotonicNanoseconds())
        while account.totals.arrived < expected {
            try receiveAll(milliseconds: 100)
            if watch.isStalled(account.totals.arrived, now: clock.monotonicNanoseconds()) { break }
        }
        return phase(from: begin, to: try mark(account.totals.arrived))
    }
}
