/// What a shard does at a certain time.
enum DeadlineAction {
    /// A connection's CONNECT is due, or bytes within its keep alive.
    case connection(UInt64)
    /// What a connection proved itself with ends.
    case credentials(UInt64)
    /// A delayed will, by client id and session serial.
    case will(String, UInt64)
    case expiry(String, UInt64)
}

/// Deadlines in monotonic nanoseconds, the earliest first. What has become pointless stays until it is due and is then
/// seen to be so: cheaper than searching for it.
struct DeadlineHeap {
    private var items: ContiguousArray<(at: Int64, action: DeadlineAction)> = []

    var count: Int { items.count }

    mutating func insert(_ at: Int64, _ action: DeadlineAction) {
        items.append((at, action))
        var index = items.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            if items[parent].at <= items[index].at { break }
            items.swapAt(parent, index)
            index = parent
        }
    }

    /// The earliest action that is due at `now`.
    mutating func popDue(_ now: Int64) -> DeadlineAction? {
        guard let first = items.first, first.at <= now else { return nil }
        let last = items.removeLast()
        if !items.isEmpty {
            items[0] = last
            siftDown()
        }
        return first.action
    }

    private mutating func siftDown() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < items.count && items[child].at < items[least].at {
                least = child
            }
            if least == index { return }
            items.swapAt(least, index)
            index = least
        }
    }
}
