package import Bus
package import Model
package import NIOCore
import Synchronization

/// The broker without sockets: its shards, one on each event loop, and the bus that everyone inside the process uses.
package final class Exchange: Bus {
    package let shards: [Shard]
    private let currentLimits: Mutex<ExchangeLimits>
    package let time: any TimeSource
    let startedAt: Timestamp
    let hash: TopicHash
    let store: (any DurabilityStore)?
    /// What the last start found, once it is through.
    let recovery = Mutex<RecoveryReport?>(nil)
    /// For `$SYS`.
    let maxima = Mutex(GaugeMaxima())
    let averages = Mutex(LoadAverages())
    /// Filters whose messages are counted, and since when.
    let topicMeters = Mutex<[String: Timestamp]>([:])
    private let nextShard = Atomic<Int>(0)
    private let isStarted = Atomic<Bool>(false)

    /// One shard for each of `loops`, 64 at most. `store`: where sessions, what waits for them, and retained messages
    /// outlive the process; `recover` must then be called before clients are served. Nil: they live as long as it.
    package init(
        loops: [any EventLoop], limits: ExchangeLimits = ExchangeLimits(), time: any TimeSource = SystemTime(),
        random: any RandomSource = SystemRandom(), store: (any DurabilityStore)? = nil
    ) {
        let hash = TopicHash(seed: random.next())
        self.hash = hash
        self.store = store
        let used = Array(loops.prefix(64))
        currentLimits = Mutex(limits)
        self.time = time
        startedAt = time.now()
        shards = used.indices.map { index in
            Shard(
                index: index, count: used.count, loop: used[index], limits: limits, time: time, random: random,
                hash: hash, store: store)
        }
        for shard in shards { shard.peers = shards }
    }

    /// Starts the clockwork: keep alive, expiry, `$SYS`. Idempotent.
    package func start() {
        guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        for shard in shards {
            shard.loop.execute {
                shard.tickTask = shard.loop.scheduleRepeatedTask(
                    initialDelay: .milliseconds(500), delay: .milliseconds(500)
                ) { _ in shard.tick() }
            }
        }
        startSystemTopics()
    }

    /// Tells every client that the server goes and closes their connections. Publishes no wills of those who stay
    /// subscribed elsewhere: a stop is not the clients' doing, but they are gone all the same, so wills do go out.
    package var limits: ExchangeLimits { currentLimits.withLock { $0 } }

    /// From now on, for sessions that are there too; what waits already stays. The route cache and the interval of
    /// `$SYS` stay as they began.
    package func setLimits(_ change: (inout ExchangeLimits) -> Void) async {
        let limits = currentLimits.withLock { limits in
            change(&limits)
            return limits
        }
        for shard in shards { await shard.run { $0.setLimits(limits) } }
    }

    package func stop() async {
        for shard in shards {
            await shard.run { shard in
                shard.tickTask?.cancel()
                shard.tickTask = nil
                shard.systemTopicsTask?.cancel()
                shard.systemTopicsTask = nil
                for connection in shard.connections.values { connection.disconnect(.serverShuttingDown) }
            }
        }
    }

    /// Hands to the log what has happened so far, on its way between shards too.
    package func flush() async {
        for _ in 0..<3 { for shard in shards { await shard.run { $0.log.flush(always: true) } } }
    }

    /// Breaks the circle in which the shards hold each other, so that they go with this object. For those who make
    /// many, after everything has stopped: nothing may be used any more.
    package func dissolve() { for shard in shards { shard.dissolve() } }

    /// The shard on an event loop.
    package func shard(on loop: any EventLoop) -> Shard? { shards.first { $0.loop === loop } }

    private func takeShard() -> Shard {
        shards[Int(UInt(bitPattern: nextShard.add(1, ordering: .relaxed).oldValue) % UInt(shards.count))]
    }

    // MARK: Bus

    package func publisher(_ origin: Origin) -> any BusPublisher {
        ComponentPublisher(shard: takeShard(), messagesMax: limits.mailboxMax)
    }

    package func subscribe(
        _ filters: [TopicFilter], name: String, options: SubscribeOptions,
        deliver: @escaping @Sendable ([Message]) -> Void
    ) async throws -> any BusSubscription {
        if let shared = filters.first(where: { $0.shareName != nil }) {
            throw Problem(
                "bus.shared_filter",
                "component \"\(name)\" cannot subscribe to \"\(shared.text)\": shared subscriptions are for network clients",
                ["name": name, "filter": shared.text])
        }
        let shard = takeShard()
        let component = ComponentSubscription(
            name: name, samplesOnly: options.samplesOnly, shard: shard, deliver: deliver)
        let handle = ComponentSubscriptionHandle(component: component, shard: shard)
        await handle.apply(filters, wantsRetained: options.wantsRetained)
        return handle
    }
}

extension Shard {
    /// Runs `body` on the shard's event loop and returns what it returns.
    package func run<T: Sendable>(_ body: @escaping @Sendable (Shard) -> T) async -> T {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: body(self)) }
        }
    }
}
