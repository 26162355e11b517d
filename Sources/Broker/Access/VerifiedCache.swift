import Crypto
import Model
import Synchronization

/// What was found about credentials, for a short time: a fleet that reconnects costs a hash or a request for each
/// credential once. Keys are HMACs under a key of this process, so that nothing in memory helps to guess a password.
final class VerifiedCache: Sendable {
    struct Key: Hashable, Sendable {
        fileprivate let bytes: [UInt8]
    }

    private struct Entry {
        var answer: MethodAnswer
        var until: Int64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// In the order in which they came: the oldest goes when there are too many.
        var order: [Key] = []
        var oldest = 0
    }

    private let secret = SymmetricKey(size: .bits256)
    private let state = Mutex(State())
    private let entriesMax: Int
    private let time: any TimeSource
    private let flights = Flights()
    let hits = Counter()
    let misses = Counter()

    init(entriesMax: Int, time: any TimeSource) {
        self.entriesMax = max(1, entriesMax)
        self.time = time
    }

    /// `nil` and an empty text differ.
    func key(_ parts: [[UInt8]?]) -> Key {
        var hash = HMAC<SHA256>(key: secret)
        for part in parts {
            let count = part.map { UInt64($0.count) } ?? .max
            withUnsafeBytes(of: count.littleEndian) { hash.update(data: Array($0)) }
            hash.update(data: part ?? [])
        }
        return Key(bytes: Array(hash.finalize()))
    }

    func find(_ key: Key) -> MethodAnswer? {
        let now = time.monotonicNanoseconds()
        let found = state.withLock { $0.entries[key] }
        guard let found, found.until > now else { return nil }
        hits.add()
        return found.answer
    }

    func keep(_ answer: MethodAnswer, _ key: Key, for duration: Duration) {
        guard duration > .zero else { return }
        let until = time.monotonicNanoseconds() &+ duration.nanoseconds
        state.withLock { state in
            if state.entries.updateValue(Entry(answer: answer, until: until), forKey: key) != nil { return }
            if state.order.count < entriesMax {
                state.order.append(key)
            } else {
                state.entries[state.order[state.oldest]] = nil
                state.order[state.oldest] = key
                state.oldest = (state.oldest + 1) % entriesMax
            }
        }
    }

    func removeAll() { state.withLock { $0 = State() } }

    var count: Int { state.withLock { $0.entries.count } }

    /// The answer for `key`: remembered, being found out for somebody else at this moment, or from `body`. What `body`
    /// finds is kept for as long as `lifetime` says, unless everything was forgotten meanwhile.
    func answer(
        _ key: Key, lifetime: @escaping @Sendable (MethodAnswer) -> Duration,
        _ body: @escaping @Sendable () async -> MethodAnswer
    ) async -> MethodAnswer {
        if let found = find(key) { return found }
        misses.add()
        return await flights.join(key) { [self] in
            let answer = await body()
            keep(answer, key, for: lifetime(answer))
            return answer
        }
    }
}

/// Questions that are being answered, each once however many ask it.
private actor Flights {
    private var running: [VerifiedCache.Key: Task<MethodAnswer, Never>] = [:]

    func join(
        _ key: VerifiedCache.Key, _ body: @escaping @Sendable () async -> MethodAnswer
    ) async -> MethodAnswer {
        if let task = running[key] { return await task.value }
        let task = Task { await body() }
        running[key] = task
        let answer = await task.value
        running[key] = nil
        return answer
    }
}
