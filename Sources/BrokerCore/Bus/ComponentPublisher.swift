import Bus
import Model
import NIOCore
import Synchronization

/// A component inside the process that publishes: a bounded mailbox before one shard, one hand-over per batch.
final class ComponentPublisher: BusPublisher {
    private struct Batch {
        var messages: [Message]
        var reply: CheckedContinuation<[PublishOutcome], Never>?
    }

    private struct Mailbox {
        var batches: [Batch] = []
        var count = 0
        var isScheduled = false
    }

    private let shard: Shard
    private let messagesMax: Int
    private let mailbox = Mutex(Mailbox())

    init(shard: Shard, messagesMax: Int) {
        self.shard = shard
        self.messagesMax = messagesMax
    }

    func publish(_ messages: [Message]) -> Bool { offer(Batch(messages: messages, reply: nil)) }

    func publishConfirmed(_ messages: [Message]) async -> [PublishOutcome] {
        if messages.isEmpty { return [] }
        return await withCheckedContinuation { continuation in
            if !offer(Batch(messages: messages, reply: continuation)) {
                let problem = Problem(
                    "broker.publisher_full", "the publisher's queue of \(messagesMax) messages is full")
                continuation.resume(returning: messages.map { _ in .refused(problem) })
            }
        }
    }

    private func offer(_ batch: Batch) -> Bool {
        if batch.messages.isEmpty { return true }
        let (isTaken, mustSchedule) = mailbox.withLock { mailbox in
            // One batch larger than the bound is taken when nothing else waits.
            if mailbox.count > 0, mailbox.count + batch.messages.count > messagesMax { return (false, false) }
            mailbox.batches.append(batch)
            mailbox.count += batch.messages.count
            if mailbox.isScheduled { return (true, false) }
            mailbox.isScheduled = true
            return (true, true)
        }
        if mustSchedule { shard.loop.execute { [shard] in self.drain(on: shard) } }
        return isTaken
    }

    /// On the shard's event loop.
    func drain(on shard: Shard) {
        if shard.isCongested || !shard.isReady {
            shard.waitingPublishers.append(self)
            return
        }
        let batches = mailbox.withLock { mailbox in
            var taken: [Batch] = []
            swap(&taken, &mailbox.batches)
            mailbox.count = 0
            mailbox.isScheduled = false
            return taken
        }
        _ = shard.refreshNow()
        for batch in batches {
            if let reply = batch.reply {
                let mark = shard.log.mark
                let outcomes = batch.messages.map { shard.offer($0) }
                // The answer is an acknowledgement like any other.
                let position = shard.log.mark == mark ? 0 : shard.log.awaited
                shard.whenDurable(position) { reply.resume(returning: outcomes) }
            } else {
                for message in batch.messages { _ = shard.offer(message) }
            }
        }
    }
}
