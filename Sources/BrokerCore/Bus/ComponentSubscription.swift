import Bus
import Model
import NIOCore

/// A component inside the process that subscribes. Lives on one shard; gets the messages of a turn in one call.
final class ComponentSubscription: @unchecked Sendable {
    let name: String
    let samplesOnly: Bool
    // Below: touched on the shard's event loop only.
    var filters: [TopicFilter] = []
    private let body: @Sendable ([Message]) -> Void
    private var pending: [Message] = []
    var isCancelled = false
    // Shards live until their exchange is dissolved, after which nothing may be used.
    unowned(unsafe) let shard: Shard

    init(name: String, samplesOnly: Bool, shard: Shard, deliver: @escaping @Sendable ([Message]) -> Void) {
        self.name = name
        self.samplesOnly = samplesOnly
        self.shard = shard
        body = deliver
    }

    @inline(__always)
    func append(_ message: Message, on shard: Shard) {
        if pending.isEmpty {
            shard.dirtyComponents.append(self)
            shard.markTurn()
        }
        pending.append(message)
        // A turn may bring many: hand over before the batch grows large.
        if pending.count >= 8192 { flush() }
    }

    func flush() {
        guard !pending.isEmpty else { return }
        var batch: [Message] = []
        batch.reserveCapacity(pending.count)
        swap(&batch, &pending)
        if !isCancelled { body(batch) }
    }
}

extension Shard {
    /// Adds the filters that are new and removes those that are not wanted any more; `done` is called when every
    /// shard has the new ones.
    func update(
        _ component: ComponentSubscription, _ wanted: [TopicFilter], wantsRetained: Bool, done: @escaping () -> Void
    ) {
        components[ObjectIdentifier(component)] = component
        var added: [TopicFilter] = []
        for filter in wanted where !component.filters.contains(filter) && !added.contains(filter) {
            added.append(filter)
        }
        let removed = component.filters.filter { !wanted.contains($0) }
        component.filters = component.filters.filter { wanted.contains($0) } + added
        let pending = PendingSubscribe(packetID: 0, count: 0)
        pending.missing = 1
        let installed = { [self] in
            pending.missing -= 1
            guard pending.missing == 0 else { return }
            // The old ones go only now, so that what both match is not interrupted.
            for filter in removed { remove(component, filter) }
            if component.filters.isEmpty { components[ObjectIdentifier(component)] = nil }
            if wantsRetained { sendRetainedWhenReady(to: component, added) }
            done()
        }
        for filter in added {
            let pattern = Bytes(filter.pattern)
            guard let set = tree.subscribers(of: pattern, create: true) else { continue }
            set.components.append(component)
            changed(pattern)
            pending.missing += 1
            addInterest(InterestKey(filter: filter.pattern, samplesOnly: component.samplesOnly), installed)
        }
        installed()
    }

    private func remove(_ component: ComponentSubscription, _ filter: TopicFilter) {
        let pattern = Bytes(filter.pattern)
        guard let set = tree.subscribers(of: pattern, create: false),
            let index = set.components.firstIndex(where: { $0 === component })
        else { return }
        set.components.remove(at: index)
        forget(pattern)
        removeInterest(InterestKey(filter: filter.pattern, samplesOnly: component.samplesOnly))
    }

    private func sendRetainedWhenReady(to component: ComponentSubscription, _ filters: [TopicFilter]) {
        if isReady { return sendRetained(to: component, filters) }
        atReady.append { [self] in if !component.isCancelled { sendRetained(to: component, filters) } }
    }

    private func sendRetained(to component: ComponentSubscription, _ filters: [TopicFilter]) {
        for (index, filter) in filters.enumerated() {
            let earlier = filters[..<index]
            findRetained(filter.pattern) { [self] found in
                for stored in found {
                    let message = stored.message(retain: true, now: now)
                    if earlier.contains(where: { $0.matches(message.topic) }) { continue }
                    component.append(message, on: self)
                }
            }
        }
    }
}

/// The handle that a subscriber holds.
final class ComponentSubscriptionHandle: BusSubscription {
    private let component: ComponentSubscription
    private let shard: Shard

    init(component: ComponentSubscription, shard: Shard) {
        self.component = component
        self.shard = shard
    }

    func update(_ filters: [TopicFilter]) async throws { await apply(filters, wantsRetained: false) }

    func apply(_ filters: [TopicFilter], wantsRetained: Bool) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            shard.loop.execute { [shard, component] in
                if component.isCancelled {
                    continuation.resume()
                    return
                }
                shard.update(component, filters, wantsRetained: wantsRetained) { continuation.resume() }
            }
        }
    }

    func cancel() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            shard.loop.execute { [shard, component] in
                component.isCancelled = true
                shard.update(component, [], wantsRetained: false) { continuation.resume() }
            }
        }
    }
}
